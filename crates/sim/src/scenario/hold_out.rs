//! The hold-out scenarios: policies are judged by them, and no constant may be tuned on them.

use super::tuning::{diurnal, job, load, ramp, steps};
use super::{Scenario, ScenarioSet, Template};
use crate::conditions::Faults;
use crate::load::Shape;

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut all = changing();
    all.extend(wavy());
    all.into_iter().map(|scenario| Scenario { set: ScenarioSet::HoldOut, ..scenario }).collect()
}

/// Loads that jump or rise.
fn changing() -> Vec<Scenario> {
    let spikes =
        Shape::Spikes { low: 9e3, high: 24e3, starts: vec![2000, 5200, 9000], length_s: 300, rise_s: 10 };
    let flash = Shape::FlashCrowd { low: 6e3, high: 30e3, start_s: 2500, rise_s: 30, decay_s: 1200 };
    let square = Shape::Square { period_s: 1020, low: 14e3, high: 32e3, duty: 0.4 };
    let step = steps(&[(0, 12e3), (2400, 24e3), (9000, 14e3)]);
    let climb = ramp(&[(0, 14e3), (1800, 14e3), (2700, 42e3)]);
    let biased = job(Template::BiasedBusyTime { busy_bias: 0.75 });
    let failing = Faults { failing_changes: 0.2, metric_gaps_per_h: 5.0, ..Faults::default() };
    vec![
        Scenario::new("spike-slow-tm", job(Template::Deep), 3, load(spikes))
            .bound(10.0)
            .task_manager_start(120),
        Scenario::new("flash-deep", job(Template::Deep), 3, load(flash)).savepoint().task_manager_start(30),
        Scenario::new("step-large-state", job(Template::Skewed), 5, step).large_state().step(2400, 9000),
        Scenario::new("square17-savepoint", job(Template::Join), 4, load(square)).savepoint(),
        Scenario::new("staircase", job(Template::Deep), 4, steps(&staircase())),
        Scenario::new("bias-fail", biased, 3, climb).savepoint().faults(failing),
    ]
}

/// Loads that rise and fall.
fn wavy() -> Vec<Scenario> {
    let wikipedia = Shape::Wikipedia { low: 8e3, high: 34e3 };
    let sine = Shape::Sine { period_s: 2820, low: 12e3, high: 40e3 };
    let production = Shape::Production { low: 12e3, high: 40e3 };
    let walk = Shape::Walk { low: 10e3, high: 45e3 };
    let slow = Faults { slow_task_managers_per_h: 1.0, ..Faults::default() };
    let external = job(Template::External { limit_per_s: 26e3 });
    vec![
        Scenario::new("wiki-24h", job(Template::Join), 24, load(wikipedia)).savepoint(),
        Scenario::new("sine47-usl", job(Template::Contention), 4, load(sine)),
        Scenario::new("production-win", job(Template::Window), 24, load(production)).bound(3.0),
        Scenario::new("skew-diurnal", job(Template::Skewed), 12, diurnal(8e3, 30e3, 12, 1.0)),
        Scenario::new("walk", job(Template::Linear), 6, load(walk)).faults(slow),
        Scenario::new("external-diurnal", external, 6, diurnal(10e3, 36e3, 6, 1.0)).external(),
        Scenario::new("three-days", job(Template::Linear), 72, diurnal(10e3, 44e3, 24, 1.5)).savepoint(),
    ]
}

/// Eight steps up of a quarter of an hour each, and down again.
fn staircase() -> Vec<(u32, f64)> {
    (0..16)
        .map(|step: u32| (step * 900, 8e3 + 3e3 * f64::from(if step < 8 { step } else { 16 - step })))
        .collect()
}
