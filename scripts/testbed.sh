#!/bin/sh
# The local testbed: `scripts/testbed.sh up --detach`, `status`, `logs`, `down`, `--help`. Builds it first if necessary.
# Runs from the tree's root, so its default work folder is run/testbed there.
set -eu
cd "$(dirname "$0")/.."
cargo build --quiet --package testbed
exec "${CARGO_TARGET_DIR:-target}/debug/testbed" "$@"
