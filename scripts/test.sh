#!/usr/bin/env bash
# The gate: formatting, lints, documentation, the tests of both languages, and the loop end to end on real Kafka and
# Flink. The same command on a laptop and in continuous integration. Downloads are cached outside the tree.
#   --fast   skip the tests that start Kafka and Flink, and the Java parts if nothing has changed since they passed
#   --full   also run the tests marked as needing it (some forty minutes more)
# It ends with the times of each part and of the slowest tests; docs/benchmarks.md records them, nothing depends on them.

source "$(dirname "$0")/common.sh"
source scripts/run-tests.sh
fast= full=
case "${1:-}" in
    "") ;;
    --fast) fast=yes ;;
    --full) full=yes ;;
    *) echo "usage: $0 [--fast | --full]" >&2; exit 2 ;;
esac
check_machine

# Packages of which only the tests that need --full start Kafka and Flink.
engines_if_full=' experiment '
logs=$PWD/run/gate
# Every run tries the same cases of a property: a new case that fails is found by hand (`cargo test` draws new ones), not by chance.
export PROPTEST_RNG_SEED=7
# Tests that choose how much they run take it all: every row of our policies, 10,000 seeds of the whole loop, 300 combinations of the agent's faults.
[ -n "$fast" ] || export RESCALER_TESTS=whole
# A fresh clone is built once, so that nothing reads what incremental compilation would store; back traces are not printed there.
[ -z "${CI:-}" ] || export CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=none

parts=() part= part_begun_s= packages=
declare -A beside=() beside_begun_s=()

begin_part() {
    end_part
    join_ended
    part=$1 part_begun_s=$EPOCHSECONDS
    step "$1"
}

end_part() {
    [ -z "$part" ] || parts+=("$((EPOCHSECONDS - part_begun_s)) $part")
    part=
}

# Parts that run beside others, and the files of their output.
declare -A titles=(
    [java]="the Flink jobs and the driver of Flink's autoscaler: build and tests (Surefire)"
    [examples]="examples in the documentation (doctests)"
)

# begin_beside NAME COMMAND…: runs a command beside the parts that follow. Its output is printed in one piece when it has ended.
begin_beside() {
    local name=$1
    shift
    beside_begun_s[$name]=$EPOCHSECONDS
    "$@" </dev/null >"$logs/$name" 2>&1 &
    beside[$name]=$!
}

# join_beside NAME: waits for it, and returns its status.
join_beside() {
    local name=$1 pid=${beside[$1]:-} status=0
    [ -n "$pid" ] || return 0
    unset "beside[$name]"
    wait "$pid" || status=$?
    step "${titles[$name]}"
    cat "$logs/$name"
    parts+=("$(($(stat --format=%Y "$logs/$name") - beside_begun_s[$name])) ${titles[$name]}, beside the other parts")
    return "$status"
}

join_ended() {
    local name
    for name in "${!beside[@]}"; do
        kill -0 "${beside[$name]}" 2>/dev/null || join_beside "$name"
    done
}

# Written when the Java parts have passed, with the time at which they began; `mvn clean` deletes it.
java_passed=flink-jobs/target/passed

# Whether the Java parts, and the files that their tests read, are as they were when they passed.
java_is_unchanged() {
    [ -f "$java_passed" ] && [ -f flink-autoscaler/target/flink-autoscaler-driver.jar ] &&
        [ -z "$(find flink-jobs flink-autoscaler testdata configs -name target -prune -o -newer "$java_passed" -print -quit)" ]
}

verify_java() {
    rm -f "$java_passed"
    touch "$logs/java-begun"
    mvn --batch-mode --no-transfer-progress --file flink-jobs/pom.xml verify &&
        mvn --batch-mode --no-transfer-progress --file flink-autoscaler/pom.xml verify &&
        cp --preserve=timestamps "$logs/java-begun" "$java_passed"
}

# The tests of the rescaler's page drive a real browser. If it cannot be installed they report that they were skipped.
# The metric sources are also compared with a real Prometheus. Debian's program is unpacked, not installed: no service begins.
provide_packages() {
    if ! command -v chromedriver >/dev/null && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
            chromium chromium-driver fonts-dejavu-core >/dev/null; } || echo "$0: could not install Chromium" >&2
    fi
    if [ -z "$fast" ] && ! command -v prometheus >/dev/null && command -v apt-get >/dev/null; then
        [ -x "$prometheus/usr/bin/prometheus" ] || unpack_debian prometheus "$prometheus" ||
            echo "$0: could not install Prometheus; the metric sources are compared without it" >&2
    fi
}

