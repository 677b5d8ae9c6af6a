//! How many records would reach each operator if nothing held them back.
//!
//! A job that cannot keep up slows its own sources down (back-pressure), so the rate that an operator *sees* is what it
//! manages, not what is asked of it. The rate that is asked of it follows from the sources: there, the arrival rate is what
//! was consumed plus the growth of the backlog. With a(u) = offered ÷ measured rate of operator u,
//!
//! ```text
//! a(source) = arrival rate ÷ output rate
//! a(v)      = Σ output(u) · a(u) ÷ Σ output(u)      over the operators u that feed v
//! offered(v) = measured input rate(v) · a(v)
//! ```
//!
//! This assumes that selectivities stay as measured, as DS2 does (Kalavri et al., "Three steps is all you need", OSDI 2018,
//! section 4.2).

use std::collections::BTreeMap;

use crate::graph::{downstream_order, index};
use crate::{Kind, Operator};

/// The offered input rate of every operator that has one, in records per second.
///
/// An operator has none if its own rate, or any figure upstream of it, is unknown; sources have their arrival rate.
pub fn offered_rates(operators: &[Operator]) -> BTreeMap<String, f64> {
    let mut factors: BTreeMap<&str, f64> = BTreeMap::new();
    for operator in operators.iter().filter(|operator| operator.kind == Kind::Source) {
        if let (Some(arrival), Some(output)) = (operator.arrival_rate_per_s, operator.output_rate_per_s)
            && output > 0.0
        {
            factors.insert(&operator.name, arrival / output);
        }
    }
    let index = index(operators);
    for at in downstream_order(operators, &index) {
        if let Some(factor) = weighted_factor(&operators[at], operators, &index, &factors) {
            factors.insert(&operators[at].name, factor);
        }
    }
    operators
        .iter()
        .filter_map(|operator| Some((operator.name.clone(), offered(operator, &factors)?)))
        .collect()
}

fn offered(operator: &Operator, factors: &BTreeMap<&str, f64>) -> Option<f64> {
    if operator.kind == Kind::Source {
        return operator.arrival_rate_per_s;
    }
    Some(operator.throughput_per_s? * factors.get(operator.name.as_str())?)
}

fn weighted_factor(
    operator: &Operator,
    all: &[Operator],
    index: &BTreeMap<&str, usize>,
    factors: &BTreeMap<&str, f64>,
) -> Option<f64> {
    let (mut weighted, mut total) = (0.0, 0.0);
    for input in &operator.inputs {
        let upstream = &all[*index.get(input.as_str())?];
        let output = upstream.output_rate_per_s?;
        // A silent input has no factor and needs none.
        if output > 0.0 {
            weighted += output * factors.get(input.as_str())?;
            total += output;
        }
    }
    (total > 0.0).then(|| weighted / total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator(name: &str, kind: Kind, inputs: &[&str], input: f64, output: f64) -> Operator {
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

    fn source(name: &str, arrival: Option<f64>, output: f64) -> Operator {
        Operator { arrival_rate_per_s: arrival, ..operator(name, Kind::Source, &[], 0.0, output) }
    }

    /// Goal: a join that manages 2,000 of 5,000 records a second is asked for 5,000, and what follows it in proportion.
    #[test]
    fn back_pressure_is_seen_through() {
        let operators = [
            source("auctions", Some(300.0), 120.0),
            source("bids", Some(4700.0), 1880.0),
            operator("join", Kind::Continuous, &["auctions", "bids"], 2000.0, 1000.0),
            operator("top", Kind::AllWindow, &["join"], 1000.0, 1.0),
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
            source("auctions", None, 120.0),
            source("bids", Some(4700.0), 1880.0),
            operator("join", Kind::Continuous, &["auctions", "bids"], 2000.0, 1000.0),
            operator("filter", Kind::Continuous, &["bids"], 1880.0, 10.0),
        ];
        let offered = offered_rates(&operators);
        assert!(!offered.contains_key("join") && !offered.contains_key("auctions"));
        assert!((offered["filter"] - 4700.0).abs() < 1e-6);
    }
}
