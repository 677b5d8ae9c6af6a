#!/usr/bin/env bash
# Checks that Java decodes what Rust encodes: events written by the encoder are read by the decoder of the Flink jobs, printed as
# JSON by both sides, and compared. Events of both benchmarks, and random ones of all kinds with any integers and Unicode strings.
# Usage: scripts/check-wire.sh [COUNT]   COUNT events of each of the three (default 1000000)
# Exits with 1 at the first difference, and prints it. Needs about 400 bytes of disk per event.

source "$(dirname "$0")/common.sh"
count=${1:-1000000}
[[ $# -le 1 && "$count" =~ ^[1-9][0-9]{0,9}$ ]] || { echo "usage: $0 [COUNT]" >&2; exit 2; }
check_machine
build_job
step "building the event producer"
cargo build --quiet --locked --package event-producer --bins --example random-events
programs="${CARGO_TARGET_DIR:-target}/debug"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The events refer to Flink's types, which are not in the job's jar.
mvn --quiet --batch-mode --no-transfer-progress --file flink-jobs/pom.xml \
    org.apache.maven.plugins:maven-dependency-plugin:3.8.1:build-classpath \
    -DincludeScope=provided "-Dmdep.outputFile=$work/classpath"
classpath="flink-jobs/target/flink-jobs.jar:$(cat "$work/classpath")"

# write STREAM FORMAT: the stream's events to standard output.
write() {
    if [ "$1" = random ]; then
        "$programs/examples/random-events" --events "$count" --format "$2"
    else
        "$programs/event-producer" generate --benchmark "$1" --events "$count" --format "$2"
    fi
}

for stream in nexmark psm random; do
    step "$count events: $stream"
    write "$stream" json > "$work/rust"
    write "$stream" wire | java -cp "$classpath" rescaler.jobs.tools.WireToJson > "$work/java"
    lines=$(wc -l < "$work/rust")
    [ "$lines" -eq "$count" ] || { echo "$0: $lines events instead of $count" >&2; exit 1; }
    if ! difference=$(cmp "$work/rust" "$work/java" 2>&1); then
        line=$(sed -n 's/.*line \([0-9]*\).*/\1/p' <<< "$difference")
        echo "$0: $stream differs: $difference" >&2
        echo "  Rust: $(sed -n "${line:-1}{p;q}" "$work/rust")" >&2
        echo "  Java: $(sed -n "${line:-1}{p;q}" "$work/java")" >&2
        exit 1
    fi
    echo "identical: $lines lines, SHA-256 $(sha256sum < "$work/java" | cut -c 1-16)…"
done
