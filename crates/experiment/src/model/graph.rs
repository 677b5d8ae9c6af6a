//! The graph of a recorded job: operators, edges with their selectivities, shares of the sources.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use scaling::{Kind, Operator, Snapshot};
use sim::scenario::{InputSpec, Keys, OperatorSpec};

use super::recording::Recording;

/// An operator without measurable work is this fast, in records per second of a subtask.
const UNMEASURED_PER_S: f64 = 1e6;
/// Records per second below this are none.
const NONE_PER_S: f64 = 1e-3;

/// Rates of an operator over all snapshots at rest, in records.
#[derive(Debug, Clone, Copy, Default)]
struct Flow {
    read: f64,
    emitted: f64,
}

/// Returns the operators of the recorded job without their capacities: those of the newest snapshot.
///
/// # Errors
/// No snapshot was made at rest.
pub(crate) fn operators(recordings: &[Recording]) -> anyhow::Result<Vec<OperatorSpec>> {
    let at_rest = || recordings.iter().flat_map(Recording::warm_at_rest);
    let newest = at_rest().last().context(
        "no snapshot shows the job at rest; calibration needs runs with snapshots.jsonl at half of the capacity",
    )?;
    let mut flows: BTreeMap<&str, Flow> = BTreeMap::new();
    for timed in at_rest() {
        for operator in &timed.snapshot.operators {
            let flow = flows.entry(&operator.name).or_default();
            flow.read += operator.throughput_per_s.unwrap_or(0.0) * timed.length_s();
            flow.emitted += operator.output_rate_per_s.unwrap_or(0.0) * timed.length_s();
        }
    }
    let graph = Graph { snapshot: &newest.snapshot, flows };
    let arriving: f64 = graph.sources().map(|source| graph.flow(&source.name).read).sum();
    ensure!(arriving > NONE_PER_S, "the sources have read nothing at rest");
    Ok(newest.snapshot.operators.iter().map(|operator| graph.spec(operator, arriving)).collect())
}

struct Graph<'a> {
    snapshot: &'a Snapshot,
    flows: BTreeMap<&'a str, Flow>,
}

impl Graph<'_> {
    fn sources(&self) -> impl Iterator<Item = &Operator> {
        self.snapshot.operators.iter().filter(|operator| operator.kind == Kind::Source)
    }

    fn flow(&self, name: &str) -> Flow {
        self.flows.get(name).copied().unwrap_or_default()
    }

    fn spec(&self, operator: &Operator, arriving: f64) -> OperatorSpec {
        let is_source = operator.kind == Kind::Source;
        let input = |from: &String| InputSpec {
            from: from.clone(),
            selectivity: self.selectivity(from, operator).clamp(0.0, 1e6),
        };
        let keys = (!is_source && operator.is_keyed()).then_some(Keys::Even);
        let key_groups = operator.max_parallelism.unwrap_or(self.snapshot.job.max_parallelism).max(1);
        OperatorSpec {
            inputs: operator.inputs.iter().map(input).collect(),
            partitions: is_source.then(|| operator.source_partitions.unwrap_or(operator.parallelism).max(1)),
            load_share: if is_source { (self.flow(&operator.name).read / arriving).max(1e-9) } else { 1.0 },
            keys,
            key_groups,
            contention: 0.0,
            slot_sharing_group: operator.slot_sharing_group.clone(),
            ..OperatorSpec::new(&operator.name, operator.kind, UNMEASURED_PER_S)
        }
    }

    /// Returns the records on an edge per record that its origin reads. A reader with one input tells it; else the origin's output is
    /// divided evenly among the readers that read anything.
    fn selectivity(&self, from: &str, reader: &Operator) -> f64 {
        let (origin, read) = (self.flow(from), self.flow(&reader.name).read);
        if origin.read <= NONE_PER_S || read <= NONE_PER_S {
            return 0.0;
        }
        if let [_] = &reader.inputs[..] {
            return read / origin.read;
        }
        let reads = |other: &&Operator| {
            other.inputs.iter().any(|input| input == from) && self.flow(&other.name).read > NONE_PER_S
        };
        let readers = self.snapshot.operators.iter().filter(reads).count().max(1);
        #[expect(clippy::cast_precision_loss, reason = "operators of a job")]
        let share = origin.emitted / readers as f64;
        share / origin.read
    }
}
