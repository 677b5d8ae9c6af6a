//! Operators that are not narrowed because a source before them lags, or may lag: its backlog grows, is long, or is unknown.
//!
//! A source that never reports a backlog counts as keeping up while its tasks have idle time and are not back-pressured.

use std::collections::BTreeMap;

use super::Options;
use super::assess::SATURATED;
use super::inputs::{HELD_BACK, backlog_grows, busy};
use crate::{Kind, Operator, Quality, Snapshot};

/// The sources that lag or may lag and all operators behind them, with the reason in words.
pub(super) fn behind_lagging_sources<'a>(
    options: &Options,
    snapshot: &'a Snapshot,
) -> BTreeMap<&'a str, String> {
    let sources = snapshot.operators.iter().filter(|operator| operator.kind == Kind::Source);
    let mut lagging: BTreeMap<&str, String> =
        sources.filter_map(|source| Some((source.name.as_str(), reason(options, source)?))).collect();
    loop {
        let fed = snapshot.operators.iter().filter_map(|operator| {
            let input = operator.inputs.iter().find_map(|input| lagging.get(input.as_str()))?;
            (!lagging.contains_key(operator.name.as_str())).then(|| (operator.name.as_str(), input.clone()))
        });
        let fed: Vec<(&str, String)> = fed.collect();
        if fed.is_empty() {
            return lagging;
        }
        lagging.extend(fed);
    }
}

/// Why nothing behind this source is narrowed, if that is so.
fn reason(options: &Options, source: &Operator) -> Option<String> {
    if is_lagging(options, source) {
        return Some(format!("{} is still catching up with its backlog", source.name));
    }
    if source.arrival_rate_per_s.is_some() {
        return None;
    }
    let reported = source.reading.as_ref().and_then(|reading| reading.except.get("backlog_records"));
    match reported {
        Some(Quality::Impossible) => Some(format!(
            "the backlog of {} is not known: its pendingRecords is negative or not a number; use a connector that reports it",
            source.name
        )),
        Some(_) => Some(format!("the backlog of {} is not known for all subtasks", source.name)),
        None if !keeps_up(source) => Some(format!(
            "the backlog of {} is not known: it reports no pendingRecords, and it is saturated or back-pressured",
            source.name
        )),
        None => None,
    }
}

/// Whether a source has a backlog that takes longer than the threshold to read at today's rate, or that grows.
fn is_lagging(options: &Options, source: &Operator) -> bool {
    let threshold_s = options.backlog_processing_lag_threshold_s;
    let (backlog, read) = (source.backlog_records.unwrap_or(0.0), source.throughput_per_s.unwrap_or(0.0));
    threshold_s > 0.0 && backlog > 0.0 && (backlog > read * threshold_s || backlog_grows(source))
}

/// Whether a source has time left and is not held back.
fn keeps_up(source: &Operator) -> bool {
    let is_held_back = source.backpressured_ratio.is_none_or(|held| held >= HELD_BACK);
    !is_held_back && busy(source).is_some_and(|busy| busy < SATURATED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reading;

    fn source(name: &str) -> Operator {
        Operator {
            name: name.to_owned(),
            kind: Kind::Source,
            parallelism: 2,
            throughput_per_s: Some(1000.0),
            busy_ratio: Some(0.3),
            backpressured_ratio: Some(0.0),
            ..Operator::default()
        }
    }

    fn lagging(source: Operator) -> Vec<String> {
        let behind = |name: &str, input: &str| Operator {
            name: name.to_owned(),
            inputs: vec![input.to_owned()],
            ..Operator::default()
        };
        let operators = vec![behind("c", "b"), behind("b", &source.name), source, behind("x", "other")];
        let snapshot = Snapshot { operators, ..Snapshot::default() };
        behind_lagging_sources(&Options::default(), &snapshot).keys().map(|name| (*name).to_owned()).collect()
    }

    /// Goal: a backlog that is reported and cannot be true, or is known in part, holds all that is behind its source; so does a source
    /// that counts none and has no time left or is held back. One that counts none and keeps up holds nothing.
    #[test]
    fn an_unknown_backlog_holds_what_is_behind_it() {
        let reported = |quality| {
            let mut reading = Reading::default();
            reading.except.insert("backlog_records".to_owned(), quality);
            Operator { reading: Some(reading), ..source("a") }
        };
        for held in [
            reported(Quality::Impossible),
            reported(Quality::Partial),
            Operator { busy_ratio: Some(0.95), ..source("a") },
            Operator { backpressured_ratio: Some(0.5), ..source("a") },
            Operator { backpressured_ratio: None, ..source("a") },
        ] {
            assert_eq!(lagging(held), ["a", "b", "c"]);
        }
        assert_eq!(lagging(source("a")), [""; 0]);
    }

    /// Goal: a backlog that grows holds what is behind it, even a small one if the source is held back; one that shrinks does not.
    #[test]
    fn a_growing_backlog_holds_what_is_behind_it() {
        let counted = |arrival: f64, backlog: f64, held: f64| Operator {
            arrival_rate_per_s: Some(arrival),
            backlog_records: Some(backlog),
            backpressured_ratio: Some(held),
            ..source("a")
        };
        assert_eq!(lagging(counted(1100.0, 2000.0, 0.0)), ["a", "b", "c"]);
        assert_eq!(lagging(counted(1100.0, 200.0, 0.5)), ["a", "b", "c"]);
        assert_eq!(lagging(counted(1100.0, 200.0, 0.0)), [""; 0]);
        assert_eq!(lagging(counted(900.0, 2000.0, 0.5)), [""; 0]);
    }
}
