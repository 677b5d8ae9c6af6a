#!/usr/bin/env bash
# Tests the event producer's transport "batches" under faults of real brokers: sixty seeded trials on three brokers with replication 3. After each,
# the contents of Kafka are compared with the intended records, one by one: nothing lost, nothing twice, in order.
#
#   scripts/try-producer.sh [--seeds FROM-TO] [--keep FILE] [--transport batches|librdkafka]
#
# Seed n has fault n modulo 5: a broker killed (-9) and started again, stopped for 5 s, ended in order so that its leaders move, connections cut at
# random bytes, the producer killed. Results are appended to FILE (default run/producer-trials.jsonl); trials in it are not
# repeated, so the script can be stopped at any time. A trial takes some 15 s.
. "$(dirname "$0")/common.sh"

need java "install a JDK 17 (Debian: apt-get install openjdk-17-jdk-headless)"
need python3 "install Python 3 (Debian: apt-get install python3)"
target=${CARGO_TARGET_DIR:-target}
cargo build --locked --quiet --workspace --bins --examples
# Kafka's jars, where the testbed keeps them.
"$target/debug/testbed" fetch >/dev/null
exec python3 scripts/try-producer.py --target "$target/debug" "$@"
