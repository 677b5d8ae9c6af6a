#!/usr/bin/env bash
# Mutation testing of the agent's pure part, the admission of documents, the drop's registry and the journal: a fixed sample of their mutants,
# each tested by the tests of the crates concerned. What is left out, and why, is in .cargo/mutants.toml. Works in a copy of the tree in
# run/mutants/tree, so the tree itself stays as it is. Can be stopped at any time and resumes where it was: outcomes are in
# run/mutants/outcomes, a mutant a line (caught, missed, timeout, unviable), with the log of a missed one beside it.
# Exits with 1 if a mutant was missed.
#   mutants.sh [COUNT]    the first COUNT of the sample (default 300); without outcomes so far
#   --missed              test the missed ones again, after new tests
#   --new                 from the beginning

source "$(dirname "$0")/common.sh"

# Files with their package, and the packages whose tests must notice a mutant.
areas='
config-agent crates/config-agent/src/machine.rs config-agent
config-agent crates/config-agent/src/machine/*.rs config-agent
config-agent crates/config-agent/src/ledger.rs config-agent
config-agent crates/config-agent/src/ledger/*.rs config-agent
config-agent crates/config-agent/src/phase.rs config-agent
config-agent crates/config-agent/src/recovery.rs config-agent
job-config crates/job-config/src/admission.rs job-config,config-agent
config-drop crates/config-drop/src/registry.rs config-drop
config-drop crates/config-drop/src/history.rs config-drop
journal crates/journal/src/*.rs journal,config-drop
'
# Of one mutant, in seconds: many times what the slowest of these packages needs.
timeout_s=300

count=300 again=
for option in "$@"; do
    case $option in
    --missed) again=missed ;;
    --new) again=all ;;
    *) count=$option ;;
    esac
done
[ "$count" -gt 0 ] 2>/dev/null || { echo "usage: $0 [COUNT] [--missed | --new]" >&2; exit 2; }
need cargo-mutants "install it with: cargo install --locked cargo-mutants"

state=$PWD/run/mutants
[ "$again" != all ] || rm -rf "$state"
mkdir -p "$state/logs" "$state/tree"
touch "$state/outcomes"
[ "$again" != missed ] || sed -i '/^missed\t/d' "$state/outcomes"

# The copy. A mutant that an interrupted run has left behind is replaced, and Cargo goes by modification times, so all files are new.
find "$state/tree" -mindepth 1 -maxdepth 1 ! -name target ! -name mutants.out ! -name mutants.out.old -exec rm -rf {} +
git ls-files --cached --others --exclude-standard -z | tar --create --null --ignore-failed-read --files-from - |
    tar --extract --touch --directory "$state/tree"
cd "$state/tree"

# Prints the mutants of all areas: package, test packages, name.
list() {
    local package files tests
    while read -r package files tests; do
        [ -n "$package" ] || continue
        cargo mutants --list --colors never --package "$package" --file "$files" </dev/null |
            sed "s|^|$package\t$tests\t|"
    done <<<"$areas"
}

# The sample: the mutants in the order of a hash of what they do and where, without line numbers, so that a change elsewhere
# keeps the others in their places. Equal ones are counted.
printf 'a fixed salt for the order of mutants' >"$state/salt"
list | awk -F '\t' '
    {
        key = $3
        sub(/:[0-9]+:[0-9]+: /, ": ", key)
        print key " #" ++seen[key] "\t" $0
    }' | sort --key 1,1 --field-separator $'\t' --random-sort --random-source "$state/salt" >"$state/all"
head -n "$count" "$state/all" >"$state/sample"
[ -s "$state/sample" ] || { echo "$0: there are no mutants; do the files in this script exist?" >&2; exit 1; }

# Without a mutant all tests must pass, within the time.
packages=$(cut -f 3 "$state/sample" | tr ',' '\n' | sort -u)
step "tests without a mutant: $packages"
cargo test --locked --quiet $(printf -- '--package %s ' $packages) >"$state/logs/baseline" 2>&1 ||
    { echo "$0: the tests fail without a mutant; see $state/logs/baseline" >&2; exit 1; }

# Runs one mutant and prints its outcome.
outcome() {
    local package=$1 tests=$2 name=$3 file=${3%%:*} pattern kind
    pattern=$(sed 's/[][\\.*^$()+?{}|]/\\&/g' <<<"$name")
    cargo mutants --in-place --baseline skip --timeout "$timeout_s" --colors never --package "$package" --test-package "$tests" \
        --file "$file" --re "^$pattern\$" --cargo-arg=--locked </dev/null >"$state/logs/output" 2>&1 || true
    for kind in caught missed timeout unviable; do
        [ ! -s "mutants.out/$kind.txt" ] || { echo "$kind"; return; }
    done
    echo "$0: no outcome of $name; see $state/logs/output" >&2
    return 1
}

number=0
while IFS=$'\t' read -r key package tests name; do
    number=$((number + 1))
    ! cut -f 2 "$state/outcomes" | grep --fixed-strings --line-regexp --quiet -e "$key" || continue
    found=$(outcome "$package" "$tests" "$name")
    [ "$found" != missed ] || cp "$state/logs/output" "$state/logs/missed-$number"
    printf '%s\t%s\t%s\n' "$found" "$key" "$name" >>"$state/outcomes"
    echo "$number/$count $found: $name"
done <"$state/sample"

step "mutants of the sample: $(wc -l <"$state/sample") of $(wc -l <"$state/all")"
cut -f 1 "$state/outcomes" | sort | uniq --count
! grep '^missed' "$state/outcomes"
