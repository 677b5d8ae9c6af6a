//! Recorded metrics windows and decisions of the re-implemented autoscaler, for the comparison with Apache's library,
//! which gets the same windows (`flink-autoscaler`).

use serde::Serialize;

use super::flip::{Flip, Options};
use crate::run::run;
use crate::scenario::{Scenario, ScenarioError};
use crate::view::View;

/// Precision of Apache's collector: a thousandth.
const ROUND: f64 = 1000.0;

/// A metrics window, and the parallelism wanted of each operator.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FlipWindow {
    /// Name of the scenario.
    pub scenario: String,
    /// The target utilisation.
    pub utilisation: f64,
    /// Expected restart time, in seconds.
    pub restart_s: f64,
    /// Catch-up time of a backlog, in seconds.
    pub catch_up_s: f64,
    /// Time of each sample, in seconds.
    pub at_s: Vec<usize>,
    /// Operators in topological order.
    pub operators: Vec<FlipOperator>,
}

/// One operator in a window.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FlipOperator {
    /// Its name.
    pub name: String,
    /// Current parallelism.
    pub parallelism: u32,
    /// Maximum parallelism.
    pub most: u32,
    /// Partitions of a source, key groups of a keyed operator; 0: neither.
    #[serde(rename = "portions")]
    pub input_units: u32,
    /// Indices of its inputs in the window; empty: a source.
    pub inputs: Vec<usize>,
    /// Busy share of the fullest subtask, records in, records out, lag, and the observed true rate where there is one.
    pub samples: Vec<(f64, f64, f64, f64, Option<f64>)>,
    /// Wanted parallelism, before utilisation bounds and waits are applied.
    pub wanted: u32,
}

impl FlipOperator {
    pub(super) fn new(
        view: View<'_>,
        index: usize,
        samples: Vec<(f64, f64, f64, f64, Option<f64>)>,
        wanted: u32,
    ) -> Self {
        let rounded = |(busy, records_in, records_out, lag, observed): (f64, f64, f64, f64, Option<f64>)| {
            (round(busy), round(records_in), round(records_out), round(lag), observed.map(round))
        };
        Self {
            name: view.name(index).to_owned(),
            parallelism: view.parallelism()[index],
            most: view.most(index),
            input_units: view.input_units(index).count().unwrap_or(0),
            inputs: view.upstream(index).collect(),
            samples: samples.into_iter().map(rounded).collect(),
            wanted,
        }
    }
}

fn round(value: f64) -> f64 {
    libm::round(value * ROUND) / ROUND
}

/// Returns 30 s windows on which Flink's autoscaler with short windows decided in a scenario: one in `every`, at most
/// `most`.
///
/// # Errors
/// The scenario cannot be built.
pub fn flip_windows(
    scenario: &Scenario,
    seed: u64,
    every: usize,
    most: usize,
) -> Result<Vec<FlipWindow>, ScenarioError> {
    let trial = scenario.trial(seed)?;
    let mut flip = Flip::recording(Options::TUNED);
    run(&trial, &mut flip);
    let windows = flip.into_recorded().into_iter().step_by(every.max(1)).take(most);
    Ok(windows.map(|window| FlipWindow { scenario: scenario.name.clone(), ..window }).collect())
}
