#!/usr/bin/env bash
# Repeats the tests that start no engine, to find those that fail by chance. Can be stopped at any time and resumes where it
# was: finished rounds are in run/repeat, by mode. Prints how often each test has passed and failed.
#   --plain ROUNDS     all of them, as the gate runs them
#   --busy ROUNDS      the same beside four busy loops
#   --waiting ROUNDS   those that wait for something or race with something
#   --new              discard the earlier rounds of this mode
#   --only PACKAGES    only these packages, separated by spaces

source "$(dirname "$0")/common.sh"
source scripts/run-tests.sh

# Tests that wait or race: package and parts of names, as Rust's runner selects them.
waiting_tests='
config-agent answers:: campaign:: changes:: crashes:: direct:: in_place:: latency:: rollback:: static_places:: trust::
config-drop durability:: protection:: protocol:: soak:: tests::
drop-client answers::
event-producer kafka::
http-server tests::
policies external_program::
rescaler api:: page:: publish:: several_jobs:: publisher:: state_size::
state-probe once:: run:: tls:: tests::
telemetry faults::
testbed control:: process:: service:: supervisor::
'

mode= rounds= only= new=
while [ $# -gt 0 ]; do
    case $1 in
    --plain | --busy | --waiting) mode=${1#--} rounds=${2:-}; shift 2 || shift ;;
    --only) only=" ${2:-} "; shift 2 || shift ;;
    --new) new=yes; shift ;;
    *) echo "$0: unknown option $1; see the head of this script" >&2; exit 2 ;;
    esac
done
[ -n "$mode" ] && [ "$rounds" -gt 0 ] 2>/dev/null ||
    { echo "usage: $0 (--plain | --busy | --waiting) ROUNDS [--new] [--only PACKAGES]" >&2; exit 2; }

state=$PWD/run/repeat/$mode
[ -z "$new" ] || rm -rf "$state"
mkdir -p "$state"

# How often each test has passed, failed, and not ended, over all rounds.
report() {
    local status=$?
    trap - EXIT
    local pid
    for pid in $(jobs -p); do kill "$pid" 2>/dev/null || true; done
    wait
    [ "$status" -ne 130 ] || forget_interrupted
    awk -F '\t' '
        FNR == 1 { program = FILENAME; sub(/.*\//, "", program); sub(/\.seconds$/, "", program); hangs = FILENAME ~ /\.seconds$/ }
        hangs { if ($1 == "-") failed[program ": " $2]++; next }
        match($2, /test [A-Za-z0-9_:]+( - should panic)? *\.\.\. (ok|FAILED)/) {
            name = substr($2, RSTART + 5, RLENGTH - 5)
            sub(/ .*/, "", name)
            if (substr($2, RSTART, RLENGTH) ~ /ok$/) passed[program ": " name]++
            else failed[program ": " name]++
        }
        END {
            for (test in passed) all[test]
            for (test in failed) all[test]
            for (test in all) printf "%d\t%d\t%s\n", failed[test], passed[test], test
        }' /dev/null $(done_logs) | sort -k1,1nr -k3 >"$state/counts"
    step "$mode: tests that have failed (failures, passes, test)"
    awk -F '\t' '$1 > 0' "$state/counts"
    awk -F '\t' '{ runs += $1 + $2; failures += $1 }
        END { printf "%d tests, %d runs of them, %d failures\n", NR, runs, failures }' "$state/counts"
    echo "every test: $state/counts; output of those that failed: $state/ROUND/PACKAGE.NAME"
    exit "$status"
}

# Tests that an interruption ended have neither passed nor failed: their programs are run again when the script resumes.
forget_interrupted() {
    local took package name
    [ -f "${logs:-}/programs" ] || return 0
    while IFS=$'\t' read -r took package name; do
        grep -q '^-' "$logs/$package.$name.seconds" || printf '%s\t%s\t%s\n' "$took" "$package" "$name"
    done <"$logs/programs" >"$logs/programs.kept"
    mv "$logs/programs.kept" "$logs/programs"
}

# The logs of the programs that have ended, with the lists of their tests' times.
done_logs() {
    local round package name
    for round in "$state"/[0-9]*; do
        [ -f "$round/programs" ] || continue
        while IFS=$'\t' read -r _ package name; do
            printf '%s\n' "$round/$package.$name" "$round/$package.$name.seconds"
        done <"$round/programs"
    done
}

step "building tests"
test_programs | without_engines | longest_first >"$state/all"
[ -z "$only" ] || { awk -v only="$only" 'index(only, " " $1 " ")' "$state/all" >"$state/some"; mv "$state/some" "$state/all"; }

trap report EXIT
trap 'exit 130' INT TERM
if [ "$mode" = busy ]; then
    for _ in 1 2 3 4; do
        while :; do :; done &
    done
fi

cores=$(nproc)
for round in $(seq "$rounds"); do
    logs=$state/$round
    mkdir -p "$logs"
    touch "$logs/programs"
    # By name: the first file is empty in a new round.
    awk 'FILENAME == ARGV[1] { ended[$2 " " $3]; next } !($1 " " $3 in ended)' "$logs/programs" "$state/all" >"$logs/left"
    [ -s "$logs/left" ] || continue
    step "$mode, round $round of $rounds"
    if [ "$mode" = waiting ]; then
        while read -r package patterns; do
            [ -n "$package" ] || continue
            # shellcheck disable=SC2086  # several words are meant
            run_tests "$cores" "$cores" 900 "$logs" $patterns < <(awk -v package="$package" '$1 == package' "$logs/left") || true
        done <<<"$waiting_tests"
    else
        run_plain_tests "$logs" <"$logs/left" || true
    fi | grep -E '^(error|test result: FAILED|did not end|test .* FAILED)|panicked at' || true
done
