#!/usr/bin/env python3
"""The measurement of scripts/benchmark-many-jobs.sh: many jobs of a played Flink under one rescaler.

A job is a chain of operators that are busy for 60 % of their time, with the metrics that Flink's REST interface has. The rescaler runs as a
user would run it, with a drop and an agent for each job in its process, and changes nothing because nothing is too wide or too narrow.
"""

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

WARM_UP_S = 30
CPU_SHARE_MAX = 0.05
# Of --minutes: how often memory is read, and by how much it may grow from the second to the last quarter of the run.
MEMORY_EVERY_S = 60
GROWTH_MAX = 0.05
POLICIES = {"ds2": [], "slo": ["--latency-bound", "2s"]}


def counter(rate):
    return {"rate": rate}


def vertex(job, number, subtasks):
    """An operator, which reads what the one before it emits; the first is a source."""
    own = f"{job:04x}{number:04x}".ljust(32, "0")
    metrics = {
        "numRecordsIn": counter(1000 / subtasks), "numRecordsOut": counter(1000 / subtasks),
        "accumulateBusyTimeMs": counter(600), "accumulateIdleTimeMs": counter(400), "accumulateBackPressuredTimeMs": counter(0),
        "busyTimeMsPerSecond": "600", "idleTimeMsPerSecond": "400", "backPressuredTimeMsPerSecond": "0",
        "numRecordsInPerSecond": str(1000 / subtasks), "numRecordsOutPerSecond": str(1000 / subtasks),
    }
    found = {"id": own, "name": f"operator-{number:02}", "parallelism": subtasks, "metrics": metrics}
    if number == 0:
        found["name"] = "Source: src"
        metrics["Source__src.pendingRecords"] = "0"
    else:
        found["inputs"] = [{"id": f"{job:04x}{number - 1:04x}".ljust(32, "0")}]
    return found


def scenario(options):
    jobs = [
        {"jid": f"{job:032x}", "name": f"job-{job:03}", "vertices": [vertex(job, n, options.subtasks) for n in range(options.operators)]}
        for job in range(1, options.jobs + 1)
    ]
    slots = options.jobs * options.subtasks
    return {"version": "2.3.0", "jobs": jobs, "taskmanagers": [{"id": "10.0.0.1:6122-a", "slots": slots + 64, "free": 64}]}


def cpu_s(process):
    """The CPU time of a process so far, of all its threads, in seconds."""
    with open(f"/proc/{process.pid}/stat", encoding="utf-8") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mib(process):
    """The resident memory of a process now, and at its largest, in MiB."""
    with open(f"/proc/{process.pid}/status", encoding="utf-8") as file:
        text = file.read()
    return tuple(int(re.search(rf"{key}:\s+(\d+) kB", text).group(1)) / 1024 for key in ("VmRSS", "VmHWM"))


def total(url, name):
    """The sum of a metric over all jobs."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name + "{"))


def unused_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def watch_memory(process, seconds):
    """Prints the memory of a process at intervals for so long; returns by how much it grew, as a share: the mean of the last quarter of the
    readings beside that of the second. The first quarter fills what is kept of past epochs."""
    began, readings = time.monotonic(), []
    print("| minute | memory (largest) |")
    print("|---|---|")
    while time.monotonic() - began < seconds:
        time.sleep(max(0.0, began + (len(readings) + 1) * MEMORY_EVERY_S - time.monotonic()))
        now, largest = memory_mib(process)
        readings.append(now)
        print(f"| {(time.monotonic() - began) / 60:.0f} | {now:.1f} MiB ({largest:.1f} MiB) |", flush=True)
    quarter = len(readings) // 4
    early, late = readings[quarter:2 * quarter] or readings[:1], readings[-quarter:] if quarter else readings[-1:]
    return sum(late) / len(late) / (sum(early) / len(early)) - 1


def measure(options, flink, policy, work):
    """Runs the rescaler with a policy; returns the share of a processor, the memory, and the samples of a job per second."""
    port = unused_port()
    command = [f"{options.programs}/rescaler", "run", "--flink", flink, "--all-jobs", "--listen", f"127.0.0.1:{port}",
               "--data", f"{work}/{policy}", *POLICIES[policy]]
    if options.interval:
        command += ["--set", f"epoch.sample_interval_ms={options.interval}"]
    url = f"http://127.0.0.1:{port}"
    with open(f"{work}/{policy}.log", "w", encoding="utf-8") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        time.sleep(WARM_UP_S)
        before, samples, began = cpu_s(process), total(url, "rescaler_samples_total"), time.monotonic()
        growth = watch_memory(process, options.minutes * 60) if options.minutes else 0.0
        if not options.minutes:
            time.sleep(options.seconds)
        used, elapsed = cpu_s(process) - before, time.monotonic() - began
        samples = total(url, "rescaler_samples_total") - samples
        failed = total(url, "rescaler_samples_failed_total")
        jobs = total(url, "rescaler_up")
        now, largest = memory_mib(process)
    finally:
        process.terminate()
        process.wait(30)
    if jobs != options.jobs or failed or samples < options.jobs:
        with open(f"{work}/{policy}.log", encoding="utf-8") as log:
            sys.exit(f"{policy}: {jobs:.0f} jobs are watched, {samples:.0f} samples were taken, {failed:.0f} failed:\n{log.read()[-4000:]}")
    return {"share": used / elapsed, "rss": now, "peak": largest, "interval": options.jobs * elapsed / samples, "growth": growth}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--programs", required=True)
    for name, default in (("jobs", 50), ("operators", 20), ("subtasks", 8), ("seconds", 120), ("minutes", 0), ("interval", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--policy", choices=POLICIES)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        with open(f"{work}/scenario.json", "w", encoding="utf-8") as file:
            json.dump(scenario(options), file)
        serve = subprocess.Popen([f"{options.programs}/serve", f"{work}/scenario.json"], stdout=subprocess.PIPE, text=True)
        try:
            flink = serve.stdout.readline().strip()
            lasts = f"{options.minutes} minutes" if options.minutes else f"{options.seconds} s"
            print(f"{options.jobs} jobs of {options.operators} operators with {options.subtasks} subtasks, {lasts} each")
            rows, is_bad = [], False
            for policy in [options.policy] if options.policy else POLICIES:
                found = measure(options, flink, policy, work)
                sample_ms = found["share"] * found["interval"] / options.jobs * 1000
                rows.append(f"| `{policy}` | {found['share'] * 100:.2f} % | {found['interval']:.1f} s | {sample_ms:.1f} ms | "
                            f"{found['rss']:.0f} MiB ({found['peak']:.0f} MiB) |")
                if options.minutes:
                    print(f"{policy}: memory grew by {found['growth'] * 100:.1f} % from the second to the last quarter", flush=True)
                is_bad |= found["share"] >= CPU_SHARE_MAX or found["growth"] > GROWTH_MAX
            print("| policy | CPU, share of one processor | a sample of each job every | CPU time of a sample, all else included | memory (largest) |")
            print("|---|---|---|---|---|", *rows, sep="\n")
        finally:
            serve.terminate()
            serve.wait(10)
    sys.exit(is_bad)


main()
