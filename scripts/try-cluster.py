#!/usr/bin/env python3
"""One cluster of scripts/try-cluster.sh: engines, load, six jobs, one rescaler, and what is seen of them.

    try-cluster.py --minutes N --programs FOLDER --work FOLDER [--dry-run]

The verdict is made by try_cluster_verdict.py, which lies beside this file, from the journals and the samples.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

sys.dont_write_bytecode = True
import try_cluster_verdict as verdict  # noqa: E402

PATIENCE_S = 120
SAMPLE_S = 5
# Between the end of a job and its next submission.
AWAY_S = 15
OPT_OUT = {"pipeline.global-job-parameters": "rescaler.enabled:false"}
TRIALS = "rescaler.jobs.trials.Trials"

TESTBED = """[flink]
task_managers = 2
task_slots = 16
task_heap_mib = 768
managed_memory_mib = 512
network_memory_mib = 192
"""
RESCALER = """job = "any"
[epoch]
warm_up_ms = 8000
[kafka]
bootstrap_servers = "{kafka}"
[policy]
name = "slo"
latency_metric = "event-latency"
[policy.slo]
latency_bound_ms = {bound_ms}
change_price_s = 120.0
[limits]
max = {width}
[quota]
slots = {quota}
[quota.jobs.nexmark]
slots_min = 2
slots_max = {nexmark}
"""
LOADS = {
    "nexmark": """benchmark = "nexmark"
streams = ["auction", "bid"]
real_time = "off"
[profile]
kind = "sine"
mean = 1900.0
amplitude = 1100.0
period_s = 600.0
[kafka]
bootstrap_servers = "{kafka}"
""",
    "psm": """benchmark = "psm"
streams = ["click", "search"]
real_time = "off"
[profile]
kind = "steps"
steps = [{{ rate = 1000.0, duration_s = 300.0 }}, {{ rate = 2400.0, duration_s = 300.0 }}]
repeat = true
[kafka]
bootstrap_servers = "{kafka}"
""",
}


def plan(minutes):
    """What happens when, in seconds after the start of the rescaler."""
    whole = minutes * 60
    return [
        (0, "watched from the start: nexmark, psm, two-unnamed, failing; hot-key opts out"),
        (whole // 3, "two-unnamed is cancelled"),
        (whole // 3 + AWAY_S, "two-unnamed is submitted again"),
        (whole // 2, "filter-in-source-chain is submitted"),
        (whole, "the end"),
    ]


class Flink:
    """Flink's REST interface."""

    def __init__(self, url):
        self.url = url
        self.jar = None

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else {}

    def upload(self, jar):
        command = ["curl", "--silent", "--show-error", "--fail", "--form", f"jarfile=@{jar}", self.url + "/jars/upload"]
        made = subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_S)
        self.jar = os.path.basename(json.loads(made.stdout)["filename"])

    def submit(self, entry_class, arguments, configuration):
        body = {"entryClass": entry_class, "programArgsList": arguments, "flinkConfiguration": configuration}
        return self.call("POST", f"/jars/{self.jar}/run", body)["jobid"]

    def state(self, job):
        return self.call("GET", f"/jobs/{job}")["state"]

    def running(self):
        """The jobs that have not ended, each with its vertices."""
        found = []
        for job in self.call("GET", "/jobs/overview")["jobs"]:
            if job["state"] in ("FAILED", "CANCELED", "FINISHED"):
                continue
            details = self.call("GET", f"/jobs/{job['jid']}")
            # Two vertices may have one name.
            widths = {f"{vertex['name']} {vertex['id'][:4]}": vertex["parallelism"] for vertex in details["vertices"]}
            found.append({"name": job["name"], "id": job["jid"], "state": details["state"], "widths": widths})
        return found


def until(what, holds):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            if holds():
                return
        except (OSError, KeyError, ValueError):
            pass
        time.sleep(0.5)
    raise TimeoutError(f"{what} did not happen within {PATIENCE_S} s")


