#!/usr/bin/env bash
# Measures what one rescaler costs that watches many jobs: CPU time and memory of the process over a played Flink, with policy ds2 and
# its defaults, and with policy slo. docs/benchmarks.md has the figures.
#
#   scripts/benchmark-many-jobs.sh [--jobs N] [--operators N] [--subtasks N] [--seconds N | --minutes N] [--interval MS] [--policy NAME]
#                                  [--programs FOLDER]
#
# The default is 50 jobs of 20 operators with 8 subtasks each, 120 s for each policy, and the interval between samples that the policy has.
# --minutes N: run so long, and print the memory every minute. --programs FOLDER: a folder with `rescaler` and `serve` (an example of
# crates/flink-stand-in) instead of a release build. Exit code 1 if a policy takes 5 % of a processor or more, or if its memory grows by more
# than 5 % from the second to the last quarter of those minutes.
. "$(dirname "$0")/common.sh"

need python3 "install Python 3 (Debian: apt-get install python3)"
programs= options=()
while [ $# -gt 0 ]; do
    case $1 in
        --jobs | --operators | --subtasks | --seconds | --minutes | --interval | --policy) options+=("$1" "${2:?}"); shift 2 ;;
        --programs) programs=${2:?}; shift 2 ;;
        *) sed -n '2,13s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
done
if [ -z "$programs" ]; then
    step "building"
    cargo build --locked --release --package rescaler
    cargo build --locked --release --package flink-stand-in --example serve
    programs=$(mktemp -d)
    trap 'rm -rf "$programs"' EXIT
    target=${CARGO_TARGET_DIR:-target}/release
    cp "$target/rescaler" "$target/examples/serve" "$programs"
fi
python3 scripts/benchmark-many-jobs.py --programs "$programs" "${options[@]}"
