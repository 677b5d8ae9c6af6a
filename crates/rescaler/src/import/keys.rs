//! The keys of the old files, and what became of each.
//!
//! The names are those of the original's example files and of the places where it reads them. `docs/migration.md` lists
//! them for people and says which are certain; a test keeps the two the same.

use std::ops::RangeInclusive;

use super::yaml::plain;

/// The two benchmarks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Benchmark {
    Nexmark,
    Psm,
}

impl Benchmark {
    /// The name, in old files as in ours.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nexmark => "nexmark",
            Self::Psm => "psm",
        }
    }

    /// The numbers of its queries.
    pub(super) fn queries(self) -> RangeInclusive<u32> {
        match self {
            Self::Nexmark => 4..=8,
            Self::Psm => 1..=5,
        }
    }
}

/// Where a value goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum File {
    Rescaler,
    Document,
    Producer,
}

/// How a value is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueFormat {
    Text,
    /// A whole number from 1 on, multiplied by this.
    Count(i64),
    /// A whole number, 0 too.
    Size,
    /// A number above 0.
    Number,
    /// True if it is this word, in upper or lower case.
    Is(&'static str),
}

/// What became of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyMapping {
    /// Some keys of ours take the value.
    Becomes(&'static [(File, &'static str)], ValueFormat),
    /// `nexmark` or `psm`.
    Benchmark,
    /// Any text, of which a job name is made.
    JobName,
    /// The width of an operator; 0: the default.
    Operator(Benchmark, &'static str),
    /// The width of the sink of the n-th query.
    Sink(u32),
    /// Whether a query runs.
    Query(u32),
    /// The JobManager's host, or its port.
    FlinkHost,
    FlinkPort,
    /// Threads, events in a step, and the pause after one: together a rate.
    Threads,
    Low,
    Maximum,
    PauseMs,
    ChangeIntervalMs,
    /// Nothing of ours needs it, for this reason.
    NotNeeded(&'static str),
    /// It belongs into a file that is not written here.
    Elsewhere(&'static str),
}

use Benchmark::{Nexmark, Psm};
use File::{Document, Producer, Rescaler};
use KeyMapping::{
    Becomes, ChangeIntervalMs, Elsewhere, FlinkHost, FlinkPort, JobName, Low, Maximum, NotNeeded, Operator,
    PauseMs, Query, Sink, Threads,
};

const WIDTH_ONE: &str = "an all-window operator always has parallelism 1";
const NO_ZOOKEEPER: &str = "clients query the brokers";
const FROM_FLINK: &str = "the rescaler queries Flink";

/// Keys of the job's configuration and of the rescaler's.
pub(super) const JOB: [(&str, KeyMapping); 68] = [
    // The job, as its example files have them.
    ("benchmark", KeyMapping::Benchmark),
    ("experiment_name", JobName),
    ("parallelism", Becomes(&[(Document, "parallelism.default")], ValueFormat::Count(1))),
    (
        "maxParallelism",
        Becomes(
            &[(Document, "parallelism.max"), (Rescaler, "policy.latency.parallelism_max")],
            ValueFormat::Count(1),
        ),
    ),
    ("kafka_server", Becomes(&[(Document, "kafka.bootstrap_servers")], ValueFormat::Text)),
    ("kafka_zookeeper", NotNeeded(NO_ZOOKEEPER)),
    ("latencyTrackingInterval", NotNeeded("the job has its own histograms")),
    ("checkpointing_interval", Becomes(&[(Document, "checkpoint.interval_ms")], ValueFormat::Count(1))),
    ("minPauseBetweenCheckpoints", Becomes(&[(Document, "checkpoint.min_pause_ms")], ValueFormat::Size)),
    (
        "checkpointing_method",
        Becomes(&[(Document, "checkpoint.incremental")], ValueFormat::Is("incremental")),
    ),
    ("checkpoint_dir", Becomes(&[(Document, "checkpoint.directory")], ValueFormat::Text)),
    ("Auctions_Input", Operator(Nexmark, "source-auction")),
    ("Item_Input", Operator(Nexmark, "source-item")),
    ("Person_Input", Operator(Nexmark, "source-person")),
    ("Bid_Input", Operator(Nexmark, "source-bid")),
    ("Search_Input", Operator(Psm, "source-search")),
    ("Clicks_Input", Operator(Psm, "source-click")),
    ("Impressions_Input", Operator(Psm, "source-impression")),
    ("Query4_Auctions_Items_CoProcessFunction", Operator(Nexmark, "q4-auction-item")),
    ("Query4_Price_per_closed_Auction_CoProcessFunction", Operator(Nexmark, "q4-closing-price")),
    ("Query4_AverageByCategory", Operator(Nexmark, "q4-category-average")),
    ("Query5_Auction_to_Item_CoProcessFunction", Operator(Nexmark, "q5-bid-item")),
    ("Query5_DetermineHottestItem_AllWindowFunction", NotNeeded(WIDTH_ONE)),
    ("Query6_Auctions_to_Bids_CoProcessFunction", Operator(Nexmark, "q6-closing-price")),
    ("Query6_AverageSellerPrice_WindowFunction", Operator(Nexmark, "q6-seller-average")),
    ("Query7_ActiveAuctions_Items_CoProcessFunction", Operator(Nexmark, "q7-bid-item")),
    ("Query7_AllWindowFunction", NotNeeded(WIDTH_ONE)),
    ("Query8_Person_Auction_JoinFunction", Operator(Nexmark, "q8-new-sellers")),
    ("TriggerWindow(TumblingEventTimeWindows(10000)", Operator(Nexmark, "q8-new-sellers")),
    ("Query1_WindowFunction", Operator(Psm, "q1-best-category")),
    ("Query2_RichWindowFunction", Operator(Psm, "q2-product-median")),
    ("Query3_RichWindowFunction", Operator(Psm, "q3-owner-median")),
    ("Query4_RichCoGroupFunction", Operator(Psm, "q4-impressions-per-click")),
    ("Query4_RichWindowFunction", NotNeeded("query 4 is one operator, q4-impressions-per-click")),
    ("Query5_RichCoGroupFunction", Operator(Psm, "q5-searches-per-click")),
    ("Sink_1_Parallelism", Sink(1)),
    ("Sink_2_Parallelism", Sink(2)),
    ("Sink_3_Parallelism", Sink(3)),
    ("Sink_4_Parallelism", Sink(4)),
    ("Sink_5_Parallelism", Sink(5)),
    ("Query1_Active", Query(1)),
    ("Query2_Active", Query(2)),
    ("Query3_Active", Query(3)),
    ("Query4_Active", Query(4)),
    ("Query5_Active", Query(5)),
    ("Query6_Active", Query(6)),
    ("Query7_Active", Query(7)),
    ("Query8_Active", Query(8)),
    ("restarted", NotNeeded("in the agent's journal")),
    ("out", NotNeeded("task_managers of the document")),
    // The rescaler, whose settings were the variables of a Python file.
    ("job_name", JobName),
    ("jobmanager", FlinkHost),
    ("jobmanager_port", FlinkPort),
    ("metric_interval", Becomes(&[(Rescaler, "epoch.length_ms")], ValueFormat::Count(60_000))),
    ("number_to_scale", Becomes(&[(Rescaler, "policy.latency.operators_to_scale")], ValueFormat::Count(1))),
    ("max_downtime", Becomes(&[(Rescaler, "policy.latency.downtime_max_s")], ValueFormat::Number)),
    ("accepted_latency", Becomes(&[(Rescaler, "policy.latency.latency_max_ms")], ValueFormat::Number)),
    ("memory_fraction", Becomes(&[(Rescaler, "policy.latency.heap_fraction")], ValueFormat::Number)),
    ("max_network", Becomes(&[(Rescaler, "policy.latency.network_bytes_per_s")], ValueFormat::Number)),
    ("start_path", Becomes(&[(Rescaler, "source.folder")], ValueFormat::Text)),
    ("path_to_jar", Elsewhere("`flink.jar` of config-agent.toml")),
    ("savepoint_path", Elsewhere("`flink.savepoint_directory` of config-agent.toml")),
    ("taskmanagers", Elsewhere("a `[[node]]` each in config-agent.toml")),
    ("path_to_flink", NotNeeded("the agent uses Flink's REST interface")),
    ("max_heap", NotNeeded(FROM_FLINK)),
    ("operators", NotNeeded(FROM_FLINK)),
    ("map_joins", NotNeeded(FROM_FLINK)),
    ("filename_system_metrics", NotNeeded(FROM_FLINK)),
];

/// Keys of the producer's configuration.
pub(super) const PRODUCER: [(&str, KeyMapping); 8] = [
    ("benchmark", KeyMapping::Benchmark),
    ("kafka_server", Becomes(&[(Producer, "kafka.bootstrap_servers")], ValueFormat::Text)),
    ("kafka_zookeeper", NotNeeded(NO_ZOOKEEPER)),
    ("parallelism", Threads),
    ("events.perstep.low", Low),
    ("events.perstep.max", Maximum),
    ("pause", PauseMs),
    ("change_interval", ChangeIntervalMs),
];

/// Keys that only a producer's file has.
const PRODUCER_ONLY: [&str; 4] = ["events.perstep.low", "events.perstep.max", "pause", "change_interval"];

/// Whether a file with this key, in its plain form, is a producer's.
pub(super) fn is_of_producer(plain_key: &str) -> bool {
    PRODUCER_ONLY.iter().any(|known| plain(known) == plain_key)
}

/// What became of this key, given in its plain form; [`None`]: no such key is known.
pub(super) fn mapping(plain_key: &str, in_producer_file: bool) -> Option<KeyMapping> {
    let known: &[(&str, KeyMapping)] = if in_producer_file { &PRODUCER } else { &JOB };
    known.iter().find(|(name, _)| plain(name) == plain_key).map(|(_, mapping)| *mapping)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the list for people names each key that is known here.
    #[test]
    fn the_guide_names_every_key() {
        let guide = include_str!("../../../../docs/migration.md");
        for (name, _) in JOB.iter().chain(&PRODUCER) {
            assert!(guide.contains(&format!("`{name}`")), "docs/migration.md: no {name}");
        }
    }
}
