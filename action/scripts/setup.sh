#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Puts the program on the PATH of the steps that follow, under its own name, and hands its
# path and version on.
set -eu
folder=${RUNNER_TEMP:-/tmp}/knowngood/bin
mkdir -p "$folder"
ln -sf "$KNOWNGOOD_PROGRAM" "$folder/knowngood"
echo "$folder" >>"$GITHUB_PATH"
{
  printf 'program=%s\n' "$KNOWNGOOD_PROGRAM"
  printf 'version=%s\n' "$KNOWNGOOD_VERSION"
} >>"$GITHUB_OUTPUT"
