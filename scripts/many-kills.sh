#!/usr/bin/env bash
# Kills drop, agent and rescaler (SIGKILL) under load, 25 times per run, over a stand-in of Flink (crates/rescaler/tests/it/many_kills), at
# low priority. Can be stopped at any time and resumes where it was: the next run is in run/kills/next, the counts of each in
# run/kills/counts, failures in run/kills/failed with their output beside them. Exits with 1 if any run has failed.
#   many-kills.sh COUNT [--new]    COUNT kills in all; --new: from the beginning

source "$(dirname "$0")/common.sh"

count=${1:-}
[ "$count" -gt 0 ] 2>/dev/null || { echo "usage: $0 COUNT [--new]" >&2; exit 2; }
each=25
state=$PWD/run/kills
[ "${2:-}" != --new ] || rm -rf "$state"
mkdir -p "$state"
touch "$state/failed" "$state/counts"
[ -s "$state/next" ] || echo 0 >"$state/next"

cargo build --locked --workspace --bins --quiet
program=$(cargo test --locked --workspace --no-run --quiet --message-format=json-render-diagnostics |
    sed -n 's|.*/rescaler/Cargo.toml".*"name":"it".*"executable":"\([^"]*\)".*|\1|p' | tail -1)
[ -x "$program" ] || { echo "the tests of crates/rescaler are not built; run cargo test --no-run" >&2; exit 1; }

next=$(cat "$state/next")
while [ $((next * each)) -lt "$count" ]; do
    if (cd crates/rescaler && KILLS=$each KILLS_SEED=$next nice -n 10 "$program" --ignored --exact --nocapture \
        many_kills::many_kills_lose_nothing) >"$state/output-$next" 2>&1; then
        grep '^Counts' "$state/output-$next" | tee -a "$state/counts"
        rm "$state/output-$next"
    else
        echo "run $next: see $state/output-$next" | tee -a "$state/failed"
    fi
    next=$((next + 1))
    echo "$next" >"$state/next"
done

# The sum of a field over all runs.
sum() {
    sed -n "s/.* $1 \([0-9]*\).*/\1/p" "$state/counts" | awk '{ sum += $1 } END { print sum + 0 }'
}
echo "kills: drop $(sum drop_kills), agent $(sum agent_kills), rescaler $(sum rescaler_kills); generations $(sum generations)," \
    "requests to rescale $(sum rescales) ($(sum repeated) repeated after a kill), reports $(sum reports)," \
    "documents of another job $(sum acknowledged); $(wc -l <"$state/failed") runs failed"
[ ! -s "$state/failed" ]
