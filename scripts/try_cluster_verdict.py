"""What scripts/try-cluster.py saw, judged: a table of the jobs, and a line for each check.

Everything is read from what others wrote: the rescaler's journals, and samples of Flink's REST interface, the rescaler's list of jobs, its
metrics and its process. `Findings` can be made from kept files, so that a verdict can be repeated.
"""

import datetime
import json
import os
import pathlib
import re
import statistics

FAILING, OPTED_OUT, RESUBMITTED, LATER = "failing", "hot-key", "two-unnamed", "filter-in-source-chain"
FIRST = ["nexmark", "psm", RESUBMITTED, FAILING, OPTED_OUT]
WATCHED = ["nexmark", "psm", RESUBMITTED, FAILING, LATER]
WELL = [name for name in WATCHED if name != FAILING]
KIND = {
    "nexmark": "Q7 from Kafka, load between 800 and 3,000/s", "psm": "Q5 from Kafka, load 1,000 and 2,400/s",
    RESUBMITTED: "two maps with Flink's default name, submitted again", FAILING: "fails every 20 s",
    OPTED_OUT: "a hot key, opted out", LATER: "a filter in the source's chain, submitted later",
}
# Records per second that the source of a job without Kafka offers.
OFFERED = {RESUBMITTED: 600.0, LATER: 300.0}
BOUND_MS, QUOTA, WIDTH_MAX, NEXMARK_SLOTS_MAX = 5000.0, 20, 8, 6
# After a job has begun to be watched: it begins too narrow, and policy slo needs half a minute of arrival rates.
SETTLE_S = 90
OVER_BOUND_MAX = 0.1
OFFERED_MIN = 0.95
FOUND_WITHIN_S = 40
# An epoch is 5 s; beside a change, on a busy machine, one may take several times that.
EPOCH_GAP_MAX_S = 45
RESTARTS_MIN = 3

CHECKS = [
    "the rescaler ran from the beginning to the end, as one process, and ended in order",
    "every job but the one that opted out has a journal of its own, the later one within 40 s",
    "the job that opted out has none, is not on the page, and was never changed",
    "jobs from Kafka: event latency above its bound in at most 10 % of the epochs",
    "jobs without Kafka: what their sources offer is carried in the last epochs",
    "jobs whose narrow start or load asks for it were widened: nexmark, psm, and two-unnamed twice",
    "the job that was submitted again goes on in its journal, with one epoch after the other",
    "the job that fails was restarted at least three times, and is watched all the same",
    "all other jobs were watched all the time, and their epochs stood still for at most 45 s",
    "the watched jobs never had more slots together than the quota, nor one more than its own bound",
    "no change was rolled back or failed, but of the job that fails",
]


def metric(text, name):
    """The values of a metric by job."""
    found = re.findall(rf'^{name}\{{job="([^"]*)"\}} (\S+)$', text, re.MULTILINE)
    return {job: float(value) for job, value in found}


def process(pid):
    """CPU seconds and resident MiB of a process so far."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        with open(f"/proc/{pid}/status", encoding="utf-8") as file:
            resident = int(re.search(r"VmRSS:\s+(\d+) kB", file.read()).group(1)) / 1024
    except (OSError, AttributeError):
        return None
    return {"cpu_s": (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), "rss_mib": resident}


def seconds(text):
    """A time of the journal as seconds since the Unix epoch."""
    head, _, fraction = text.rstrip("Z").partition(".")
    whole = datetime.datetime.fromisoformat(head).replace(tzinfo=datetime.timezone.utc).timestamp()
    return whole + float(f"0.{fraction or 0}")


class Journal:
    """One job's journal."""

    def __init__(self, path):
        self.records, self.published, self.outcomes = [], 0, []
        if not path.exists():
            return
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if "decision" in entry:
                self.records.append(entry)
            elif "of_epoch" in entry:
                self.published += (entry.get("then") or {}).get("effect") == "published"
                if entry.get("outcome"):
                    self.outcomes.append(entry["outcome"])

    def at(self):
        return [seconds(record["at"]) for record in self.records]

    def latencies(self, skip_s):
        """Event latency of the epochs in ms, without those before skip_s after the first one."""
        at = self.at()
        found = []
        for record, when in zip(self.records, at):
            queries = (record.get("snapshot") or {}).get("queries") or []
            measured = [query["overall_latency_ms"] for query in queries if query.get("overall_latency_ms") is not None]
            if when - at[0] >= skip_s and measured:
                found.append(max(measured))
        return found

    def carried(self):
        """Records per second that the sources read, median of the last epochs."""
        rates = []
        for record in self.records[-24:]:
            operators = (record.get("snapshot") or {}).get("operators") or []
            sources = [op.get("throughput_per_s") for op in operators if op.get("kind") == "source"]
            if sources and None not in sources:
                rates.append(sum(sources))
        return statistics.median(rates) if rates else 0.0

    def gap_s(self):
        at = self.at()
        return max((after - before for before, after in zip(at, at[1:])), default=float("inf"))

    def widths(self):
        """Parallelism over time, by operator."""
        seen = {}
        for record in self.records:
            for operator in (record.get("snapshot") or {}).get("operators") or []:
                history = seen.setdefault(operator["name"], [])
                if not history or history[-1] != operator["parallelism"]:
                    history.append(operator["parallelism"])
        return seen


