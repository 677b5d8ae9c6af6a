#!/bin/bash
# Measures the CPU time of one measurement of a folder on a real HDFS by the state probe: with `hdfs dfs -du -s` and with WebHDFS,
# in turn. docs/benchmarks.md explains the figures.
#
#   scripts/benchmark-state-probe.sh [--rounds N] [--peers]
#
# --peers: also with a client in Go that speaks the NameNode's own protocol, where there is Go; and with a bare socket.
# The script starts its own HDFS in a temporary folder, and ends it.
. "$(dirname "$0")/common.sh"

rounds=11 peers=no
while [ $# -gt 0 ]; do
    case $1 in
    --rounds) rounds=$2; shift 2 ;;
    --peers) peers=yes; shift ;;
    *) echo "$0: unknown option $1; see the head of this script" >&2; exit 2 ;;
    esac
done
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

go_client=
if [ $peers = yes ] && build_peer crates/state-probe/benches/peers/hdfs "$work/look"; then
    go_client=$work/look
fi

step "CPU time of a measurement, $rounds rounds"
PEERS=$peers GO_CLIENT=$go_client WORK=$work PROBE=$target/release/state-probe ROUNDS=$rounds python3 - <<'PY'
import json, os, resource, signal, socket, statistics, subprocess, time
from urllib.parse import urlsplit

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

LOOKS, INTERVAL_MS = 50, 100

def looks_of_a_running_probe():
    """CPU seconds of a measurement, mean over some: the probe's own, and the NameNode's."""
    running = subprocess.Popen(
        [probe, "run", *webhdfs, "--interval-ms", str(INTERVAL_MS), "--listen", "127.0.0.1:0"],
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

def looks_of_a_running_client():
    """CPU seconds of a measurement by the client in Go: its own, the NameNode's, and its own with a process for each measurement."""
    def answer(count):
        running.stdin.write(f"{count}\n")
        running.stdin.flush()
        size, own = running.stdout.readline().split()
        sizes.add(int(size))
        return float(own)
    command = [os.environ["GO_CLIENT"], urlsplit(state["hdfs_url"]).netloc, path[1]]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        versions.add(running.stdout.readline().strip().removeprefix("ready "))
        answer(5)
        namenode = of_process(pids["namenode"])
        own = answer(LOOKS)
        namenode = (of_process(pids["namenode"]) - namenode) / LOOKS
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, input="1\n", check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own, namenode, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

def looks_of_a_socket():
    """CPU seconds of a request that is written and of an answer that is read, and nothing else, over one connection."""
    address = urlsplit(state["webhdfs_url"])
    request = (f"GET /webhdfs/v1{path[1]}?op=GETCONTENTSUMMARY&user.name=root HTTP/1.1\r\n"
               f"Host: {address.netloc}\r\n\r\n").encode()
    with socket.create_connection((address.hostname, address.port), 10) as connection:
        def look():
            connection.sendall(request)
            answer = b""
            while not answer.endswith(b"\r\n0\r\n\r\n" if b"chunked" in answer else b"}}"):
                answer += connection.recv(65536)
            assert b'"length":1000000' in answer, answer
        for _ in range(5):
            look()
        before = time.process_time()
        for _ in range(LOOKS):
            time.sleep(INTERVAL_MS / 1e3)  # As in a probe: a processor that has done something else meanwhile is slower.
            look()
        return (time.process_time() - before) / LOOKS

figures = {"command, with all it starts": [], "WebHDFS, a process for each measurement": [],
           "WebHDFS, in a probe that runs": [], "the NameNode's part of a WebHDFS measurement": []}
peers = {"a bare socket to WebHDFS": []} if os.environ["PEERS"] == "yes" else {}
if os.environ["GO_CLIENT"]:
    peers |= {"the client in Go, connected": [], "the NameNode's part of it": [], "the client in Go, a process for each measurement": []}
sizes, ratios, versions = set(), [], set()
for _ in range(rounds):
    by_command, found = once(command)
    sizes.add(found["size_bytes"])
    by_once, found = once(webhdfs)
    sizes.add(found["size_bytes"])
    own, namenode = looks_of_a_running_probe()
    for values, value in zip(figures.values(), (by_command, by_once, own, namenode)):
        values.append(value)
    ratios.append(by_command / own)
    measured = [looks_of_a_socket()] if peers else []
    if len(peers) > 1:
        measured += looks_of_a_running_client()
    for values, value in zip(peers.values(), measured):
        values.append(value)
assert sizes == {1_000_000}, f"the measurements do not agree: {sizes}"
for what, values in (figures | peers).items():
    low, mid, high = min(values), statistics.median(values), max(values)
    print(f"{what}: {mid * 1e3:.3f} ms ({low * 1e3:.3f} to {high * 1e3:.3f})")
print(f"command / WebHDFS in a running probe: {statistics.median(ratios):,.0f} times "
      f"({min(ratios):,.0f} to {max(ratios):,.0f})")
for version in versions:
    print(f"the client in Go: github.com/colinmarc/hdfs/v2 {version}")
PY
