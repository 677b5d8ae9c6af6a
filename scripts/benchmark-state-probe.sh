#!/bin/bash
# Measures the CPU time of one measurement of a folder on a real HDFS by the state probe: with `hdfs dfs -du -s` and with WebHDFS,
# in turn. docs/benchmarks.md explains the figures.
#
#   scripts/benchmark-state-probe.sh [--rounds N]
#
# The script starts its own HDFS in a temporary folder, and ends it.
. "$(dirname "$0")/common.sh"

rounds=11
case ${1:-} in
"") ;;
--rounds) rounds=$2 ;;
*) echo "$0: unknown option $1; see the head of this script" >&2; exit 2 ;;
esac
target=${CARGO_TARGET_DIR:-target}
need java "install a JDK 17 (Debian: apt-get install openjdk-17-jdk-headless)"
need python3 "install Python 3 (Debian: apt-get install python3)"

step "building"
cargo build --locked --quiet --package testbed
cargo build --locked --quiet --release --package state-probe

step "a real HDFS with 100 files"
work=$(mktemp -d)
trap '"$target/debug/testbed" down --work "$work" >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
"$target/debug/testbed" up --detach --hdfs --task-managers 0 --work "$work" 2>"$work/testbed.log" >/dev/null ||
    { cat "$work/testbed.log" >&2; exit 1; }
mkdir "$work/files"
for number in $(seq 100); do head -c 10000 /dev/zero >"$work/files/$number"; done
"$work/bin/hdfs" dfs -mkdir -p /flink/checkpoints
"$work/bin/hdfs" dfs -put "$work/files" /flink/checkpoints

step "CPU time of a measurement, $rounds rounds"
WORK=$work PROBE=$target/release/state-probe ROUNDS=$rounds python3 - <<'PY'
import json, os, resource, signal, statistics, subprocess

work, probe, rounds = os.environ["WORK"], os.environ["PROBE"], int(os.environ["ROUNDS"])
state = json.load(open(work + "/state.json"))
pids = {service["name"]: service["process"]["pid"] for service in state["services"]}
path = ["--path", "/flink/checkpoints"]
command = ["--source", "command", "--command", work + "/bin/hdfs dfs -du -s /flink/checkpoints"]
webhdfs = ["--source", "webhdfs", "--url", state["webhdfs_url"], "--user", "root", *path]

def of_process(pid):
    """CPU seconds of a process so far, to the nanosecond, over its threads."""
    tasks = f"/proc/{pid}/task"
    return sum(int(open(f"{tasks}/{task}/schedstat").read().split()[0]) for task in os.listdir(tasks)) / 1e9

def once(source):
    """CPU seconds of one `once` with all it starts, and its figures."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = subprocess.run([probe, "once", "--output", "json", *source], check=True, capture_output=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, json.loads(found)

LOOKS = 50

def looks_of_a_running_probe():
    """CPU seconds of a measurement, mean over some: the probe's own, and the NameNode's."""
    running = subprocess.Popen(
        [probe, "run", *webhdfs, "--interval-ms", "100", "--listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        for _ in range(5):  # The first measurements connect.
            running.stdout.readline()
        own, namenode = of_process(running.pid), of_process(pids["namenode"])
        for _ in range(LOOKS):
            sizes.add(json.loads(running.stdout.readline())["size_bytes"])
        return (of_process(running.pid) - own) / LOOKS, (of_process(pids["namenode"]) - namenode) / LOOKS
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(10)

figures = {"command, with all it starts": [], "WebHDFS, a process for each measurement": [],
           "WebHDFS, in a probe that runs": [], "the NameNode's part of a WebHDFS measurement": []}
sizes, ratios = set(), []
for _ in range(rounds):
    by_command, found = once(command)
    sizes.add(found["size_bytes"])
    by_once, found = once(webhdfs)
    sizes.add(found["size_bytes"])
    own, namenode = looks_of_a_running_probe()
    for values, value in zip(figures.values(), (by_command, by_once, own, namenode)):
        values.append(value)
    ratios.append(by_command / own)
assert sizes == {1_000_000}, f"the measurements do not agree: {sizes}"
for what, values in figures.items():
    low, mid, high = min(values), statistics.median(values), max(values)
    print(f"{what}: {mid * 1e3:.3f} ms ({low * 1e3:.3f} to {high * 1e3:.3f})")
print(f"command / WebHDFS in a running probe: {statistics.median(ratios):,.0f} times "
      f"({min(ratios):,.0f} to {max(ratios):,.0f})")
PY
