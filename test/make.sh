#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The recipes of the Makefile, each a function. Works under sudo and from an environment that
# sets none of Go's variables.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"

# environment puts Go on the PATH that sudo cut, keeps root's files out of the user's caches,
# and fixes what the build depends on.
environment() {
  if [ "$(id -u)" = 0 ] && [ -n "${SUDO_UID:-}" ]; then
    owner=$(stat -c %u "${HOME:-/}")
    [ "$owner" = 0 ] || HOME=$(getent passwd 0 | cut -d: -f6)
    case ${XDG_CACHE_HOME:-} in "$HOME"/*) ;; *) unset XDG_CACHE_HOME ;; esac
    export HOME
    home=$(getent passwd "$SUDO_UID" | cut -d: -f6)
    PATH=$PATH:$home/go/bin:$home/sdk/go/bin
    # The checkout belongs to the user, and git refuses other people's checkouts.
    export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0=*
  fi
  export PATH="$PATH:/usr/local/go/bin:/usr/lib/go/bin"
  command -v go >/dev/null 2>&1 || {
    echo "knowngood: no go on the PATH" >&2
    echo "hint: install Go $(sed -n 's/^go //p' go.mod) or newer from https://go.dev/dl/" >&2
    exit 2
  }
  export CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false -tags=grpcnotrace"
  unset GOOS GOARCH GOEXPERIMENT GOWORK 2>/dev/null || :
}

say() { printf '\n== %s\n' "$*"; }

build() {
  go build -ldflags "-s -w" -o bin/knowngood ./cmd/knowngood
  ls -l bin/knowngood | awk '{ printf "bin/knowngood: %.1f MB\n", $5 / 1e6 }'
}

generate() { go generate ./...; }

quick() {
  say "generated files"; go run ./cmd/gen -check
  say "vet"; go vet ./...
  say "tests without a cluster"; go test ./...
}


environment
"${1:?usage: test/make.sh RECIPE}"
