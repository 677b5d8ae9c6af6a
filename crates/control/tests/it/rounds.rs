//! The scenarios `loop-*` of `testdata/scenarios`, round by round: decides on the recorded first epoch
//! (`round-0.json`), applies the plan, and lets a model of the same job produce the next epoch's metrics.
//!
//! The model takes the speed of a subtask from the recording. `[[rounds]]` in `expected.toml` states the job's limits
//! and the assertions over all rounds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use scaling::ds2::{Ds2, Options};
use scaling::{Kind, Operator, Partitioning, Snapshot, Subtask};
use serde::Deserialize;

use crate::world::World;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/scenarios");
const EPOCH_S: i64 = 60;

/// The part of `expected.toml` about rounds.
#[derive(Debug, Deserialize)]
struct Expected {
    #[serde(default)]
    rounds: Vec<Rounds>,
}

/// One job over many epochs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rounds {
    /// Number of epochs.
    epochs: u32,
    /// Options of policy `ds2`.
    #[serde(default)]
    ds2: Options,
    /// Arriving records per second, per epoch, repeated.
    arrivals_per_s: Vec<f64>,
    /// Emitted records per received record, per epoch, repeated; default: as recorded.
    #[serde(default)]
    selectivities: BTreeMap<String, Vec<f64>>,
    /// Limits of operators, by name.
    #[serde(default)]
    limits: BTreeMap<String, Limits>,
    /// Allowed range of the number of published plans.
    changes: [usize; 2],
    /// Last epoch in which a plan may be published.
    settled_by: u64,
    /// Maximum number of scale-ups that gain less than a fifth of the promised capacity.
    useless: usize,
    /// Allowed range of the operators' final parallelism.
    #[serde(default)]
    after: BTreeMap<String, [u32; 2]>,
    /// Texts that the last decision contains.
    #[serde(default)]
    says: Vec<String>,
}

/// Limits that a scale-up cannot overcome.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Limits {
    /// Records per second that an external system accepts from all subtasks together; waiting for it counts as busy.
    outside_per_s: Option<f64>,
    /// Records per second that fetchers deliver to each subtask; waiting for them counts as idle.
    fetched_per_s: Option<f64>,
    /// Share of one key, which goes to one subtask at any parallelism.
    hot_share: f64,
    /// Number of partitions; further subtasks read nothing.
    partitions: Option<u32>,
    /// Exponent of capacity as a power of the parallelism.
    exponent: Option<f64>,
}

/// An operator of the model.
struct Modelled {
    recorded: Operator,
    subtask_per_s: f64,
    limits: Limits,
}

impl Modelled {
    fn is_broadcast(&self) -> bool {
        self.recorded.edges.iter().any(|edge| edge.partitioning == Partitioning::Broadcast)
    }

    /// The share of records of each subtask; a broadcast input goes to all in full.
    fn shares(&self, width: u32) -> Vec<f64> {
        let readers = self.limits.partitions.map_or(width, |partitions| partitions.min(width));
        let first = self.limits.hot_share.max(1.0 / f64::from(readers));
        let other = (1.0 - first) / f64::from((readers - 1).max(1));
        let of = |index: u32| match index {
            _ if self.is_broadcast() => 1.0,
            0 => first,
            reader if reader < readers => other,
            _ => 0.0,
        };
        (0..width).map(of).collect()
    }

    /// Records per second that its subtasks could process if always busy.
    fn capacity_per_s(&self, width: u32) -> f64 {
        let fullest = self.shares(width).into_iter().fold(0.0, f64::max);
        let grown = self.limits.exponent.map_or(1.0, |exponent| f64::from(width).powf(exponent - 1.0));
        self.subtask_per_s * grown / fullest
    }

    /// Maximum records per second that it accepts.
    fn most_per_s(&self, width: u32) -> f64 {
        let fetched = self.limits.fetched_per_s.map_or(f64::INFINITY, |each| each * f64::from(width));
        let outside = self.limits.outside_per_s.unwrap_or(f64::INFINITY);
        self.capacity_per_s(width).min(fetched).min(outside)
    }

