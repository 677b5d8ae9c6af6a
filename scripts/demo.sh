#!/usr/bin/env bash
# Shows the loop live: real Kafka and Flink, load above capacity, a decision, a rescale, recovery.
# Builds what is missing first. Options are passed to the demo: --keep leaves it running, --help lists the rest.

source "$(dirname "$0")/common.sh"
check_machine
build_job
build_programs
step "the demo"
exec target/debug/demo "$@"
