//! Flows through the model, checked against hand calculations.

use sim::change::RecordedChange;
use sim::contender::{Contender, OwnPolicyOptions};
use sim::job::{Input, Operator};
use sim::load::Shape;
use sim::scenario::{Scenario, Trial};
use sim::{Model, View};

use crate::world::{index, linear, parallelism, quiet, trial};

fn steps(model: &mut Model<'_>, count: usize) {
    for _ in 0..count {
        model.step();
    }
}

/// The newest second that a policy sees.
fn newest(model: &Model<'_>) -> usize {
    View::new(model).newest_s().unwrap()
}

fn backlog(model: &Model<'_>, trial: &Trial) -> f64 {
    View::new(model).reading(index(trial, "source"), newest(model)).pending
}

fn latency_s(model: &Model<'_>) -> f64 {
    View::new(model).job(newest(model)).latency_s
}

fn assert_close(left: f64, right: f64, part: f64) {
    assert!((left - right).abs() <= part * right.abs().max(1.0), "{left} is not {right}");
}

/// Goal: records are conserved: arrived records are read or waiting, and emitted ones are handled or buffered by the
/// readers, through changes, overload and skew.
#[test]
fn records_are_conserved() {
    for name in ["step-savepoint", "deep", "join", "skew"] {
        let mut scenario = Scenario::all().into_iter().find(|scenario| scenario.name == name).unwrap();
        scenario.change.replay_s = 0.0;
        let trial = scenario.trial(1).unwrap();
        let mut controller = Contender::FlipFast.controller(&trial, &OwnPolicyOptions::default());
        let mut model = Model::new(&trial, &trial.start);
        for second in 1..trial.duration_s() {
            model.step();
            if second % 5 == 0
                && let Some(plan) = controller.tick(&View::new(&model))
            {
                model.request(&plan);
            }
        }
        let (view, at) = (View::new(&model), newest(&model));
        assert!(!view.changes().is_empty(), "{name}: nothing was changed");
        for source in view.sources() {
            let reading = view.reading(*source, at);
            assert_close(reading.records_in + reading.pending, reading.arrived, 1e-9);
        }
        for reader in (0..view.operators()).filter(|operator| view.upstream(*operator).count() > 0) {
            let reading = view.reading(reader, at);
            let sent: f64 = view.upstream(reader).map(|from| view.reading(from, at).records_out).sum();
            assert_close(reading.records_in + reading.pending, sent, 1e-9);
        }
    }
}

/// Goal: a job without load is idle, and its latency is the handling time.
#[test]
fn without_load_nothing_is_late_or_busy() {
    let trial = trial(Shape::Constant { rate: 0.0 }, 600);
    let mut model = Model::new(&trial, &trial.start);
    steps(&mut model, 600);
    assert_close(latency_s(&model), 4.0 * 0.02, 1e-12);
    let view = View::new(&model);
    assert!((0..4).all(|operator| view.reading(operator, newest(&model)).busy_fullest_s == 0.0));
}

/// Goal: below capacity the backlog stays bounded; above it, it grows by the excess.
#[test]
fn the_backlog_grows_by_what_cannot_be_carried() {
    // Four subtasks of the aggregate sustain 24,000 records per second, the others more.
    for (rate, growth_per_s) in [(23_000.0, 0.0), (30_000.0, 6_000.0)] {
        let trial = trial(Shape::Constant { rate }, 2000);
        let mut model = Model::new(&trial, &parallelism(&trial, 2, 4, 4, 3));
        steps(&mut model, 1000);
        let before = backlog(&model, &trial);
        steps(&mut model, 1000);
        let after = backlog(&model, &trial);
        assert!((after - before - 1000.0 * growth_per_s).abs() <= 1000.0 * growth_per_s * 0.01 + 1.0);
        assert_eq!(latency_s(&model) > 5.0, growth_per_s > 0.0);
    }
}

