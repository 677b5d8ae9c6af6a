//! Policy `ds2`: sets the parallelism of every operator by its true processing rate.
//!
//! An operator's *true processing rate* is the records that it processes per second of busy time, however long it was idle or
//! back-pressured. From it, and from the target rates of the sources ([`crate::targets`]), the parallelism of all operators
//! follows in a single step (Kalavri et al., "Three steps is all you need", OSDI 2018). Per operator, with
//! λ the arrival rate, D the rate for the backlog, u the target utilisation, R the restart time and T the catch-up time:
//!
//! ```text
//! c        = records ÷ (subtasks · busy seconds)                    true rate of one subtask
//! carry(p) = c ÷ w(p)                                               w(p): share of the fullest subtask, see `spread`
//! p′       = smallest p with carry(p) ≥ λ ÷ u + D + λ·R ÷ T         aligned to key groups or partitions
//! up       if carry(p) < λ ÷ u_max + D                              the dead band lies between the two
//! down     if carry(p) > λ ÷ u_min + D, for long enough
//! ```
//!
//! Windowed operators must also satisfy the burst condition ([`crate::windows`]). Options have the names and meanings of Apache
//! Flink's own autoscaler (FLIP-271); `docs/policies.md` compares them.
//!
//! The policy does not widen where that would be useless: for work that cannot be divided ([`spread`]), for an operator whose last
//! widening had no effect (`Memory`, like FLIP-271's `scaling.effectiveness.detection`), for any operator beyond the maximum capacity of the
//! job's bottleneck, and while the task managers are busy collecting garbage ([`health`]). The decision names the cause. The capacity of a
//! source that is limited by its fetchers (its backlog grows, and its task is idle and not back-pressured) is its measured rate, not the
//! one by its busy time.
//!
//! Deliberately absent: memory tuning.

mod assess;
mod health;
mod inputs;
mod lagging;
mod memory;
mod options;
mod spread;

use serde::{Deserialize, Serialize};

use assess::{Assessment, Direction};
pub use memory::Memory;
pub use options::{BusyTime, Options};

use crate::key_groups::InputUnits;
use crate::{Action, Decision, Kind, Operator, OperatorReport, Policy, Snapshot, Traits};

/// The policy's name in configuration and records.
pub const NAME: &str = "ds2";

/// The policy with its options.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ds2(pub Options);

impl Policy for Ds2 {
    fn name(&self) -> &'static str {
        NAME
    }

    fn traits(&self) -> Traits {
        Traits { may_narrow: true, keeps_forward: true, reports_cluster: false }
    }

    fn observe(&self, memory: &mut crate::Memory, snapshot: &Snapshot, now_ms: i64) {
        let memory = &mut memory.ds2;
        let assessments = assess::all(&self.0, snapshot, memory);
        if memory.stabilizing(&self.0, snapshot, now_ms).is_none() {
            memory.learn(&assessments);
        }
        memory.observe(&assessments, now_ms);
    }

    fn decide(&self, memory: &crate::Memory, snapshot: &Snapshot, now_ms: i64) -> Decision {
        let (options, memory) = (&self.0, &memory.ds2);
        let mut assessments = assess::all(options, snapshot, memory);
        if let Some(reason) = memory.stabilizing(options, snapshot, now_ms) {
            let mut decision = Decision::nothing(NAME, reason);
            decision.operators = reports(&assessments, &[]);
            return decision;
        }
        let ripe = memory.due_scale_ins(options, &assessments, now_ms);
        let mut waits = memory.waits(options, &ripe, now_ms);
        for assessment in assessments.iter_mut().filter(|assessment| assessment.direction == Direction::Up) {
            if memory.must_be_confirmed(assessment) {
                waits.push(format!(
                    "{} is widened to {} if the next epoch confirms it",
                    assessment.name, assessment.wanted
                ));
                (assessment.direction, assessment.wanted) = (Direction::Stay, assessment.parallelism);
            }
        }
        decision(&assessments, &ripe, waits)
    }

    fn plan(&self, snapshot: &Snapshot) -> Decision {
        let assessments = assess::all(&self.0, snapshot, &Memory::default());
        let ripe: Vec<DueAction> = assessments
            .iter()
            .filter(|assessment| assessment.direction == Direction::Down)
            .map(|assessment| DueAction { name: assessment.name.clone(), parallelism: assessment.wanted })
            .collect();
        decision(&assessments, &ripe, Vec::new())
    }

    fn is_waiting(&self, memory: &crate::Memory, snapshot: &Snapshot, now_ms: i64) -> bool {
        memory.ds2.stabilizing(&self.0, snapshot, now_ms).is_some()
    }

    fn published(&self, memory: &mut crate::Memory, decision: &Decision, now_ms: i64) {
        memory.ds2.published(decision, now_ms);
    }
}

