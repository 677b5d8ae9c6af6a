//! State of policy `external`: the effect of its program's past widenings.
//!
//! A program may ignore the effect of its last step. The capacity of an operator is its records per second divided by the busy share of its
//! busiest subtask. A widening that raises it by less than a fifth of the expected gain was useless. After two useless widenings in a row, a
//! third is removed from the plan while the busiest subtask is always busy, and the decision names the cause.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Decision, Operator, Partitioning, Snapshot, ds2};

/// The figure in a report from which a published widening is judged later, in records per second.
pub(super) const CAPACITY: &str = "capacity_per_s";

/// Useless widenings of one operator in a row that are allowed.
const USELESS_MAX: u32 = 2;
/// A widening that brought less than this share of what was expected was useless.
const LEAST_EFFECT: f64 = 0.2;
/// A subtask that is busy for this share of its time counts as always busy.
const ALWAYS_BUSY: f64 = 0.9;
/// A busy share below this tells no capacity.
const LEAST_BUSY: f64 = 0.05;

/// What is remembered from epoch to epoch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// The last widening of each operator.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    widened: BTreeMap<String, PastScaleOut>,
}

/// A widening.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct PastScaleOut {
    /// The parallelism before this and all useless widenings right before it.
    first: u32,
    from: u32,
    to: u32,
    /// What the operator could carry before, in records per second.
    capacity_before_per_s: f64,
    /// Useless widenings right before this one.
    useless_before: u32,
}

impl PastScaleOut {
    /// Whether the operator, if it still is as wide, carries hardly more than before.
    fn was_useless(&self, operator: &Operator, capacity_per_s: f64) -> bool {
        let expected = self.capacity_before_per_s * (f64::from(self.to) / f64::from(self.from.max(1)) - 1.0);
        operator.parallelism == self.to
            && capacity_per_s - self.capacity_before_per_s < LEAST_EFFECT * expected
    }
}

impl Memory {
    /// Whether there is nothing to remember.
    pub(crate) fn is_empty(&self) -> bool {
        self.widened.is_empty()
    }

    /// Remembers the widenings of a published plan.
    pub(super) fn published(&mut self, decision: &Decision) {
        for report in &decision.operators {
            let Some(new) = decision.parallelism.get(&report.name) else { continue };
            let before = self.widened.remove(&report.name);
            let capacity = report.figures.get(CAPACITY).copied();
            let Some(capacity) = capacity.filter(|_| *new > report.parallelism) else { continue };
            let looked_at = Operator { parallelism: report.parallelism, ..Operator::default() };
            let useless = before.filter(|before| before.was_useless(&looked_at, capacity));
            let widened = PastScaleOut {
                first: useless.as_ref().map_or(report.parallelism, |before| before.first),
                from: report.parallelism,
                to: *new,
                capacity_before_per_s: capacity,
                useless_before: useless.map_or(0, |before| before.useless_before.saturating_add(1)),
            };
            self.widened.insert(report.name.clone(), widened);
        }
    }

    /// Why this operator is not widened again, if that is so.
    pub(super) fn useless(&self, operator: &Operator, snapshot: &Snapshot) -> Option<String> {
        let widened = self.widened.get(&operator.name)?;
        let capacity_per_s = capacity_per_s(operator)?;
        let is_useless = busiest(operator)? >= ALWAYS_BUSY
            && widened.useless_before + 1 >= USELESS_MAX
            && widened.was_useless(operator, capacity_per_s);
        is_useless.then(|| {
            format!(
                "{} is not widened again: {} widenings from {} to {} had no effect ({:.0}/s before the last, {capacity_per_s:.0}/s since); {}",
                operator.name,
                widened.useless_before + 1,
                widened.first,
                widened.to,
                widened.capacity_before_per_s,
                ds2::cause_of_no_effect(operator, snapshot)
            )
        })
    }
}

/// Records per second that the operator could carry if its busiest subtask were always busy. Those of a broadcast input, which each
/// subtask gets, count once.
pub(super) fn capacity_per_s(operator: &Operator) -> Option<f64> {
    let busy = busiest(operator).filter(|busy| *busy >= LEAST_BUSY)?;
    let is_broadcast = operator.edges.iter().any(|edge| edge.partitioning == Partitioning::Broadcast);
    let copies = if is_broadcast { f64::from(operator.parallelism.max(1)) } else { 1.0 };
    Some(operator.throughput_per_s? / copies / busy)
}

/// The busy share of the busiest subtask, 0 to 1.
fn busiest(operator: &Operator) -> Option<f64> {
    let shares = operator.subtasks.iter().filter_map(|subtask| subtask.busy_ratio);
    shares.reduce(f64::max).or(operator.busy_ratio)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Action, Kind, OperatorReport};

    fn operator(parallelism: u32, throughput_per_s: f64, busy: f64) -> Operator {
        Operator {
            name: "map".to_owned(),
            parallelism,
            throughput_per_s: Some(throughput_per_s),
            busy_ratio: Some(busy),
            ..Operator::default()
        }
    }

    fn widen(memory: &mut Memory, operator: &Operator, to: u32) {
        let mut decision = Decision::nothing("external", "test");
        decision.action = Action::Rescale;
        decision.parallelism.insert("map".to_owned(), to);
        let figures = capacity_per_s(operator).map(|capacity| (CAPACITY.to_owned(), capacity));
        decision.operators.push(OperatorReport {
            name: "map".to_owned(),
            kind: Kind::Continuous,
            latency_ms: None,
            parallelism: operator.parallelism,
            new_parallelism: Some(to),
            because: String::new(),
            figures: figures.into_iter().collect(),
        });
        memory.published(&decision);
    }

    fn useless(memory: &Memory, operator: &Operator) -> Option<String> {
        memory.useless(operator, &Snapshot::default())
    }

    /// Goal: a third widening is withheld after two that brought nothing; one that brought something, a raised limit and free time of
    /// the subtasks each end that.
    #[test]
    fn two_useless_widenings_are_enough() {
        let mut memory = Memory::default();
        widen(&mut memory, &operator(2, 1000.0, 1.0), 4);
        assert_eq!(useless(&memory, &operator(4, 1000.0, 1.0)), None);
        widen(&mut memory, &operator(4, 1000.0, 1.0), 8);
        let reason = useless(&memory, &operator(8, 1010.0, 1.0)).unwrap();
        assert!(reason.contains("2 widenings from 2 to 8") && reason.contains("outside the job"), "{reason}");
        assert_eq!(useless(&memory, &operator(8, 1900.0, 1.0)), None);
        assert_eq!(useless(&memory, &operator(8, 500.0, 0.5)), None);
        widen(&mut memory, &operator(8, 1900.0, 1.0), 16);
        assert_eq!(useless(&memory, &operator(16, 1900.0, 1.0)), None);
    }
}
