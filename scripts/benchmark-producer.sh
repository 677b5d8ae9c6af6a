#!/bin/bash
# Measures the event producer: CPU time of generator, codec and produce path (in one process, alternating), then, with
# --kafka, how it behaves against a real broker: CPU per million events at full speed, fidelity of every load profile,
# and a broker that stands still for 500 ms. docs/benchmarks.md explains the figures.
#
#   scripts/benchmark-producer.sh [--rounds N] [--kafka [--rate EVENTS_PER_SECOND]]
#
# The broker is one of the testbed's own, in a temporary folder, and is ended with the script.
. "$(dirname "$0")/common.sh"

rounds=11 kafka=no rate=
while [ $# -gt 0 ]; do
    case $1 in
    --rounds) rounds=$2; shift 2 ;;
    --kafka) kafka=yes; shift ;;
    --rate) rate=$2; shift 2 ;;
    *) echo "$0: unknown option $1; see the head of this script" >&2; exit 2 ;;
    esac
done
target=${CARGO_TARGET_DIR:-target}

step "CPU time, in one process"
cargo bench --locked --package event-producer --bench producer -- --rounds "$rounds"
[ $kafka = yes ] || exit 0

step "a real broker"
need java "install a JDK 17 (Debian: apt-get install openjdk-17-jdk-headless)"
need python3 "install Python 3 (Debian: apt-get install python3)"
cargo build --locked --quiet --package testbed
cargo build --locked --quiet --release --package event-producer
work=$(mktemp -d)
trap '"$target/debug/testbed" down --work "$work" >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
"$target/debug/testbed" up --detach --work "$work" --task-managers 1 2>"$work/testbed.log" >/dev/null
status=$("$target/debug/testbed" status --work "$work")
broker=$(awk '$1 == "kafka" && $2 ~ /:/ { print $2 }' <<<"$status")
broker_pid=$(awk '$1 == "kafka" && $2 !~ /:/ { print $2 }' <<<"$status")
producer=$target/release/event-producer
"$producer" topics create --bootstrap-servers "$broker" --partitions 4 >/dev/null

# run NAME ARGUMENTS…: the totals of a run, as JSON, in $work/NAME.json; CPU seconds in $work/NAME.cpu.
run() {
    local name=$1
    shift
    (
        TIMEFORMAT='%U %S'
        { time RUST_LOG=warn "$producer" --bootstrap-servers "$broker" --output json "$@" \
            >"$work/$name.json" 2>"$work/$name.log"; } 2>"$work/$name.cpu"
    ) || { cat "$work/$name.log" >&2; return 1; }
}

# tell NAME EXPRESSION: evaluates a Python expression over the totals `t` and the CPU seconds `cpu`.
tell() {
    python3 - "$work/$1" "$2" <<'PY'
import json, sys
t = json.load(open(sys.argv[1] + ".json"))
cpu = sum(map(float, open(sys.argv[1] + ".cpu").read().split()))
print(eval(sys.argv[2]))
PY
}

step "as fast as possible, 3 000 000 events, 4 partitions"
run max --max --events 3000000
capacity=$(tell max 'int(t["acked"] / t["elapsed_s"])')
tell max 'f"{t["acked"] / t["elapsed_s"]:,.0f} events/s; {cpu / t["acked"] * 1e6:.2f} CPU seconds per million events"'

peak=${rate:-$((capacity / 2))}
step "fidelity: every profile with a peak of $peak events/s; allowed deviation $((peak * 5 / 1000)) events (5 ms)"
profile() {
    local name=$1 expected=$2
    printf '[profile]\n%s\n' "$3" >"$work/$name.toml"
    run "$name" --config "$work/$name.toml"
    tell "$name" "f'$name: {t[\"emitted\"]} of $expected events, largest deviation {t[\"largest_deviation_events\"]} events, delay µs {t[\"schedule_delay_us\"]}'"
}
half=$((peak / 2))
profile constant $((peak * 10)) "kind='constant'
rate=$peak.0
duration_s=10.0"
profile ramp $((peak * 5)) "kind='ramp'
from=0.0
to=$peak.0
over_s=10.0
duration_s=10.0"
profile steps $((half * 5 + peak * 5)) "kind='steps'
steps=[{rate=$half.0,duration_s=5.0},{rate=$peak.0,duration_s=5.0}]"
profile square $((half * 5 + peak * 5)) "kind='square'
low=$half.0
high=$peak.0
period_s=2.0
duration_s=10.0"
profile sine $((half * 10)) "kind='sine'
mean=$half.0
amplitude=$half.0
period_s=5.0
duration_s=10.0"
profile spike $((half * 8 + peak * 2)) "kind='spike'
base=$half.0
peak=$peak.0
before_s=4.0
spike_s=2.0
duration_s=10.0"
printf 'second,rate\n0,%d\n5,%d\n' "$half" "$peak" >"$work/trace.csv"
profile trace $((half * 5 + peak * 5)) "kind='trace'
file='$work/trace.csv'"
profile thesis "the steps'" "kind='thesis'
low=$half.0
maximum=$peak.0
change_interval_s=1.0
duration_s=12.0"

# In flight at most 0.1 s of load: what is emitted late because of the stall then waits for its due time's sake only, which
# a measurement from the emission on does not see. This is why latency is told from the due time.
step "the broker stands still for 500 ms, at $half events/s"
printf '[kafka]\nmax_in_flight = %d\n[profile]\nkind = "constant"\nrate = %d.0\nduration_s = 20.0\n' \
    $((half / 10)) "$half" >"$work/stall.toml"
run stall --config "$work/stall.toml" &
sleep 8
kill -STOP "$broker_pid"
sleep 0.5
kill -CONT "$broker_pid"
wait $!
tell stall 'f"{t["acked"]} of {t["emitted"]} acknowledged, {t["failed"]} failed; p99 µs from due time {t["ack_latency_from_intended_us"]["p99"]}, from emission {t["ack_latency_from_send_us"]["p99"]}; schedule delay {t["schedule_delay_us"]}"'
