#!/usr/bin/env bash
# Installs the programs, their man pages and completions, commented configurations and systemd units, or removes them.
# Idempotent: an existing configuration is never changed; a newer default is written beside it as FILE.new.
#   --prefix DIR      programs, man pages and completions go below DIR (default /usr/local)
#   --user            for this user only, without root: below ~/.local, configurations in ~/.config/rescaler, no systemd units
#   --binaries DIR    take the programs from DIR instead of building them
#   --without-units   no systemd units
#   --uninstall       remove what was installed; configurations and data stay
#   --purge           with --uninstall: configurations too
#   --dry-run         print what would be done
# DESTDIR is prepended to every path, for packages.

set -euo pipefail
shopt -s nullglob
tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
programs=(config-agent config-drop event-producer rescaler state-probe testbed)
units=(config-agent config-drop event-producer rescaler state-probe)
prefix=/usr/local configuration=/etc/rescaler binaries='' with_units=yes uninstall='' purge='' dry_run=''

usage() { sed -n 's/^#   \(--.*\)/  \1/p' "$tree/scripts/install.sh"; }

while [ $# -gt 0 ]; do
    case "$1" in
        --prefix | --binaries)
            [ $# -ge 2 ] || { echo "$0: $1 needs a folder" >&2; exit 2; }
            if [ "$1" = --prefix ]; then prefix=$2; else binaries=$2; fi
            shift ;;
        --user)
            prefix=${HOME:?}/.local with_units=''
            configuration=${XDG_CONFIG_HOME:-$HOME/.config}/rescaler ;;
        --without-units) with_units='' ;;
        --uninstall) uninstall=yes ;;
        --purge) purge=yes ;;
        --dry-run) dry_run=yes ;;
        -h | --help) echo "usage: [DESTDIR=DIR] $0 [OPTIONS]"; usage; exit 0 ;;
        *) echo "$0: unknown option $1" >&2; usage >&2; exit 2 ;;
    esac
    shift
done
[ -z "$purge" ] || [ -n "$uninstall" ] || { echo "$0: --purge requires --uninstall" >&2; exit 2; }

root=${DESTDIR:-}
bin=$root$prefix/bin
man=$root$prefix/share/man/man1
bash_completions=$root$prefix/share/bash-completion/completions
zsh_completions=$root$prefix/share/zsh/site-functions
fish_completions=$root$prefix/share/fish/vendor_completions.d
configuration=$root$configuration
systemd=$root/etc/systemd/system
sysusers=$root/etc/sysusers.d

run() {
    echo "$*"
    [ -n "$dry_run" ] || "$@"
}

# put MODE FILE TARGET: writes only what differs, so that a second run says nothing.
put() {
    if cmp -s "$2" "$3"; then return; fi
    run install -D -m "$1" "$2" "$3"
}

remove() {
    local file
    for file in "$@"; do
        if [ -e "$file" ]; then run rm -f "$file"; fi
    done
}

# What is there and differs was edited by somebody: it stays.
put_configuration() {
    local target=$configuration/$2
    if [ ! -e "$target" ]; then
        put 640 "$1" "$target"
    elif ! cmp -s "$1" "$target"; then
        put 640 "$1" "$target.new"
    fi
}

find_binaries() {
    if [ -z "$binaries" ]; then
        # With their own OpenSSL, so that they run on hosts without it as well.
        (cd "$tree" && OPENSSL_NO_VENDOR=0 run cargo build --release --locked --workspace --bins)
        binaries=${CARGO_TARGET_DIR:-$tree/target}/release
    fi
    local program
    for program in "${programs[@]}" manual; do
        [ -n "$dry_run" ] || [ -x "$binaries/$program" ] || { echo "$0: program $binaries/$program does not exist" >&2; exit 1; }
    done
}

put_pages() {
    [ -z "$dry_run" ] || return 0
    local pages file
    pages=$(mktemp -d)
    "$binaries/manual" "$pages" >/dev/null
    for file in "$pages"/man/man1/*; do put 644 "$file" "$man/$(basename "$file")"; done
    for file in "$pages"/completions/bash/*; do put 644 "$file" "$bash_completions/$(basename "$file" .bash)"; done
    for file in "$pages"/completions/zsh/*; do put 644 "$file" "$zsh_completions/$(basename "$file")"; done
    for file in "$pages"/completions/fish/*; do put 644 "$file" "$fish_completions/$(basename "$file")"; done
    rm -rf "$pages"
}

# The units name the programs by their full path, which depends on the prefix.
put_units() {
    local unit written
    written=$(mktemp)
    for unit in "${units[@]}"; do
        sed "s|/usr/local/bin/|$prefix/bin/|" "$tree/scripts/systemd/$unit.service" >"$written"
        put 644 "$written" "$systemd/$unit.service"
    done
    rm -f "$written"
    put 644 "$tree/scripts/systemd/rescaler.sysusers" "$sysusers/rescaler.conf"
}

install_all() {
    find_binaries
    local name
    for name in "${programs[@]}"; do put 755 "$binaries/$name" "$bin/$name"; done
    put_pages
    for name in "${programs[@]}"; do put_configuration "$tree/configs/$name.toml" "$name.toml"; done
    for name in nexmark psm; do put_configuration "$tree/configs/jobs/$name.toml" "jobs/$name.toml"; done
    [ -z "$with_units" ] || put_units
    if [ -z "$root" ] && [ -n "$with_units" ]; then
        echo "next: systemd-sysusers; chgrp -R rescaler $configuration; systemctl daemon-reload;" \
            "edit $configuration/*.toml; systemctl enable --now config-drop config-agent rescaler"
    fi
}

uninstall_all() {
    local name
    for name in "${programs[@]}"; do
        remove "$bin/$name" "$man/$name".1 "$man/$name"-*.1 "$bash_completions/$name" "$zsh_completions/_$name" \
            "$fish_completions/$name.fish"
    done
    for name in "${units[@]}"; do remove "$systemd/$name.service"; done
    remove "$sysusers/rescaler.conf"
    if [ -n "$purge" ] && [ -d "$configuration" ]; then run rm -rf "$configuration"; fi
}

if [ -n "$uninstall" ]; then uninstall_all; else install_all; fi
