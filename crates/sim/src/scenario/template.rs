//! The built-in jobs.

use scaling::Kind;
use serde::{Deserialize, Serialize};

use super::{InputSpec, Keys, OperatorSpec, WindowSpec};

/// A built-in job.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "kebab-case",
    deny_unknown_fields,
    expecting = "a table with the kind of the template, for example { kind = \"linear\" }"
)]
pub enum Template {
    /// Source, map, keyed aggregate, sink.
    Linear,
    /// The same with one key group that gets 6 % of all records, and uneven others.
    Skewed,
    /// The same with one partition that gets two and a half times as much as another, and a slow source.
    HotPartition,
    /// The same with an aggregate that gains little from additional subtasks.
    Contention,
    /// The same with a sink into an external system of limited rate.
    External {
        /// Records per second that it accepts.
        limit_per_s: f64,
    },
    /// The same with busy times that are reported too low.
    BiasedBusyTime {
        /// Reported busy time per second of true busy time.
        busy_bias: f64,
    },
    /// Source, filter, sliding window, sink.
    Window,
    /// Two sources, a map, a join, a sink.
    Join,
    /// Six operators with selectivities from 0.3 to 1.8.
    Deep,
}

impl Template {
    /// Returns its operators.
    pub fn operators(self) -> Vec<OperatorSpec> {
        let mut operators = linear();
        match self {
            Self::Linear => {}
            Self::Skewed => operators[2].keys = Some(Keys::Skewed),
            Self::HotPartition => {
                (operators[0].hot_partition, operators[0].rate_per_s) = (2.5, 9_000.0);
            }
            Self::Contention => {
                (operators[2].rate_per_s, operators[2].contention, operators[2].coherence) =
                    (7_000.0, 0.03, 0.0008);
            }
            Self::External { limit_per_s } => {
                (operators[3].rate_per_s, operators[3].external_limit_per_s) = (8_000.0, Some(limit_per_s));
            }
            Self::BiasedBusyTime { busy_bias } => {
                (operators[1].busy_bias, operators[2].busy_bias) = (busy_bias, busy_bias);
            }
            Self::Window => operators = window(),
            Self::Join => operators = join(),
            Self::Deep => operators = deep(),
        }
        operators
    }
}

fn source(name: &str, rate_per_s: f64, partitions: u32) -> OperatorSpec {
    OperatorSpec {
        partitions: Some(partitions),
        contention: 0.003,
        ..OperatorSpec::new(name, Kind::Source, rate_per_s)
    }
}

fn operator(name: &str, kind: Kind, rate_per_s: f64, inputs: &[(&str, f64)]) -> OperatorSpec {
    let input =
        |(from, selectivity): &(&str, f64)| InputSpec { from: (*from).to_owned(), selectivity: *selectivity };
    OperatorSpec { inputs: inputs.iter().map(input).collect(), ..OperatorSpec::new(name, kind, rate_per_s) }
}

fn keyed(contention: f64, operator: OperatorSpec) -> OperatorSpec {
    OperatorSpec { keys: Some(Keys::Even), contention, ..operator }
}

fn linear() -> Vec<OperatorSpec> {
    vec![
        source("source", 25_000.0, 16),
        operator("map", Kind::Continuous, 9_000.0, &[("source", 1.0)]),
        keyed(0.008, operator("aggregate", Kind::Continuous, 6_000.0, &[("map", 1.0)])),
        operator("sink", Kind::Sink, 15_000.0, &[("aggregate", 0.8)]),
    ]
}

fn window() -> Vec<OperatorSpec> {
    let window = WindowSpec { slide_s: 10, firing_s_per_record: 3e-5, emitted_per_record: 0.05 };
    let operator_with_window = operator("window", Kind::Window, 7_000.0, &[("filter", 0.5)]);
    vec![
        source("source", 30_000.0, 16),
        operator("filter", Kind::Continuous, 15_000.0, &[("source", 1.0)]),
        OperatorSpec { window: Some(window), ..keyed(0.008, operator_with_window) },
        operator("sink", Kind::Sink, 5_000.0, &[("window", 1.0)]),
    ]
}

fn join() -> Vec<OperatorSpec> {
    vec![
        OperatorSpec { load_share: 0.75, ..source("bids", 22_000.0, 12) },
        OperatorSpec { load_share: 0.25, ..source("auctions", 18_000.0, 12) },
        operator("map", Kind::Continuous, 10_000.0, &[("bids", 1.0)]),
        keyed(0.01, operator("join", Kind::Join, 5_000.0, &[("map", 0.7), ("auctions", 1.0)])),
        operator("sink", Kind::Sink, 12_000.0, &[("join", 0.5)]),
    ]
}

fn deep() -> Vec<OperatorSpec> {
    let aggregate = operator("aggregate", Kind::Continuous, 7_000.0, &[("enrich", 1.0)]);
    vec![
        source("source", 30_000.0, 24),
        operator("parse", Kind::Continuous, 8_000.0, &[("source", 1.0)]),
        operator("explode", Kind::Continuous, 6_000.0, &[("parse", 0.9)]),
        keyed(0.01, operator("enrich", Kind::Continuous, 9_000.0, &[("explode", 1.8)])),
        OperatorSpec { key_groups: 60, ..keyed(0.015, aggregate) },
        operator("sink", Kind::Sink, 10_000.0, &[("aggregate", 0.3)]),
    ]
}
