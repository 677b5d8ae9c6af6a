#!/usr/bin/env bash
# Makes a Debian package of all programs, with man pages, completions, configurations, systemd units and their users, and prints its path.
#   --binaries DIR    take the programs from DIR instead of building them
#   --output DIR      the folder of the package (default run/package)
# It needs cargo-deb (`cargo install --locked cargo-deb`) and, for the dependencies on libraries, dpkg-dev. What goes where is decided by
# scripts/install.sh; the package's own data are in crates/rescaler/Cargo.toml, its maintainer scripts in scripts/debian.
. "$(dirname "$0")/common.sh"

binaries='' output=run/package
while [ $# -gt 0 ]; do
    case "$1" in
        --binaries) binaries=${2:?}; shift 2 ;;
        --output) output=${2:?}; shift 2 ;;
        *) sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
done
need dpkg-deb "run this on Debian or Ubuntu"
cargo deb --version >/dev/null 2>&1 || { echo "$0: cargo-deb is missing; cargo install --locked cargo-deb" >&2; exit 1; }

if [ -z "$binaries" ]; then
    step "building (release)"
    OPENSSL_NO_VENDOR=0 cargo build --release --locked --workspace --bins
    binaries=${CARGO_TARGET_DIR:-target}/release
fi
step "the files of the package"
# cargo-deb takes programs from a target folder, and all else from here (crates/rescaler/Cargo.toml).
stage=$PWD/run/package
rm -rf "$stage/installed" "$stage/target"
DESTDIR=$stage/installed ./scripts/install.sh --prefix /usr --binaries "$binaries"
mkdir -p "$stage/target/release" "$output"
cp "$stage"/installed/usr/bin/* "$stage/target/release"
step "the package"
CARGO_TARGET_DIR=$stage/target cargo deb --locked --no-build --package rescaler --output "$output"
