//! Closed-loop tests: policies in their control loop against the model.

use scaling::slo::Slo;
use scaling::{ChangeEnd, Decision, Memory, Policy, Snapshot, Traits};
use sim::contender::{Contender, OwnPolicy, OwnPolicyOptions};
use sim::load::Shape;
use sim::observation::Observer;
use sim::scenario::{Scenario, Trial};
use sim::{Run, run};

use crate::world::{linear, parallelism, quiet, trial};

const HOUR_S: u32 = 3600;

fn under(trial: &Trial, contender: Contender) -> Run {
    run(trial, contender.controller(trial, &OwnPolicyOptions::default()).as_mut())
}

/// Goal: in four quiet hours `ds2` scales down exactly once, an hour after it first saw that the job is too wide,
/// without a latency violation.
#[test]
fn four_quiet_hours_narrow_once() {
    let mut trial = trial(Shape::Constant { rate: 20_000.0 }, 4 * HOUR_S);
    trial.start = parallelism(&trial, 2, 8, 12, 4);
    let run = under(&trial, Contender::Ds2);
    assert_eq!(run.changes.len(), 1, "{:?}", run.changes);
    let change = &run.changes[0];
    // Epochs of 120 s: seen in the first or second one, due 3,600 s later.
    assert!((3600..=3600 + 3 * 120).contains(&change.requested_s), "{change:?}");
    // 1.6 times the load: the arrival rate at 70 % busy, plus the backlog of a 300 s restart within half an hour.
    assert_eq!(change.after, parallelism(&trial, 2, 4, 6, 2));
}

/// Goal: a load within the dead band changes nothing for a day.
#[test]
fn a_steady_load_changes_nothing() {
    let mut trial = trial(Shape::Constant { rate: 20_000.0 }, 24 * HOUR_S);
    trial.start = parallelism(&trial, 2, 4, 6, 2);
    for contender in [Contender::Ds2, Contender::Ds2Fast, Contender::Latency] {
        assert_eq!(under(&trial, contender).changes, [], "{contender}");
    }
}

/// Goal: a doubled load is answered within two epochs, in one change of all operators that need it, and scaled down
/// once afterwards.
#[test]
fn a_rise_and_a_fall_are_answered_once_each() {
    let levels = vec![(0, 20_000.0), (1800, 40_000.0), (5400, 20_000.0)];
    let mut trial = trial(Shape::Steps { levels }, 3 * HOUR_S);
    trial.start = parallelism(&trial, 2, 4, 6, 2);
    let run = under(&trial, Contender::Ds2Fast);
    let first = &run.changes[0];
    assert!((1800..=1800 + 2 * 15 + 2).contains(&first.requested_s), "{first:?}");
    // The source has capacity for twice the load; the other three do not.
    assert!(first.after.iter().zip(&first.before).skip(1).all(|(after, before)| after > before), "{first:?}");
    let falls: Vec<usize> = run
        .changes
        .iter()
        .filter(|change| change.after.iter().sum::<u32>() < change.before.iter().sum::<u32>())
        .map(|change| change.requested_s)
        .collect();
    assert!(falls.iter().all(|at_s| *at_s > 1800 + 300), "{falls:?}");
    assert!(falls.iter().filter(|at_s| **at_s >= 5400).count() == 1, "{falls:?}");
}

/// Goal: while every change fails the job keeps its parallelism, and the next attempt waits until the job has
/// settled.
#[test]
fn failing_changes_are_not_repeated_without_a_pause() {
    let levels = vec![(0, 20_000.0), (1800, 40_000.0)];
    let mut scenario = quiet(linear(), Shape::Steps { levels }, HOUR_S);
    scenario.faults.failing_changes = 1.0;
    let mut trial = scenario.trial(1).unwrap();
    trial.start = parallelism(&trial, 2, 4, 6, 2);
    let run = under(&trial, Contender::Ds2Fast);
    assert!(run.changes.len() > 3, "it gave up: {:?}", run.changes);
    assert!(run.changes.iter().all(|change| !change.succeeded() && change.after == trial.start));
    for pair in run.changes.windows(2) {
        assert!(pair[1].requested_s >= pair[0].completed_s + 30, "{pair:?}");
    }
}

/// Policy `slo`, which asserts in every epoch that observing and deciding at once is the same as one after the other.
#[derive(Debug)]
struct BothWays(Slo);

impl Policy for BothWays {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn traits(&self) -> Traits {
        self.0.traits()
    }

    fn decide(&self, memory: &Memory, snapshot: &Snapshot, now_ms: i64) -> Decision {
        self.0.decide(memory, snapshot, now_ms)
    }

    fn epoch(&self, memory: &mut Memory, snapshot: &Snapshot, now_ms: i64) -> Decision {
        let mut apart = memory.clone();
        self.0.observe(&mut apart, snapshot, now_ms);
        let decision = self.0.epoch(memory, snapshot, now_ms);
        assert_eq!(decision, self.0.decide(&apart, snapshot, now_ms));
        assert_eq!(*memory, apart);
        decision
    }

    fn is_waiting(&self, memory: &Memory, snapshot: &Snapshot, now_ms: i64) -> bool {
        self.0.is_waiting(memory, snapshot, now_ms)
    }

    fn plan(&self, snapshot: &Snapshot) -> Decision {
        self.0.plan(snapshot)
    }

    fn published(&self, memory: &mut Memory, decision: &Decision, now_ms: i64) {
        self.0.published(memory, decision, now_ms);
    }

    fn change_ended(&self, memory: &mut Memory, change: ChangeEnd, now_ms: i64) {
        self.0.change_ended(memory, change, now_ms);
    }
}

/// Goal: `slo` shares work between observing and deciding, and remembers and decides the same as without.
#[test]
fn observing_and_deciding_at_once_is_the_same() {
    let mut changes = 0;
    for name in ["step", "failing-rescales", "metric-gaps", "join"] {
        let scenario = Scenario::all().into_iter().find(|scenario| scenario.name == name).unwrap();
        let trial = Scenario { duration_s: scenario.duration_s.min(2 * HOUR_S), step: None, ..scenario }
            .trial(1)
            .unwrap();
        let slo = scaling::slo::Options::with_bound(trial.conditions.latency_bound_s * 1000.0);
        let epoch = Observer { length_s: 5, warm_up_s: 10 };
        let options = OwnPolicyOptions { epoch, ..OwnPolicyOptions::default() };
        let mut controller = OwnPolicy::new(Box::new(BothWays(Slo(slo))), &options);
        changes += run(&trial, &mut controller).changes.len();
    }
    assert!(changes > 5, "only {changes} changes");
}
