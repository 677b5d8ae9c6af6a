//! Policy `latency`: its recorded decision to the last digit, its trigger epoch by epoch, and what holds for any input.

use std::collections::BTreeMap;

use proptest::prelude::*;
use scaling::latency::{self, Latency, Options};
use scaling::{
    Action, Constraints, Decision, Job, Kind, LocalTime, Memory, Operator, Policy, Query, SCHEMA, Snapshot,
    TaskManager,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    policy: Options,
    snapshot: Snapshot,
    expected: Expected,
}

#[derive(Deserialize)]
struct Expected {
    parallelism: BTreeMap<String, u32>,
    cluster_load: f64,
    memory_usage: f64,
    downtime_estimate_s: f64,
    scale_out: bool,
}

/// Goal: the decision that was recorded in the original experiment comes out exactly.
#[test]
fn the_recorded_decision_is_reproduced() {
    let golden: Golden =
        serde_json::from_str(include_str!("../../../../testdata/decisions/nexmark-2018-04-24.json")).unwrap();
    let decision = latency::plan(&golden.policy, &golden.snapshot);
    let close = |found: Option<f64>, expected: f64| (found.unwrap() - expected).abs() <= 1e-9;
    assert_eq!(decision.action, Action::Rescale);
    assert_eq!(decision.parallelism, golden.expected.parallelism);
    assert!(close(decision.cluster.cluster_load, golden.expected.cluster_load));
    assert!(close(decision.cluster.memory_usage, golden.expected.memory_usage));
    assert!(close(decision.cluster.downtime_estimate_s, golden.expected.downtime_estimate_s));
    assert_eq!(decision.cluster.scale_out, Some(golden.expected.scale_out));
}

fn operator(name: &str, kind: Kind, latency_ms: f64, parallelism: u32) -> Operator {
    Operator {
        name: name.to_owned(),
        kind,
        latency_ms: Some(latency_ms),
        throughput_per_s: Some(1000.0),
        input_rate_per_s: Some(2000.0),
        parallelism,
        ..Operator::default()
    }
}

fn snapshot(q7_latency_ms: Option<f64>, operators: Vec<Operator>) -> Snapshot {
    Snapshot {
        schema: SCHEMA,
        job: Job { name: "nexmark".to_owned(), parallelism: 1, max_parallelism: 128, ..Job::default() },
        queries: vec![Query { name: "q7".to_owned(), overall_latency_ms: q7_latency_ms, ..Query::default() }],
        operators,
        ..Snapshot::default()
    }
}

/// Runs the policy over one latency per epoch and tells in which epochs (from 1) it acted.
fn acting_epochs(latencies_ms: &[Option<f64>]) -> Vec<usize> {
    let (mut memory, mut acted) = (Memory::default(), Vec::new());
    for (index, latency_ms) in latencies_ms.iter().enumerate() {
        let snapshot = snapshot(*latency_ms, vec![operator("join", Kind::Continuous, 500.0, 1)]);
        let decision = epoch(&mut memory, &snapshot);
        if decision.action == Action::Rescale {
            memory.published(&Latency::default(), &decision, LocalTime::utc(0));
            acted.push(index + 1);
        }
    }
    acted
}

fn epoch(memory: &mut Memory, snapshot: &Snapshot) -> Decision {
    scaling::decide(&Latency::default(), &Constraints::default(), memory, snapshot, LocalTime::utc(0))
}

/// Goal: a plan that was not published does not begin the wait, and one more violation makes it again; a plan that changes nothing
/// ends the counts.
#[test]
fn only_published_plans_are_actions() {
    let slow = |latency_ms| snapshot(Some(latency_ms), vec![operator("join", Kind::Continuous, 500.0, 1)]);
    let mut memory = Memory::default();
    let acted = (0..5).map(|n| epoch(&mut memory, &slow(1000.0 + f64::from(n))).action == Action::Rescale);
    assert_eq!(acted.collect::<Vec<bool>>(), [false, false, true, true, true]);
    let mut memory = Memory::default();
    let single = |latency_ms| snapshot(Some(latency_ms), vec![operator("top", Kind::AllWindow, 500.0, 1)]);
    let counted: Vec<bool> = (0..5)
        .map(|n| epoch(&mut memory, &single(1000.0 + f64::from(n))).to_string().contains("counts 3 of 3"))
        .collect();
    assert_eq!(counted, [false, false, true, false, false]);
}

