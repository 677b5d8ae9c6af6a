#!/usr/bin/env bash
# Tests Flink 1.18 to 2.3: runs a small stateful job on each version, watches it, scales it up and down in place, and takes a task manager
# away. Prints the results as a table, such as the one in docs/versions.md.
#
#   scripts/test-versions.sh [--keep FOLDER] [VERSION...]
#
# Without a version it tests all. The engines are downloaded from Maven Central once, into the testbed's cache. Each version
# has its own cluster in a temporary folder, which ends with the script; a version takes some three minutes.
. "$(dirname "$0")/common.sh"

keep= versions=()
while [ $# -gt 0 ]; do
    case $1 in
        --keep) keep=$2; shift 2 ;;
        [0-9]*) versions+=("$1"); shift ;;
        *) sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
done
[ ${#versions[@]} -gt 0 ] || versions=(1.18.1 1.19.3 1.20.5 2.0.2 2.1.3 2.2.1 2.3.0)

check_machine
need python3 "install Python 3 (Debian: apt-get install python3)"
build_job
build_programs
work=$(mktemp -d)
target=${CARGO_TARGET_DIR:-target}
end() {
    for version in "${versions[@]}"; do
        "$target/debug/testbed" down --work "$work/$version/testbed" >/dev/null 2>&1 || true
    done
    [ -z "$keep" ] || { mkdir -p "$keep" && cp -r "$work"/. "$keep"; }
    rm -rf "$work"
}
trap end EXIT

for version in "${versions[@]}"; do
    step "Flink $version"
    mkdir -p "$work/$version"
    "$target/debug/testbed" up --detach --flink-version "$version" --task-managers 2 --task-slots 4 \
        --config scripts/test-versions.toml --work "$work/$version/testbed" >/dev/null
    python3 scripts/test-versions.py run --programs "$target/debug" --work "$work/$version" || true
    "$target/debug/testbed" down --work "$work/$version/testbed" >/dev/null
done
step "all"
python3 scripts/test-versions.py table "${versions[@]/#/$work/}"