/// The likeliest cause why a wider operator, whose busiest subtask is always busy, carries no more, in words.
pub(crate) fn cause_of_no_effect(operator: &Operator, snapshot: &Snapshot) -> String {
    let keys = operator.max_parallelism.unwrap_or(snapshot.job.max_parallelism).max(1);
    let input_units = if operator.is_keyed() { InputUnits::Of(keys) } else { InputUnits::None };
    let spread = spread::Spread::new(operator, snapshot, input_units, &Options::default());
    let partitions = operator.source_partitions.filter(|_| operator.kind == Kind::Source);
    match (spread.indivisible.describe(), partitions) {
        (_, Some(partitions)) if partitions < operator.parallelism => {
            format!("it has {partitions} partitions to read: add partitions")
        }
        (Some(cause), _) => cause,
        (None, _) => health::cause_of_no_effect(snapshot, true),
    }
}

/// An operator that may be narrowed now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct DueAction {
    name: String,
    parallelism: u32,
}

fn decision(assessments: &[Assessment], ripe: &[DueAction], waits: Vec<String>) -> Decision {
    let mut decision = Decision::nothing(NAME, headline(assessments));
    decision.operators = reports(assessments, ripe);
    for assessment in assessments {
        let Some(new) = taken(assessment, ripe).filter(|new| *new != assessment.parallelism) else {
            continue;
        };
        decision.parallelism.insert(assessment.name.clone(), new);
        decision.rejected.extend(assessment.rejected.iter().cloned());
    }
    if !decision.parallelism.is_empty() {
        decision.action = Action::Rescale;
        decision.reasons = assessments
            .iter()
            .filter(|assessment| decision.parallelism.contains_key(&assessment.name))
            .map(|assessment| format!("{}: {}", assessment.name, assessment.because))
            .collect();
    }
    decision.reasons.extend(waits);
    decision.reasons.extend(assessments.iter().filter_map(|assessment| assessment.warning.clone()));
    decision
}

/// The parallelism that the decision gives the operator, if it gives one.
fn taken(assessment: &Assessment, ripe: &[DueAction]) -> Option<u32> {
    match assessment.direction {
        Direction::Up => Some(assessment.wanted),
        Direction::Down => ripe.iter().find(|ripe| ripe.name == assessment.name).map(|ripe| ripe.parallelism),
        Direction::Stay | Direction::Unknown => None,
    }
}

fn headline(assessments: &[Assessment]) -> String {
    let count = |wanted: Direction| assessments.iter().filter(|a| a.direction == wanted).count();
    let (unknown, all) = (count(Direction::Unknown), assessments.len());
    let known = format!("{} of {all} operators are wide enough and not too wide", count(Direction::Stay));
    match assessments.iter().find(|assessment| assessment.direction == Direction::Unknown) {
        Some(first) => format!("{known}; {unknown} cannot be judged ({}: {})", first.name, first.because),
        None => known,
    }
}

fn reports(assessments: &[Assessment], ripe: &[DueAction]) -> Vec<OperatorReport> {
    let report = |assessment: &Assessment| OperatorReport {
        name: assessment.name.clone(),
        kind: assessment.kind,
        latency_ms: assessment.latency_ms,
        parallelism: assessment.parallelism,
        new_parallelism: taken(assessment, ripe),
        because: assessment.because.clone(),
        figures: assessment.figures.clone(),
    };
    assessments.iter().map(report).collect()
}
