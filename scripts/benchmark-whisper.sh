#!/usr/bin/env bash
# Compares our reader of Whisper files with the reference implementation in Python: CPU time per fetch, in alternating
# rounds. Installs the reference into the testbed's cache (once). Half a minute. docs/benchmarks.md explains the figures.
# Usage: scripts/benchmark-whisper.sh [--rounds N]

source "$(dirname "$0")/common.sh"
need cargo "install Rust 1.90 or newer from your distribution or with rustup"
need python3 "install Python 3.9 or newer with venv (Debian: apt-get install python3 python3-venv)"
exec cargo bench --locked --quiet --package whisper --bench fetch -- "$@"
