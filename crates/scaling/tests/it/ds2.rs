//! Policy `ds2`: what it gives, when, and within which bounds.

use crate::world::{World, truth};
use scaling::ds2::{self, Ds2, Options};
use scaling::{
    Action, Constraints, Distribution, Kind, LocalTime, Memory, Policy, Rescale, Snapshot, Subtask,
};

/// A source, a map that does 1,000 records a second per subtask, a keyed window that does 500.
fn chain(arrival_per_s: f64, map: u32, window: u32) -> World {
    let operators = vec![
        truth(Kind::Source, 1e6, 1),
        truth(Kind::Continuous, 1000.0, map),
        truth(Kind::Window, 500.0, window),
    ];
    World { operators, arrival_per_s, backlog: 0.0 }
}

fn options() -> Options {
    Options { restart_time_s: 0.0, ..Options::default() }
}

fn planned(options: &Options, snapshot: &Snapshot) -> [u32; 2] {
    let plan = Ds2(options.clone()).plan(snapshot).parallelism;
    [1, 2].map(|index| {
        let operator = &snapshot.operators[index];
        plan.get(&operator.name).copied().unwrap_or(operator.parallelism)
    })
}

/// Goal: one look at a job that is held back in its middle gives every operator the width it needs, also the one that the
/// bottleneck hides: 7,000/s at 70 % of 1,000 are 10 subtasks, of 500 are 20, with 128 key groups 22 carry what 19 to 21 do not.
#[test]
fn the_whole_graph_is_solved_at_once() {
    let snapshot = chain(7000.0, 1, 1).snapshot();
    assert_eq!(snapshot.operators[2].busy_ratio, Some(1.0));
    assert_eq!(planned(&options(), &snapshot), [10, 22]);
    let even = Options { key_group_alignment: false, ..options() };
    assert_eq!(planned(&even, &snapshot), [10, 20]);
}

/// Goal: between the bounds of utilisation nothing is done, below and above something is.
#[test]
fn the_dead_band_holds() {
    let of = |arrival| planned(&options(), &chain(arrival, 10, 128).snapshot())[0];
    assert_eq!((of(9900.0), of(7000.0), of(4100.0)), (10, 10, 10));
    assert_eq!((of(10_500.0), of(3900.0)), (15, 6));
}

/// Goal: a backlog asks for what drains it in the catch-up time, the restart for what it adds; a past restart is better known.
#[test]
fn backlog_and_restart_ask_for_more() {
    let mut world = chain(7000.0, 1, 128);
    world.backlog = 1_800_000.0;
    assert_eq!(planned(&options(), &world.snapshot())[0], 11);
    let never = Options { catch_up_duration_s: 0.0, ..options() };
    assert_eq!(planned(&never, &world.snapshot())[0], 10);
    let slow = Options { restart_time_s: 1800.0, ..options() };
    let mut snapshot = world.snapshot();
    assert_eq!(planned(&slow, &snapshot)[0], 18);
    snapshot.job.rescales = vec![Rescale { downtime_ms: Some(500), ..Rescale::default() }];
    // 10,000 + 1,000 + 7000 · 0.5 ÷ 1800 = 11,001.9
    assert_eq!(planned(&slow, &snapshot)[0], 12);
}

/// Goal: a firing that takes four times what it may makes a window operator four times as wide, busy or not, and says when
/// no width helps.
#[test]
fn windows_are_sized_by_their_burst() {
    let mut snapshot = chain(500.0, 1, 2).snapshot();
    snapshot.operators[2].firing_ms = Some(Distribution { p99: Some(2000.0), ..Distribution::default() });
    assert_eq!(planned(&options(), &snapshot)[1], 8);
    snapshot.operators[2].firing_ms = Some(Distribution { p99: Some(60_000.0), ..Distribution::default() });
    assert_eq!(planned(&options(), &snapshot)[1], 128);
    let told = Ds2(options()).plan(&snapshot).to_string();
    assert!(told.contains("aggregate before the window"), "{told}");
    // A firing that is short enough leaves the steady condition: 500/s at 70 % of 500 are 1.4 subtasks.
    snapshot.operators[2].firing_ms = Some(Distribution { p99: Some(100.0), ..Distribution::default() });
    assert_eq!(planned(&options(), &snapshot)[1], 2);
}

