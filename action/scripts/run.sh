#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs one step: run.sh STEP [WORD]. Inputs come as KNOWNGOOD_… variables. The program takes
# this shell's place, so that the runner's signals reach it when a job is cancelled.
set -eu
program=${KNOWNGOOD_PROGRAM:-knowngood}
if [ "$1" != release ]; then
  exec "$program" "$@"
fi
if [ -z "${KNOWNGOOD_DEPLOY:-}" ]; then
  echo "::error::release needs deploy: the script that deploys the commit"
  exit 2
fi
# The script is run from a file, so that nothing of it is read as an argument. It removes
# itself when it begins.
script=$(mktemp "${RUNNER_TEMP:-/tmp}/knowngood-deploy.XXXXXX")
# shellcheck disable=SC2016 # the script's own $0
printf 'rm -f -- "$0"; %s\n' "$KNOWNGOOD_DEPLOY" >"$script"
unset KNOWNGOOD_DEPLOY
exec "$program" release -- sh -e "$script"
