#!/usr/bin/env bash
# Measures the decoder of the Flink jobs against Kryo with hand-written serializers: builds flink-jobs/benchmarks and runs it on the
# sample of the NexMark mix written by the event producer. About two minutes with the default ten rounds.
# Usage: scripts/benchmark-decode.sh [ROUNDS]

source "$(dirname "$0")/common.sh"
need java "install a JDK 17 (Debian: apt-get install openjdk-17-jdk-headless)"
need mvn "install Maven (Debian: apt-get install maven)"
mvn --quiet --batch-mode --no-transfer-progress --file flink-jobs/benchmarks/pom.xml package
exec java -jar flink-jobs/benchmarks/target/decode-benchmark.jar testdata/wire/sample-nexmark.wire "$@"
