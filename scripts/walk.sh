#!/usr/bin/env bash
# The guide's way from nothing to a scaled job on a cluster that is already there (docs/quick-start.md, 3), timed: a new clone, `cargo install`
# of the rescaler, and for each version of Flink a cluster as it comes, `doctor`, the changes that it names, a dry run, a run.
#
#   scripts/walk.sh [--installed FOLDER] [VERSION...]
#
# --installed FOLDER: a folder with the program, instead of clone and installation. Without a version: 1.20.5 and 2.3.0. The engines come from
# Maven Central once. Everything else lies in a temporary folder, which ends with the script, as the clusters do.
. "$(dirname "$0")/common.sh"

installed= versions=()
while [ $# -gt 0 ]; do
    case $1 in
        --installed) installed=$2; shift 2 ;;
        [0-9]*) versions+=("$1"); shift ;;
        *) sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
done
[ ${#versions[@]} -gt 0 ] || versions=(1.20.5 2.3.0)

check_machine
need python3 "install Python 3 (Debian: apt-get install python3)"
build_job
build_programs
testbed=${CARGO_TARGET_DIR:-target}/debug/testbed
work=$(mktemp -d)
end() {
    for version in "${versions[@]}"; do
        "$testbed" down --work "$work/$version/testbed" >/dev/null 2>&1 || true
    done
    rm -rf "$work"
}
trap end EXIT

if [ -z "$installed" ]; then
    step "a new clone, and cargo install"
    git clone --quiet . "$work/clone"
    # Downloads do not count.
    cargo fetch --locked --quiet --manifest-path "$work/clone/Cargo.toml"
    began=$SECONDS
    (cd "$work/clone" && CARGO_TARGET_DIR=$work/target cargo install --quiet --locked --path crates/rescaler --no-default-features --root "$work/root")
    echo "cargo install: $((SECONDS - began)) s"
    installed=$work/root/bin
fi
for version in "${versions[@]}"; do
    step "Flink $version"
    mkdir "$work/$version"
    python3 scripts/walk.py --testbed "$testbed" --rescaler "$installed/rescaler" --work "$work/$version" --flink-version "$version"
done