    /// Its metrics of one epoch; `is_held`: a source spends time waiting for the rest of the job.
    fn seen(&self, width: u32, rate_per_s: f64, selectivity: f64, is_held: bool) -> Operator {
        let shares = self.shares(width);
        let fullest = shares.iter().copied().fold(0.0, f64::max);
        let waits = self.limits.outside_per_s.is_some_and(|outside| rate_per_s >= outside * 0.999);
        let busy = if waits { 1.0 } else { (rate_per_s / self.capacity_per_s(width)).min(1.0) };
        #[expect(clippy::cast_precision_loss, reason = "seconds of an epoch")]
        let seconds = EPOCH_S as f64;
        let subtask = |share: &f64| Subtask {
            records_in: Some((rate_per_s * share * seconds).round()),
            records_out: Some((rate_per_s * share * selectivity * seconds).round()),
            busy_ratio: Some(busy * share / fullest),
            ..Subtask::default()
        };
        Operator {
            parallelism: width,
            throughput_per_s: Some(rate_per_s * shares.iter().sum::<f64>()),
            output_rate_per_s: Some(rate_per_s * selectivity),
            busy_ratio: Some(busy * shares.iter().sum::<f64>() / f64::from(width) / fullest),
            backpressured_ratio: Some(if is_held { 1.0 - busy } else { 0.0 }),
            subtasks: shares.iter().map(subtask).collect(),
            ..self.recorded.clone()
        }
    }
}

/// The job of a recording. Its operators are a chain in the order of the recording.
struct Model {
    operators: Vec<Modelled>,
    backlog: f64,
    counts_backlog: bool,
}

impl Model {
    fn new(recorded: &Snapshot, limits: &mut BTreeMap<String, Limits>) -> Self {
        let modelled = |operator: &Operator| {
            let mut modelled = Modelled {
                recorded: operator.clone(),
                subtask_per_s: 1.0,
                limits: limits.remove(&operator.name).unwrap_or_default(),
            };
            let copies = if modelled.is_broadcast() { f64::from(operator.parallelism) } else { 1.0 };
            let rate_per_s = operator.throughput_per_s.unwrap() / copies;
            let busy = operator.subtasks.iter().filter_map(|subtask| subtask.busy_ratio).fold(0.0, f64::max);
            let at_one = rate_per_s / busy;
            modelled.subtask_per_s = at_one / modelled.capacity_per_s(operator.parallelism);
            modelled
        };
        let source = recorded.operators.iter().find(|operator| operator.kind == Kind::Source).unwrap();
        Self {
            backlog: source.backlog_records.unwrap_or(0.0),
            counts_backlog: source.backlog_records.is_some(),
            operators: recorded.operators.iter().map(modelled).collect(),
        }
    }

    /// Source records per second that the job sustains at this parallelism.
    fn carries_per_s(&self, width: impl Fn(&str) -> u32, selectivity: impl Fn(&Operator) -> f64) -> f64 {
        let mut per_source_record = 1.0;
        let most = self.operators.iter().map(|operator| {
            let most = operator.most_per_s(width(&operator.recorded.name)) / per_source_record;
            per_source_record *= selectivity(&operator.recorded);
            most
        });
        most.fold(f64::INFINITY, f64::min)
    }

    /// Simulates an epoch.
    fn pass(
        &mut self,
        world: &mut World,
        arrival_per_s: f64,
        selectivity: impl Fn(&Operator) -> f64,
    ) -> Snapshot {
        world.now += SignedDuration::from_secs(EPOCH_S);
        #[expect(clippy::cast_precision_loss, reason = "seconds of an epoch")]
        let seconds = EPOCH_S as f64;
        let carried = self.carries_per_s(|name| world.width_of(name), &selectivity);
        let asked = arrival_per_s + self.backlog / seconds;
        let rate = asked.min(carried);
        self.backlog = ((asked - rate) * seconds).max(0.0);
        let mut operators = Vec::new();
        let mut reaching = rate;
        for operator in &self.operators {
            let (width, passed) = (world.width_of(&operator.recorded.name), selectivity(&operator.recorded));
            let is_source = operator.recorded.kind == Kind::Source;
            let is_held = is_source && rate < asked && operator.most_per_s(width) > rate * 1.001;
            let mut seen = operator.seen(width, reaching, passed, is_held);
            if is_source && self.counts_backlog {
                (seen.arrival_rate_per_s, seen.backlog_records) = (Some(arrival_per_s), Some(self.backlog));
                seen.source_partitions = operator.limits.partitions;
            }
            operators.push(seen);
            reaching *= passed;
        }
        Snapshot { operators, ..Snapshot::default() }
    }
}

fn recorded(folder: &Path) -> Snapshot {
    serde_json::from_str(&std::fs::read_to_string(folder.join("round-0.json")).unwrap()).unwrap()
}

