//! Noise on a load: a fast and a slow autoregressive process, multiplied onto the shape.

use serde::{Deserialize, Serialize};

use crate::random::Random;

/// Autocorrelation of the fast process per second (it decays within seconds).
const FAST: f64 = 0.3;
/// Autocorrelation of the slow process per second (it decays within minutes).
const SLOW: f64 = 0.995;
/// Lower bound of the noise factor.
const LEAST: f64 = 0.05;

/// Strength of the noise: the relative standard deviations of the two processes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Noise {
    /// From second to second.
    pub fast: f64,
    /// Over minutes.
    pub slow: f64,
}

impl Default for Noise {
    fn default() -> Self {
        Self { fast: 0.08, slow: 0.03 }
    }
}

impl Noise {
    /// A load without noise.
    pub const NONE: Self = Self { fast: 0.0, slow: 0.0 };

    /// Applies the noise to the rates.
    pub(super) fn applied(self, mut rates_per_s: Vec<f64>, random: &mut Random) -> Vec<f64> {
        for (deviation, memory) in [(self.fast, FAST), (self.slow, SLOW)] {
            if deviation <= 0.0 {
                continue;
            }
            let kick = deviation * (1.0 - memory * memory).sqrt();
            let mut away = 0.0;
            for rate in &mut rates_per_s {
                away = memory * away + kick * random.normal();
                *rate *= (1.0 + away).max(LEAST);
            }
        }
        rates_per_s
    }
}
