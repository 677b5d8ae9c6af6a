//! Closed-loop tests: policies in their control loop against the model.

use sim::contender::{Contender, OwnPolicyOptions};
use sim::load::Shape;
use sim::scenario::Trial;
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
