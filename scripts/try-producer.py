"""The trials of try-producer.sh, which explains them."""

import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

FAULTS = ["kill", "stop", "move", "cut", "producer"]
RATE, SECONDS = 20_000, 8
# Kafka removes what is older than a week.
START_MS = int(time.time() * 1000)
PATIENCE_S = 90


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def await_true(what, condition, seconds=PATIENCE_S):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} within {seconds} s")
        time.sleep(0.1)


class Proxy:
    """Forwards bytes between clients and a broker, and cuts connections on request."""

    def __init__(self, port):
        self.port, self.cut_after, self.lock = port, None, threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            try:
                broker = socket.create_connection(("127.0.0.1", self.port))
            except OSError:
                client.close()
                continue
            for one, other in ((client, broker), (broker, client)):
                threading.Thread(target=self.pump, args=(one, other), daemon=True).start()

    def pump(self, source, sink):
        try:
            while data := source.recv(65536):
                with self.lock:
                    cut = None
                    if self.cut_after is not None:
                        if len(data) > self.cut_after:
                            cut, self.cut_after = self.cut_after, None
                        else:
                            self.cut_after -= len(data)
                if cut is not None:
                    sink.sendall(data[:cut])
                    break
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()


class Broker:
    """One of three brokers, each of which is a controller too."""

    def __init__(self, cluster, number, ports):
        self.cluster, self.number = cluster, number
        self.internal, self.controller, self.client = ports[number - 1]
        self.proxy = Proxy(self.client)
        self.folder = cluster.folder / f"broker-{number}"
        self.folder.mkdir()
        voters = ",".join(f"{i + 1}@127.0.0.1:{p[1]}" for i, p in enumerate(ports))
        settings = {
            "process.roles": "broker,controller", "node.id": number, "controller.quorum.voters": voters,
            "controller.listener.names": "CONTROLLER", "inter.broker.listener.name": "INTERNAL",
            "listener.security.protocol.map": "INTERNAL:PLAINTEXT,CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "listeners": f"INTERNAL://127.0.0.1:{self.internal},CLIENT://127.0.0.1:{self.client},"
                         f"CONTROLLER://127.0.0.1:{self.controller}",
            "advertised.listeners": f"INTERNAL://127.0.0.1:{self.internal},CLIENT://127.0.0.1:{self.proxy.address}",
            "log.dirs": self.folder / "data", "auto.create.topics.enable": "false", "min.insync.replicas": 2,
            "default.replication.factor": 3, "offsets.topic.num.partitions": 1, "num.io.threads": 2,
            "num.network.threads": 1, "broker.session.timeout.ms": 3000, "broker.heartbeat.interval.ms": 500,
            "controlled.shutdown.enable": "true", "log.segment.bytes": 64 << 20,
            "log.cleaner.dedupe.buffer.size": 16 << 20,
        }
        self.properties = self.folder / "server.properties"
        self.properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        self.java("kafka.tools.StorageTool", "format", "--cluster-id", "dHJpYWxzLW9mLXByb2R1Y2", "--config", self.properties).wait()
        self.process = None
        self.start()

    def java(self, *arguments):
        log = open(self.folder / "log", "ab")
        return subprocess.Popen(["java", "-Xmx320m", "-Xms96m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp",
                                 f"{self.cluster.jars}/*", *map(str, arguments)], stdout=log, stderr=log,
                                cwd=self.folder)

    def start(self):
        self.process = self.java("kafka.Kafka", self.properties)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def is_up(self):
        try:
            socket.create_connection(("127.0.0.1", self.client), 1).close()
            return True
        except OSError:
            return False


class Cluster:
    def __init__(self, jars, folder, producer):
        self.jars, self.folder, self.producer = jars, folder, producer
        self.brokers = []
        ports = [(free_port(), free_port(), free_port()) for _ in range(3)]
        for number in (1, 2, 3):
            self.brokers.append(Broker(self, number, ports))
        await_true("three brokers", lambda: all(broker.is_up() for broker in self.brokers))

    def bootstrap(self):
        return ",".join(f"127.0.0.1:{broker.proxy.address}" for broker in self.brokers)

    def topics(self, action, prefix, *more):
        command = [self.producer, "topics", action, "--bootstrap-servers", self.bootstrap(), "--topic-prefix", prefix,
                   "--benchmark", "nexmark", "--timeout", "60", *more]
        return subprocess.run(command, capture_output=True, text=True)

    def end(self):
        for broker in self.brokers:
            broker.process.send_signal(signal.SIGCONT)
            broker.kill()


