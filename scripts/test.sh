#!/usr/bin/env bash
# The one gate: formatting, lints, documentation, the tests of both languages, and the loop end to end on real Kafka and
# Flink. The same command on a laptop and in continuous integration. Everything it downloads is cached outside the tree.
#   --fast   leave out what starts Kafka and Flink
#   --full   every situation of the exactness tests in a run of its own (some forty minutes more)

source "$(dirname "$0")/common.sh"
fast=
case "${1:-}" in
    "") ;;
    --fast) fast=yes ;;
    --full) export RESCALER_TESTS=full ;;
    *) echo "usage: $0 [--fast | --full]" >&2; exit 2 ;;
esac
check_machine

step "formatting"
cargo fmt --all -- --check

step "the Flink jobs: build and tests (Surefire)"
mvn --batch-mode --no-transfer-progress --file flink-jobs/pom.xml verify

# Programs and tests in one build: the tests' dependencies switch on features that would otherwise make a second one.
step "building programs and tests (Cargo; the first time some minutes)"
cargo build --locked --workspace --bins --examples --tests

# The tests of the rescaler's page drive a real browser. Where it cannot be installed they say that they were left out.
if ! command -v chromedriver >/dev/null && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    step "a browser for the tests of the page (Debian's Chromium)"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        chromium chromium-driver fonts-dejavu-core >/dev/null; } || echo "$0: no Chromium could be installed" >&2
fi
if command -v chromedriver >/dev/null; then
    export RESCALER_BROWSER=needed
else
    echo "$0: no Chromium here; the tests of the page are left out (Debian: apt-get install chromium chromium-driver)" >&2
fi

# The metric sources are also compared with a real Prometheus. Debian's program is unpacked, not installed: no service begins.
if ! command -v prometheus >/dev/null && command -v apt-get >/dev/null; then
    prometheus=${RESCALER_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/rescaler}/debian/prometheus
    [ -x "$prometheus/usr/bin/prometheus" ] || { step "Prometheus (Debian's)" && unpack_debian prometheus "$prometheus"; } ||
        echo "$0: no Prometheus could be had; the metric sources are compared without it" >&2
    PATH=$PATH:$prometheus/usr/bin
fi

# A test that hangs where nobody watches is ended, with its name as the last line.
bounded=()
[ -z "${CI:-}" ] || bounded=(timeout --kill-after=30 "${RESCALER_TESTS_LIMIT_S:-4000}")

# Every failure is seen in one run.
step "tests (cargo test)"
if [ -n "$fast" ]; then
    "${bounded[@]}" cargo test --locked --workspace --no-fail-fast --exclude demo --exclude testbed
else
    "${bounded[@]}" cargo test --locked --workspace --no-fail-fast
fi

step "lints (clippy)"
cargo clippy --locked --workspace --all-targets --quiet -- -D warnings

step "documentation (rustdoc)"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --quiet

step "all tests passed"