def slots(job):
    return max(job["widths"].values(), default=0)


class Findings:
    """Everything that the verdict is made of."""

    def __init__(self, work, submitted, length_s, exceptions, exit_code):
        self.work, self.submitted, self.length_s = pathlib.Path(work), submitted, length_s
        self.restarts = len(exceptions.get("exceptionHistory", {}).get("entries", []))
        self.exit_code = exit_code
        lines = (self.work / "samples.jsonl").read_text(encoding="utf-8").splitlines()
        samples = [json.loads(line) for line in lines]
        self.samples = [sample for sample in samples if "error" not in sample]
        self.lost = len(samples) - len(self.samples)
        self.journals = {name: Journal(self.work / "data" / name / "decisions.jsonl") for name in KIND}

    def of(self, name):
        """The samples of a job: the time, its slots and its parallelism by vertex."""
        return [(sample["at_s"], slots(job), job["widths"]) for sample in self.samples for job in sample["jobs"] if job["name"] == name]

    def checks(self):
        """A verdict and what was seen, for each of CHECKS."""
        yield from (self.one_process(), self.found(), self.opted_out(), self.within_bounds(), self.offered_is_carried(), self.widened())
        yield from (self.goes_on(), self.fails(), self.epochs_go_on(), self.quota_holds(), self.changes_succeed())

    def one_process(self):
        seen = len(self.samples)
        wanted = self.length_s / 10
        return self.exit_code == 0 and seen >= wanted, f"exit code {self.exit_code}, {seen} samples, {self.lost} lost"

    def found(self):
        missing = [name for name in WATCHED if not self.journals[name].records]
        submitted_s = self.submitted[LATER][0][0] if LATER in self.submitted else float("inf")
        shown = [sample["at_s"] for sample in self.samples if LATER in sample["shown"]]
        took = min(shown, default=float("inf")) - submitted_s
        return not missing and took <= FOUND_WITHIN_S, f"no journal: {', '.join(missing) or 'of none'}; {LATER} shown {took:.0f} s after its start"

    def opted_out(self):
        shown = any(OPTED_OUT in sample["shown"] for sample in self.samples)
        widths = {json.dumps(widths, sort_keys=True) for _, _, widths in self.of(OPTED_OUT)}
        is_well = not shown and not self.journals[OPTED_OUT].records and len(widths) == 1
        return is_well, f"shown: {shown}, records: {len(self.journals[OPTED_OUT].records)}, parallelism: {' '.join(sorted(widths))}"

    def within_bounds(self):
        texts, is_well = [], True
        for name in ("nexmark", "psm"):
            latencies = self.journals[name].latencies(SETTLE_S)
            over = sum(ms >= BOUND_MS for ms in latencies) / max(len(latencies), 1)
            is_well &= len(latencies) >= 20 and over <= OVER_BOUND_MAX
            texts.append(f"{name}: {over * 100:.1f} % of {len(latencies)} epochs")
        return is_well, ", ".join(texts)

    def offered_is_carried(self):
        shares = {name: self.journals[name].carried() / rate for name, rate in OFFERED.items()}
        return all(share >= OFFERED_MIN for share in shares.values()), ", ".join(f"{name}: {share * 100:.0f} %" for name, share in shares.items())

    def widened(self):
        grown = {}
        for name in ("nexmark", "psm", RESUBMITTED):
            histories = self.journals[name].widths().values()
            grown[name] = max((sum(b > a for a, b in zip(history, history[1:])) for history in histories), default=0)
        is_well = grown["nexmark"] >= 1 and grown["psm"] >= 1 and grown[RESUBMITTED] >= 2
        return is_well, ", ".join(f"{name}: {count} times" for name, count in grown.items())

    def goes_on(self):
        records = self.journals[RESUBMITTED].records
        epochs = [record["epoch"] for record in records]
        again_s = self.submitted[RESUBMITTED][1][0] if len(self.submitted.get(RESUBMITTED, [])) > 1 else float("inf")
        began = self.began()
        later = sum(seconds(record["at"]) - began > again_s + 10 for record in records)
        is_well = epochs == list(range(1, len(epochs) + 1)) and later >= 10
        return is_well, f"epochs {epochs[0] if epochs else 0} to {epochs[-1] if epochs else 0}, {later} since it runs again"

    def began(self):
        """The start of the rescaler, in seconds since the Unix epoch, by the first record of all."""
        return min((journal.at()[0] for journal in self.journals.values() if journal.records), default=0.0)

    def fails(self):
        records = len(self.journals[FAILING].records)
        shown = sum(FAILING in sample["shown"] for sample in self.samples)
        return self.restarts >= RESTARTS_MIN and records >= 10 and shown > 0, f"{self.restarts} failures known to Flink, {records} epochs"

    def epochs_go_on(self):
        # A job that is away has no epochs.
        gaps = {name: self.journals[name].gap_s() for name in WELL if name != RESUBMITTED}
        down = {name for sample in self.samples for name in gaps if sample["watched"].get(name) == 0}
        is_well = not down and all(gap <= EPOCH_GAP_MAX_S for gap in gaps.values())
        return is_well, ", ".join(f"{name}: {gap:.0f} s" for name, gap in gaps.items()) + f"; not watched: {', '.join(down) or 'none'}"

    def quota_holds(self):
        totals = [sum(slots(job) for job in sample["jobs"] if job["name"] in WATCHED) for sample in self.samples]
        nexmark = max((used for _, used, _ in self.of("nexmark")), default=0)
        held = max((sum(sample["held"].values()) for sample in self.samples), default=0)
        is_well = bool(totals) and max(totals) <= QUOTA and nexmark <= NEXMARK_SLOTS_MAX
        # With the shares that are kept for jobs which have not been seen yet.
        held = f"{held:.0f} with what is kept for others"
        return is_well, f"at most {max(totals, default=0)} of {QUOTA} ({held}), nexmark {nexmark} of {NEXMARK_SLOTS_MAX}"

    def changes_succeed(self):
        bad = [f"{name}: {outcome['state']} ({outcome.get('message')})" for name in WELL for outcome in self.journals[name].outcomes
               if outcome["state"] != "running"]
        return not bad, "; ".join(bad) or "all"


