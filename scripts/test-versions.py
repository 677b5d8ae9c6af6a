#!/usr/bin/env python3
"""One cluster of scripts/test-versions.sh, and the table of all.

    test-versions.py run --programs FOLDER --work FOLDER    # a testbed is up below the work folder
    test-versions.py table FOLDER...                        # of these work folders

The rescaler runs as a stranger would run it, with policy external: a program answers with the width that stands in a file.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import urllib.request

JOB = "any-version"
FIRST, WIDTHS, SLOTS_LEFT = 6, [2, 5, 3], 4
PATIENCE_S = 120
POLICY = """import json, sys
snapshot = json.load(sys.stdin)
width = int(open(sys.argv[1]).read())
plan = {o["name"]: width for o in snapshot["operators"] if o["parallelism"] != width}
json.dump({"parallelism": plan, "reasons": [f"{width} are wanted"]}, sys.stdout)
"""


class Flink:
    """Flink's REST interface."""

    def __init__(self, url):
        self.url = url

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return json.load(answer)

    def submit(self, jar):
        made = subprocess.run(["curl", "--silent", "--show-error", "--fail", "--form", f"jarfile=@{jar}", self.url + "/jars/upload"],
                              check=True, capture_output=True)
        name = os.path.basename(json.loads(made.stdout)["filename"])
        body = json.dumps({"entryClass": "rescaler.jobs.trials.AnyVersion"}).encode()
        request = urllib.request.Request(f"{self.url}/jars/{name}/run", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["jobid"]


class Trial:
    """One version."""

    def __init__(self, programs, work):
        self.programs, self.work = programs, work
        status = self.program("testbed", "status", "--work", f"{work}/testbed", "--output", "json")
        self.flink = Flink(json.loads(status.stdout)["flink_url"])
        self.version = self.flink.get("/overview")["flink-version"]
        self.found = {"version": self.version}
        self.job = None
        with open(f"{work}/policy.py", "w", encoding="utf-8") as policy:
            policy.write(POLICY)

    def program(self, name, *arguments):
        return subprocess.run([f"{self.programs}/{name}", *arguments], capture_output=True, text=True, check=False, timeout=PATIENCE_S)

    def until(self, what, holds):
        """Waits until a condition holds; returns the time it took, in seconds."""
        began = time.monotonic()
        while time.monotonic() - began < PATIENCE_S:
            try:
                if holds():
                    return time.monotonic() - began
            except OSError:
                pass
            time.sleep(0.1)
        raise TimeoutError(f"{self.version}: {what} did not happen within {PATIENCE_S} s")

    def widths(self):
        details = self.flink.get(f"/jobs/{self.job}")
        running = [v["parallelism"] for v in details["vertices"] if v["status"] == "RUNNING"]
        return running if details["state"] == "RUNNING" and len(running) == len(details["vertices"]) else []

    def has(self, width):
        return lambda: (widths := self.widths()) and all(p == width for p in widths)

    def restored(self):
        """Returns the age of the state restored last, in seconds: from the start of its checkpoint to the restart."""
        checkpoints = self.flink.get(f"/jobs/{self.job}/checkpoints")
        restored = checkpoints["latest"].get("restored")
        if not restored:
            return None
        known = {c["id"]: c["trigger_timestamp"] for c in checkpoints["history"]}
        began = known.get(restored["id"])
        return None if began is None else (restored["id"], (restored["restore_timestamp"] - began) / 1000)

    def completed(self):
        return self.flink.get(f"/jobs/{self.job}/checkpoints")["counts"]["completed"]

    def requirements(self):
        return self.flink.get(f"/jobs/{self.job}/resource-requirements")

    def want(self, width):
        with open(f"{self.work}/width.new", "w", encoding="utf-8") as file:
            file.write(str(width))
        os.replace(f"{self.work}/width.new", f"{self.work}/width")

    def rescaler(self, data, *arguments):
        log = open(f"{self.work}/{data}.log", "w", encoding="utf-8")
        command = [f"{self.programs}/rescaler", "run", "--flink", self.flink.url, "--listen", "off", "--data", f"{self.work}/{data}", *arguments]
        return subprocess.Popen(command, stdout=log, stderr=log)

    def decisions(self, data):
        path = f"{self.work}/{data}/{JOB}/decisions.jsonl"
        if not os.path.exists(path):
            return []
        with open(path, encoding="utf-8") as lines:
            return [json.loads(line) for line in lines if '"decision"' in line]

    def look(self):
        doctor = self.program("rescaler", "doctor", "--flink", self.flink.url, "--output", "json")
        report = json.loads(doctor.stdout)
        self.found["doctor"] = [finding["check"] for finding in report["findings"]]
        inspect = self.program("rescaler", "inspect", "--flink-url", self.flink.url, "--seconds", "6", "--output", "json")
        self.found["inspect"] = "yes" if inspect.returncode == 0 and json.loads(inspect.stdout)["operators"] else "no"

    def dry_run(self):
        """Returns the time until the first decision, and whether the job was changed."""
        for policy, more in [("ds2", []), ("slo", ["--latency-bound", "2s"])]:
            before = self.requirements()
            run = self.rescaler(f"dry-{policy}", "--dry-run", "--policy", policy, *more)
            try:
                self.found[f"first_{policy}_s"] = self.until("a decision", lambda: self.decisions(f"dry-{policy}"))
            finally:
                run.terminate()
                run.wait()
            self.found["dry_run"] = "changes nothing" if self.requirements() == before else "CHANGES"

    def scale(self):
        """Scales up, down and up again; returns the time of each and the age of the state."""
        took, ages = [], []
        for width in WIDTHS:
            # The last checkpoint is some seconds old, as it is mostly.
            time.sleep(8)
            before = self.restored()
            self.want(width)
            took.append(self.until(f"width {width}", self.has(width)))
            self.until("a restored state", lambda: (now := self.restored()) and now != before)
            ages.append(self.restored()[1])
        self.found["rescales_s"], self.found["ages_s"] = took, ages

    def lose(self):
        """Removes a task manager that the job needs, and adds it again."""
        self.want(FIRST)
        self.until("the first width", self.has(FIRST))
        completed = self.completed()
        self.until("a checkpoint", lambda: self.completed() > completed)
        began = time.monotonic()
        self.program("testbed", "stop-task-manager", "tm-2", "--work", f"{self.work}/testbed")
        self.until("the width that is left", self.has(SLOTS_LEFT))
        self.found["lost_s"], self.found["lost_age_s"] = time.monotonic() - began, (self.restored() or (0, None))[1]
        began = time.monotonic()
        self.program("testbed", "add-task-manager", "tm-2", "--work", f"{self.work}/testbed")
        self.until("the first width again", self.has(FIRST))
        self.found["back_s"] = time.monotonic() - began

    def run(self):
        self.job = self.flink.submit("flink-jobs/target/flink-jobs.jar")
        self.until("a running job", self.has(FIRST))
        self.until("a checkpoint", lambda: self.completed() > 0)
        self.look()
        self.dry_run()
        self.want(FIRST)
        command = json.dumps([sys.executable, f"{self.work}/policy.py", f"{self.work}/width"])
        run = self.rescaler("live", "--policy", "external", "--epoch", "2s", "--set", "epoch.sample_interval_ms=500",
                            "--set", "epoch.warm_up_ms=2000", "--set", f"policy.external.command={command}")
        try:
            self.scale()
            self.lose()
        finally:
            run.terminate()
            run.wait()

    def keep(self):
        with open(f"{self.work}/found.json", "w", encoding="utf-8") as file:
            json.dump(self.found, file)


def numbers(values):
    return ", ".join("–" if value is None else f"{value:.1f}" for value in values)


ROWS = [
    ("doctor", lambda f: "nothing to change" if f["doctor"] == [] else ", ".join(f["doctor"])),
    ("inspect", lambda f: f["inspect"]),
    ("first decision, ds2 and slo, s", lambda f: numbers([f["first_ds2_s"], f["first_slo_s"]])),
    ("dry run", lambda f: f["dry_run"]),
    ("rescales 6 → 2 → 5 → 3, s", lambda f: numbers(f["rescales_s"])),
    ("age of the state that they restored, s", lambda f: numbers(f["ages_s"])),
    ("lost task manager: runs again after, s", lambda f: numbers([f["lost_s"]])),
    ("age of the state then (checkpoints every 30 s), s", lambda f: numbers([f["lost_age_s"]])),
    ("task manager back: full width after, s", lambda f: numbers([f["back_s"]])),
    ("ended early", lambda f: f.get("failure", "no")),
]


def table(folders):
    found = []
    for folder in folders:
        try:
            with open(f"{folder}/found.json", encoding="utf-8") as file:
                found.append(json.load(file))
        except FileNotFoundError:
            found.append({"version": os.path.basename(folder), "failure": "nothing was found"})

    def cell(of, row):
        try:
            return of(row)
        except (KeyError, TypeError):
            return "?"

    print("| | " + " | ".join(row["version"] for row in found) + " |")
    print("|---" * (len(found) + 1) + "|")
    for name, of in ROWS:
        print(f"| {name} | " + " | ".join(cell(of, row) for row in found) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run")
    run.add_argument("--programs", required=True)
    run.add_argument("--work", required=True)
    commands.add_parser("table").add_argument("folders", nargs="+")
    arguments = parser.parse_args()
    if arguments.command == "table":
        return table(arguments.folders)
    trial = Trial(arguments.programs, arguments.work)
    try:
        trial.run()
    except (OSError, TimeoutError, subprocess.SubprocessError, KeyError) as error:
        trial.found["failure"] = str(error)
        raise
    finally:
        trial.keep()


main()
