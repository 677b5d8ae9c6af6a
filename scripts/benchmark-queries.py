"""Measures the queries one after the other. Called by benchmark-queries.sh, which starts the cluster.

Each job reads its topics from the first record. Its first second is left out; from then on records decoded by its sources are
set against CPU time of the task manager's process (all threads: tasks, garbage collector, compiler, RocksDB) until the last
record has been decoded. A shorter run of the same query comes before it and warms up the JVM. Only Python's own library is used.
"""

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
POLL_S = 0.1
DEADLINE_S = 600
WARM_UP_PART = 0.4  # of the stream
LEFT_OUT_S = 1.0  # of the measured run: deploying, and classes loaded for the first time

# Which streams a query reads, and how many of the 50 events of an epoch (1 person, 3 auctions, 46 bids) these records stand
# for: nexmark/nexmark counts the whole stream for every query. Its items are ours alone and count for nothing there.
QUERIES = {
    "nexmark-q4": (["item", "auction", "bid"], 50 / 52),
    "nexmark-q5": (["auction", "bid"], 50 / 49),
    "nexmark-q6": (["auction", "bid"], 50 / 49),
    "nexmark-q7": (["auction", "bid"], 50 / 49),
    "nexmark-q8": (["person", "auction"], 50 / 4),
    "psm-q1": (["click"], None),
    "psm-q2": (["click"], None),
    "psm-q3": (["click"], None),
    "psm-q4": (["impression", "click"], None),
    "psm-q5": (["search", "click"], None),
}
TOPICS = {
    "person": "personEvents", "item": "itemEvents", "auction": "auctionEvents", "bid": "bidEvents",
    "click": "PSM_CLICKS", "impression": "PSM_IMPRESSIONS", "search": "PSM_SEARCH",
}  # fmt: skip
# Events per second of event time, so that several windows of every size pass.
RATES = {"nexmark": 50_000, "nexmark-q8": 50_000, "psm": 2_500}
# Persons and auctions are 4 of 53 events, so Q8's stream is longer. Clicks are a quarter of theirs and quickly done with.
LONGER = {"nexmark-q8": 10, "psm": 12}


def stream_of(query):
    return query if query in RATES else query.split("-")[0]


