#!/bin/bash
# Measures the event producer: CPU time of generator, codec and produce path (in one process, alternating), then, with
# --kafka, how it behaves against a real broker: CPU per million events at full speed, fidelity of every load profile,
# and a broker that stalls for 500 ms. docs/benchmarks.md explains the figures.
#
#   scripts/benchmark-producer.sh [--rounds N] [--kafka [--rate EVENTS_PER_SECOND]]
#   scripts/benchmark-producer.sh --peers [--rounds N] [--records N]
#
# --peers compares the CPU time with other clients instead, on a real broker: Java's (kafka-clients) where there is a JDK, and franz-go
# where there is Go. Five rounds of 3,000,000 records of each client: some five minutes.
#
# The script starts its own broker in a temporary folder, and ends it.
. "$(dirname "$0")/common.sh"

rounds= kafka=no peers=no rate= records=3000000
while [ $# -gt 0 ]; do
    case $1 in
    --rounds) rounds=$2; shift 2 ;;
    --kafka) kafka=yes; shift ;;
    --peers) peers=yes; shift ;;
    --records) records=$2; shift 2 ;;
    --rate) rate=$2; shift 2 ;;
    *) echo "$0: unknown option $1; see the head of this script" >&2; exit 2 ;;
    esac
done
target=${CARGO_TARGET_DIR:-target}

if [ $peers = no ]; then
    step "CPU time, in one process"
    cargo bench --locked --package event-producer --bench producer -- --rounds "${rounds:-11}"
    [ $kafka = yes ] || exit 0
fi

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

if [ $peers = yes ]; then
    . scripts/benchmark-producer-peers.sh
    exit
fi

"$producer" topics create --bootstrap-servers "$broker" --partitions 4 >/dev/null

# run NAME ARGUMENTS…: the totals of a run, as JSON, in $work/runs/NAME.json; its CPU seconds (user, system) in NAME.cpu beside it.
mkdir "$work/runs"
run() {
    local name=$1
    shift
    (
        TIMEFORMAT='%U %S'
        { time RUST_LOG=warn "$producer" --bootstrap-servers "$broker" --output json "$@" \
            >"$work/runs/$name.json" 2>"$work/runs/$name.log"; } 2>"$work/runs/$name.cpu"
    ) || { cat "$work/runs/$name.log" >&2; return 1; }
}

# tell NAME CODE: runs Python code with the totals `t`, the `cpu` seconds, and `require(condition, what)`.
tell() {
    python3 - "$work/runs/$1" "$2" <<'PY'
import json, sys, types
t = json.load(open(sys.argv[1] + ".json"), object_hook=lambda figures: types.SimpleNamespace(**figures))
cpu = sum(map(float, open(sys.argv[1] + ".cpu").read().split()))
def require(condition, what):
    if not condition:
        sys.exit(f"not reached: {what}")
exec(sys.argv[2])
PY
}

step "as fast as possible, 3 000 000 events, 4 partitions"
run max --max --events 3000000
capacity=$(tell max 'print(int(t.acked / t.elapsed_s))')
tell max 'print(f"{t.acked / t.elapsed_s:,.0f} events/s; "
    f"{cpu / t.acked * 1e6:.2f} CPU seconds of the producer per million events")'

# A multiple of 20, so that every count below is a whole number.
peak=$((${rate:-$((capacity / 2))} / 20 * 20))
allowed=$((peak * 5 / 1000))
step "fidelity: every profile with a peak of $peak events/s; at most $allowed events (5 ms) from the schedule"
# stolen: ms of processor time that the host has withheld from this machine since it started, over all processors.
stolen() { awk -v ticks="$(getconf CLK_TCK)" '$1 == "cpu" { print int($9 * 1000 / ticks) }' /proc/stat; }
# profile NAME EVENTS TOML. A run that misses while the host withholds processors says nothing about the producer: it is told
# and repeated, at most four times.
missed=no
profile() {
    printf '[profile]\n%s\n' "$3" >"$work/$1.toml"
    local attempt before withheld
    for attempt in 1 2 3 4 5; do
        before=$(stolen)
        run "$1" --config "$work/$1.toml"
        mv "$work/runs/$1.json" "$work/runs/$1-$attempt.json"
        mv "$work/runs/$1.cpu" "$work/runs/$1-$attempt.cpu"
        withheld=$(($(stolen) - before))
        tell "$1-$attempt" "name, expected, allowed, withheld = '$1', $2, $allowed, $withheld"'
print(f"{name:9} {t.emitted} events, all acknowledged; at most {t.largest_deviation_events} from the schedule; "
    f"delay {vars(t.schedule_delay_us)} µs; the host withheld {withheld} ms")
require(t.emitted == t.acked == expected, f"{expected} events")
require(t.largest_deviation_events <= allowed, f"at most {allowed} events from the schedule")' && return
        [ "$withheld" -ge 20 ] || break
    done
    missed=yes
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
# From half of the maximum, 5 % of it more every second: ten steps, then 2 s at the maximum.
profile thesis $((half * 10 + peak / 20 * 45 + peak * 2)) "kind='thesis'
low=$half.0
maximum=$peak.0
change_interval_s=1.0
duration_s=12.0"

# In flight at most 0.1 s of load. Only these see the stall from their emission on: 0.5 % of the run. All others that are
# due during the stall are emitted after it, and measured from the emission they look fast. This is why latency is told
# from the due time.
step "the broker stands still for 500 ms, at $half events/s, at most $((half / 10)) in flight"
printf '[kafka]\nmax_in_flight = %d\n[profile]\nkind = "constant"\nrate = %d.0\nduration_s = 20.0\n' \
    $((half / 10)) "$half" >"$work/stall.toml"
run stall --config "$work/stall.toml" &
sleep 8
kill -STOP "$broker_pid"
sleep 0.5
kill -CONT "$broker_pid"
wait $!
tell stall "expected = $((half * 20))"'
due, sent = t.ack_latency_from_intended_us, t.ack_latency_from_send_us
print(f"{t.acked} of {expected} events acknowledged after {t.elapsed_s:.2f} s, {t.failed} failed; µs from the "
    f"due time {vars(due)}, from the emission {vars(sent)}; schedule delay {vars(t.schedule_delay_us)}")
require(t.acked == t.emitted == expected, f"{expected} events")
require(t.elapsed_s < 20.5, "caught up by the end")
require(due.p99 > 200_000 > sent.p99, "the stall in the p99 from the due time, and not in that from the emission")' ||
    missed=yes

step "what stands in Kafka"
"$producer" topics describe --bootstrap-servers "$broker" --benchmark nexmark >"$work/topics" || true
python3 - "$work" <<'PY'
import glob, json, re, sys
acked = sum(json.load(open(name))["acked"] for name in glob.glob(sys.argv[1] + "/runs/*.json"))
records = sum(map(int, re.findall(r"Events: .* (\d+) records", open(sys.argv[1] + "/topics").read())))
print(f"{records} records, {acked} acknowledged")
sys.exit(records != acked)
PY
[ $missed = no ]
