#!/usr/bin/env bash
# Measures the parameters of the simulator's model on a real job (configs/experiments/calibration), writes them as scenarios, and compares
# recorded runs with the model (docs/simulator.md, "Calibrate the model"). Needs a machine with nothing else to do. Can be stopped at
# any time; started again with the same folder it goes on after the last complete run.
#   scripts/calibrate.sh            the short form, some 15 minutes: changes in place, one recorded run
#   --full                          also changes by savepoint and five more recorded runs, some 50 minutes
#   --out DIR                       folder of runs and results, by default run/calibration
#   --dry-run                       check everything, tell time and disk space, and exit

source "$(dirname "$0")/common.sh"

full= dry_run= out=run/calibration
while [ $# -gt 0 ]; do
    case $1 in
    --full) full=yes; shift ;;
    --dry-run) dry_run=yes; shift ;;
    --out) out=${2:?--out needs a folder}; shift 2 ;;
    *) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
done

# Kind of changes, name of the folder, experiment, its variant.
configs=configs/experiments
steps="in-place measured $configs/calibration/in-place.toml in-place
in-place step $configs/live-step.toml slo"
[ -z "$full" ] || steps="$steps
in-place ramp $configs/live-ramp.toml slo
in-place square $configs/live-square.toml slo
in-place spike $configs/live-spike.toml slo
in-place up-down $configs/live-up-down.toml slo
savepoint measured $configs/calibration/savepoint.toml savepoint
savepoint step $configs/calibration/step-savepoint.toml slo"

check_machine
[ -n "$dry_run" ] || build_job
build_programs
experiment=${CARGO_TARGET_DIR:-target}/debug/experiment

# What is left to do, in seconds (the engines of a run take about 75 to start and end), and the disk space of one run at a time.
seconds=0 megabytes=0
while read -r kind name file variant; do
    [ ! -d "$out/$kind/$name" ] || continue
    plan=$("$experiment" run "$file" --variant "$variant" --repetitions 1 --dry-run)
    echo "$kind/$name: $(sed -n 's/^description = "\(.*\)"$/\1/p' "$file")"
    seconds=$((seconds + $(sed -n 's/^duration_s = \([0-9]*\).*/\1/p' "$file") + 75))
    mb=$(sed -n 's/.*up to \([0-9]*\) MB of disk.*/\1/p' <<<"$plan")
    megabytes=$((mb > megabytes ? mb : megabytes))
done <<<"$steps"
step "to do: about $(((seconds + 59) / 60)) minutes ($(awk -v s="$seconds" 'BEGIN { printf "%.1f", s / 3600 }') h), up to $megabytes MB of disk at a time; results in $out"
[ -z "$dry_run" ] || exit 0

while read -r kind name file variant <&3; do
    folder=$out/$kind/$name
    [ ! -d "$folder" ] || continue
    step "$kind/$name"
    # A run that was interrupted is made anew.
    rm -rf "$folder.part"
    mkdir -p "$out/$kind"
    "$experiment" run "$file" --variant "$variant" --repetitions 1 --out "$folder.part"
    mv "$folder.part" "$folder"
done 3<<<"$steps"

for kind in in-place savepoint; do
    [ -d "$out/$kind/measured" ] || continue
    step "parameters of changes of kind $kind: $out/$kind.toml"
    # Capacities are measured with changes in place only.
    measured=("$out/in-place/measured")
    [ "$kind" = in-place ] || measured+=("$out/$kind/measured")
    "$experiment" calibrate "${measured[@]}" --change "$kind" --out "$out/$kind.toml"
    # The measured run itself is compared too: where the model differs even from that, it lacks something.
    runs=()
    for run in "$out/$kind"/*/; do
        case $run in *.part/) ;; *) runs+=("$run") ;; esac
    done
    step "the model against recorded runs ($kind)"
    "$experiment" replay "${runs[@]}" --model "$out/$kind.toml" --output json >"$out/$kind.json"
    "$experiment" replay "${runs[@]}" --model "$out/$kind.toml" | tee "$out/$kind.txt"
done