/// Goal: measured skew takes capacity away, unless the mean is asked for, and what is hot is not divided by more subtasks.
#[test]
fn skew_counts() {
    let mut snapshot = chain(1450.0, 2, 128).snapshot();
    let subtask =
        |records, busy| Subtask { records_in: Some(records), busy_ratio: Some(busy), ..Subtask::default() };
    snapshot.operators[1].subtasks = vec![subtask(60_000.0, 1.0), subtask(24_000.0, 0.45)];
    // One subtask does 1,000/s. The fullest has 0.71 of the records, 0.42 more than half explains: p subtasks carry
    // 1000 ÷ (0.42 + 0.58 ÷ p), and 1450 ÷ 0.7 are wanted. 10 subtasks would do, but beyond 5 each adds hardly anything.
    let options = Options { utilization_max: 0.9, ..options() };
    assert_eq!(planned(&options, &snapshot)[0], 5);
    let plan = Ds2(options.clone()).plan(&snapshot).to_string();
    assert!(plan.contains("subtask 0 gets 71 % of all records"), "{plan}");
    let mean = Options { busy_time_aggregator: ds2::BusyTime::Avg, ..options };
    assert_eq!(planned(&mean, &snapshot)[0], 2);
}

/// Goal: steps are bounded, and repeated they lead to the same end.
#[test]
fn steps_are_limited() {
    let limited = Options { scale_up_max_factor: 1.0, scale_down_max_factor: 0.6, ..options() };
    let run = |arrival, from| {
        let (mut world, mut widths) = (chain(arrival, from, 128), Vec::new());
        loop {
            let plan = Ds2(limited.clone()).plan(&world.snapshot());
            let Some(new) = plan.parallelism.get("operator-1") else { return widths };
            widths.push(*new);
            world = world.with(&plan.parallelism);
        }
    };
    assert_eq!(run(7000.0, 1), [2, 4, 8]);
    assert_eq!(run(700.0, 50), [20, 8, 4, 2, 1]);
    assert_eq!(run(14_000.0, 10), [20]);
    let bounded = Options { vertex_max_parallelism: 6, vertex_min_parallelism: 2, ..options() };
    // The window at 6 takes 2,909/s at its best, so the map is widened for that and no more.
    assert_eq!(planned(&bounded, &chain(7000.0, 1, 4).snapshot()), [3, 6]);
    assert_eq!(planned(&bounded, &chain(10.0, 6, 4).snapshot()), [2, 2]);
}

const MINUTE_MS: i64 = 60_000;

/// One epoch through the crate's own entry, without constraints.
fn epoch(memory: &mut Memory, snapshot: &Snapshot, minute: i64) -> scaling::Decision {
    let now = LocalTime::utc(minute * MINUTE_MS);
    scaling::decide(&Ds2(options()), &Constraints::default(), memory, snapshot, now)
}

/// Goal: after an action and after a start nothing is changed for the stabilisation interval.
#[test]
fn changes_are_given_time_to_settle() {
    let mut snapshot = chain(7000.0, 1, 128).snapshot();
    let mut memory = Memory::default();
    let first = epoch(&mut memory, &snapshot, 0);
    assert_eq!(first.action, Action::Rescale);
    memory.published(&Ds2(options()), &first, LocalTime::utc(0));
    let at = |minutes: i64, snapshot: &Snapshot| epoch(&mut memory.clone(), snapshot, minutes);
    assert_eq!(at(4, &snapshot).action, Action::None);
    assert!(at(4, &snapshot).to_string().contains("60 s left"));
    assert_eq!(at(5, &snapshot).action, Action::Rescale);
    snapshot.job.running_since_ms = Some(MINUTE_MS);
    assert_eq!(at(5, &snapshot).action, Action::None);
}

/// Goal: a plan that was not published is no action: the next epoch makes it again.
#[test]
fn a_plan_that_was_not_published_is_no_action() {
    let snapshot = chain(7000.0, 1, 128).snapshot();
    let mut memory = Memory::default();
    for minute in 0..3 {
        assert_eq!(epoch(&mut memory, &snapshot, minute).action, Action::Rescale);
    }
}

/// Goal: an operator is narrowed only when it has been too wide all the time, and then to the widest that was wanted. An epoch
/// without a plan is no action, so the wait goes on however often the policy is asked.
#[test]
fn narrowing_waits() {
    let run = |arrivals: &[f64]| {
        let (mut memory, mut last) = (Memory::default(), None);
        for (minute, arrival) in (0..).step_by(20).zip(arrivals) {
            let decision = epoch(&mut memory, &chain(*arrival, 10, 128).snapshot(), minute);
            last = decision.parallelism.get("operator-1").copied();
        }
        last
    };
    assert_eq!(run(&[1400.0, 700.0, 700.0]), None);
    assert_eq!(run(&[1400.0, 2100.0, 700.0, 700.0]), Some(3));
    assert_eq!(run(&[1400.0, 7000.0, 700.0, 700.0]), None);
}

/// Goal: while a backlog is being worked off nothing is narrowed; when nothing arrives at all, everything is.
#[test]
fn backlogs_and_silence() {
    let mut world = chain(700.0, 10, 22);
    world.backlog = 700.0 * 301.0;
    assert_eq!(planned(&options(), &world.snapshot()), [10, 22]);
    world.backlog = 0.0;
    world.arrival_per_s = 0.0;
    assert_eq!(planned(&options(), &world.snapshot()), [1, 1]);
}
