//! Propagates the target rates of the sources through the job graph: the load of each operator without back-pressure.
//!
//! A job that cannot keep up slows its own sources down (back-pressure), so the measured rate of an operator is its throughput, not its
//! load. The targets of the sources are known: the arrival rate (records read plus growth of the backlog), and the rate at which the
//! backlog must drain. They are propagated downstream by the measured selectivities. With
//! a(v) = target ÷ measured rate of operator v,
//!
//! ```text
//! a(source) = target ÷ records read
//! a(v)      = Σ output(u)·a(u) ÷ Σ output(u)      over the operators u that feed v
//! target(v) = measured input(v) · a(v)
//! ```
//!
//! which is the propagation of DS2 (Kalavri et al., "Three steps is all you need", OSDI 2018, section 4.2), in a form that needs no
//! selectivity per edge, because an operator with several outputs reports only its total output. An unknown figure upstream makes
//! everything downstream unknown.

use std::collections::BTreeMap;

use crate::{Kind, Operator, Snapshot};

/// What an operator must be able to do, in its own records per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    /// What arrives, steadily.
    pub rate_per_s: f64,
    /// What the backlog adds while it is worked off.
    pub drain_per_s: f64,
    /// Whether the arrival rate of some source is an estimate from its back-pressure, not a measurement.
    pub is_estimated: bool,
}

/// A source without a count of what waits is taken to deliver at most 1 ÷ this times what it reads: its back-pressure says that it is held
/// back, and hardly by how much. Each further epoch may ask for as many times more.
const LEAST_FREE_SHARE: f64 = 0.5;

/// Returns the targets of all operators for which they are known, the backlog being worked off within `catch_up_s` seconds
/// (0: the backlog asks for nothing).
///
/// An operator that takes nothing of what arrives has no target: its selectivities are not known.
pub fn targets(snapshot: &Snapshot, catch_up_s: f64) -> BTreeMap<&str, Target> {
    let flows = propagate(&snapshot.operators, |source| source_flow(source, catch_up_s));
    let target = |(operator, flow): (&Operator, Flow)| -> Option<Target> {
        let measured = operator.throughput_per_s?;
        let is_stuck = measured <= 0.0 && flow.rate + flow.drain > 0.0 && operator.kind != Kind::Source;
        (!is_stuck).then(|| flow.target(operator, measured))
    };
    let known = snapshot.operators.iter().zip(flows);
    known.filter_map(|(operator, flow)| Some((operator.name.as_str(), target((operator, flow?))?))).collect()
}

/// Returns the input rate that is offered to every operator, in records per second: what would reach it if nothing were held back.
///
/// An operator has none if its own rate, or any figure upstream of it, is unknown, or if all its inputs are silent. The arrival rates
/// of sources must have been measured.
pub fn offered_rates(operators: &[Operator]) -> BTreeMap<String, f64> {
    let measured = |source: &Operator| {
        source.arrival_rate_per_s?;
        source_flow(source, 0.0)
    };
    let offered = |operator: &Operator, flow: Option<Flow>| match operator.kind {
        Kind::Source => operator.arrival_rate_per_s,
        _ => Some(operator.throughput_per_s? * flow.filter(|flow| !flow.is_silent)?.rate),
    };
    let flows = propagate(operators, measured);
    let known = operators.iter().zip(flows);
    known.filter_map(|(operator, flow)| Some((operator.name.clone(), offered(operator, flow)?))).collect()
}

/// What reaches an operator, as multiples of what was measured there; for sources the rates themselves are kept, too.
#[derive(Debug, Clone, Copy)]
struct Flow {
    /// Multiple of the measured rate that arrives.
    rate: f64,
    /// Multiple of the measured rate that drains the backlog.
    drain: f64,
    /// Sources: what arrives and what drains the backlog, in records per second.
    of_source: Option<(f64, f64)>,
    /// Whether the arrival rate of some source is an estimate from its back-pressure.
    is_estimated: bool,
    /// Whether nothing was measured upstream that a multiple could refer to.
    is_silent: bool,
}

impl Flow {
    fn target(self, operator: &Operator, measured_per_s: f64) -> Target {
        let (rate_per_s, drain_per_s) = match self.of_source {
            Some(rates) if operator.kind == Kind::Source => rates,
            _ => (measured_per_s * self.rate, measured_per_s * self.drain),
        };
        Target { rate_per_s, drain_per_s, is_estimated: self.is_estimated }
    }
}

/// The flow of every operator, in the order of the list, from that of the sources.
fn propagate(operators: &[Operator], source: impl Fn(&Operator) -> Option<Flow>) -> Vec<Option<Flow>> {
    let index = index(operators);
    let is_source = |operator: &&Operator| operator.kind == Kind::Source;
    let mut flows: Vec<Option<Flow>> =
        operators.iter().map(|operator| Some(operator).filter(is_source).and_then(&source)).collect();
    for at in downstream_order(operators, &index) {
        if operators[at].kind != Kind::Source {
            flows[at] = merged(&operators[at], operators, &index, &flows);
        }
    }
    flows
}

