#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Finds or fetches the program and hands its path on as the output "program": a binary that is
# on the runner already, else the release archive whose checksum is committed beside this
# script, else a build from this checkout. Needs sh, curl, tar and sha256sum alone.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
folder=${RUNNER_TEMP:-/tmp}/knowngood

# fail ends with one annotation. Values in it must not begin another command of the runner's.
fail() {
  printf '::error::%s\n' "$(printf '%s' "$*" | tr '\r\n' '  ')"
  exit 3
}

# tell hands the program on, if it runs.
tell() {
  version=$("$1" --version) || fail "$1 does not run on this machine"
  printf '%s\n' "$version"
  {
    printf 'program=%s\n' "$1"
    printf 'version=%s\n' "${version##* }"
  } >>"${GITHUB_OUTPUT:-/dev/stdout}"
  exit 0
}

platform() {
  case $(uname -s)-$(uname -m) in
    Linux-x86_64) echo linux_amd64 ;;
    Linux-aarch64 | Linux-arm64) echo linux_arm64 ;;
    *) echo "$(uname -s)-$(uname -m)" ;;
  esac
}

# verified tells whether a file has the checksum.
verified() { printf '%s  %s\n' "$sum" "$1" | sha256sum -c - >/dev/null 2>&1; }

# fetch leaves the verified archive in the runner's tool cache, where the next job finds it. It
# is verified there, too: on a runner of one's own, earlier jobs may have written to the cache.
fetch() {
  archive=${line##* }
  sum=${line%% *}
  version=${archive#knowngood_}
  version=${version%%_*}
  program=$folder/$sum/knowngood
  [ ! -x "$program" ] || tell "$program" # an earlier step of this job
  cache=${RUNNER_TOOL_CACHE:-$folder}/knowngood/$version
  if ! mkdir -p "$cache" 2>/dev/null || [ ! -w "$cache" ]; then
    cache=$folder/archive
  fi
  draft=$folder/$sum.$$
  mkdir -p "$cache" "$draft"
  trap 'rm -rf "$draft"' EXIT
  if ! verified "$cache/$archive"; then
    base=${KNOWNGOOD_MIRROR:-https://github.com/knowngood/knowngood/releases/download/v$version}
    echo "fetching ${base%/}/$archive"
    curl --fail --silent --show-error --location --retry 3 --connect-timeout 20 --max-time 600 \
      --output "$draft/$archive" "${base%/}/$archive" ||
      fail "$archive cannot be fetched from $base: give the input mirror, or binary for a program that is there already"
    verified "$draft/$archive" || fail "$archive does not have the checksum that is committed beside the Action"
    mv -f "$draft/$archive" "$cache/$archive"
  fi
  tar -xzf "$cache/$archive" -C "$draft" knowngood
  mkdir -p "$folder/$sum"
  mv -f "$draft/knowngood" "$program"
  rm -rf "$draft"
  tell "$program"
}

if [ -n "${KNOWNGOOD_BINARY:-}" ]; then
  [ -x "$KNOWNGOOD_BINARY" ] || fail "binary $KNOWNGOOD_BINARY is no program on this machine"
  tell "$KNOWNGOOD_BINARY"
fi

platform=$(platform)
if [ -s "$here/checksums.txt" ]; then
  line=$(grep "^[0-9a-f]\{64\}  knowngood_[0-9A-Za-z.+-]*_$platform\.tar\.gz\$" "$here/checksums.txt") ||
    fail "no release of knowngood for $platform: give the input binary"
  fetch
fi

if ! command -v go >/dev/null 2>&1 || [ ! -d "$root/cmd/knowngood" ]; then
  fail "no release belongs to this checkout of the Action: give the input binary, use a released version, or install Go"
fi
echo "no release belongs to this checkout: building knowngood from source with $(go env GOVERSION)"
mkdir -p "$folder/source"
(cd "$root" && CGO_ENABLED=0 go build -trimpath -buildvcs=false -tags grpcnotrace,disable_grpc_modules,nopshufb -o "$folder/source/knowngood" ./cmd/knowngood) ||
  fail "building knowngood from source failed"
tell "$folder/source/knowngood"
