#!/usr/bin/env bash
# Compares our reader of Whisper files with the reference implementation in Python and with the bare system calls: CPU time per fetch,
# in alternating rounds. Installs the reference into the testbed's cache (once). Half a minute. docs/benchmarks.md explains the figures.
# Usage: scripts/benchmark-whisper.sh [--rounds N] [--peers]
# --peers: also with go-whisper, where there is Go.

source "$(dirname "$0")/common.sh"
need cargo "install Rust 1.90 or newer from your distribution or with rustup"
need python3 "install Python 3.9 or newer with venv (Debian: apt-get install python3 python3-venv)"
options=()
while [ $# -gt 0 ]; do
    case $1 in
    --rounds) options+=(--rounds "$2"); shift 2 ;;
    --peers)
        work=$(mktemp -d)
        trap 'rm -rf "$work"' EXIT
        if build_peer crates/whisper/benches/peers/go-whisper "$work/go-whisper"; then
            options+=(--go-whisper "$work/go-whisper")
        fi
        shift ;;
    *) echo "$0: unknown option $1; see the head of this script" >&2; exit 2 ;;
    esac
done
cargo bench --locked --quiet --package whisper --bench fetch -- "${options[@]}"
