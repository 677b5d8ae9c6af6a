//! The largest and smallest numbers that a snapshot can hold end no policy; no plan exceeds the maximum.

use std::collections::BTreeMap;

use scaling::ds2::Ds2;
use scaling::external::{Answer, External};
use scaling::latency::Latency;
use scaling::limits::{Bounds, Limits};
use scaling::slo::{self, Slo};
use scaling::{
    Constraints, Edge, Job, Kind, LocalTime, Memory, Operator, Partitioning, Policy, SCHEMA, Snapshot,
    Subtask, TaskManager,
};

const NUMBERS: [u32; 5] = [0, 1, 2, u32::MAX - 1, u32::MAX];

fn operator(name: &str, kind: Kind, parallelism: u32, max_parallelism: u32) -> Operator {
    let is_source = kind == Kind::Source;
    let subtask = Subtask { records_in: Some(1e9), busy_ratio: Some(1.0), ..Subtask::default() };
    Operator {
        name: name.to_owned(),
        kind,
        parallelism,
        max_parallelism: Some(max_parallelism),
        latency_ms: Some(5000.0),
        throughput_per_s: Some(1e6),
        input_rate_per_s: Some(1e9),
        output_rate_per_s: Some(1e6),
        arrival_rate_per_s: is_source.then_some(1e9),
        backlog_records: is_source.then_some(1e12),
        source_partitions: is_source.then_some(max_parallelism),
        busy_ratio: Some(1.0),
        backpressured_ratio: Some(0.0),
        slot_sharing_group: Some(name.to_owned()),
        inputs: if is_source { Vec::new() } else { vec!["source".to_owned()] },
        edges: if is_source {
            Vec::new()
        } else {
            vec![Edge { from: "source".to_owned(), partitioning: Partitioning::Forward }]
        },
        subtasks: vec![subtask; 3],
        ..Operator::default()
    }
}

fn snapshot(parallelism: u32, max: u32, at_ms: i64) -> Snapshot {
    let task_manager =
        TaskManager { id: "a".to_owned(), slots: Some(max), slots_free: Some(max), ..TaskManager::default() };
    Snapshot {
        schema: SCHEMA,
        at_ms: Some(at_ms),
        interval_ms: Some(60_000),
        job: Job {
            name: "job".to_owned(),
            parallelism,
            max_parallelism: max,
            running_since_ms: Some(at_ms),
            ..Job::default()
        },
        operators: vec![
            operator("source", Kind::Source, parallelism, max),
            operator("map", Kind::Continuous, parallelism, max),
            operator("window", Kind::Window, parallelism, max),
        ],
        task_managers: vec![task_manager.clone(), TaskManager { id: "b".to_owned(), ..task_manager }],
        ..Snapshot::default()
    }
}

fn policies() -> Vec<Box<dyn Policy>> {
    let parallelism = BTreeMap::from([("map".to_owned(), u32::MAX), ("window".to_owned(), 1)]);
    vec![
        Box::new(Latency::default()),
        Box::new(Ds2::default()),
        Box::new(Slo(slo::Options::with_bound(2000.0))),
        Box::new(External(Ok(Answer { parallelism, ..Answer::default() }))),
    ]
}

/// Goal: a parallelism of 2³²−1, alone or as maximum, number of partitions, slots, quota or bound, makes no policy panic, and no plan
/// exceeds the maximum.
#[test]
fn the_largest_numbers_end_nothing() {
    for (parallelism, max) in NUMBERS.iter().flat_map(|p| NUMBERS.map(|max| (*p, max))) {
        let mut limits = Limits { quota_slots: Some(max), ..Limits::default() };
        limits.operators.insert("map".to_owned(), Bounds { min: 1, max: u32::MAX });
        for constraints in [Constraints::default(), Constraints { limits, ..Constraints::default() }] {
            for (at_ms, policy) in [0, 1_800_000_000_000]
                .into_iter()
                .flat_map(|at| policies().into_iter().map(move |policy| (at, policy)))
            {
                let seen = snapshot(parallelism, max, at_ms);
                let mut memory = Memory::default();
                let now = LocalTime { at_ms, utc_offset_s: 0 };
                let mut decisions = vec![scaling::plan(&*policy, &constraints, &seen)];
                for _ in 0..4 {
                    let decision = scaling::decide(&*policy, &constraints, &mut memory, &seen, now);
                    memory.published(&*policy, &decision, now);
                    decisions.push(decision);
                }
                let planned = decisions.iter().flat_map(|decision| decision.parallelism.values());
                for new in planned {
                    assert!(
                        (1..=max.max(1).max(parallelism)).contains(new),
                        "{} {parallelism} {max}: {new}",
                        policy.name()
                    );
                }
            }
        }
    }
}
