#!/usr/bin/env bash
# Fuzzes what reads foreign bytes (fuzz/fuzz_targets). Needs cargo-fuzz (`cargo install --locked cargo-fuzz`). Can be stopped at any time and
# resumes where it was: inputs found are in run/fuzz/TARGET, runs and seconds of each part in run/fuzz/TARGET.parts. A finding stops its
# target, is stored in fuzz/artifacts/TARGET, and belongs into a test. With a nightly compiler memory errors are found as well.
#   fuzz.sh SECONDS [TARGET...]    SECONDS for each target, or for these
#   fuzz.sh --counts               print what was run so far

source "$(dirname "$0")/common.sh"

# Seconds of a part: what an interruption may lose.
part_s=300
state=$PWD/run/fuzz

counts() {
    local parts
    for parts in "$state"/*.parts; do
        [ -f "$parts" ] || continue
        awk -v target="$(basename "$parts" .parts)" '{ runs += $1; seconds += $2 } END { print target ": " runs " runs in " seconds " s" }' "$parts"
    done
}

[ "${1:-}" != --counts ] || { counts; exit 0; }
seconds=${1:-}
[ "$seconds" -gt 0 ] 2>/dev/null || { echo "usage: $0 SECONDS [TARGET...] | --counts" >&2; exit 2; }
shift
cargo fuzz --version >/dev/null 2>&1 || { echo "$0: cargo-fuzz is missing: cargo install --locked cargo-fuzz" >&2; exit 1; }
targets=("$@")
[ "${#targets[@]}" -gt 0 ] || mapfile -t targets < <(cargo fuzz list)
fuzz=(cargo +nightly fuzz run)
if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "$0: no nightly compiler; memory errors are not looked for" >&2
    export RUSTC_BOOTSTRAP=1
    fuzz=(cargo fuzz run --sanitizer none)
fi
mkdir -p "$state"

failed=
for target in "${targets[@]}"; do
    step "$target"
    mkdir -p "$state/$target"
    touch "$state/$target.parts"
    corpora=("$state/$target")
    [ ! -d "fuzz/seeds/$target" ] || corpora+=("fuzz/seeds/$target")
    while done_s=$(awk '{ sum += $2 } END { print sum + 0 }' "$state/$target.parts"); [ "$done_s" -lt "$seconds" ]; do
        left_s=$((seconds - done_s < part_s ? seconds - done_s : part_s))
        if ! "${fuzz[@]}" "$target" "${corpora[@]}" -- -max_total_time="$left_s" -timeout=10 -rss_limit_mb=2048 \
            >"$state/$target.output" 2>&1; then
            tail -n 30 "$state/$target.output" >&2
            failed="$failed $target"
            break
        fi
        sed -n 's/^Done \([0-9]*\) runs in \([0-9]*\) second(s)$/\1 \2/p' "$state/$target.output" >>"$state/$target.parts"
        grep -q '^Done ' "$state/$target.output" || { tail -n 30 "$state/$target.output" >&2; exit 1; }
        counts | grep "^$target:"
    done
done
step "counts"
counts
[ -z "$failed" ] || { echo "$0: findings in:$failed (fuzz/artifacts)" >&2; exit 1; }
