#!/usr/bin/env bash
# Runs and compares experiments: one job under one load, scaled by different policies or not at all (docs/experiments.md).
# Builds what is missing first. Usage:
#   scripts/experiment.sh list
#   scripts/experiment.sh run configs/experiments/nexmark-low-scaled.toml [--duration 5m] [--repetitions N] [--out DIR]
#   scripts/experiment.sh compare DIR DIR…
#   scripts/experiment.sh board DIR… --markdown FILE

source "$(dirname "$0")/common.sh"
check_machine
build_job
build_autoscaler
build_programs
exec "${CARGO_TARGET_DIR:-target}/debug/experiment" "$@"