/// Goal: a latency that is high and does not rise is reported as high.
#[test]
fn flat_high_latency_is_reported() {
    let slow = || snapshot(Some(16_000.0), vec![operator("join", Kind::Continuous, 500.0, 1)]);
    let mut memory = Memory::default();
    epoch(&mut memory, &slow());
    let decision = epoch(&mut memory, &slow());
    assert!(decision.to_string().contains("q7 is at 16000 ms"), "{decision}");
}

fn known(latencies_ms: &[f64]) -> Vec<Option<f64>> {
    latencies_ms.iter().copied().map(Some).collect()
}

/// Goal: the counter counts as specified: 1 at first, up while the latency rises, down otherwise, forgotten at 0.
#[test]
fn the_trigger_counts_rising_violations() {
    let check = |latencies: &[f64], expected: &[usize]| {
        assert_eq!(acting_epochs(&known(latencies)), expected, "{latencies:?}");
    };
    check(&[1000.0, 1001.0, 1002.0], &[3]);
    check(&[999.0, 1000.0, 1001.0, 1002.0], &[4]);
    check(&[2000.0, 1900.0, 2100.0, 2200.0, 2300.0], &[5]); // 1, forgotten, 1, 2, 3
    check(&[1000.0, 1001.0, 500.0, 1001.0, 1002.0], &[5]); // 1, 2, 1, 2, 3
    check(&[1000.0, 1000.0, 1000.0, 1000.0], &[]); // not rising: 1, forgotten, 1, forgotten
}

/// Goal: after an action six epochs pass without one, and the count begins anew.
#[test]
fn an_action_is_followed_by_a_wait() {
    let rising: Vec<f64> = (0..20).map(|epoch| 1000.0 + f64::from(epoch)).collect();
    assert_eq!(acting_epochs(&known(&rising)), [3, 12]);
}

/// Goal: an epoch without a figure neither counts for nor against, and never acts by itself.
#[test]
fn unknown_latency_changes_no_count() {
    let mut latencies = known(&[1000.0, 1001.0]);
    latencies.extend([None, None, None]);
    assert_eq!(acting_epochs(&latencies), [] as [usize; 0]);
    latencies.push(Some(1002.0));
    assert_eq!(acting_epochs(&latencies), [6]);
}

/// Goal: while anything is missing nothing is decided or counted, and the reason names it.
#[test]
fn incomplete_metrics_decide_nothing() {
    let mut epoch = snapshot(Some(9000.0), vec![operator("join", Kind::Continuous, 500.0, 1)]);
    epoch.missing.push("subtask 1 of join has not reported".to_owned());
    let mut memory = Memory::default();
    let decision = self::epoch(&mut memory, &epoch);
    assert_eq!(memory, Memory::default());
    assert_eq!(decision.action, Action::None);
    assert!(decision.to_string().contains("subtask 1 of join"), "{decision}");
}

fn plan_of(operators: Vec<Operator>) -> Decision {
    latency::plan(&Options::default(), &snapshot(None, operators))
}

/// Goal: each kind has its formula; the three slowest are taken, and all-window operators are never among them.
#[test]
fn each_kind_has_its_formula() {
    let decision = plan_of(vec![
        operator("top", Kind::AllWindow, 9000.0, 1),
        operator("join", Kind::Join, 800.0, 4),
        operator("window", Kind::Window, 700.0, 3),
        operator("map", Kind::Continuous, 600.0, 2),
        operator("fast", Kind::Continuous, 5.0, 1),
    ]);
    let expected = [("join", 6), ("map", 4), ("window", 5)].map(|(name, p)| (name.to_owned(), p));
    assert_eq!(decision.parallelism, BTreeMap::from(expected));
    assert_eq!(decision.default_parallelism, Some(6));
}

/// Goal: throughput 0 widens by two; an unknown throughput or input changes nothing.
#[test]
fn zero_is_not_unknown() {
    let with = |throughput: Option<f64>, input: Option<f64>| {
        let mut slow = operator("map", Kind::Continuous, 600.0, 2);
        (slow.throughput_per_s, slow.input_rate_per_s) = (throughput, input);
        plan_of(vec![slow]).parallelism.get("map").copied()
    };
    assert_eq!(with(Some(0.0), Some(2000.0)), Some(4));
    assert_eq!(with(Some(0.0), None), Some(4));
    assert_eq!(with(None, Some(2000.0)), None);
    assert_eq!(with(Some(1000.0), None), None);
}

fn arbitrary_kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Continuous),
        Just(Kind::Window),
        Just(Kind::Join),
        Just(Kind::CoGroup),
        Just(Kind::AllWindow)
    ]
}

fn arbitrary_figure() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![1 => Just(None), 1 => Just(Some(0.0)), 6 => (0.0..1e7_f64).prop_map(Some)]
}

