#!/usr/bin/env python3
"""One version of Flink in scripts/walk.sh. Needs the job's jar."""

import argparse
import json
import os
import subprocess
import time
import urllib.request

JOB, FIRST, PATIENCE_S = "any-version", 6, 300
# A cluster as it comes. The testbed's own settings are better, so the defaults of Flink are named.
AS_IT_COMES = {
    "jobmanager.scheduler": "default",
    "jobmanager.adaptive-scheduler.scaling-interval.min": "30 s",
    "jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling": "30 s",
    "jobmanager.adaptive-scheduler.executing.resource-stabilization-timeout": "60 s",
    "metrics.fetcher.update-interval": "10000",
}


class Walk:
    """One version."""

    def __init__(self, options):
        self.options, self.settings, self.url, self.job = options, dict(AS_IT_COMES), None, None

    def testbed(self, *arguments):
        command = [self.options.testbed, *arguments, "--work", f"{self.options.work}/testbed"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=900)

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return json.load(answer)

    def until(self, what, holds):
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            if holds():
                return
            time.sleep(0.2)
        raise TimeoutError(f"{what} did not happen within {PATIENCE_S} s")

    def start(self):
        """Starts the cluster with the present settings, and the job."""
        path = f"{self.options.work}/testbed.toml"
        with open(path, "w", encoding="utf-8") as file:
            file.write("[flink]\ntask_heap_mib = 128\nmanaged_memory_mib = 64\nnetwork_memory_mib = 48\n[flink.settings]\n")
            file.writelines(f"{json.dumps(key)} = {json.dumps(value)}\n" for key, value in self.settings.items())
        self.testbed("up", "--detach", "--flink-version", self.options.flink_version, "--task-managers", "2", "--task-slots", "4", "--config", path)
        self.url = json.loads(self.testbed("status", "--output", "json").stdout)["flink_url"]
        made = subprocess.run(["curl", "--silent", "--show-error", "--fail", "--form", "jarfile=@flink-jobs/target/flink-jobs.jar",
                               self.url + "/jars/upload"], check=True, capture_output=True)
        name = os.path.basename(json.loads(made.stdout)["filename"])
        body = json.dumps({"entryClass": "rescaler.jobs.trials.AnyVersion"}).encode()
        request = urllib.request.Request(f"{self.url}/jars/{name}/run", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            self.job = json.load(answer)["jobid"]
        self.until("a running job", lambda: self.widths() and set(self.widths()) == {FIRST})

    def widths(self):
        vertices = self.get(f"/jobs/{self.job}")["vertices"]
        return [v["parallelism"] for v in vertices] if all(v["status"] == "RUNNING" for v in vertices) else []

    def doctor(self):
        """Whether the doctor has no findings; findings become settings of the next start."""
        doctor = subprocess.run([self.options.rescaler, "doctor", "--flink", self.url, "--output", "json"],
                                capture_output=True, text=True, check=False, timeout=60)
        for finding in json.loads(doctor.stdout)["findings"]:
            print(f"  doctor: {finding['found']}")
            for line in finding["change"]:
                if line.startswith("remove "):
                    self.settings.pop(line.removeprefix("remove "), None)
                else:
                    key, value = line.split(": ", 1)
                    self.settings[key] = value
        return doctor.returncode == 0

    def effects(self):
        path = f"{self.options.work}/data/{JOB}/decisions.jsonl"
        if not os.path.exists(path):
            return []
        with open(path, encoding="utf-8") as lines:
            return [json.loads(line).get("effect") for line in lines if '"decision"' in line]

    def run(self, what, holds, *arguments):
        """Runs the rescaler until something holds."""
        with open(f"{self.options.work}/run.log", "a", encoding="utf-8") as log:
            run = subprocess.Popen([self.options.rescaler, "run", "--flink", self.url, "--latency-bound", "2s", "--listen", "off",
                                    "--data", f"{self.options.work}/data", *arguments], stdout=log, stderr=log)
            try:
                self.until(what, holds)
            finally:
                run.terminate()
                run.wait()

    def timed(self, what, step):
        began = time.monotonic()
        step()
        print(f"  {time.monotonic() - began:5.1f} s  {what}", flush=True)

    def mended(self):
        self.testbed("down")
        self.start()

    def nothing_to_change(self):
        if not self.doctor():
            raise ValueError("the doctor still reports findings")

    def walk(self):
        self.start()
        began = time.monotonic()
        self.timed("rescaler doctor", self.doctor)
        self.timed("the cluster started anew with what it says, and the job again", self.mended)
        self.timed("rescaler doctor: nothing to change", self.nothing_to_change)
        self.timed("rescaler run --dry-run --latency-bound 2s, until a plan",
                   lambda: self.run("a plan", lambda: "dry-run" in self.effects(), "--dry-run"))
        self.timed("rescaler run --latency-bound 2s, until the job runs as planned",
                   lambda: self.run("a change", lambda: (widths := self.widths()) and set(widths) != {FIRST}))
        print(f"  {time.monotonic() - began:5.1f} s  total; the job runs at {self.widths()}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ["--testbed", "--rescaler", "--work", "--flink-version"]:
        parser.add_argument(name, required=True)
    Walk(parser.parse_args()).walk()


main()