/// Returns all differences between the rounds of one folder and the expectation.
fn run_rounds(folder: &Path, mut wanted: Rounds) -> Vec<String> {
    let first = recorded(folder);
    let widths: Vec<(&str, u32)> =
        first.operators.iter().map(|operator| (operator.name.as_str(), operator.parallelism)).collect();
    let mut model = Model::new(&first, &mut wanted.limits);
    assert!(wanted.limits.is_empty(), "no such operator: {:?}", wanted.limits);
    let mut world = World::of(&widths, 0.0, 0.0);
    let policy = Ds2(wanted.ds2.clone());
    let mut carried = vec![];
    for epoch in 0..wanted.epochs as usize {
        let selectivity = |operator: &Operator| {
            let recorded = operator.output_rate_per_s.unwrap() / operator.throughput_per_s.unwrap();
            wanted.selectivities.get(&operator.name).map_or(recorded, |all| all[epoch % all.len()])
        };
        carried.push(model.carries_per_s(|name| world.width_of(name), selectivity));
        let arrival_per_s = wanted.arrivals_per_s[epoch % wanted.arrivals_per_s.len()];
        let mut seen = model.pass(&mut world, arrival_per_s, selectivity);
        if epoch == 0 {
            let partitions = seen.operators.iter().map(|operator| operator.source_partitions);
            let known = first.operators.iter().cloned().zip(partitions);
            let recorded = |(operator, source_partitions)| Operator { source_partitions, ..operator };
            seen.operators = known.map(recorded).collect();
        }
        (seen.schema, seen.at_ms) = (first.schema, Some(world.now.as_millisecond()));
        (seen.interval_ms, seen.job) = (first.interval_ms, first.job.clone());
        seen.job.running_since_ms = Some(world.running_since_ms());
        world.decide(&policy, seen);
    }
    judge(&wanted, &world, &carried)
}

fn judge(wanted: &Rounds, world: &World, carried: &[f64]) -> Vec<String> {
    let plans: Vec<(u64, &BTreeMap<String, u32>)> = world
        .records
        .iter()
        .filter(|record| record.effect.generation().is_some())
        .map(|record| (record.epoch, &record.decision.parallelism))
        .collect();
    let mut problems = Vec::new();
    if !(wanted.changes[0]..=wanted.changes[1]).contains(&plans.len()) {
        problems.push(format!("{} changes, not {:?}", plans.len(), wanted.changes));
    }
    if let Some((late, _)) = plans.iter().find(|(epoch, _)| *epoch > wanted.settled_by) {
        problems.push(format!("changed in epoch {late}, after {}", wanted.settled_by));
    }
    let is_useless = |(epoch, plan): &&(u64, &BTreeMap<String, u32>)| {
        let at = usize::try_from(*epoch).unwrap();
        let (Some(before), Some(after)) = (carried.get(at - 1), carried.get(at)) else { return false };
        let snapshot = world.records[at - 1].snapshot.as_ref().unwrap();
        let factor = |(name, new): (&String, &u32)| {
            f64::from(*new) / f64::from(snapshot.operator(name).unwrap().parallelism)
        };
        let promised = plan.iter().map(factor).fold(1.0, f64::max);
        promised > 1.0 && after - before < 0.2 * before * (promised - 1.0)
    };
    let useless = plans.iter().filter(is_useless).count();
    if useless > wanted.useless {
        problems.push(format!("{useless} useless widenings"));
    }
    for (name, [least, most]) in &wanted.after {
        let width = world.width_of(name);
        if !(least..=most).contains(&&width) {
            problems.push(format!("{name} ends at {width}, not {least} to {most}"));
        }
    }
    let told = world.records.last().unwrap().decision.to_string();
    problems.extend(
        wanted.says.iter().filter(|words| !told.contains(*words)).map(|w| format!("does not say {w:?}")),
    );
    if !problems.is_empty() {
        problems.push(format!("plans {plans:?}, in the end: {told}"));
    }
    problems
}

/// Goal: in each recorded scenario all rounds together meet the expectation, not only the first.
#[test]
fn every_round_is_judged() {
    let folders = std::fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().path());
    let mut with_rounds: Vec<PathBuf> =
        folders.filter(|folder| folder.join("round-0.json").exists()).collect();
    with_rounds.sort();
    let mut wrong = Vec::new();
    for folder in &with_rounds {
        let text = std::fs::read_to_string(folder.join("expected.toml")).unwrap();
        let expected: Expected = toml::from_str(&text).unwrap();
        assert!(!expected.rounds.is_empty(), "{}: no [[rounds]]", folder.display());
        for rounds in expected.rounds {
            let name = folder.file_name().unwrap().to_string_lossy().into_owned();
            wrong.extend(run_rounds(folder, rounds).into_iter().map(|problem| format!("{name}: {problem}")));
        }
    }
    assert!(with_rounds.len() >= 11 && wrong.is_empty(), "{}", wrong.join("\n"));
}