prop_compose! {
    fn arbitrary_operator()(
        kind in arbitrary_kind(),
        latency_ms in arbitrary_figure(),
        throughput_per_s in arbitrary_figure(),
        input_rate_per_s in arbitrary_figure(),
        parallelism in 1_u32..200,
    ) -> Operator {
        let parallelism = if kind == Kind::AllWindow { 1 } else { parallelism };
        Operator { latency_ms, throughput_per_s, input_rate_per_s, ..operator("", kind, 0.0, parallelism) }
    }
}

prop_compose! {
    fn arbitrary_snapshot()(
        mut operators in prop::collection::vec(arbitrary_operator(), 0..8),
        latency_ms in arbitrary_figure(),
        max_parallelism in 1_u32..200,
        cpu_load in arbitrary_figure(),
    ) -> Snapshot {
        for (index, operator) in operators.iter_mut().enumerate() {
            operator.name = format!("operator-{index}");
            operator.parallelism = operator.parallelism.min(max_parallelism);
        }
        let tm = TaskManager { id: "tm".to_owned(), cpu_load, heap_used_bytes: Some(1.0), heap_max_bytes: Some(2.0), ..TaskManager::default() };
        let mut snapshot = snapshot(latency_ms, operators);
        snapshot.job.max_parallelism = max_parallelism;
        snapshot.task_managers.push(tm);
        snapshot
    }
}

proptest! {
    #![proptest_config(crate::same_cases(256))]

    /// Goal: whatever is seen, a new parallelism lies within its bounds, all-window operators stay, and unknown figures of a
    /// continuous operator leave it alone.
    #[test]
    fn plans_respect_every_bound(snapshot in arbitrary_snapshot()) {
        let decision = latency::plan(&Options::default(), &snapshot);
        for (name, new) in &decision.parallelism {
            let operator = snapshot.operator(name).unwrap();
            prop_assert!((1..=snapshot.job.max_parallelism.min(128)).contains(new));
            prop_assert_ne!(*new, operator.parallelism);
            prop_assert!(operator.kind != Kind::AllWindow && operator.latency_ms.is_some());
            if operator.kind == Kind::Continuous && operator.throughput_per_s != Some(0.0) {
                prop_assert!(operator.throughput_per_s.is_some() && operator.input_rate_per_s.is_some());
            }
        }
        prop_assert_eq!(decision.action == Action::Rescale, !decision.parallelism.is_empty());
        prop_assert!(!decision.reasons.is_empty());
    }

    /// Goal: the same input gives the same answer, in whatever order the operators are listed.
    #[test]
    fn decisions_are_functions_of_their_input(snapshot in arbitrary_snapshot()) {
        let (mut first, mut second) = (Memory::default(), Memory::default());
        prop_assert_eq!(epoch(&mut first, &snapshot), epoch(&mut second, &snapshot));
        prop_assert_eq!(first, second);
        let mut reversed = snapshot.clone();
        reversed.operators.reverse();
        prop_assert_eq!(latency::plan(&Options::default(), &snapshot).parallelism,
            latency::plan(&Options::default(), &reversed).parallelism);
    }

    /// Goal: more input never means less parallelism.
    #[test]
    fn more_input_never_narrows(snapshot in arbitrary_snapshot(), factor in 1.0..10.0_f64) {
        let mut busier = snapshot.clone();
        for operator in &mut busier.operators {
            operator.input_rate_per_s = operator.input_rate_per_s.map(|rate| rate * factor);
        }
        let width = |snapshot: &Snapshot, name: &str| {
            let plan = latency::plan(&Options::default(), snapshot);
            plan.parallelism.get(name).copied().unwrap_or(snapshot.operator(name).unwrap().parallelism)
        };
        for operator in &snapshot.operators {
            prop_assert!(width(&busier, &operator.name) >= width(&snapshot, &operator.name));
        }
    }

    /// Goal: right after a plan was published, the same epoch again brings no second plan.
    #[test]
    fn an_applied_plan_is_not_planned_again(snapshot in arbitrary_snapshot()) {
        let mut memory = Memory::default();
        Latency::default().published(&mut memory, &latency::plan(&Options::default(), &snapshot), 0);
        prop_assert_eq!(epoch(&mut memory, &snapshot).action, Action::None);
    }

    /// Goal: a snapshot survives its JSON form unchanged.
    #[test]
    fn snapshots_round_trip(snapshot in arbitrary_snapshot()) {
        let text = serde_json::to_string(&snapshot).unwrap();
        prop_assert_eq!(serde_json::from_str::<Snapshot>(&text).unwrap(), snapshot);
    }
}