/// Goal: the age of the oldest record grows by 1 − C/λ per second while λ is above C.
#[test]
fn the_oldest_record_ages_as_it_must() {
    let trial = trial(Shape::Constant { rate: 30_000.0 }, 1200);
    let mut model = Model::new(&trial, &parallelism(&trial, 2, 4, 4, 3));
    steps(&mut model, 200);
    let before_s = latency_s(&model);
    steps(&mut model, 1000);
    assert_close(latency_s(&model) - before_s, 1000.0 * (1.0 - 24_000.0 / 30_000.0), 0.01);
}

/// Goal: the backlog of an outage D, including buffers, is drained in λD ÷ (C − λ).
#[test]
fn an_outage_is_drained_in_the_time_that_it_must_take() {
    // The aggregate gets a fifth subtask: λ = 24,000, C = 30,000, D = 10 s, so 40 s after it.
    let trial = trial(Shape::Constant { rate: 24_000.0 }, 300);
    let mut model = Model::new(&trial, &parallelism(&trial, 2, 4, 4, 3));
    steps(&mut model, 100);
    assert!(model.request(&parallelism(&trial, 2, 4, 5, 3)));
    let mut drained_after_s = None;
    for second in 1..100_u32 {
        model.step();
        let view = View::new(&model);
        let waiting: f64 =
            (0..view.operators()).map(|operator| view.reading(operator, newest(&model)).pending).sum();
        // Readings are two seconds old.
        if second > 15 && waiting < 1.0 && drained_after_s.is_none() {
            drained_after_s = Some(second - 2 - 10);
        }
    }
    let drained_after_s = f64::from(drained_after_s.unwrap());
    assert!((drained_after_s - 40.0).abs() <= 1.0, "{drained_after_s}");
}

/// Goal: the share of the fullest subtask matches a hand calculation, for key groups in Flink's ranges and for
/// partitions.
#[test]
fn shares_are_as_computed_by_hand() {
    let trial = trial(Shape::Constant { rate: 1.0 }, 100);
    let base: Operator = trial.job.operators()[0].clone();
    // Eight key groups, the second twice as heavy: in ranges of three, two and three, the first gets 4 of 9.
    let weights = [1.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0].map(|weight| weight / 9.0).to_vec();
    let keyed = Operator { input: Input::KeyGroups(weights.clone()), ..base.clone() };
    let shares: Vec<f64> = keyed.shares(3).iter().map(|share| (share * 9.0).round()).collect();
    assert_eq!(shares, [4.0, 3.0, 2.0]);
    // Round robin: partitions 0, 3, 6 and 1, 4, 7 and 2, 5.
    let partitioned = Operator { input: Input::Partitions(weights), ..base };
    let shares: Vec<f64> = partitioned.shares(3).iter().map(|share| (share * 9.0).round()).collect();
    assert_eq!(shares, [3.0, 4.0, 2.0]);
}

/// Goal: a window fires once per slide for as long as its records need, and is busy during the firing.
#[test]
fn firings_keep_the_input_waiting() {
    let scenario = Scenario::all().into_iter().find(|scenario| scenario.name == "window").unwrap();
    let trial = quiet(scenario.job, Shape::Constant { rate: 20_000.0 }, 1000).trial(1).unwrap();
    let window = index(&trial, "window");
    let mut model = Model::new(&trial, &trial.start);
    steps(&mut model, 995);
    let (view, p) = (View::new(&model), trial.start[window]);
    // 10,000 records per second reach it: 100,000 per firing, at 30 µs each, over the subtasks.
    let width = trial.job.width(window, p);
    let expected_s = 100_000.0 * 3e-5 * width.fullest_share * (1.0 + 0.008 * f64::from(p - 1));
    assert_close(view.last_firing_s(window).unwrap(), expected_s, 0.01);
    let busy_s = |second: usize| view.reading(window, second).busy_fullest_s;
    let handling = 10_000.0 * width.fullest_share / width.subtask_rate_per_s;
    assert_close(
        (busy_s(newest(&model)) - busy_s(newest(&model) - 100)) / 100.0,
        handling + expected_s / 10.0,
        0.01,
    );
    let reading = view.reading(index(&trial, "sink"), newest(&model));
    assert!(reading.records_in > 0.0);
}

