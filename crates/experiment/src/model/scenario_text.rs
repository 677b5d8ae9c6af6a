//! Measured parameters as a scenario file.

use anyhow::Context;
use serde::Serialize;
use sim::conditions::{ChangeMethod, Faults, Slots};
use sim::load::LoadSpec;
use sim::scenario::{JobSpec, Scenario};

use super::parameters::Parameters;

/// The keys of a scenario file that a calibration sets.
#[derive(Serialize)]
struct ScenarioText<'a> {
    name: &'a str,
    duration_s: u32,
    latency_bound_s: f64,
    metric_age_s: u32,
    operator_latency_s: f64,
    buffer_s: f64,
    job: &'a JobSpec,
    load: &'a LoadSpec,
    change: ChangeMethod,
    faults: Faults,
    slots: Slots,
}

const OPENING: &str = "\
# Parameters of a real job, measured by `experiment calibrate` (docs/simulator.md). Duration and load are an example: replace them by
# your own. The start of a task manager and the firings of windows are not measured.
";

/// Formats the parameters, with the notes as comments.
///
/// # Errors
/// They cannot be written as TOML.
pub(crate) fn text(parameters: &Parameters) -> anyhow::Result<String> {
    let Scenario { name, duration_s, latency_bound_s, metric_age_s, .. } = &parameters.scenario;
    let Scenario { operator_latency_s, buffer_s, job, load, change, faults, slots, .. } =
        &parameters.scenario;
    let written = ScenarioText {
        name,
        duration_s: *duration_s,
        latency_bound_s: *latency_bound_s,
        metric_age_s: *metric_age_s,
        operator_latency_s: *operator_latency_s,
        buffer_s: *buffer_s,
        job,
        load,
        change: *change,
        faults: *faults,
        slots: *slots,
    };
    let toml = toml::to_string(&written).context("cannot write the parameters as TOML")?;
    let notes: String = parameters.notes.iter().map(|note| format!("# * {note}\n")).collect();
    Ok(format!("{OPENING}#\n{notes}\n{toml}"))
}