fn source_flow(source: &Operator, catch_up_s: f64) -> Option<Flow> {
    let processed = source.throughput_per_s?;
    let (rate, is_estimated) = match source.arrival_rate_per_s {
        Some(arrival) => (arrival, false),
        // What waits at the origin is not counted. A source that is held back for a share of its time would deliver the
        // rest in that share.
        None => {
            let free = 1.0 - source.backpressured_ratio?.clamp(0.0, 1.0);
            (processed / free.max(LEAST_FREE_SHARE), true)
        }
    };
    let backlog = source.backlog_records.unwrap_or(0.0);
    let drain = if catch_up_s > 0.0 { backlog / catch_up_s } else { 0.0 };
    let multiple =
        |target: f64| if processed > 0.0 { Some(target / processed) } else { (target <= 0.0).then_some(0.0) };
    Some(Flow {
        rate: multiple(rate)?,
        drain: multiple(drain)?,
        of_source: Some((rate, drain)),
        is_estimated,
        is_silent: false,
    })
}

/// The mean of the inputs' flows, each counting by what it emits.
fn merged(
    operator: &Operator,
    all: &[Operator],
    index: &BTreeMap<&str, usize>,
    flows: &[Option<Flow>],
) -> Option<Flow> {
    let mut sum = Flow { rate: 0.0, drain: 0.0, of_source: None, is_estimated: false, is_silent: true };
    let mut total = 0.0;
    for input in &operator.inputs {
        let upstream = *index.get(input.as_str())?;
        let output = all[upstream].output_rate_per_s?;
        // The flow of a silent input counts nothing, and need not be known.
        if output > 0.0 {
            let flow = flows[upstream]?;
            sum.rate += output * flow.rate;
            sum.drain += output * flow.drain;
            sum.is_estimated |= flow.is_estimated;
            total += output;
        }
    }
    if total > 0.0 {
        sum = Flow { rate: sum.rate / total, drain: sum.drain / total, is_silent: false, ..sum };
    }
    (!operator.inputs.is_empty()).then_some(sum)
}

/// Where each operator stands in the list.
fn index(operators: &[Operator]) -> BTreeMap<&str, usize> {
    operators.iter().enumerate().map(|(at, operator)| (operator.name.as_str(), at)).collect()
}

/// The operators so that each comes after all that feed it. Operators on a cycle, which a job graph does not have, are left out.
fn downstream_order(operators: &[Operator], index: &BTreeMap<&str, usize>) -> Vec<usize> {
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

    /// Goal: a source without a count of what waits is taken to be held back in proportion to its back-pressure, and to deliver at
    /// most twice what it reads.
    #[test]
    fn back_pressure_stands_in_for_an_unknown_backlog() {
        for (held_share, expected) in [(0.0, 100.0), (0.2, 125.0), (0.75, 200.0), (0.98, 200.0)] {
            let mut held = source("bids", None, 0.0, 100.0);
            held.backpressured_ratio = Some(held_share);
            let found = targets(&job(vec![held, operator("map", &["bids"], 100.0, 100.0)]), 60.0)["map"];
            assert!(close(found.rate_per_s, expected) && found.is_estimated, "{held_share}");
        }
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

    /// Goal: a join that manages 2,000 of 5,000 records a second is asked for 5,000, and what follows it in proportion.
    #[test]
    fn back_pressure_is_seen_through() {
        let operators = [
            source("auctions", Some(300.0), 0.0, 120.0),
            source("bids", Some(4700.0), 0.0, 1880.0),
            operator("join", &["auctions", "bids"], 2000.0, 1000.0),
            operator("top", &["join"], 1000.0, 1.0),
        ];
        let offered = offered_rates(&operators);
        assert!((offered["join"] - 5000.0).abs() < 1e-6);
        assert!((offered["top"] - 2500.0).abs() < 1e-6);
        assert!((offered["bids"] - 4700.0).abs() < 1e-6);
    }

    /// Goal: one unknown figure upstream makes everything behind it unknown, and nothing else.
    #[test]
    fn unknown_stays_unknown() {
        let operators = [
            source("auctions", None, 0.0, 120.0),
            source("bids", Some(4700.0), 0.0, 1880.0),
            operator("join", &["auctions", "bids"], 2000.0, 1000.0),
            operator("filter", &["bids"], 1880.0, 10.0),
        ];
        let offered = offered_rates(&operators);
        assert!(!offered.contains_key("join") && !offered.contains_key("auctions"));
        assert!((offered["filter"] - 4700.0).abs() < 1e-6);
    }

    /// Goal: a filter in the source's own vertex changes what it emits, not what is asked of it: it reads 2,000/s, hands on 20/s, and
    /// twice as much arrives.
    #[test]
    fn a_filter_in_the_source_is_a_selectivity() {
        let mut filtering = source("bids", Some(4000.0), 0.0, 2000.0);
        filtering.output_rate_per_s = Some(20.0);
        let operators = vec![filtering, operator("map", &["bids"], 20.0, 20.0)];
        assert!(close(offered_rates(&operators)["map"], 40.0));
        let snapshot = job(operators.clone());
        let found = targets(&snapshot, 60.0);
        assert!(close(found["bids"].rate_per_s, 4000.0) && close(found["map"].rate_per_s, 40.0));
    }

    /// Goal: an operator behind silent inputs is offered an unknown rate, not none.
    #[test]
    fn silent_inputs_offer_nothing_known() {
        let mut silent = source("bids", Some(10.0), 0.0, 10.0);
        silent.output_rate_per_s = Some(0.0);
        assert!(!offered_rates(&[silent, operator("map", &["bids"], 5.0, 5.0)]).contains_key("map"));
    }
}
