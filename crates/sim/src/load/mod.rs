//! Load generation: the arrival rate at the sources, a shape with noise, second by second.

mod daily;
mod noise;
mod shape;
pub(crate) mod trace;

pub use noise::Noise;
pub use shape::{Shape, ShapeError};
pub use trace::TraceError;

use serde::{Deserialize, Serialize};

use crate::job::Job;
use crate::random::Random;

/// The load of a scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadSpec {
    /// Total records per second of all sources over time.
    pub shape: Shape,
    /// Noise on the shape.
    #[serde(default)]
    pub noise: Noise,
}

/// Arrival rates of each source, per second of the run.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// Records per second, in the order of [`Job::sources`], then by second.
    pub rates_per_s: Vec<Vec<f64>>,
}

impl LoadSpec {
    /// Generates a job's load of this duration; sources share it by their `load_share`, each with independent noise.
    ///
    /// # Errors
    /// See [`ShapeError`].
    pub fn build(&self, job: &Job, duration_s: usize, seed: u64) -> Result<Load, ShapeError> {
        let base = self.shape.rates_per_s(duration_s, &mut Random::new(seed, "load shape"))?;
        let of = |source: &usize| {
            let operator = &job.operators()[*source];
            let mut random = Random::new(seed, &format!("load noise of {}", operator.name));
            let share: Vec<f64> = base.iter().map(|rate| rate * operator.load_share).collect();
            self.noise.applied(share, &mut random)
        };
        Ok(Load { rates_per_s: job.sources().iter().map(of).collect() })
    }
}

impl Load {
    /// Returns the duration of the load, in seconds.
    pub fn duration_s(&self) -> usize {
        self.rates_per_s.iter().map(Vec::len).min().unwrap_or(0)
    }

    /// Returns the mean rate of each source between two seconds.
    pub fn mean_per_s(&self, from_s: usize, until_s: usize) -> Vec<f64> {
        let mean = |rates: &Vec<f64>| {
            let part = &rates[from_s.min(rates.len())..until_s.min(rates.len())];
            #[expect(clippy::cast_precision_loss, reason = "seconds of a run")]
            let count = part.len().max(1) as f64;
            part.iter().sum::<f64>() / count
        };
        self.rates_per_s.iter().map(mean).collect()
    }

    /// Returns the total rate of all sources in one second.
    pub fn total_per_s(&self, second: usize) -> f64 {
        self.rates_per_s.iter().map(|rates| rates.get(second).copied().unwrap_or(0.0)).sum()
    }
}
