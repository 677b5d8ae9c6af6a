#!/usr/bin/env bash
# Measures the latency from a decision to its effect: a thousand changes from publication to the first request to Flink, the
# requests of an idle agent, and a hundred thousand generations through one drop. About ten minutes; docs/benchmarks.md has
# the figures. The default tests check the same bounds with fewer rounds.
#   --idle   also three real minutes of an idle agent with default settings

source "$(dirname "$0")/common.sh"
case "${1:-}" in
    "") ;;
    --idle) idle=yes ;;
    *) echo "usage: $0 [--idle]" >&2; exit 2 ;;
esac

step "building"
cargo build --locked --release --package config-drop --package config-agent --bins --tests

step "latency of a change, and traffic of an idle agent"
cargo test --locked --release --package config-agent --test it -- latency:: --include-ignored --nocapture --test-threads 1

step "100000 generations"
cargo test --locked --release --package config-drop --test it -- soak::a_day --ignored --nocapture

if [ -n "${idle:-}" ]; then
    step "an idle agent with default settings, 180 s"
    folder=$(mktemp -d)
    trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$folder"' EXIT
    touch "$folder/job.jar"
    target=${CARGO_TARGET_DIR:-target}/release
    "$target/config-drop" --listen 127.0.0.1:18460 --data "$folder/drop" 2>"$folder/drop.log" &
    "$target/config-agent" --job nexmark --drop http://127.0.0.1:18460 --flink http://127.0.0.1:1 \
        --jar "$folder/job.jar" --data "$folder/agent" 2>"$folder/agent.log" &
    asked() { curl -fs http://127.0.0.1:18460/metrics | awk '/route="\/v1/ { n += $NF } END { print n + 0 }'; }
    sleep 5
    before=$(asked)
    sleep 180
    echo "$(($(asked) - before)) requests in 3 minutes"
fi
