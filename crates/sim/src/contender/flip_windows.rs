//! Windows of metrics that the re-implementation of Flink's autoscaler decided of, with what it wanted: for the comparison with Apache's
//! library, which is given the same windows (`flink-autoscaler`).

use serde::Serialize;

use super::flip::{Flip, Options};
use crate::run::run;
use crate::scenario::{Scenario, ScenarioError};
use crate::view::View;

/// Apache's collector keeps so many decimals: a thousandth.
const ROUND: f64 = 1000.0;

/// A window of metrics and what is wanted of each operator.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FlipWindow {
    /// The scenario that it is of.
    pub scenario: String,
    /// The target utilisation.
    pub utilisation: f64,
    /// How long a restart is expected to take, in seconds.
    pub restart_s: f64,
    /// In what time a backlog is to be worked off, in seconds.
    pub catch_up_s: f64,
    /// When each sample was taken, in seconds.
    pub at_s: Vec<usize>,
    /// In topological order.
    pub operators: Vec<FlipOperator>,
}

/// One operator in a window.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FlipOperator {
    /// Its name.
    pub name: String,
    /// Today's parallelism.
    pub parallelism: u32,
    /// The largest possible one.
    pub most: u32,
    /// Partitions of a source, key groups of a keyed operator; 0: its input is not cut.
    pub portions: u32,
    /// The operators that it reads, by their places in the window; none: a source.
    pub inputs: Vec<usize>,
    /// Busy share of the fullest subtask, records in, records out, lag, and the observed true rate where there is one.
    pub samples: Vec<(f64, f64, f64, f64, Option<f64>)>,
    /// The parallelism that is wanted, before bounds of utilisation and waits are looked at.
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
            portions: view.portions(index).count().unwrap_or(0),
            inputs: view.upstream(index).collect(),
            samples: samples.into_iter().map(rounded).collect(),
            wanted,
        }
    }
}

fn round(value: f64) -> f64 {
    libm::round(value * ROUND) / ROUND
}

/// Windows of 30 s that Flink's autoscaler with short windows decided of in a scenario, every so many of them, at most as many as `most`.
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
