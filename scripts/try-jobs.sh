#!/usr/bin/env bash
# Runs nine unfamiliar jobs on real Flink, each scaled by its own `rescaler run --flink` under constant load, and prints a table of the
# outcomes. Every job has one trait that can mislead an auto-scaler; docs/try-jobs.md has the right outcomes and a table.
#
#   scripts/try-jobs.sh [--minutes N] [--keep FOLDER]
#
# The default is ten minutes. All jobs run at once on one cluster in a temporary folder, which ends with the
# script. Their records wait instead of computing, so two cores are enough; the last line says how busy the machine was.
. "$(dirname "$0")/common.sh"

minutes=10 keep=
while [ $# -gt 0 ]; do
    case $1 in
        --minutes) minutes=$2; shift 2 ;;
        --keep) keep=$2; shift 2 ;;
        *) sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
done
jobs="one-chain one-chain-uncounted filter-in-source-chain bounded-beside-endless no-checkpoints two-unnamed hot-key broadcast fixed-rate-sink"

check_machine
need python3 "install Python 3 (Debian: apt-get install python3)"
need curl "install curl (Debian: apt-get install curl)"
build_job
build_programs
work=$(mktemp -d)
target=${CARGO_TARGET_DIR:-target}
rescalers=()
end() {
    # Each by its own id; those that have ended are no error.
    for process in "${rescalers[@]}"; do kill "$process" 2>/dev/null || true; done
    wait
    "$target/debug/testbed" down --work "$work/testbed" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap end EXIT

cat >"$work/testbed.toml" <<'TOML'
[flink]
task_managers = 1
task_slots = 48
task_heap_mib = 768
managed_memory_mib = 192
network_memory_mib = 192
TOML
cat >"$work/rescaler.toml" <<'TOML'
job = "any"
[epoch]
length_ms = 15000
[policy]
name = "ds2"
[policy.ds2]
stabilization_interval_s = 30
scale_down_interval_s = 120
catch_up_duration_s = 120.0
restart_time_s = 5.0
TOML
step "a cluster with 48 slots"
"$target/debug/testbed" up --detach --config "$work/testbed.toml" --work "$work/testbed" >/dev/null
"$target/debug/testbed" status --work "$work/testbed" --output json >"$work/status.json"
flink=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["flink_url"])' "$work/status.json")

step "the jobs"
jar=$(curl --silent --show-error --fail --form "jarfile=@flink-jobs/target/flink-jobs.jar" "$flink/jars/upload" |
    python3 -c 'import json, os, sys; print(os.path.basename(json.load(sys.stdin)["filename"]))')
for job in $jobs; do
    curl --silent --show-error --fail --request POST --header "Content-Type: application/json" \
        --data "{\"entryClass\": \"rescaler.jobs.trials.Trials\", \"programArgsList\": [\"$job\"]}" "$flink/jars/$jar/run" >/dev/null
done
for job in $jobs; do
    "$target/debug/rescaler" run --flink "$flink" --job "$job" --config "$work/rescaler.toml" --listen off \
        --data "$work/data/$job" >"$work/$job.log" 2>&1 &
    rescalers+=($!)
done
step "$minutes minutes of constant load"
read -r _ user nice system idle iowait irq softirq steal _ </proc/stat
before=($((user + nice + system + irq + softirq)) $((idle + iowait)) "$steal")
sleep $((minutes * 60))
read -r _ user nice system idle iowait irq softirq steal _ </proc/stat
after=($((user + nice + system + irq + softirq)) $((idle + iowait)) "$steal")

python3 scripts/try-jobs.py "$work/data" $jobs
all=$((after[0] - before[0] + after[1] - before[1] + after[2] - before[2]))
echo "processors: $(((after[0] - before[0]) * 100 / all)) % busy, $(((after[2] - before[2]) * 100 / all)) % steal"
[ -z "$keep" ] || { mkdir -p "$keep" && cp -r "$work/data" "$work"/*.log "$keep"; }
