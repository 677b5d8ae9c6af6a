//! Reproducible random numbers: one stream per purpose and seed, identical on every machine.
//!
//! The generator is SplitMix64 (Guy L. Steele Jr., Doug Lea and Christine H. Flood, "Fast splittable pseudorandom
//! number generators", OOPSLA 2014). Each purpose has its own stream, so that two policies meet the same noise
//! however many changes they request. Normal deviates come from the Box-Muller transform with the functions of
//! `libm`.

use core::f64::consts::TAU;

/// Weyl increment: 2^64 divided by the golden ratio, odd.
const INCREMENT: u64 = 0x9e37_79b9_7f4a_7c15;
/// 2^-53: the distance between neighbouring numbers of [`Random::uniform`].
const UNIT: f64 = 1.0 / 9_007_199_254_740_992.0;

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
    /// The second deviate of the last pair.
    spare: Option<f64>,
}

impl Random {
    /// Creates the stream of this purpose and seed.
    pub fn new(seed: u64, purpose: &str) -> Self {
        // FNV-1a separates the purposes, the mixer the seeds.
        let named = purpose.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self { state: mix(named ^ mix(seed.wrapping_add(INCREMENT))), spare: None }
    }

    /// Returns a seed for further streams.
    pub fn seed(mut self) -> u64 {
        self.next()
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(INCREMENT);
        mix(self.state)
    }

    /// Returns a number in `0..1`, uniformly distributed.
    pub fn uniform(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
        let bits = (self.next() >> 11) as f64;
        bits * UNIT
    }

    /// Returns a number between two bounds, uniformly distributed.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Returns an integer in `low..=high`, uniformly distributed.
    pub fn whole(&mut self, low: usize, high: usize) -> usize {
        let count = (high - low) as u128 + 1;
        low + usize::try_from((u128::from(self.next()) * count) >> 64).unwrap_or(0)
    }

    /// Returns a normal deviate of mean 0 and variance 1.
    pub fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let radius = (-2.0 * libm::log(1.0 - self.uniform())).sqrt();
        let (sine, cosine) = libm::sincos(TAU * self.uniform());
        self.spare = Some(radius * sine);
        radius * cosine
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a stream is a function of seed and purpose, with the specified moments.
    #[test]
    fn streams_are_reproducible_and_normal() {
        let draw = |seed, purpose: &str| {
            let mut random = Random::new(seed, purpose);
            (0..20_000).map(|_| random.normal()).collect::<Vec<f64>>()
        };
        let values = draw(1, "a");
        assert_eq!(values, draw(1, "a"));
        assert_ne!(values, draw(1, "b"));
        assert_ne!(values, draw(2, "a"));
        let mean = values.iter().sum::<f64>() / 20_000.0;
        let variance = values.iter().map(|value| value * value).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }

    /// Goal: the first numbers never change, on any machine: stored scores depend on them.
    #[test]
    fn the_stream_is_pinned() {
        let mut random = Random::new(1, "pinned");
        let first = [random.uniform(), random.normal(), random.normal()].map(f64::to_bits);
        assert_eq!(first, [4_597_719_506_251_379_416, 4_611_350_477_867_698_871, 4_608_404_093_925_108_730]);
    }
}
