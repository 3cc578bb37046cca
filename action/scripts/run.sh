#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs one step: run.sh STEP [WORD]. Inputs come as KNOWNGOOD_… variables.
set -eu
program=${KNOWNGOOD_PROGRAM:-knowngood}
if [ "$1" != release ]; then
  exec "$program" "$@"
fi
if [ -z "${KNOWNGOOD_DEPLOY:-}" ]; then
  echo "::error::release needs deploy: the script that deploys the commit"
  exit 2
fi
# The script is run from a file, so that nothing of it is read as an argument.
script=$(mktemp "${RUNNER_TEMP:-/tmp}/knowngood-deploy.XXXXXX")
trap 'rm -f "$script"' EXIT
printf '%s\n' "$KNOWNGOOD_DEPLOY" >"$script"
unset KNOWNGOOD_DEPLOY
"$program" release -- sh -e "$script"
