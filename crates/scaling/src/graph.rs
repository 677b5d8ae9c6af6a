//! The whole-graph solve: what each operator must be able to take when the sources deliver what is asked of them.
//!
//! The sources' targets are known: the arrival rate, and the rate at which the backlog shall drain. They travel down the graph
//! through the measured selectivities. With a(v) = target ÷ measured rate of operator v,
//!
//! ```text
//! a(source) = target ÷ processed
//! a(v)      = Σ output(u)·a(u) ÷ Σ output(u)      over the operators u that feed v
//! target(v) = measured input(v) · a(v)
//! ```
//!
//! which is the propagation of DS2 (Kalavri et al., "Three steps is all you need", OSDI 2018, section 4.2), written so that it needs no
//! selectivity per edge: an operator with several outputs tells only how much it emits in all. One unknown figure upstream makes
//! everything behind it unknown.

use std::collections::BTreeMap;

use crate::{Kind, Operator, Snapshot};

/// What an operator shall be able to do, in its own records per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    /// What arrives, steadily.
    pub rate_per_s: f64,
    /// What the backlog adds while it is worked off.
    pub drain_per_s: f64,
    /// Whether the arrival rate of some source is an estimate from its back-pressure, not a measurement.
    pub is_estimated: bool,
}

/// A source that is back-pressured more than this tells nothing about what it could deliver.
const LEAST_FREE_SHARE: f64 = 0.1;

/// The targets of all operators for which they are known, the backlog being worked off within `catch_up_s` (0: whenever).
pub fn targets(snapshot: &Snapshot, catch_up_s: f64) -> BTreeMap<&str, Target> {
    let operators = &snapshot.operators;
    let index = index(operators);
    let mut factors: Vec<Option<Factors>> =
        operators.iter().map(|operator| of_source(operator, catch_up_s)).collect();
    for at in downstream_order(operators, &index) {
        if operators[at].kind != Kind::Source {
            factors[at] = of_inputs(&operators[at], operators, &index, &factors);
        }
    }
    let target = |(operator, factors): (&'_ Operator, &Option<Factors>)| -> Option<Target> {
        let (rate, factors) = (operator.throughput_per_s?, (*factors)?);
        let is_stuck =
            rate <= 0.0 && factors.of_rate + factors.of_drain > 0.0 && operator.kind != Kind::Source;
        (!is_stuck).then_some(Target {
            rate_per_s: if operator.kind == Kind::Source { factors.rate } else { rate * factors.of_rate },
            drain_per_s: if operator.kind == Kind::Source { factors.drain } else { rate * factors.of_drain },
            is_estimated: factors.is_estimated,
        })
    };
    let known = operators.iter().zip(&factors);
    known.filter_map(|pair| Some((pair.0.name.as_str(), target(pair)?))).collect()
}

/// How many times as much as measured is asked for; sources also have the rates themselves.
#[derive(Debug, Clone, Copy)]
struct Factors {
    of_rate: f64,
    of_drain: f64,
    rate: f64,
    drain: f64,
    is_estimated: bool,
}

fn of_source(operator: &Operator, catch_up_s: f64) -> Option<Factors> {
    if operator.kind != Kind::Source {
        return None;
    }
    let processed = operator.throughput_per_s?;
    let (rate, is_estimated) = match operator.arrival_rate_per_s {
        Some(arrival) => (arrival, false),
        // Nobody counts what waits at the origin. A source that is held back for a share of its time would deliver the
        // rest in that share.
        None => {
            let free = 1.0 - operator.backpressured_ratio?.clamp(0.0, 1.0);
            (processed / free.max(LEAST_FREE_SHARE), true)
        }
    };
    let backlog = operator.backlog_records.unwrap_or(0.0);
    let drain = if catch_up_s > 0.0 { backlog / catch_up_s } else { 0.0 };
    let times =
        |target: f64| if processed > 0.0 { Some(target / processed) } else { (target <= 0.0).then_some(0.0) };
    Some(Factors { of_rate: times(rate)?, of_drain: times(drain)?, rate, drain, is_estimated })
}

fn of_inputs(
    operator: &Operator,
    all: &[Operator],
    index: &BTreeMap<&str, usize>,
    factors: &[Option<Factors>],
) -> Option<Factors> {
    let (mut of_rate, mut of_drain, mut total, mut is_estimated) = (0.0, 0.0, 0.0, false);
    for input in &operator.inputs {
        let upstream = *index.get(input.as_str())?;
        let output = all[upstream].output_rate_per_s?;
        // A silent input has no say, and whether its factor is known does not matter.
        if output > 0.0 {
            let factors = factors[upstream]?;
            of_rate += output * factors.of_rate;
            of_drain += output * factors.of_drain;
            is_estimated |= factors.is_estimated;
            total += output;
        }
    }
    let share = |sum: f64| if total > 0.0 { sum / total } else { 0.0 };
    let is_connected = !operator.inputs.is_empty();
    is_connected.then(|| Factors {
        of_rate: share(of_rate),
        of_drain: share(of_drain),
        rate: 0.0,
        drain: 0.0,
        is_estimated,
    })
}