def unused_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Run:
    """The engines, the load, the jobs and the rescaler, and what is seen of them."""

    def __init__(self, options):
        self.options, self.processes = options, []
        self.flink, self.kafka, self.page = None, None, f"127.0.0.1:{unused_port()}"
        self.began, self.rescaler = None, None
        self.submitted, self.events = {}, []

    def program(self, name, *arguments):
        command = [f"{self.options.programs}/{name}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=1200).stdout

    def start(self, name, *arguments):
        with open(f"{self.options.work}/{name}-{len(self.processes)}.log", "w", encoding="utf-8") as log:
            command = [f"{self.options.programs}/{name}", *arguments]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def write(self, name, text):
        path = f"{self.options.work}/{name}"
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def say(self, text):
        now = 0 if self.began is None else time.monotonic() - self.began
        self.events.append((now, text))
        print(f"{int(now) // 60:3}:{int(now) % 60:02}  {text}", flush=True)

    def start_engines(self):
        self.say("starting Kafka and Flink")
        work = f"{self.options.work}/testbed"
        self.program("testbed", "up", "--detach", "--config", self.write("testbed.toml", TESTBED), "--work", work)
        status = json.loads(self.program("testbed", "status", "--work", work, "--output", "json"))
        self.kafka, self.flink = status["kafka_bootstrap"], Flink(status["flink_url"])
        self.flink.upload("flink-jobs/target/flink-jobs.jar")

    def start_load(self):
        for benchmark, text in LOADS.items():
            config = self.write(f"load-{benchmark}.toml", text.format(kafka=self.kafka))
            self.program("event-producer", "topics", "create", "--config", config, "--benchmark", benchmark, "--partitions", "8")
            self.start("event-producer", "run", "--config", config)

    def submit(self, name):
        configuration = OPT_OUT if name == verdict.OPTED_OUT else {}
        if name in LOADS:
            with open(f"configs/experiments/documents/{name}.toml", encoding="utf-8") as file:
                document = file.read().replace("127.0.0.1:9092", self.kafka)
            job = self.flink.submit("rescaler.jobs.Main", ["--document-text", document], configuration)
        else:
            job = self.flink.submit(TRIALS, [name], configuration)
        until(f"the start of {name}", lambda: self.flink.state(job) == "RUNNING")
        self.submitted.setdefault(name, []).append((0 if self.began is None else time.monotonic() - self.began, job))
        self.say(f"{name} runs as {job}")

    def start_rescaler(self):
        text = RESCALER.format(kafka=self.kafka, bound_ms=verdict.BOUND_MS, width=verdict.WIDTH_MAX, quota=verdict.QUOTA,
                               nexmark=verdict.NEXMARK_SLOTS_MAX)
        config = self.write("rescaler.toml", text)
        self.began = time.monotonic()
        self.rescaler = self.start("rescaler", "run", "--flink", self.flink.url, "--all-jobs", "--config", config, "--listen", self.page,
                                   "--data", f"{self.options.work}/data")
        self.say(f"one rescaler watches all jobs; its page is http://{self.page}/, Flink's {self.flink.url}")

    def sample(self):
        with urllib.request.urlopen(f"http://{self.page}/api/v1/jobs", timeout=10) as answer:
            shown = {job["job"]: job["state"] for job in json.load(answer)["jobs"]}
        with urllib.request.urlopen(f"http://{self.page}/metrics", timeout=10) as answer:
            metrics = answer.read().decode()
        held, watched = (verdict.metric(metrics, name) for name in ("rescaler_quota_held_slots", "rescaler_up"))
        return {"at_s": time.monotonic() - self.began, "jobs": self.flink.running(), "shown": shown, "held": held, "watched": watched,
                "process": verdict.process(self.rescaler.pid)}

    def keep_sampling(self, is_over):
        with open(f"{self.options.work}/samples.jsonl", "w", encoding="utf-8") as file:
            while not is_over.wait(SAMPLE_S):
                try:
                    file.write(json.dumps(self.sample()) + "\n")
                except (OSError, KeyError, ValueError) as error:
                    file.write(json.dumps({"at_s": time.monotonic() - self.began, "error": str(error)}) + "\n")
                file.flush()

    def wait_until(self, at_s):
        while time.monotonic() - self.began < at_s:
            if self.rescaler.poll() is not None:
                raise RuntimeError(f"the rescaler ended with exit code {self.rescaler.returncode}")
            time.sleep(1)

    def play(self):
        whole = self.options.minutes * 60
        self.wait_until(whole // 3)
        again = verdict.RESUBMITTED
        job = self.submitted[again][0][1]
        self.flink.call("PATCH", f"/jobs/{job}?mode=cancel")
        until(f"the end of {again}", lambda: self.flink.state(job) == "CANCELED")
        self.say(f"{again} is cancelled")
        self.wait_until(whole // 3 + AWAY_S)
        self.submit(again)
        self.wait_until(whole // 2)
        self.submit(verdict.LATER)
        self.wait_until(whole)

    def run(self):
        """Returns the findings."""
        is_over, sampling = threading.Event(), None
        try:
            self.start_engines()
            self.start_load()
            for name in verdict.FIRST:
                self.submit(name)
            self.start_rescaler()
            sampling = threading.Thread(target=self.keep_sampling, args=(is_over,))
            sampling.start()
            self.play()
            restarts = self.flink.call("GET", f"/jobs/{self.submitted[verdict.FAILING][0][1]}/exceptions?maxExceptions=100")
            self.rescaler.send_signal(signal.SIGTERM)
            ended = self.rescaler.wait(60)
            return verdict.Findings(self.options.work, self.submitted, self.options.minutes * 60, restarts, ended)
        finally:
            is_over.set()
            if sampling:
                sampling.join(60)
            self.end()

    def end(self):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
        subprocess.run([f"{self.options.programs}/testbed", "down", "--work", f"{self.options.work}/testbed"],
                       capture_output=True, check=False, timeout=PATIENCE_S)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=int, default=30)
    parser.add_argument("--programs", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--dry-run", action="store_true")
    options = parser.parse_args()
    if options.minutes < 6:
        parser.error("--minutes: at least 6, because policy slo needs a minute for a first plan")
    if options.dry_run:
        print("Kafka, a JobManager and two task managers with 16 slots each; two event producers; then, by the rescaler's time:")
        for at_s, what in plan(options.minutes):
            print(f"{at_s // 60:3}:{at_s % 60:02}  {what}")
        print("\nchecked at the end:")
        for check in verdict.CHECKS:
            print(f"  {check}")
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    findings = Run(options).run()
    sys.exit(verdict.report(findings))


main()
