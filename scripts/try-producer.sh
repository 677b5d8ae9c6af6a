#!/usr/bin/env bash
# Faults of real brokers against the event producer's transport "batches": sixty seeded trials on three brokers with replication 3. After each, what
# stands in Kafka is compared with what was to be written, record by record: nothing lost, nothing twice, in order.
#
#   scripts/try-producer.sh [--seeds FROM-TO] [--keep FILE] [--transport batches|librdkafka]
#
# Seed n has fault n modulo 5: a broker killed (-9) and started again, stopped for 5 s, ended in order so that its leaders move, connections cut at
# random bytes, the producer killed. Results are appended to FILE (run/producer-trials.jsonl unless told otherwise); what stands there is not
# tried again, so that the script can be stopped at any time. A trial takes some 15 s.
. "$(dirname "$0")/common.sh"

need java "install a JDK 17 (Debian: apt-get install openjdk-17-jdk-headless)"
need python3 "install Python 3 (Debian: apt-get install python3)"
target=${CARGO_TARGET_DIR:-target}
cargo build --locked --quiet --workspace --bins --examples
# Kafka's jars, where the testbed keeps them.
"$target/debug/testbed" fetch >/dev/null
exec python3 scripts/try-producer.py --target "$target/debug" "$@"
