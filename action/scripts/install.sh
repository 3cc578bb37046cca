#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Finds or fetches the program and names it in KNOWNGOOD_PROGRAM for the steps that follow:
# a binary that is there already, else the release archive whose checksum is committed beside
# this script, else a build from this checkout.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)

tell() {
  "$1" --version >/dev/null || { echo "::error::$1 does not run on this machine"; exit 3; }
  echo "KNOWNGOOD_PROGRAM=$1" >>"$GITHUB_ENV"
}

if [ -n "${KNOWNGOOD_BINARY:-}" ]; then
  tell "$KNOWNGOOD_BINARY"
  exit 0
fi

case $(uname -s)-$(uname -m) in
  Linux-x86_64) platform=linux_amd64 ;;
  Linux-aarch64) platform=linux_arm64 ;;
  *) platform=unknown ;;
esac
folder=${RUNNER_TEMP:-/tmp}/knowngood
mkdir -p "$folder"

if [ -s "$here/checksums.txt" ] && line=$(grep "_$platform.tar.gz\$" "$here/checksums.txt"); then
  archive=${line##* }
  version=${archive#knowngood_}
  version=${version%%_*}
  base=${KNOWNGOOD_MIRROR:-https://github.com/knowngood/knowngood/releases/download/v$version}
  curl --fail --silent --show-error --location --retry 3 --output "$folder/$archive" "$base/$archive"
  (cd "$folder" && echo "$line" | sha256sum -c - >/dev/null) || {
    echo "::error::$archive does not have the checksum that is committed beside the Action"
    exit 3
  }
  tar -xzf "$folder/$archive" -C "$folder" knowngood
  tell "$folder/knowngood"
  exit 0
fi

if command -v go >/dev/null 2>&1; then
  echo "no release for this checkout: building knowngood from source with $(go env GOVERSION)"
  (cd "$root" && CGO_ENABLED=0 go build -trimpath -buildvcs=false -tags grpcnotrace,disable_grpc_modules -o "$folder/knowngood" ./cmd/knowngood)
  tell "$folder/knowngood"
  exit 0
fi
echo "::error::no knowngood for $platform: give the input binary, use a released version of the Action, or install Go"
exit 3