/// Where each operator stands in the list.
pub(crate) fn index(operators: &[Operator]) -> BTreeMap<&str, usize> {
    operators.iter().enumerate().map(|(at, operator)| (operator.name.as_str(), at)).collect()
}

/// The operators so that each comes after all that feed it. Operators on a cycle, which a job graph does not have, are left out.
pub(crate) fn downstream_order(operators: &[Operator], index: &BTreeMap<&str, usize>) -> Vec<usize> {
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); operators.len()];
    let mut waits_for: Vec<usize> = vec![0; operators.len()];
    for (at, operator) in operators.iter().enumerate() {
        for upstream in operator.inputs.iter().filter_map(|input| index.get(input.as_str())) {
            readers[*upstream].push(at);
            waits_for[at] += 1;
        }
    }
    let mut order: Vec<usize> = (0..operators.len()).filter(|at| waits_for[*at] == 0).collect();
    let mut next = 0;
    while next < order.len() {
        for reader in readers[order[next]].clone() {
            waits_for[reader] -= 1;
            if waits_for[reader] == 0 {
                order.push(reader);
            }
        }
        next += 1;
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator(name: &str, inputs: &[&str], input: f64, output: f64) -> Operator {
        let kind = if inputs.is_empty() { Kind::Source } else { Kind::Continuous };
        Operator {
            name: name.to_owned(),
            kind,
            throughput_per_s: Some(input),
            output_rate_per_s: Some(output),
            parallelism: 1,
            inputs: inputs.iter().map(|name| (*name).to_owned()).collect(),
            ..Operator::default()
        }
    }

    fn source(name: &str, arrival: Option<f64>, backlog: f64, processed: f64) -> Operator {
        let backlog_records = Some(backlog);
        Operator { arrival_rate_per_s: arrival, backlog_records, ..operator(name, &[], processed, processed) }
    }

    fn job(operators: Vec<Operator>) -> Snapshot {
        Snapshot { operators, ..Snapshot::default() }
    }

    fn close(found: f64, expected: f64) -> bool {
        (found - expected).abs() < 1e-6
    }

    /// Goal: rates and the drain of the backlog travel through a filter and a join to the end, whatever the order of the list.
    #[test]
    fn targets_travel_downstream() {
        let snapshot = job(vec![
            operator("sink", &["join"], 500.0, 0.0),
            operator("join", &["filter", "auctions"], 1100.0, 500.0),
            operator("filter", &["bids"], 2000.0, 1000.0),
            source("auctions", Some(200.0), 0.0, 100.0),
            source("bids", Some(4000.0), 60_000.0, 2000.0),
        ]);
        let found = targets(&snapshot, 60.0);
        assert!(close(found["bids"].rate_per_s, 4000.0) && close(found["bids"].drain_per_s, 1000.0));
        assert!(close(found["filter"].rate_per_s, 4000.0) && close(found["filter"].drain_per_s, 1000.0));
        // Filter's output doubles from 1000 and gets 500 more to drain, the auctions' doubles from 100.
        assert!(close(found["join"].rate_per_s, 2200.0) && close(found["join"].drain_per_s, 500.0));
        assert!(close(found["sink"].rate_per_s, 1000.0));
        assert!(close(targets(&snapshot, 0.0)["join"].drain_per_s, 0.0));
    }

    /// Goal: what is unknown upstream is unknown downstream; an operator that takes nothing of what arrives has no target either.
    #[test]
    fn unknown_and_stuck_have_no_target() {
        let unknown = job(vec![source("bids", None, 0.0, 100.0), operator("map", &["bids"], 100.0, 100.0)]);
        assert!(targets(&unknown, 60.0).is_empty());
        let stuck = job(vec![source("bids", Some(100.0), 0.0, 100.0), operator("map", &["bids"], 0.0, 0.0)]);
        assert!(!targets(&stuck, 60.0).contains_key("map"));
    }

    /// Goal: a source without a count of what waits is taken to be held back in proportion to its back-pressure.
    #[test]
    fn back_pressure_stands_in_for_an_unknown_backlog() {
        let mut held = source("bids", None, 0.0, 100.0);
        held.backpressured_ratio = Some(0.75);
        let found = targets(&job(vec![held, operator("map", &["bids"], 100.0, 100.0)]), 60.0)["map"];
        assert!(close(found.rate_per_s, 400.0) && found.is_estimated);
    }

    /// Goal: a job without input has targets of 0, which are known.
    #[test]
    fn silence_is_a_target_of_zero() {
        let found = targets(
            &job(vec![source("bids", Some(0.0), 0.0, 0.0), operator("map", &["bids"], 0.0, 0.0)]),
            60.0,
        )["map"];
        assert!(close(found.rate_per_s, 0.0) && close(found.drain_per_s, 0.0));
    }
}
