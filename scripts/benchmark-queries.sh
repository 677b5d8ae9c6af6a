#!/usr/bin/env bash
# What the queries cost on real Kafka and Flink: events per CPU-second of the task manager, on a stream that lies in Kafka
# already, and the size of the state at its end; with --metrics-cost what the jobs' metrics cost. docs/benchmarks.md has the
# figures and what they mean.
#
#   scripts/benchmark-queries.sh [--queries nexmark-q4,psm-q1,…] [--events N] [--metrics-cost ROUNDS]
#
# Without options all ten queries, some ten minutes. The cluster is one of the testbed's own, in a temporary folder, and ends
# with the script. Its JVMs compile at their best, which the testbed otherwise forbids them for the sake of quick starts.
. "$(dirname "$0")/common.sh"

check_machine
need python3 "install Python 3 (Debian: apt-get install python3)"
build_job
cargo build --locked --quiet --package testbed --package event-producer
work=$(mktemp -d)
target=${CARGO_TARGET_DIR:-target}
trap '"$target/debug/testbed" down --work "$work/testbed" >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
cat >"$work/testbed.toml" <<'TOML'
[kafka]
jvm_options = []
[flink]
task_managers = 1
task_slots = 1
task_heap_mib = 1024
managed_memory_mib = 512
network_memory_mib = 128
jobmanager_jvm_options = []
taskmanager_jvm_options = []
[flink.settings]
"metrics.fetcher.update-interval" = "200"
TOML
"$target/debug/testbed" up --detach --config "$work/testbed.toml" --work "$work/testbed" >/dev/null
"$target/debug/testbed" status --work "$work/testbed" --output json >"$work/status.json"
python3 scripts/benchmark-queries.py --status "$work/status.json" --programs "$target/debug" "$@"
