#!/usr/bin/env python3
"""The measurement of scripts/benchmark-producer.sh --peers: what clients need to bring the same records into a Kafka.

All clients run from the beginning to the end and are warmed up once; then they send in turn, so that whatever else the machine does
meets all of them. Each prints what it needed itself. Last in a round is the event producer as a whole, which also generates the events.
"""

import argparse
import json
import os
import pathlib
import re
import resource
import shlex
import statistics
import subprocess
import sys


def cpu_s(pid):
    """CPU seconds of another process so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Kafka:
    """A broker, its topics and the event producer's command for them."""

    def __init__(self, options):
        self.address, self.pid, self.program = options.broker, options.broker_pid, options.producer

    def topics(self, action, prefix, *more):
        command = [self.program, "topics", action, "--bootstrap-servers", self.address, "--topic-prefix", prefix,
                   "--benchmark", "nexmark", *more]
        return subprocess.run(command, capture_output=True, text=True)

    def records(self, prefix):
        described = self.topics("describe", prefix).stdout
        return sum(map(int, re.findall(r"Events: .* (\d+) records", described)))


class Client:
    """A program that sends as many records as it is told to, and what it needed."""

    def __init__(self, name, command, number, kafka, options):
        self.name, self.prefix, self.sent, self.rounds = name, f"peer{number}.", 0, []
        created = kafka.topics("create", self.prefix, "--partitions", "4")
        if created.returncode != 0:
            sys.exit(f"{name}: {created.stderr}")
        self.log = options.work / f"{number}.log"
        self.process = subprocess.Popen(
            [*shlex.split(command), kafka.address, self.prefix, str(options.records)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=open(self.log, "w"), text=True)
        self.version = self.line().removeprefix("ready ")

    def line(self):
        line = self.process.stdout.readline().strip()
        if not line:
            sys.exit(f"{self.name} has ended: {self.log.read_text()[-2000:]}")
        return line

    def send(self, count):
        """Sends records; returns CPU seconds and seconds elapsed."""
        print(count, file=self.process.stdin, flush=True)
        self.sent += count
        return tuple(map(float, self.line().split()))

    def end(self):
        self.process.stdin.close()
        self.process.wait(30)


class EventProducer:
    """The event producer as a user runs it as fast as possible, from its start to its end."""

    def __init__(self, kafka, options):
        self.name, self.prefix, self.sent, self.rounds = "the event producer, which generates them too", "whole.", 0, []
        self.version, self.kafka, self.config = None, kafka, options.work / "whole.toml"
        self.config.write_text(f'[kafka]\ntransport = "batches"\ntopic_prefix = "{self.prefix}"\n')
        kafka.topics("create", self.prefix, "--partitions", "4")

    def send(self, count):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [self.kafka.program, "--config", self.config, "--bootstrap-servers", self.kafka.address, "--max",
                   "--events", str(count), "--output", "json"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{self.name}: {done.stderr[-2000:]}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        totals = json.loads(done.stdout)
        self.sent += totals["acked"]
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, totals["elapsed_s"]

    def end(self):
        pass


def spread(values, form):
    return f"{form.format(statistics.median(values))} ({form.format(min(values))} to {form.format(max(values))})"


def show(clients):
    own = [cpu for cpu, _, _ in clients[0].rounds]
    print("| client | CPU seconds per million records | times ours | the broker's CPU seconds per million | records/s |")
    print("|---|---|---|---|---|")
    for client in clients:
        cpu, broker, rate = zip(*client.rounds)
        ratios = [theirs / ours for theirs, ours in zip(cpu, own)]
        print(f"| {client.name} | {spread(cpu, '{:.3f}')} | {spread(ratios, '{:.1f}')} | {spread(broker, '{:.2f}')} "
              f"| {spread(rate, '{:,.0f}')} |")
    print("\n" + "; ".join(dict.fromkeys(client.version for client in clients if client.version)))


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--broker", required=True)
    options.add_argument("--broker-pid", type=int, required=True)
    options.add_argument("--producer", type=pathlib.Path, required=True)
    options.add_argument("--records", type=pathlib.Path, required=True)
    options.add_argument("--work", type=pathlib.Path, required=True)
    options.add_argument("--rounds", type=int, required=True)
    options.add_argument("--count", type=int, required=True)
    options.add_argument("--client", nargs=2, action="append", metavar=("NAME", "COMMAND"), required=True)
    options = options.parse_args()
    kafka = Kafka(options)
    clients = [Client(name, command, number, kafka, options) for number, (name, command) in enumerate(options.client)]
    clients.append(EventProducer(kafka, options))
    for client in clients:
        client.send(options.count)
    for round in range(options.rounds):
        # Another one is first in each round.
        for client in clients[round % len(clients):] + clients[:round % len(clients)]:
            broker = cpu_s(kafka.pid)
            cpu, elapsed = client.send(options.count)
            broker = cpu_s(kafka.pid) - broker
            millions = options.count / 1e6
            client.rounds.append((cpu / millions, broker / millions, options.count / elapsed))
        print(f"round {round + 1}: " + ", ".join(f"{client.rounds[-1][0]:.3f}" for client in clients), file=sys.stderr)
    for client in clients:
        client.end()
    show(clients)
    wrong = [client for client in clients if kafka.records(client.prefix) != client.sent]
    for client in wrong:
        print(f"{client.name}: {client.sent} records were acknowledged, Kafka has {kafka.records(client.prefix)}", file=sys.stderr)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