join_packages() {
    wait "$packages" || true
    packages=
    cat "$logs/packages" >&2
    if command -v chromedriver >/dev/null; then
        export RESCALER_BROWSER=needed
    else
        echo "$0: no Chromium found; skipping the tests of the page (Debian: apt-get install chromium chromium-driver)" >&2
    fi
    PATH=$PATH:$prometheus/usr/bin
}

# minutes SECONDS
minutes() { printf '%d:%02d' "$(($1 / 60))" "$(($1 % 60))"; }

# show_failures LIST TITLE
show_failures() {
    [ -s "$logs/$1" ] || [ -s "$logs/full/$1" ] || return 0
    step "$2"
    what_failed "$logs" "$1"
    what_failed "$logs/full" "$1"
}

closing() {
    local status=$?
    trap - EXIT
    end_part
    local pid
    # A job may be a subshell around Maven.
    for pid in $(jobs -p); do pkill -P "$pid" 2>/dev/null || true; kill "$pid" 2>/dev/null || true; done
    wait
    step "time of each part"
    for part in "${parts[@]}"; do
        printf '%7s  %s\n' "$(minutes "${part%% *}")" "${part#* }"
    done | tee "$logs/parts"
    printf '%7s  %s\n' "$(minutes "$SECONDS")" "total" | tee -a "$logs/parts"
    if [ -s "$logs/seconds" ]; then
        step "the ten slowest tests, wall time in seconds, run in parallel"
        sort -rn "$logs/seconds" | head -n 10 || true
    fi
    show_failures by-chance "failed by chance: passed when run again; each is a fault of a test or of the product, to be mended first"
    show_failures failed "what failed"
    [ "$status" -ne 0 ] || step "all tests passed"
    exit "$status"
}

rm -rf "$logs"
mkdir -p "$logs"
prometheus=${RESCALER_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/rescaler}/debian/prometheus
trap closing EXIT
trap 'exit 130' INT TERM

begin_part "formatting"
cargo fmt --all -- --check

if [ -n "$fast" ] && java_is_unchanged; then
    step "${titles[java]}: not run again with --fast, unchanged since they passed at $(date -r "$java_passed" '+%F %T')"
else
    begin_beside java verify_java
fi
provide_packages >"$logs/packages" 2>&1 &
packages=$!

begin_part "lints (clippy)"
cargo clippy --locked --workspace --all-targets --quiet -- -D warnings

begin_part "documentation (rustdoc)"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --quiet

begin_part "building programs and tests (Cargo; the first build takes some minutes)"
cargo build --locked --workspace --bins --examples --tests
test_programs >"$logs/all"

begin_beside examples cargo test --locked --workspace --doc --quiet
begin_part "tests"
join_packages
without_engines <"$logs/all" | longest_first >"$logs/plain"
only_engines <"$logs/all" >"$logs/engines"
failed=0
run_plain_tests "$logs" <"$logs/plain" || failed=1
join_beside examples || { failed=1 && echo "the examples in the documentation" >>"$logs/failed"; }
join_beside java || { failed=1 && echo "the Flink jobs" >>"$logs/failed"; }

limit_s=${RESCALER_TESTS_LIMIT_S:-4000}
if [ -z "$fast" ]; then
    begin_part "tests on real Kafka and Flink"
    live=yes run_tests 1 - "$limit_s" "$logs" <"$logs/engines" || failed=1
fi

if [ -n "$full" ]; then
    begin_part "tests that need --full"
    mkdir "$logs/full"
    with_ignored_tests <"$logs/plain" >"$logs/full/all"
    awk -v engines="$engines_if_full" '!index(engines, " " $1 " ")' "$logs/full/all" >"$logs/full/plain"
    { with_ignored_tests <"$logs/engines" && awk -v engines="$engines_if_full" 'index(engines, " " $1 " ")' "$logs/full/all"; } >"$logs/full/engines"
    run_tests 1 1 "$limit_s" "$logs/full" --ignored <"$logs/full/plain" || failed=1
    live=yes run_tests 1 - "$limit_s" "$logs/full" --ignored <"$logs/full/engines" || failed=1
    cat "$logs/full/seconds" >>"$logs/seconds" || true
fi

end_part
[ "$failed" -eq 0 ] || { echo && echo "$0: failed: $(cat "$logs"/{,full/}failed 2>/dev/null | paste -sd ,)" >&2; exit 1; }
