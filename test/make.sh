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
    export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0="*"
  fi
  export PATH="$PATH:/usr/local/go/bin:/usr/lib/go/bin"
  command -v go >/dev/null 2>&1 || {
    echo "knowngood: no go on the PATH" >&2
    echo "hint: install Go $(sed -n 's/^go //p' go.mod) or newer from https://go.dev/dl/" >&2
    exit 2
  }
  export CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false -tags=grpcnotrace,disable_grpc_modules,nopshufb"
  unset GOOS GOARCH GOEXPERIMENT GOWORK 2>/dev/null || :
}

say() { printf '\n== %s\n' "$*"; }

build() {
  go build -ldflags "-s -w" -o bin/knowngood ./cmd/knowngood
  ls -l bin/knowngood | awk '{ printf "bin/knowngood: %.1f MB\n", $5 / 1e6 }'
}

generate() { go generate ./...; }

# tested runs go test and names what was skipped. tell runs it, since a pipe would hide its exit
# status.
tested() { go run ./test/tell "$@" -json; }

# tested_into keeps besides what the tests log, in a file.
tested_into() {
  kept=$1
  shift
  go run ./test/tell -keep "$kept" "$@" -json
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

# runner_tools builds the runner of GitHub Actions and the linters of workflows, once for each
# recipe. GitHub's language service comes from npm, where there is one.
runner_tools() {
  recipe=test/tools/runner
  tools=$(cache)/runner/$(cat $recipe/go.sum $recipe/package-lock.json $recipe/validate.mjs | cksum | cut -d' ' -f1)
  [ -x "$tools/act" ] || {
    echo "building the runner, once"
    mkdir -p "$tools"
    go -C $recipe build -o "$tools/" tool
  }
  [ -s "$tools/languageservice.mjs" ] || ! command -v npm >/dev/null 2>&1 || {
    mkdir -p "$scratch/languageservice"
    cp $recipe/package.json $recipe/package-lock.json $recipe/validate.mjs "$scratch/languageservice/"
    (cd "$scratch/languageservice" && npm ci --ignore-scripts --no-audit --no-fund >/dev/null &&
      node_modules/.bin/esbuild validate.mjs --bundle --platform=node --format=esm --log-level=error \
        --banner:js='import {createRequire} from "node:module"; const require = createRequire(import.meta.url);' \
        --outfile=bundle.mjs)
    mv "$scratch/languageservice/bundle.mjs" "$tools/languageservice.mjs"
  }
}

# actions runs the Action in workflows as strangers write them.
actions() {
  say "the Action by a real runner"
  runner_tools
  export KNOWNGOOD_TEST_ACT="$tools/act" KNOWNGOOD_TEST_ACTIONLINT="$tools/actionlint"
  if [ -s "$tools/languageservice.mjs" ]; then
    export KNOWNGOOD_TEST_LANGUAGE_SERVICE="$tools/languageservice.mjs"
  fi
  tested go test -count=1 -timeout 15m ./test/runner
}

# scanners has real tools write what the reader reads: those that are quick to come by. make lint
# and make soak build golangci-lint, ESLint comes from npm.
scanners() {
  say "what real scanners write"
  asked=gosec,govulncheck,gitleaks
  linters
  [ ! -x "$tools/golangci-lint" ] || asked=$asked,golangci-lint
  ! command -v npm >/dev/null 2>&1 || asked=$asked,eslint
  KNOWNGOOD_TEST_SCANNERS=$asked KNOWNGOOD_TEST_LINTERS=$tools tested go test -count=1 ./test/scanners
}

# modules are the test programs that have modules of their own and tests that need no cluster.
modules() {
  for module in test/image test/shop test/cluster; do
    say "tests of $module"
    go -C "$module" test ./...
  done
}

# packages installs what the tests need of Debian, before anything that takes long.
packages() { cluster prepare debootstrap shellcheck; }

# faults kill and fail a sample of what a soak does by the hundred.
faults() {
  say "kills and faults of backups"
  KNOWNGOOD_TEST_FAULTS=1 tested go test -count=1 -run 'Killed|ThatFails|AtOnce|NeverSilent|EveryKind' ./pkg/backup
}

# one_cluster starts an instance that ends with this script, unless it has.
one_cluster() {
  [ -z "${instance:-}" ] || return 0
  instance=test-$$
  trap 'cluster down --name "$instance" || :; rm -rf "$scratch"' EXIT
  say "a real cluster"
  packages
  cluster up --name "$instance" "$@"
  kubeconfig=$(cluster kubeconfig --name "$instance")
  export KNOWNGOOD_TEST_KUBECONFIG="$kubeconfig" KNOWNGOOD_TEST_INSTANCE="$instance"
}

# images brings onto the nodes what suites need, and names it to them: an S3 server, and what the
# caller asks for.
images() {
  say "images for the suites"
  program store versitygw
  go -C test/image build -o "$scratch/image" .
  mkdir -p "$scratch/images"
  go run ./test/product/images -tool "$scratch/image" -work "$scratch/images" -store "$built" "$@" >"$scratch/archives"
  xargs "$scratch/cluster" load --name "$instance" <"$scratch/archives"
  # By name, since a node tells late what it holds.
  export KNOWNGOOD_TEST_STORE_IMAGE=knowngood.test/store:test KNOWNGOOD_TEST_IMAGE=knowngood.test/knowngood:test
}

# all_images are for suites that run without the releases of the shop before them.
all_images() {
  go -C test/shop build -o "$scratch/shop" .
  images -own -shop "$scratch/shop" -cache "$(cache)/images"
}

# cluster_tests run the suites that ask for a real cluster, on an instance of their own.
cluster_tests() {
  one_cluster --with tekton
  say "whole releases of the shop"; go test -count=1 -timeout 30m -v ./test/journey
  suites=$(grep -rl test/realcluster --include='*_test.go' pkg cmd | xargs -n 1 dirname | sort -u | sed 's|^|./|')
  images
  say "suites on the cluster"
  # shellcheck disable=SC2086 # one word each
  tested go test -count=1 -timeout 20m -p 1 $suites
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

# needs_root says what needs it, and what does not.
needs_root() {
  [ "$(id -u)" = 0 ] || {
    echo "knowngood: make $1 starts a real Kubernetes and needs root" >&2
    echo "hint: sudo make $1, or make quick for what needs no cluster" >&2
    exit 2
  }
}

test_() {
  needs_root test
  packages
  quick
  modules
  faults
  scanners
  actions
  cluster_tests
  say "all tests passed"
}

# demo becomes the program, so that a signal for the recipe is one for it: go run would keep it.
demo() {
  mkdir -p "$(cache)"
  go build -o "$(cache)/demo" ./test/demo
  rm -rf "$scratch"
  exec "$(cache)/demo" -cluster "${CLUSTER:-}" -name "${NAME:-demo}"
}

# down ends the demonstration's cluster.
down() {
  [ "$(id -u)" = 0 ] || {
    echo "knowngood: make down ends what root started, and needs root" >&2
    echo "hint: sudo make down" >&2
    exit 2
  }
  cluster down --name "${NAME:-demo}"
}

try() { go run ./test/try; }

# linters sets tools to where the pinned linters lie once they are built.
linters() { tools=$(cache)/lint/$(cksum <test/tools/lint/go.sum | cut -d' ' -f1); }

# lint_tools builds the pinned linters where they are not built yet.
lint_tools() {
  linters
  [ -x "$tools/golangci-lint" ] || {
    echo "building the linters, once"
    mkdir -p "$tools"
    go -C test/tools/lint build -o "$tools/" tool
  }
}

# checked runs one check of lint and goes on when it fails, so that one run tells everything.
checked() {
  say "$1"
  name=$1
  shift
  "$@" || failed="$failed${failed:+, }$name"
}

inside() { (cd "$1" && shift && "$@"); }

formatted() {
  unformatted=$(git ls-files '*.go' | xargs "$tools/gofumpt" -l) || return
  [ -z "$unformatted" ] || { echo "not formatted: $unformatted"; return 1; }
}

lint() {
  lint_tools
  failed=
  checked "formatting" formatted
  checked "golangci-lint" "$tools/golangci-lint" run ./...
  for module in test/image test/shop test/cluster; do
    checked "golangci-lint, $module" inside "$module" "$tools/golangci-lint" run ./...
  done
  checked "linker" go run ./test/lint linker
  checked "lint's own tests" env KNOWNGOOD_TEST_LINTERS="$tools" go test -count=1 ./test/lint
  checked "known vulnerabilities" go run ./test/lint vulnerabilities "$tools/govulncheck"
  [ -z "$failed" ] || {
    echo "knowngood: lint failed: $failed" >&2
    exit 1
  }
  say "lint passed"
}

# descriptions holds what the tests take for GitHub's description of its API against what GitHub
# publishes.
descriptions() {
  command -v npm >/dev/null 2>&1 || { echo "SKIPPED: no npm to take GitHub's descriptions with"; return 0; }
  source=$(sed -n 's/^const Source = "\(.*\)"$/\1/p' test/github/contract/contract.go)
  taken=$(cache)/openapi/${source##*@}
  for reduced in test/github/contract/testdata/*.json; do
    name=${reduced##*/}
    [ -f "$taken/$name" ] || {
      [ -d "$scratch/openapi" ] || {
        mkdir -p "$scratch/openapi" "$taken"
        npm pack --silent --pack-destination "$scratch/openapi" "$source" >/dev/null
      }
      tar xzf "$scratch"/openapi/*.tgz -C "$scratch/openapi" "package/generated/$name"
      mv "$scratch/openapi/package/generated/$name" "$taken/"
    }
    go run ./test/github/contract/reduce "$taken/$name" >"$scratch/$name"
    cmp "$scratch/$name" "$reduced"
    echo "$name is as $source has it"
  done
}

# validator sets taken to Microsoft's validator of SARIF, which knows GitHub's rules, or to ""
# where there is no npm to take it with.
validator() {
  taken=$(cache)/sarif-multitool/5.7.0/package/Sarif.Multitool
  [ ! -x "$taken" ] || return 0
  command -v npm >/dev/null 2>&1 || { echo "SKIPPED: no npm to take the validator of SARIF with"; taken=; return 0; }
  mkdir -p "$scratch/multitool" "$(cache)/sarif-multitool/5.7.0"
  npm pack --silent --pack-destination "$scratch/multitool" @microsoft/sarif-multitool-linux@5.7.0 >/dev/null
  tar xzf "$scratch"/multitool/*.tgz -C "$(cache)/sarif-multitool/5.7.0"
  chmod +x "$taken"
}

# gitea sets built to where a Gitea lies, built where it is not yet, or to "" where it cannot be.
gitea() {
  built=$(cache)/gitea/$(cksum <test/tools/gitea/go.sum | cut -d' ' -f1)
  [ ! -x "$built/gitea" ] || return 0
  command -v cc >/dev/null 2>&1 || { echo "SKIPPED: no C compiler, which Gitea's SQLite needs"; built=; return 0; }
  echo "building Gitea, once: about seven minutes of CPU time"
  mkdir -p "$built/static"
  CGO_ENABLED=1 go -C test/tools/gitea build -tags "sqlite sqlite_unlock_notify" -ldflags "-s -w" -o "$scratch/gitea" code.gitea.io/gitea
  files=$(go -C test/tools/gitea list -m -f '{{.Dir}}' code.gitea.io/gitea)
  for part in templates options public; do cp -R "$files/$part" "$built/static/"; done
  chmod -R u+w "$built/static"
  mv "$scratch/gitea" "$built/gitea"
}

# soak runs what takes long, in parts: a real Gitea, two builds of the product, kills by the
# hundred, backups, and benchmarks. What a part logs is the new test/results/PART.txt once it has passed.
# SOAK names the parts, KNOWNGOOD_SOAK is how many releases and restores are killed, and
# KNOWNGOOD_SOAK_FUZZ how long each target is fuzzed.
soak() {
  needs_root soak
  : "${SOAK:=contract product reader policy fuzz catalog releases restores backups compare benchmarks}" "${KNOWNGOOD_SOAK:=100}" "${KNOWNGOOD_SOAK_FUZZ:=5m}"
  export KNOWNGOOD_SOAK
  for part in $SOAK; do
    case $part in
      contract | product | reader | policy | fuzz | catalog | releases | restores | backups | compare | benchmarks) ;;
      *) echo "knowngood: SOAK=$part: want some of contract, product, reader, policy, fuzz, catalog, releases, restores, backups, compare and benchmarks" >&2; exit 2 ;;
    esac
  done
  for part in $SOAK; do
    result=$scratch/$part.txt
    {
      echo "make soak, SOAK=$part KNOWNGOOD_SOAK=$KNOWNGOOD_SOAK KNOWNGOOD_SOAK_SEED=${KNOWNGOOD_SOAK_SEED:-1} KNOWNGOOD_SOAK_FUZZ=$KNOWNGOOD_SOAK_FUZZ"
      echo "$(date -u +%Y-%m-%d), commit $(git rev-parse --short=12 HEAD)$(git diff --quiet HEAD || echo ' with changes')"
      echo "$(nproc) cores, Linux $(uname -r), $(go version | cut -d' ' -f3)"
    } >"$result"
    "soak_$part"
    cp "$result" "test/results/$part.txt"
    say "the result is in test/results/$part.txt"
  done
}

soak_contract() {
  say "GitHub's descriptions of its API"; descriptions
  say "Microsoft's validator of SARIF"; validator
  if [ -n "$taken" ]; then
    export KNOWNGOOD_TEST_SARIF_VALIDATOR="$taken"
    soaked "our SARIF by GitHub's rules" -run Validator ./pkg/sarif
  fi
  say "a Gitea"; gitea
  if [ -n "$built" ]; then
    export KNOWNGOOD_TEST_GITEA="$built"
    soaked "reports on a real Gitea" ./test/gitea
    runner_tools
    export KNOWNGOOD_TEST_ACT="$tools/act"
    soaked "the Action on a real Gitea" -run Gitea ./test/runner
  fi
}

soak_product() { soaked "two builds from nothing" ./test/product; }

soak_policy() { soaked "each condition of the policy turned" -run Condition ./test/mutate; }

# soak_fuzz gives each target five minutes. An interesting input is made smaller in a few tries
# alone: go test would give it a minute, in which it looks at no other.
soak_fuzz() {
  soaked "values of SARIF logs mixed" -run MixedLogs ./pkg/sarif
  for target in FuzzDecide FuzzCondition FuzzParse; do
    soaked "$target" -run '^$' -fuzz "^$target\$" -fuzztime "$KNOWNGOOD_SOAK_FUZZ" -fuzzminimizetime 10x ./pkg/policy
  done
  for target in FuzzRead FuzzPath FuzzMask; do
    soaked "$target" -run '^$' -fuzz "^$target\$" -fuzztime "$KNOWNGOOD_SOAK_FUZZ" -fuzzminimizetime 10x ./pkg/sarif
  done
  for target in report/FuzzNothingHostileIsLive report/FuzzTextIsPlain report/FuzzCheckIsHarmless report/FuzzFormats report/FuzzVerbatim \
    pullrequest/FuzzMarker scaffold/FuzzWhatWasSeenStaysData ../action/FuzzAnnotationsAreWhatTheySay; do
    soaked "${target##*/}" -run '^$' -fuzz "^${target##*/}\$" -fuzztime "$KNOWNGOOD_SOAK_FUZZ" -fuzzminimizetime 10x "./pkg/${target%/*}"
  done
}

soak_reader() {
  lint_tools
  KNOWNGOOD_TEST_SCANNERS=all KNOWNGOOD_TEST_LINTERS=$tools soaked "what real scanners write" ./test/scanners
  soaked "memory of the reader" -run Memory ./pkg/sarif
  KNOWNGOOD_BENCH=10,10s,100,100s,1024 soaked "readers compared" -run Compare ./pkg/sarif
}

soak_catalog() { soaked "kills of the catalog" ./pkg/catalog ./pkg/bucket; }

soak_releases() {
  one_cluster
  soaked "kills of whole releases" -run Killed ./test/journey
}

# soak_restores kills restores in place, and tries all of them on a real cluster.
soak_restores() {
  one_cluster
  all_images
  soaked "restores on a real cluster" ./pkg/restore
  soaked "kills of restores in place, and each of their permissions" -run TestRestore ./cmd/internal/steps
}

# program sets built to the program of a recipe in test/tools, built where it is not yet.
program() {
  built=$(cache)/$1/$(cksum <"test/tools/$1/go.sum" | cut -d' ' -f1)/$2
  [ -x "$built" ] || {
    echo "building $2, once"
    mkdir -p "${built%/*}"
    nice -n 15 go -C "test/tools/$1" build -ldflags "-s -w" -o "${built%/*}/" tool
  }
}

# azurite sets taken to Microsoft's own server of Azure's buckets, or to "" where there is no npm
# to take it with.
azurite() {
  recipe=test/tools/azurite
  folder=$(cache)/azurite/$(cksum <$recipe/package-lock.json | cut -d' ' -f1)
  taken=$folder/node_modules/azurite/dist/src/blob/main.js
  [ ! -s "$taken" ] || return 0
  command -v npm >/dev/null 2>&1 || { echo "SKIPPED: no npm to take Azurite with"; taken=; return 0; }
  mkdir -p "$scratch/azurite" "${folder%/*}"
  cp $recipe/package.json $recipe/package-lock.json "$scratch/azurite/"
  (cd "$scratch/azurite" && npm ci --ignore-scripts --no-audit --no-fund >/dev/null)
  mv "$scratch/azurite" "$folder"
}

# soak_backups kills saves, restores, verifies, prunes and key changes by the hundred, prunes beside
# two writers on a bucket that fails, damages every object of a repository, holds the storage to
# its contract on real servers, and takes the shop's volume out of a cluster and back.
soak_backups() {
  soaked "kills of all work, two writers beside a prune, damage to every object, a tree of every kind" ./pkg/backup
  program store versitygw; export KNOWNGOOD_TEST_VERSITYGW="$built"
  program minio minio; export KNOWNGOOD_TEST_MINIO="$built"
  azurite
  [ -z "$taken" ] || export KNOWNGOOD_TEST_AZURITE="$taken"
  soaked "the storage, its locks and its links on real servers" -run 'Storage|Locks|Links' ./pkg/backup
  one_cluster
  soaked "backups in the cluster, proved on a real database, and killed" -run '^TestBackup' ./test/journey
  # With the images that the test before has brought.
  soaked "a raw block volume out of the cluster, proved, and back" -run RealCluster ./pkg/protect
}

# soak_compare measures saves and restores beside those of other programs. KNOWNGOOD_COMPARE is how
# many MB its mixed tree has; the whole needs 25 GB of disk.
soak_compare() {
  program kopia kopia; export KNOWNGOOD_TEST_KOPIA="$built"
  program restic restic; export KNOWNGOOD_TEST_RESTIC="$built"
  export KNOWNGOOD_COMPARE="${KNOWNGOOD_COMPARE:-2000}"
  soaked "kopia, restic and tar beside it, $KNOWNGOOD_COMPARE MB" ./test/backups
}

soak_benchmarks() {
  one_cluster
  soaked "start of the program" -run '^$' -bench Start -benchtime 50x ./cmd/knowngood
  soaked "what the Action takes to gate and report" -run '^$' -bench Overhead -benchtime 10x ./test/runner
  soaked "own share of a whole release" -run '^$' -bench Release -benchtime 5x ./test/journey
}

soaked() {
  say "$1" | tee -a "$result"
  shift
  tested_into "$result" go test -v -count=1 -timeout 5h "$@"
}

environment
scratch=$(mktemp -d)
# Not every shell runs the trap of its end when a signal ends it.
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'rm -rf "$scratch"' EXIT
case ${1:-} in
  test) test_ ;;
  build | demo | down | try | quick | lint | soak | generate) "$1" ;;
  *) echo "usage: test/make.sh build|demo|down|try|test|quick|lint|soak|generate" >&2; exit 2 ;;
esac
