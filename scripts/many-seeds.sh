#!/usr/bin/env bash
# Runs many seeds of the whole loop (crates/sim/tests/it/whole_loop), a thousand at a time. Can be stopped at any time and resumes where
# it was: the next seed is in run/seeds/next, failures are in run/seeds/failed. Exits with 1 if any seed has failed.
#   many-seeds.sh COUNT [--new]    seeds from 0 to COUNT - 1; --new: from the beginning

source "$(dirname "$0")/common.sh"

count=${1:-}
[ "$count" -gt 0 ] 2>/dev/null || { echo "usage: $0 COUNT [--new]" >&2; exit 2; }
state=$PWD/run/seeds
[ "${2:-}" != --new ] || rm -rf "$state"
mkdir -p "$state"
touch "$state/failed"
[ -s "$state/next" ] || echo 0 >"$state/next"

program=$(cargo test --locked --workspace --no-run --quiet --message-format=json-render-diagnostics |
    sed -n 's|.*/sim/Cargo.toml".*"name":"it".*"executable":"\([^"]*\)".*|\1|p' | tail -1)
[ -x "$program" ] || { echo "the tests of crates/sim are not built; run cargo test --no-run" >&2; exit 1; }

from=$(cat "$state/next")
while [ "$from" -lt "$count" ]; do
    to=$((from + 1000 < count ? from + 1000 : count))
    if ! LOOP_FROM=$from LOOP_TO=$to "$program" --ignored --exact whole_loop::more_seeded_faults_do_no_harm \
        >"$state/output" 2>&1; then
        seed=$(sed -n 's/.*LOOP_SEED=\([0-9]*\): .*/\1/p' "$state/output" | head -1)
        [ -n "$seed" ] || { cat "$state/output" >&2; exit 1; }
        sed -n 's/.*\(LOOP_SEED=.*\)/\1/p' "$state/output" | head -1 | tee -a "$state/failed"
        to=$((seed + 1))
    fi
    from=$to
    echo "$from" >"$state/next"
done
echo "$from seeds, $(wc -l <"$state/failed") failed"
[ ! -s "$state/failed" ]
