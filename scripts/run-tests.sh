# Sourced by test.sh and repeat-tests.sh: lists the built test programs, runs them several at a time, and measures their tests.
# Not meant to be run by itself.
#
# It starts the programs itself because `cargo test` runs one after the other, although most tests mostly wait.
# The output of a program stays in one piece, and its last line is that of Rust's runner.

# Builds all tests and prints their programs, one a line: package, kind (lib, bin, test), name, folder, file.
test_programs() {
    local found
    found=$(cargo test --locked --workspace --no-run --quiet --message-format=json-render-diagnostics |
        sed -n 's|.*"manifest_path":"\([^"]*\)/\([^"/]*\)/Cargo.toml","target":{"kind":\["\([a-z]*\)"[^{}]*"name":"\([^"]*\)".*"overflow_checks":[a-z]*,"test":true}.*"executable":"\([^"]*\)".*|\2 \3 \4 \1/\2 \5|p')
    [ -n "$found" ] || { echo "$0: Cargo lists no test program" >&2; return 1; }
    printf '%s\n' "$found"
}

# Packages whose integration tests start Kafka and Flink. They have the machine to themselves.
engines=' demo testbed '

# Of a list of programs those that start no engine, or only those that do.
without_engines() { awk -v engines="$engines" '!($2 == "test" && index(engines, " " $1 " "))'; }
only_engines() { awk -v engines="$engines" '$2 == "test" && index(engines, " " $1 " ")'; }

# Packages whose integration tests take longest.
longest=' rescaler config-agent config-drop sim '

# Packages whose tests compute all the time. They leave the processors to those that wait for something and then have to be quick.
computing=' sim '

# A list of programs with the longest first, so that they do not end last.
longest_first() {
    awk -v longest="$longest" '
        $2 == "test" && index(longest, " " $1 " ") { print; next }
        { later = later $0 "\n" }
        END { printf "%s", later }'
}

# run_plain_tests LOGS <PROGRAMS: runs those that start no engine. Most programs, and most tests, mostly wait.
run_plain_tests() {
    local cores
    cores=$(nproc)
    run_tests "$((2 * cores + 1))" "$((cores + 1))" 900 "$1"
}

# Of a list of programs those with tests that need --full.
with_ignored_tests() {
    local package kind name folder program
    while read -r package kind name folder program; do
        # Not `grep -q`, which would close the pipe under the program.
        (cd "$folder" && "$program" --list --ignored </dev/null 2>/dev/null) | grep ': test$' >/dev/null || continue
        printf '%s %s %s %s %s\n' "$package" "$kind" "$name" "$folder" "$program"
    done
}

# run_program FOLDER PROGRAM LOG LIMIT_S ARGUMENTS…: runs a program in its crate's folder, as Cargo does, and ends it after
# LIMIT_S seconds. Each line of its output goes to LOG, behind the time at which it came, and to standard output if `live` is set.
# `niceness`: that of the program, if set.
run_program() {
    local folder=$1 program=$2 log=$3 limit_s=$4 pid line part= status
    shift 4
    rm -f "$log.pipe"
    mkfifo "$log.pipe"
    (cd "$folder" && exec nice -n "${niceness:-0}" timeout --kill-after=30 "$limit_s" "$program" "$@") </dev/null >"$log.pipe" 2>&1 &
    pid=$!
    trap 'kill "$pid" 2>/dev/null' TERM
    while :; do
        if IFS= read -r -t 5 line; then
            printf '%s\t%s\n' "$EPOCHREALTIME" "$part$line" >&3
            [ -z "${live:-}" ] || printf '%s\n' "$part$line"
            part=
        elif [ $? -gt 128 ]; then
            part+=$line
            # A process that a failed test left behind may hold the pipe open.
            kill -0 "$pid" 2>/dev/null || break
        else
            break
        fi
    done <"$log.pipe" 3>"$log"
    wait "$pid" && status=0 || status=$?
    trap - TERM
    rm -f "$log.pipe"
    return "$status"
}

# test_seconds LIST LOG THREADS: seconds and name of each test in a log of run_program, and `-` for one that did not end.
# Rust's runner begins the next test of its list when one ends, so that the ends and the list tell the beginnings. A program with
# a runner of its own says itself how long its tests took ("[ 12.3 s] NAME: passed in 4.5 s").
test_seconds() {
    awk -F '\t' -v threads="$3" '
        reading == "list" { if (sub(/: test$/, "")) names[count++] = $0; next }
        match($2, /^\[ *[0-9.]+ s\] [^ ]+: (passed in|FAILED after) [0-9.]+ s/) {
            words = split(substr($2, 1, RLENGTH), word, " ")
            name = $2
            sub(/^\[ *[0-9.]+ s\] /, "", name)
            sub(/: .*/, "", name)
            told[name] = word[words - 1]
            next
        }
        $2 ~ /^running [0-9]+ tests?$/ { begun = $1 }
        # What a test has written to standard error may stand before it in the line.
        match($2, /test [A-Za-z0-9_:]+( - should panic)? *\.\.\. (ok|FAILED|ignored)/) {
            name = substr($2, RSTART + 5, RLENGTH - 5)
            sub(/ .*/, "", name)
            at[name] = $1
            ends[ended++] = $1
            if (substr($2, RSTART, RLENGTH) ~ /ignored$/) ignored[name]
        }
        END {
            for (i = 0; i < count; i++) {
                if (names[i] in ignored) continue
                if (names[i] in told) { printf "%.2f\t%s\n", told[names[i]], names[i]; continue }
                if (!(names[i] in at)) { print "-\t" names[i]; continue }
                printf "%.2f\t%s\n", at[names[i]] - (i < threads ? begun : ends[i - threads]), names[i]
            }
        }' reading=list "$1" reading=log "$2"
}

