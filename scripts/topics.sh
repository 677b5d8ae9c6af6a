#!/usr/bin/env bash
# Creates, deletes or describes the topics of both benchmarks: `scripts/topics.sh create|delete|describe [--bootstrap-servers LIST] [--benchmark nexmark|psm]`;
# create also takes --partitions N and --replication N, and --help lists the rest. Builds the event producer first if necessary.

source "$(dirname "$0")/common.sh"
need cargo "install Rust 1.90 or newer from your distribution or with rustup"
cargo build --quiet --locked --package event-producer --bin event-producer
exec "${CARGO_TARGET_DIR:-target}/debug/event-producer" topics "$@"