def disturb(fault, chance, cluster, producer):
    """Injects the seed's fault into brokers or producer; returns a description."""
    time.sleep(chance.uniform(1.0, 4.0))
    broker = chance.choice(cluster.brokers)
    if fault == "kill":
        broker.kill()
        time.sleep(chance.uniform(0.0, 2.0))
        broker.start()
    elif fault == "stop":
        broker.process.send_signal(signal.SIGSTOP)
        time.sleep(5)
        broker.process.send_signal(signal.SIGCONT)
    elif fault == "move":
        broker.process.terminate()
        broker.process.wait()
        broker.start()
    elif fault == "cut":
        for _ in range(20):
            one = chance.choice(cluster.brokers)
            with one.proxy.lock:
                one.proxy.cut_after = chance.randrange(100_000)
            time.sleep(chance.uniform(0.02, 0.3))
    else:
        producer.kill()
    return f"{fault} of broker {broker.number}" if fault in ("kill", "stop", "move") else fault


def acknowledged(log):
    """Returns the last count of acknowledged records in the producer's log."""
    counts = [word.split("=")[1] for line in log.splitlines() for word in line.split() if word.startswith("acked=")]
    return int(counts[-1]) if counts else 0


def trial(seed, cluster, target, transport, folder):
    chance, fault, prefix = random.Random(seed), FAULTS[seed % 5], f"t{seed}-{int(time.time())}."
    await_true("the brokers", lambda: all(broker.is_up() for broker in cluster.brokers))
    created = []

    def create():
        created.append(cluster.topics("create", prefix, "--replication", "3", "--partitions", "4"))
        return created[-1].returncode == 0

    await_true("topics", create)
    config = folder / "producer.toml"
    config.write_text(f'[kafka]\ntransport = "{transport}"\ntopic_prefix = "{prefix}"\n[report]\ninterval_ms = 50\n')
    events = RATE * SECONDS
    command = [target / "event-producer", "--config", config, "--bootstrap-servers", cluster.bootstrap(), "--rate",
               str(RATE), "--events", str(events), "--start-time", str(START_MS), "--output", "json"]
    log = folder / "producer.log"
    with open(log, "w") as errors:
        producer = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True,
                                    env={**os.environ, "NO_COLOR": "1"})
        happened = disturb(fault, chance, cluster, producer)
        output, _ = producer.communicate(timeout=PATIENCE_S)
    was_killed = fault == "producer"
    result = {"seed": seed, "transport": transport, "fault": happened, "exit": producer.returncode}
    if was_killed:
        result["acked"] = acknowledged(log.read_text())
    else:
        # A producer that could not begin has no totals, and says why at the end of its log.
        totals = json.loads(output or '{"acked": 0, "failed": 0, "elapsed_s": 0}')
        result.update(acked=totals["acked"], failed=totals["failed"], elapsed_s=round(totals["elapsed_s"], 1))
        if producer.returncode != 0:
            result["said"] = log.read_text().splitlines()[-1:]
    await_true("the brokers", lambda: all(broker.is_up() for broker in cluster.brokers))
    checked = []

    def check():
        # A partition that has no leader yet is asked for again; one that is wrong stays so.
        checked.append(subprocess.run([target / "examples" / "check-records", cluster.bootstrap(), prefix, str(START_MS), str(RATE),
                                       str(events), "begin" if was_killed else "whole"], capture_output=True, text=True,
                                      env={**os.environ, "RUST_BACKTRACE": "0"}))
        return checked[-1].returncode == 0 or len(checked) == 5

    await_true("the check", check)
    result["records"] = int(checked[-1].stdout or -1)
    result["problem"] = checked[-1].stderr.strip()
    right = not result["problem"] and (
        result["records"] >= result["acked"] if was_killed
        else producer.returncode == 0 and result["acked"] == events and result["failed"] == 0)
    result["passed"] = right
    if not right:
        kept = folder / f"failed-{seed}.log"
        shutil.copy(log, kept)
        result["log"] = str(kept)
    cluster.topics("delete", prefix)
    return result


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--target", type=pathlib.Path, required=True)
    options.add_argument("--seeds", default="0-59")
    options.add_argument("--keep", type=pathlib.Path, default=pathlib.Path("run/producer-trials.jsonl"))
    options.add_argument("--transport", default="batches")
    options = options.parse_args()
    first, last = map(int, options.seeds.split("-"))
    options.keep.parent.mkdir(parents=True, exist_ok=True)
    known = [json.loads(line) for line in options.keep.read_text().splitlines()] if options.keep.exists() else []
    done = {result["seed"] for result in known if result["transport"] == options.transport}
    left = [seed for seed in range(first, last + 1) if seed not in done]
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "rescaler"
    jars = max(cache.glob("jars/kafka-*"), key=os.path.getmtime)
    target = options.target.resolve()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        cluster = Cluster(jars, folder, target / "event-producer") if left else None
        try:
            for seed in left:
                result = trial(seed, cluster, target, options.transport, folder)
                with open(options.keep, "a") as kept:
                    kept.write(json.dumps(result) + "\n")
                known.append(result)
                print(json.dumps(result), flush=True)
        finally:
            if cluster:
                cluster.end()
    results = [result for result in known if result["transport"] == options.transport]
    failed = [result["seed"] for result in results if not result["passed"]]
    print(f"{len(results)} trials, {len(failed)} failed: {failed}")
    sys.exit(bool(failed))


main()
