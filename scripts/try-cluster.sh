#!/usr/bin/env bash
# Runs six jobs of different kinds on real Kafka and Flink under one `rescaler run --flink URL --all-jobs`: one is submitted again, one
# fails again and again, one opts out, one comes later. Checks the outcome in the journals, in the rescaler's metrics and in Flink, and
# prints a table and a verdict; docs/try-cluster.md says what is checked.
#
#   scripts/try-cluster.sh [--minutes N] [--keep FOLDER] [--dry-run]
#
# The default is 30 minutes, the least is 6. Exit code 1 if something is not as it should be. --keep: journals, logs and samples are copied
# there. --dry-run: only prints what would be done. Everything is in a temporary folder, which ends with the script, as the engines do.
. "$(dirname "$0")/common.sh"

minutes=30 keep= options=()
while [ $# -gt 0 ]; do
    case $1 in
        --minutes) minutes=${2:?}; shift 2 ;;
        --keep) keep=${2:?}; shift 2 ;;
        --dry-run) options+=(--dry-run); shift ;;
        *) sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
done
need python3 "install Python 3 (Debian: apt-get install python3)"
if [ ${#options[@]} -gt 0 ]; then
    exec python3 scripts/try-cluster.py --minutes "$minutes" --programs "${CARGO_TARGET_DIR:-target}/debug" --work /tmp "${options[@]}"
fi
check_machine
need curl "install curl (Debian: apt-get install curl)"
build_job
build_programs
work=$(mktemp -d)
programs=${CARGO_TARGET_DIR:-target}/debug
end() {
    # The Python part ends what it has started; this is for what it could not.
    "$programs/testbed" down --work "$work/testbed" >/dev/null 2>&1 || true
    [ -z "$keep" ] || { mkdir -p "$keep" && cp -r "$work/data" "$work"/*.log "$work"/*.jsonl "$keep" 2>/dev/null || true; }
    rm -rf "$work"
}
trap end EXIT
python3 scripts/try-cluster.py --minutes "$minutes" --programs "$programs" --work "$work"