class Cluster:
    def __init__(self, status, programs):
        self.kafka = status["kafka_bootstrap"]
        self.flink = status["flink_url"]
        self.pid = next(s["process"]["pid"] for s in status["services"] if s["name"].startswith("tm-"))
        self.producer = programs / "event-producer"
        self.jar = self.upload(pathlib.Path("flink-jobs/target/flink-jobs.jar"))
        self.runs = 0

    def ask(self, method, path, body=None, headers=None):
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"{self.flink}/{path}", data=data, method=method)
        for name, value in (headers or {"Content-Type": "application/json"}).items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            sys.exit(f"{path}: {error.code} {error.read().decode()[:2000]}")

    def upload(self, jar):
        edge = "benchmark-queries"
        head = f'--{edge}\r\nContent-Disposition: form-data; name="jarfile"; filename="flink-jobs.jar"\r\n'
        body = head.encode() + b"Content-Type: application/x-java-archive\r\n\r\n" + jar.read_bytes()
        kind = {"Content-Type": f"multipart/form-data; boundary={edge}"}
        answer = self.ask("POST", "jars/upload", body + f"\r\n--{edge}--\r\n".encode(), kind)
        return answer["filename"].rsplit("/", 1)[1]

    def produce(self, stream, numbers):
        """Writes a stream again; topics have one partition, so that each run reads the same records in the same order."""
        site = stream.split("-")[0]
        servers = ["--bootstrap-servers", self.kafka]
        subprocess.run([self.producer, "topics", "delete", *servers], check=True, stdout=subprocess.DEVNULL)
        create = [self.producer, "topics", "create", *servers, "--partitions", "1"]
        subprocess.run(create, check=True, stdout=subprocess.DEVNULL)
        command = [self.producer, *servers, "--benchmark", site, "--seed", "7", "--max"]
        # Old enough that nothing lies in the future, young enough that Kafka keeps it.
        start_ms = int(time.time() - max(3600, numbers / RATES[stream] + 60)) * 1000
        command += ["--start-time", str(start_ms), "--rate", str(RATES[stream]), "--events", str(numbers)]
        if stream in QUERIES:  # a stream for this query alone
            command += ["--streams", ",".join(QUERIES[stream][0])]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "RUST_LOG": "warn"})

    def records(self, query):
        """Returns the number of records in the query's topics."""
        command = [self.producer, "topics", "describe", "--bootstrap-servers", self.kafka]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        wanted = [TOPICS[stream] + ":" for stream in QUERIES[query][0]]
        return sum(int(re.search(r"(\d+) records", line)[1]) for line in lines if line.split()[0] in wanted)

    def cpu_s(self, with_compiler):
        """Returns the CPU time of the task manager so far, optionally without the JIT compiler's threads."""
        if with_compiler:
            return cpu_of(pathlib.Path(f"/proc/{self.pid}/stat"))
        tasks = pathlib.Path(f"/proc/{self.pid}/task").iterdir()
        # The names of threads are cut after 15 characters: "C2 CompilerThre".
        return sum(cpu_of(task / "stat", but="CompilerThre") for task in tasks)

    def start(self, query, metrics):
        self.runs += 1
        text = document(query, self.kafka, f"benchmark-{self.runs}", metrics)
        return self.ask("POST", f"jars/{self.jar}/run", {"programArgsList": ["--document-text", text]})["jobid"]

    def sources(self, job):
        """Returns the metrics with the counters of decoded records."""
        found = []
        for vertex in self.ask("GET", f"jobs/{job}")["vertices"]:
            if vertex["name"].startswith("Source: "):
                found.append((vertex["id"], vertex["name"].split(" -> ")[0].removeprefix("Source: ")))
        return found

    def decoded(self, job, sources):
        total = 0
        for vertex, uid in sources:
            name = f"0.{uid}-decode.numRecordsIn"
            values = self.ask("GET", f"jobs/{job}/vertices/{vertex}/metrics?get={name}")
            total += sum(int(value["value"]) for value in values)
        return total

    def state_bytes(self, job):
        """Takes a checkpoint and returns its full size."""
        before = self.ask("GET", f"jobs/{job}/checkpoints")["counts"]["completed"]
        self.ask("POST", f"jobs/{job}/checkpoints", {"checkpointType": "FULL"})
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            answer = self.ask("GET", f"jobs/{job}/checkpoints")
            if answer["counts"]["completed"] > before:
                return answer["latest"]["completed"]["state_size"]
            time.sleep(POLL_S)
        sys.exit("no checkpoint was completed")

    def cancel(self, job):
        self.ask("PATCH", f"jobs/{job}?mode=cancel", {})
        deadline = time.monotonic() + DEADLINE_S
        while self.ask("GET", f"jobs/{job}")["state"] != "CANCELED":
            if time.monotonic() > deadline:
                sys.exit("the job was not cancelled")
            time.sleep(POLL_S)

    def run(self, query, until, metrics=True, state=False, with_compiler=True):
        """Runs a query until this many records were decoded."""
        job = self.start(query, metrics)
        began = first = None
        sources = []
        deadline = time.monotonic() + DEADLINE_S
        done = 0
        while done < until:
            time.sleep(POLL_S)
            sources = sources or self.sources(job)
            done, cpu, now = self.decoded(job, sources), self.cpu_s(with_compiler), time.monotonic()
            began = began or (now if done > 0 else None)
            first = first or ((done, cpu, now) if began and now - began >= LEFT_OUT_S else None)
            if now > deadline:
                sys.exit(f"{query}: {done} of {until} records after {DEADLINE_S} s")
        if first is None or first[0] >= done:
            sys.exit(f"{query}: over within {LEFT_OUT_S} s; give --events a larger number")
        size = self.state_bytes(job) if state else None
        self.cancel(job)
        return Run((done - first[0]) / (cpu - first[1]), (cpu - first[1]) / (now - first[2]), size)


