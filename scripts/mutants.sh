#!/usr/bin/env bash
# Mutation testing of the agent's pure part, the admission of documents, the drop's registry and the journal: a fixed sample of their mutants,
# each tested by the unit tests of its crate and, if they do not notice it, by the integration tests of the crate concerned: most mutants
# cost one small build and a second. What is left out, and why, is in .cargo/mutants.toml. Works in a copy of the tree in
# run/mutants/tree, so the tree itself stays as it is. Can be stopped at any time and resumes where it was: outcomes are in
# run/mutants/outcomes, a mutant a line (caught, missed, timeout, unviable), with the log of a missed one in run/mutants/logs.
# Exits with 1 if a mutant was missed.
#   mutants.sh [COUNT]    the first COUNT of the sample (default 300); without outcomes so far
#   --missed              test the missed ones again, after new tests
#   --new                 from the beginning

source "$(dirname "$0")/common.sh"

# Package, its files, and the package whose integration tests must notice what the unit tests do not.
areas='
config-agent crates/config-agent/src/machine.rs config-agent
config-agent crates/config-agent/src/machine/*.rs config-agent
config-agent crates/config-agent/src/ledger.rs config-agent
config-agent crates/config-agent/src/ledger/*.rs config-agent
config-agent crates/config-agent/src/phase.rs config-agent
config-agent crates/config-agent/src/recovery.rs config-agent
job-config crates/job-config/src/admission.rs config-agent
config-drop crates/config-drop/src/registry.rs config-drop
config-drop crates/config-drop/src/history.rs config-drop
journal crates/journal/src/*.rs config-drop
'
# Of one run of tests, in seconds: many times what the slowest needs.
timeout_s=300
# Nobody debugs these builds.
export CARGO_PROFILE_DEV_DEBUG=0

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

# The copy. Cargo goes by modification times, so only files that differ are written, and with them a mutant that an interrupted run has left.
git ls-files --cached --others --exclude-standard -z | while IFS= read -r -d '' file; do
    [ -f "$file" ] || continue
    cmp --quiet "$file" "$state/tree/$file" 2>/dev/null && continue
    mkdir -p "$state/tree/$(dirname "$file")"
    cp --preserve=mode "$file" "$state/tree/$file"
done
find "$state/tree" \( -path "$state/tree/target" -o -path "$state/tree/mutants.out*" \) -prune -o -type f -printf '%P\0' |
    while IFS= read -r -d '' file; do
        [ -f "$file" ] || rm "$state/tree/$file"
    done
cd "$state/tree"

# Prints the mutants of all areas: package, package of integration tests, name.
list() {
    local package files integration
    while read -r package files integration; do
        [ -n "$package" ] || continue
        cargo mutants --list --colors never --package "$package" --file "$files" </dev/null |
            sed "s|^|$package\t$integration\t|"
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

# Without a mutant all tests must pass; a resumed run does not repeat it. This also builds what all mutants share, each time with the
# features of that package alone.
tree=$(find Cargo.* configs crates testdata -type f -print0 | sort --zero-terminated | xargs --null sha256sum | sha256sum)
if [ "$(cat "$state/passed" 2>/dev/null)" != "$tree" ]; then
    {
        cut -f 2 "$state/all" | sort -u | sed 's/$/ --lib/'
        cut -f 3 "$state/all" | sort -u | sed 's/$/ --test=it/'
    } | while read -r package tests; do
        step "tests without a mutant: $package $tests"
        cargo test --locked --quiet --package "$package" "$tests" </dev/null >"$state/logs/baseline" 2>&1 ||
            { echo "$0: the tests fail without a mutant; see $state/logs/baseline" >&2; exit 1; }
    done
    echo "$tree" >"$state/passed"
fi

# Runs one mutant, first with the unit tests, and prints its outcome.
outcome() {
    local package=$1 integration=$2 name=$3 file=${3%%:*} pattern tests kind found
    pattern=$(sed 's/[][\\.*^$()+?{}|]/\\&/g' <<<"$name")
    for tests in "$package --cargo-arg=--lib" "$integration --cargo-arg=--test=it"; do
        # shellcheck disable=SC2086 # several arguments
        cargo mutants --in-place --baseline skip --timeout "$timeout_s" --colors never --package "$package" --file "$file" \
            --re "^$pattern\$" --cargo-arg=--locked --test-package $tests </dev/null >"$state/logs/output" 2>&1 || true
        found=
        for kind in caught missed timeout unviable; do
            [ ! -s "mutants.out/$kind.txt" ] || found=$kind
        done
        [ -n "$found" ] || { echo "$0: no outcome of $name; see $state/logs/output" >&2; return 1; }
        [ "$found" = missed ] || break
    done
    echo "$found"
}

number=0
while IFS=$'\t' read -r key package integration name; do
    number=$((number + 1))
    ! grep --fixed-strings --line-regexp --quiet -e "$key" <(cut -f 2 "$state/outcomes") || continue
    found=$(outcome "$package" "$integration" "$name")
    [ "$found" != missed ] || cp "$state/logs/output" "$state/logs/missed-$number"
    printf '%s\t%s\t%s\n' "$found" "$key" "$name" >>"$state/outcomes"
    echo "$number/$count $found: $name"
done <"$state/sample"

# Outcomes of mutants that are not in the sample any more, because the code has changed, do not count.
step "mutants of the sample: $(wc -l <"$state/sample") of $(wc -l <"$state/all")"
awk -F '\t' '
    NR == FNR { of_sample[$1]; next }
    $2 in of_sample { number[$1]++ }
    $2 in of_sample && $1 == "missed"
    END {
        noticed = number["caught"] + number["timeout"]
        for (kind in number) printf "%d %s\n", number[kind], kind
        if (noticed + number["missed"]) printf "%.1f %% noticed\n", 100 * noticed / (noticed + number["missed"])
        exit number["missed"] > 0
    }' "$state/sample" "$state/outcomes"