# The most failed tests of a program that are run again; more are no chance.
again_at_most=5

# pass_again FOLDER PROGRAM LOG LIMIT_S: runs the tests that failed in a log of run_program again, each by itself, and tells whether
# all of them pass. A program that ended otherwise than by a failed test is not run again.
pass_again() {
    local folder=$1 program=$2 log=$3 limit_s=$4 name
    local -a names=()
    mapfile -t names < <(cut -f 2- "$log" | sed -n 's/^.*test \([A-Za-z0-9_:]*\)\( - should panic\)\? *\.\.\. FAILED$/\1/p' | sort -u)
    [ "${#names[@]}" -gt 0 ] && [ "${#names[@]}" -le "$again_at_most" ] || return 1
    for name in "${names[@]}"; do
        live= run_program "$folder" "$program" "$log.again" "$limit_s" --exact "$name" || return 1
        # A test that is not found by its name has not passed.
        cut -f 2- "$log.again" | grep -q '^test result: ok\. 1 passed' || return 1
    done
}

# run_and_show PACKAGE NAME FOLDER PROGRAM THREADS LIMIT_S LOGS ARGUMENTS…: runs a program, prints its whole output in one
# piece, and adds what its tests took to LOGS/seconds. THREADS: tests that it runs at a time, or - for its own choice.
# With CI set, where nobody can look and begin anew, tests that failed are run again, once; if they pass then, the program is listed
# in LOGS/by-chance instead of LOGS/failed.
run_and_show() {
    local package=$1 name=$2 folder=$3 program=$4 threads=$5 limit_s=$6 logs=$7 status=0 log begun=$EPOCHREALTIME niceness=0
    shift 7
    [[ $computing != *" $package "* ]] || niceness=10
    log=$logs/$package.$name
    local -a at_a_time=()
    [ "$threads" = - ] && threads=$(nproc) || at_a_time=(--test-threads "$threads")
    (cd "$folder" && "$program" --list --format terse "$@") >"$log.list" 2>/dev/null || true
    run_program "$folder" "$program" "$log" "$limit_s" "${at_a_time[@]}" "$@" || status=$?
    {
        flock 9
        test_seconds "$log.list" "$log" "$threads" >"$log.seconds"
        awk -F '\t' -v program="$package $name" '$1 != "-" { print $1 "\t" program ": " $2 }' "$log.seconds" >>"$logs/seconds"
        printf '%s\t%s\t%s\n' "$(awk "BEGIN { print $EPOCHREALTIME - $begun }")" "$package" "$name" >>"$logs/programs"
        if [ -z "${live:-}" ]; then
            printf '\n     Running %s of %s (%s)\n' "$name" "$package" "${program#"$PWD/"}"
            cut -f 2- "$log"
        fi
        # 101: Rust's runner has reported every test, and some failed.
        if [ "$status" -eq 101 ] && [ -n "${CI:-}" ] && pass_again "$folder" "$program" "$log" "$limit_s"; then
            status=0
            echo "$name of $package" >>"$logs/by-chance"
            echo "warning: the failed tests of $name of $package passed when repeated alone"
        fi
        if [ "$status" -ne 0 ]; then
            echo "error: $name of $package exited with status $status$([ "$status" -ne 124 ] || echo ", after its limit of $limit_s s")"
            sed -n 's/^-\t/did not end: /p' "$log.seconds"
            echo "$name of $package" >>"$logs/failed"
        fi
    } 9>"$logs/lock"
    return "$status"
}

# what_failed LOGS LIST: the messages of the failed tests in a few lines each, without back traces, from the logs of the programs that
# LOGS/LIST names. The end of a long output is read first, and sometimes nothing else is kept of it.
what_failed() {
    local name package
    [ -f "$1/$2" ] || return 0
    while read -r name _ package; do
        [ -f "$1/$package.$name" ] || continue
        printf '\n%s of %s:\n' "$name" "$package"
        cut -f 2- "$1/$package.$name" | awk '
            $0 == "failures:" { inside = 1; next }
            # The list of names that follows the messages.
            inside && /^    [A-Za-z0-9_:]+$/ { next }
            /^test result: / { inside = 0 }
            /^stack backtrace:|^note: |^ +[0-9]+: |^ +at / || !NF { next }
            inside && shown++ < 60 { print substr($0, 1, 600) }'
    done <"$1/$2"
}

# run_tests AT_ONCE THREADS LIMIT_S LOGS ARGUMENTS… <PROGRAMS: runs all of them, AT_ONCE at a time. Every failure is seen in
# one run.
run_tests() {
    local at_once=$1 threads=$2 limit_s=$3 logs=$4 failed=0 ended package kind name folder program
    local -A running=()
    shift 4
    while read -r package kind name folder program; do
        if [ "${#running[@]}" -ge "$at_once" ]; then
            wait -n -p ended "${!running[@]}" || failed=1
            unset "running[$ended]"
        fi
        run_and_show "$package" "$name" "$folder" "$program" "$threads" "$limit_s" "$logs" "$@" &
        running[$!]=$kind
    done
    for ended in "${!running[@]}"; do
        wait "$ended" || failed=1
    done
    return "$failed"
}