def table(findings):
    print("\n| job | what it is | epochs | changes | slots | parallelism over time | latency: median, 95 % | longest gap |")
    print("|---|---|---|---|---|---|---|---|")
    for name, kind in KIND.items():
        journal, samples = findings.journals[name], findings.of(name)
        latencies = sorted(journal.latencies(SETTLE_S))
        latency = f"{statistics.median(latencies):.0f}, {latencies[int(len(latencies) * 0.95)]:.0f} ms" if latencies else "–"
        widths = ", ".join(f"{operator} {' → '.join(map(str, history))}" for operator, history in journal.widths().items() if len(history) > 1)
        used = [used for _, used, _ in samples]
        span = f"{min(used)} to {max(used)}" if used else "–"
        gap = f"{journal.gap_s():.0f} s" if len(journal.records) > 1 else "–"
        print(f"| `{name}` | {kind} | {len(journal.records)} | {journal.published} | {span} | {widths or 'unchanged'} | {latency} | {gap} |")


def report(findings):
    """Prints the table and the verdict; returns the exit code."""
    table(findings)
    print()
    failed = 0
    for check, (is_well, seen) in zip(CHECKS, findings.checks()):
        failed += not is_well
        print(f"{'ok    ' if is_well else 'FAILED'}  {check}: {seen}")
    used = [sample["process"] for sample in findings.samples if sample["process"]]
    if len(used) > 1:
        elapsed = findings.samples[-1]["at_s"] - findings.samples[0]["at_s"]
        share = (used[-1]["cpu_s"] - used[0]["cpu_s"]) / max(elapsed, 1)
        print(f"\nthe rescaler took {share * 100:.1f} % of one processor and {used[-1]['rss_mib']:.0f} MiB (built for tests, not for release)")
    print(f"\n{'all is as it should be' if not failed else f'{failed} of {len(CHECKS)} checks failed'}")
    return 1 if failed else 0