def cpu_of(stat, but=None):
    """CPU seconds of a process or thread; 0 for a thread whose name has this part, and for one that has ended."""
    try:
        name, fields = stat.read_text().rsplit(")", 1)
    except OSError:
        return 0
    fields = fields.split()
    return 0 if but and but in name else (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


class Run:
    def __init__(self, per_cpu_s, cores, state_bytes):
        self.per_cpu_s = per_cpu_s
        self.cores = cores
        self.state_bytes = state_bytes


def document(query, kafka, group, metrics):
    """The example document with this query alone, at parallelism 1, without artificial work."""
    site, label = query.split("-")
    text = pathlib.Path(f"configs/jobs/{site}.toml").read_text()
    text = re.sub(r"(\[queries\.(\w+)\]\nenabled = )\w+", lambda m: m[1] + str(m[2] == label).lower(), text)
    text = text.replace("127.0.0.1:9092", kafka)
    text = re.sub(r"group_id = .*", f'group_id = "{group}"', text)
    text = re.sub(r"(\[metrics\]\nenabled = )\w+", lambda m: m[1] + str(metrics).lower(), text)
    return re.sub(r"partition_fetch_bytes = .*", "partition_fetch_bytes = 1048576", text)


def throughput(cluster, queries, events):
    print("| query | records read per CPU-second | counted as in nexmark | cores used | state at the end |")
    print("|---|---|---|---|---|", flush=True)
    stream = None
    for query in queries:
        if stream_of(query) != stream:
            stream = stream_of(query)
            cluster.produce(stream, events * LONGER.get(stream, 1))
        total = cluster.records(query)
        cluster.run(query, WARM_UP_PART * total)
        run = cluster.run(query, total, state=True)
        share = QUERIES[query][1]
        whole = f"{run.per_cpu_s * share:,.0f}" if share else ""
        state = f"{run.state_bytes / 1e6:.1f} MB"
        print(f"| {query} | {run.per_cpu_s:,.0f} | {whole} | {run.cores:.2f} | {state} |", flush=True)


def metrics_cost(cluster, queries, events, rounds):
    """Pairs of runs, alternately with and without metrics first: a JVM that still gets faster favours neither.

    Each job is compiled anew, which takes CPU seconds that vary more than what is looked for: they are left out here.
    """
    for query in queries:
        stream = stream_of(query)
        cluster.produce(stream, events * LONGER.get(stream, 1))
        total = cluster.records(query)
        for metrics in (True, False):
            cluster.run(query, total, metrics)
        ratios = []
        for number in range(rounds):
            found = {}
            for metrics in (True, False) if number % 2 == 0 else (False, True):
                found[metrics] = cluster.run(query, total, metrics, with_compiler=False).per_cpu_s
            ratios.append(found[True] / found[False])
            print(f"{query}: {found[True]:,.0f} with metrics, {found[False]:,.0f} without", flush=True)
        cost = 100 * (1 - statistics.median(ratios))
        lowest, highest = 100 * (1 - max(ratios)), 100 * (1 - min(ratios))
        print(f"{query}: metrics cost {cost:.1f} % (median; from {lowest:.1f} to {highest:.1f})", flush=True)


def main():
    parser = argparse.ArgumentParser(prog="scripts/benchmark-queries.sh")
    parser.add_argument("--status", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--programs", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--queries", default=",".join(QUERIES), help="queries, separated by commas; all by default")
    events_help = "event numbers of a stream (NexMark Q8: ten times as many, PSM: twelve times)"
    parser.add_argument("--events", type=int, default=3_000_000, help=events_help)
    parser.add_argument("--metrics-cost", type=int, default=0, metavar="ROUNDS", help="runs with and without metrics instead")
    options = parser.parse_args()
    queries = options.queries.split(",")
    unknown = [query for query in queries if query not in QUERIES]
    if unknown:
        parser.error(f"--queries: there is no {', '.join(unknown)}; use {', '.join(QUERIES)}")
    cluster = Cluster(json.loads(options.status.read_text()), options.programs)
    if options.metrics_cost > 0:
        metrics_cost(cluster, queries, options.events, options.metrics_cost)
    else:
        throughput(cluster, queries, options.events)


if __name__ == "__main__":
    main()
