//! Tests of the baselines where the right result is known.

use sim::contender::{Contender, OwnPolicyOptions};
use sim::observation::Observer;
use sim::scenario::Scenario;
use sim::{Model, Score, View, run};

fn score(name: &str, seed: u64, contender: Contender) -> Score {
    let scenario = Scenario::all().into_iter().find(|scenario| scenario.name == name).unwrap();
    let trial = scenario.trial(seed).unwrap();
    Score::new(&trial, &run(&trial, contender.controller(&trial, &OwnPolicyOptions::default()).as_mut()))
}

/// Goal: the oracle needs the fewest slots of all policies that hold the bound, and the static one the most.
#[test]
fn the_sighted_bound_the_others() {
    for name in ["step", "sine", "join"] {
        let (least, peak) = (score(name, 1, Contender::Oracle), score(name, 1, Contender::Static));
        assert!(least.slot_h < peak.slot_h && peak.violation_s == 0 && peak.changes == 0, "{name}");
        for contender in [Contender::Ds2Fast, Contender::FlipFast, Contender::FlipTuned] {
            assert!(score(name, 1, contender).slot_h > least.slot_h * 0.97, "{name}: {contender}");
        }
    }
}

/// Goal: names are parsed as they are shown, and an unknown one is answered with a list.
#[test]
fn names_are_understood() {
    for contender in Contender::ALL {
        assert_eq!(contender.as_str().parse::<Contender>().unwrap(), contender);
    }
    let error = "magic".parse::<Contender>().unwrap_err().to_string();
    assert!(error.contains("magic") && error.contains("flip-tuned"), "{error}");
}

/// Goal: the snapshot shows the model's rates, backlog and busy times of uneven keys, and no incomplete value.
#[test]
fn snapshots_show_the_model() {
    let scenario = Scenario::all().into_iter().find(|scenario| scenario.name == "skew").unwrap();
    let trial = scenario.trial(1).unwrap();
    let mut model = Model::new(&trial, &trial.start);
    for _ in 0..300 {
        model.step();
    }
    let observer = Observer { length_s: 60, warm_up_s: 10 };
    let snapshot = observer.observe(View::new(&model)).unwrap();
    assert!(snapshot.missing.is_empty());
    let operator = |name: &str| snapshot.operator(name).unwrap();
    let mean_per_s = trial.load.mean_per_s(238, 298)[0];
    let arrival_per_s = operator("source").arrival_rate_per_s.unwrap();
    assert!((arrival_per_s / mean_per_s - 1.0).abs() < 1e-9);
    let aggregate = operator("aggregate");
    let busy: Vec<f64> = aggregate.subtasks.iter().map(|subtask| subtask.busy_ratio.unwrap()).collect();
    let mean = busy.iter().sum::<f64>() / f64::from(aggregate.parallelism);
    assert!((mean - aggregate.busy_ratio.unwrap()).abs() < 1e-9);
    assert!(busy.iter().copied().fold(0.0, f64::max) > 1.1 * mean, "the keys are uneven: {busy:?}");
    let text = serde_json::to_string(&snapshot).unwrap();
    assert_eq!(serde_json::from_str::<scaling::Snapshot>(&text).unwrap(), snapshot);

    // During a change there is no snapshot, and shortly after it there are too few readings.
    let wider: Vec<u32> = trial.start.iter().map(|p| p + 1).collect();
    assert!(model.request(&wider));
    while View::new(&model).changes().is_empty() {
        model.step();
    }
    for _ in 0..8 {
        model.step();
    }
    assert!(observer.observe(View::new(&model)).is_err());
    for _ in 0..20 {
        model.step();
    }
    let snapshot = observer.observe(View::new(&model)).unwrap();
    assert_eq!(snapshot.job.rescales.len(), 1);
    assert!(snapshot.interval_ms.unwrap() < 20_000);
}
