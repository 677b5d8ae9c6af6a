//! Scenarios without noise, for hand calculations.

use sim::conditions::{BUFFER_S, ChangeMethod, Faults, OPERATOR_LATENCY_S, Slots};
use sim::load::{LoadSpec, Noise, Shape};
use sim::scenario::{JobSpec, OperatorSpec, Scenario, ScenarioSet, Template, Trial};

/// A change with an outage of this length only: practically no wait, no reprocessing, no warm-up.
pub(crate) fn outage(outage_s: f64) -> ChangeMethod {
    ChangeMethod { wait_s: (0.0, 0.0), outage_s: (outage_s, outage_s), replay_s: 0.0, warm_up_s: 0.0 }
}

/// A job under a load, both without noise, with an outage of 10 s per change.
pub(crate) fn quiet(job: JobSpec, shape: Shape, duration_s: u32) -> Scenario {
    Scenario {
        name: "quiet".to_owned(),
        set: ScenarioSet::Own,
        is_externally_limited: false,
        duration_s,
        job: JobSpec { capacity_spread: 0.0, ..job },
        load: LoadSpec { shape, noise: Noise::NONE },
        latency_bound_s: 5.0,
        metric_age_s: 2,
        operator_latency_s: OPERATOR_LATENCY_S,
        buffer_s: BUFFER_S,
        change: outage(10.0),
        faults: Faults { capacity_noise: 0.0, ..Faults::default() },
        slots: Slots::default(),
        step: None,
    }
}

/// The linear job with even shares and perfect scaling: source 25,000, map 9,000, aggregate 6,000, sink 15,000
/// records per second per subtask.
pub(crate) fn linear() -> JobSpec {
    let even = |spec: OperatorSpec| OperatorSpec { contention: 0.0, keys: None, ..spec };
    let operators = Template::Linear.operators().into_iter().map(even).collect();
    JobSpec { template: None, operators, capacity_spread: 0.0 }
}

/// A trial of the quiet linear job.
pub(crate) fn trial(shape: Shape, duration_s: u32) -> Trial {
    quiet(linear(), shape, duration_s).trial(1).unwrap()
}

/// The index of an operator.
pub(crate) fn index(trial: &Trial, name: &str) -> usize {
    trial.job.operators().iter().position(|operator| operator.name == name).unwrap()
}

/// A parallelism for the linear job, by operator.
pub(crate) fn parallelism(trial: &Trial, source: u32, map: u32, aggregate: u32, sink: u32) -> Vec<u32> {
    let of = |name: &str| match name {
        "source" => source,
        "map" => map,
        "aggregate" => aggregate,
        _ => sink,
    };
    trial.job.operators().iter().map(|operator| of(&operator.name)).collect()
}
