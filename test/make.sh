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

# tested runs go test and names what was skipped. A pipe would hide its exit status, and tell
# has its own for failures, which a build that broke is too.
tested() {
  "$@" -json | go run ./test/tell
}

quick() {
  say "generated files"; go run ./cmd/gen -check
  say "vet"; go vet ./...
  say "tests without a cluster"; tested go test ./...
}


# cluster runs the program of test/cluster, built once for each recipe.
cluster() {
  if [ ! -x "$scratch/cluster" ]; then
    go -C test/cluster build -o "$scratch/cluster" .
  fi
  "$scratch/cluster" "$@"
}

# modules are the test programs that have modules of their own and tests that need no cluster.
modules() {
  for module in test/image test/shop test/cluster; do
    say "tests of $module"
    go -C "$module" test ./...
  done
}

# cluster_tests run the suites that ask for a real cluster, on an instance of their own.
cluster_tests() {
  instance=test-$$
  trap 'cluster down --name "$instance" || :; rm -rf "$scratch"' EXIT
  say "a real cluster"
  cluster prepare debootstrap
  cluster up --name "$instance" --with tekton
  kubeconfig=$(cluster kubeconfig --name "$instance")
  export KNOWNGOOD_TEST_KUBECONFIG="$kubeconfig" KNOWNGOOD_TEST_INSTANCE="$instance"
  say "whole releases of the shop"; go test -count=1 -v ./test/journey
  say "suites on the cluster"; go test -count=1 -p 1 ./pkg/... ./cmd/...
  say "the shop on the cluster"
  SHOP_TEST_SCAN=1 SHOP_TEST_KUBECTL="$scratch/cluster kubectl --name $instance" \
    SHOP_TEST_LOAD="$scratch/cluster load --name $instance" SHOP_TEST_IMAGES="$(cache)/images" \
    go -C test/shop test -count=1 ./...
  cluster down --name "$instance"
  say "the cluster's own tests: conformance of its storage, and that nothing is left behind"
  KNOWNGOOD_TEST_CLUSTER=1 go -C test/cluster test -count=1 -timeout 20m .
  KNOWNGOOD_TEST_CLUSTER=1 go -C test/cluster/parts test -count=1 ./driver
}

cache() { printf '%s/knowngood' "${XDG_CACHE_HOME:-$HOME/.cache}"; }

test_() {
  [ "$(id -u)" = 0 ] || {
    echo "knowngood: make test starts a real Kubernetes and needs root" >&2
    echo "hint: sudo make test, or make quick for what needs no cluster" >&2
    exit 2
  }
  quick
  modules
  cluster_tests
  say "all tests passed"
}

demo() { go run ./test/demo -cluster "${CLUSTER:-}"; }

try() { go run ./test/try; }

# lint_tools builds the pinned linters where they are not built yet.
lint_tools() {
  tools=$(cache)/lint/$(cksum <test/tools/lint/go.sum | cut -d' ' -f1)
  [ -x "$tools/golangci-lint" ] || {
    echo "building the linters, once"
    mkdir -p "$tools"
    go -C test/tools/lint build -o "$tools/" tool
  }
}

lint() {
  lint_tools
  say "formatting"
  unformatted=$(git ls-files '*.go' | xargs "$tools/gofumpt" -l)
  [ -z "$unformatted" ] || { echo "not formatted: $unformatted"; exit 1; }
  say "golangci-lint"; "$tools/golangci-lint" run ./...
  say "linker"; go run ./test/lint
  say "known vulnerabilities"; "$tools/govulncheck" ./cmd/... || vulnerabilities=$?
  [ "${vulnerabilities:-0}" = 0 ] || { echo "govulncheck ended with $vulnerabilities"; exit 1; }
}

soak() {
  say "kills of the catalog"; KNOWNGOOD_SOAK=1 go test -count=1 -timeout 60m ./pkg/catalog ./pkg/bucket
}

environment
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
case ${1:-} in
  test) test_ ;;
  build | demo | try | quick | lint | soak | generate) "$1" ;;
  *) echo "usage: test/make.sh build|demo|try|test|quick|lint|soak|generate" >&2; exit 2 ;;
esac