/// Goal: a change of a real run is repeated with its own times, whatever the conditions say, and one that overlaps with it is refused.
#[test]
fn a_recorded_change_has_its_own_times() {
    let mut trial = trial(Shape::Constant { rate: 10_000.0 }, 60);
    trial.start = parallelism(&trial, 2, 4, 6, 2);
    let mut model = Model::new(&trial, &trial.start);
    steps(&mut model, 20);
    let wider =
        RecordedChange { parallelism: parallelism(&trial, 2, 4, 8, 2), stop_at_s: 22.6, outage_s: 1.5 };
    assert!(model.request_recorded(&wider));
    assert!(!model.request_recorded(&wider) && !model.request(&trial.start));
    steps(&mut model, 10);
    let [change] = View::new(&model).changes() else { panic!("there is one change") };
    assert_eq!((change.requested_s, change.completed_s), (20, 24));
    assert!((change.stopped_s - 22.6).abs() < 1e-12 && (change.outage_s - 1.5).abs() < 1e-12);
    assert_eq!(change.after, wider.parallelism);
    let most = (0..30).map(|second| View::new(&model).reading(index(&trial, "source"), second).pending);
    assert_close(most.fold(0.0, f64::max), 10_000.0, 0.01);
    // A restart without another parallelism is an outage, too.
    assert!(model.request_recorded(&RecordedChange { stop_at_s: 31.0, ..wider }));
    steps(&mut model, 10);
    assert_eq!(View::new(&model).changes().len(), 2);
}

/// Goal: within the second of a recorded change the old tasks handle what they can until their stop, and the new ones the rest.
#[test]
fn a_recorded_change_divides_its_second() {
    // The aggregate is the bottleneck: 4 subtasks carry 24,000/s, 5 carry 30,000/s, freshly started ones 60 % of it.
    let mut trial = trial(Shape::Constant { rate: 40_000.0 }, 60);
    trial.start = parallelism(&trial, 3, 8, 4, 4);
    let mut model = Model::new(&trial, &trial.start);
    steps(&mut model, 20);
    let wider = parallelism(&trial, 3, 8, 5, 4);
    assert!(model.request_recorded(&RecordedChange { parallelism: wider, stop_at_s: 22.5, outage_s: 0.2 }));
    steps(&mut model, 10);
    let read_until = |second| View::new(&model).reading(index(&trial, "aggregate"), second).records_in;
    let handled: Vec<f64> = (22..25).map(|second| read_until(second) - read_until(second - 1)).collect();
    let expected = [24_000.0, 0.5 * 24_000.0 + 0.3 * 0.6 * 30_000.0, 30_000.0];
    for (handled, expected) in handled.into_iter().zip(expected) {
        assert_close(handled, expected, 1e-6);
    }
}

/// Goal: a record takes the operators' own time, and no more than the configured buffers are filled under overload.
#[test]
fn latency_and_buffers_are_as_configured() {
    let scenario = |rate: f64| Scenario {
        operator_latency_s: 0.1,
        buffer_s: 0.2,
        ..quiet(linear(), Shape::Constant { rate }, 300)
    };
    let latency_after = |rate: f64, count: usize| {
        let mut trial = scenario(rate).trial(1).unwrap();
        trial.start = parallelism(&trial, 2, 4, 6, 2);
        let mut model = Model::new(&trial, &trial.start);
        steps(&mut model, count);
        let view = View::new(&model);
        let waiting = view.reading(index(&trial, "aggregate"), newest(&model)).pending;
        (latency_s(&model), waiting)
    };
    let (calm_s, waiting) = latency_after(1_000.0, 20);
    assert_close(calm_s, 0.4, 1e-9);
    assert!(waiting < 1e-6);
    // Four subtasks of the map carry 36,000 records a second, six of the aggregate 36,000: one of them is full.
    let (_, waiting) = latency_after(60_000.0, 200);
    assert!(waiting <= 0.2 * 36_000.0 + 1e-6, "{waiting}");
}
