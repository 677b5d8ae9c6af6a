//! The tuning scenarios: constants of policies may be chosen by them.

use super::{JobSpec, Scenario, Template};
use crate::conditions::Faults;
use crate::load::{LoadSpec, Noise, Shape};

pub(super) fn load(shape: Shape) -> LoadSpec {
    LoadSpec { shape, noise: Noise::default() }
}

pub(super) fn steps(levels: &[(u32, f64)]) -> LoadSpec {
    load(Shape::Steps { levels: levels.to_vec() })
}

pub(super) fn ramp(corners: &[(u32, f64)]) -> LoadSpec {
    load(Shape::Ramp { corners: corners.to_vec() })
}

pub(super) fn diurnal(low: f64, high: f64, hours: u32, sharpness: f64) -> LoadSpec {
    load(Shape::Diurnal { low, high, day_s: hours * 3600, peak: 0.6, sharpness })
}

pub(super) fn job(template: Template) -> JobSpec {
    JobSpec::from_template(template)
}

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut all = short();
    all.extend(jobs());
    all.extend(long());
    all.extend(faulty());
    all.extend(hard());
    all
}

/// 20,000 records per second, doubled, and back.
fn doubled() -> LoadSpec {
    steps(&[(0, 20e3), (1800, 40e3), (5400, 20e3)])
}

fn linear(name: &str, hours: u32, load: LoadSpec) -> Scenario {
    Scenario::new(name, job(Template::Linear), hours, load)
}

/// Loads of a few hours on the linear job.
fn short() -> Vec<Scenario> {
    let climb = [(0, 15e3), (1200, 15e3), (3000, 50e3), (7200, 50e3), (9000, 15e3)];
    let sine = Shape::Sine { period_s: 1800, low: 15e3, high: 45e3 };
    let spikes =
        Shape::Spikes { low: 20e3, high: 45e3, starts: vec![1500, 4000, 7000], length_s: 120, rise_s: 10 };
    let square = Shape::Square { period_s: 1200, low: 15e3, high: 40e3, duty: 0.5 };
    let flash = Shape::FlashCrowd { low: 10e3, high: 50e3, start_s: 3000, rise_s: 60, decay_s: 900 };
    vec![
        linear("step", 3, doubled()).step(1800, 5400),
        linear("step-savepoint", 3, doubled()).savepoint().step(1800, 5400),
        linear("ramp", 3, ramp(&climb)),
        linear("sine", 3, load(sine)),
        linear("spike", 3, load(spikes)).savepoint(),
        linear("square", 3, load(square)),
        linear("flash", 3, load(flash)).bound(10.0).task_manager_start(30),
    ]
}

/// Loads of a few hours on other jobs.
fn jobs() -> Vec<Scenario> {
    let waves = Shape::Sine { period_s: 3600, low: 15e3, high: 50e3 };
    let skew = steps(&[(0, 15e3), (1800, 30e3), (5400, 18e3)]);
    let external = steps(&[(0, 18e3), (1800, 34e3), (2700, 14e3)]);
    let external_climb = [(0, 12e3), (1200, 12e3), (3600, 31e3), (4200, 31e3), (6000, 12e3)];
    let hot = steps(&[(0, 20e3), (1800, 45e3), (5400, 20e3)]);
    let joined = steps(&[(0, 16e3), (1500, 36e3), (4000, 24e3), (7000, 14e3)]);
    let slow = ramp(&[(0, 15e3), (1200, 15e3), (4800, 52e3)]);
    let fast = ramp(&[(0, 10e3), (1800, 10e3), (2400, 32e3)]);
    let limited = |limit_per_s| job(Template::External { limit_per_s });
    vec![
        Scenario::new("window", job(Template::Window), 3, load(waves)).bound(3.0),
        Scenario::new("skew", job(Template::Skewed), 3, skew).step(1800, 5400),
        Scenario::new("contention", job(Template::Contention), 2, slow),
        Scenario::new("external-sink", limited(24e3), 3, external).external(),
        Scenario::new("external-ramp", limited(22e3), 3, ramp(&external_climb)).external(),
        Scenario::new("hot-partition", job(Template::HotPartition), 3, hot).step(1800, 5400),
        linear("large-state", 6, diurnal(12e3, 42e3, 6, 1.0)).large_state(),
        Scenario::new("join", job(Template::Join), 3, joined).step(1500, 4000),
        Scenario::new("deep", job(Template::Deep), 2, fast).savepoint(),
    ]
}

/// Loads of a day.
fn long() -> Vec<Scenario> {
    vec![
        linear("diurnal-24h", 24, diurnal(10e3, 45e3, 24, 1.0)),
        linear("production-24h", 24, load(Shape::Production { low: 10e3, high: 32e3 })).savepoint(),
        linear("worldcup-24h", 24, load(Shape::WorldCup { low: 8e3, high: 48e3 }))
            .bound(10.0)
            .task_manager_start(30),
    ]
}

/// Faults that a policy must tolerate.
fn faulty() -> Vec<Scenario> {
    let constant = Shape::Constant { rate: 25e3 };
    let noisy = LoadSpec { shape: constant.clone(), noise: Noise { fast: 0.2, slow: 0.10 } };
    let biased = job(Template::BiasedBusyTime { busy_bias: 0.8 });
    let none = Faults::default();
    vec![
        linear("metric-gaps", 3, load(constant)).faults(Faults { metric_gaps_per_h: 20.0, ..none }),
        linear("failing-rescales", 3, doubled())
            .savepoint()
            .faults(Faults { failing_changes: 0.3, ..none })
            .step(1800, 5400),
        linear("noise", 3, noisy).faults(Faults { slow_task_managers_per_h: 2.0, ..none }),
        Scenario::new("busy-bias", biased, 3, doubled()).step(1800, 5400),
    ]
}

/// Cases in which policy `slo` was weakest: large state, task managers that start slowly or slow down, news, few key
/// groups, small steps.
fn hard() -> Vec<Scenario> {
    let climb = ramp(&[(0, 10e3), (1800, 10e3), (9000, 28e3), (14_400, 28e3), (18_000, 12e3)]);
    let spikes =
        Shape::Spikes { low: 14e3, high: 36e3, starts: vec![1700, 4300, 7900], length_s: 240, rise_s: 20 };
    let news = Shape::Wikipedia { low: 6e3, high: 26e3 };
    let mut few = Template::Skewed.operators();
    few[2].key_groups = 20;
    let few = JobSpec { template: None, operators: few, ..job(Template::Skewed) };
    let up = steps(&[(0, 12e3), (2100, 26e3), (6300, 16e3)]);
    let sine = Shape::Sine { period_s: 2400, low: 12e3, high: 30e3 };
    let slow = Faults { slow_task_managers_per_h: 3.0, ..Faults::default() };
    let little = steps(&[(0, 12e3), (2100, 17e3), (6000, 11e3)]);
    vec![
        Scenario::new("large-state-climb", job(Template::Join), 5, climb).large_state(),
        linear("spike-slow-start", 3, load(spikes)).bound(10.0).task_manager_start(90),
        Scenario::new("news-24h", job(Template::Deep), 24, load(news)).bound(5.0),
        Scenario::new("few-key-groups", few, 3, up).step(2100, 6300),
        Scenario::new("slow-task-managers", job(Template::Join), 3, load(sine)).faults(slow),
        Scenario::new("small-step", job(Template::Deep), 3, little).savepoint().step(2100, 6000),
    ]
}
