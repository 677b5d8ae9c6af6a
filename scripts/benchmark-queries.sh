#!/usr/bin/env bash
# Measures the queries on real Kafka and Flink: events per CPU-second of the task manager, on a stream that is already in
# Kafka, and the size of the state at its end; with --metrics-cost the cost of the jobs' metrics. docs/benchmarks.md explains the
# figures.
#
#   scripts/benchmark-queries.sh [--queries nexmark-q4,psm-q1,…] [--events N] [--metrics-cost ROUNDS]
#
# Without options it runs all ten queries, some ten minutes. The script starts its own cluster in a temporary folder, and ends it. The
# JVMs use the full JIT compiler, which the testbed disables by default for quick starts.
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
