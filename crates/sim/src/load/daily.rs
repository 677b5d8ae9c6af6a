//! Load shapes with a daily rhythm.

use core::f64::consts::TAU;

use crate::random::Random;

const DAY_S: f64 = 86_400.0;
/// Start times of matches, as fractions of the day.
const MATCHES: [f64; 3] = [0.60, 0.73, 0.87];

/// One wave per day.
#[derive(Debug, Clone, Copy)]
pub(super) struct Day {
    pub(super) length_s: f64,
    /// Time of the peak, as a fraction of the day.
    pub(super) peak: f64,
    pub(super) sharpness: f64,
}

impl Day {
    /// Returns the rate at a second.
    pub(super) fn rate(self, low: f64, high: f64, t: f64) -> f64 {
        let wave = 0.5 + 0.5 * libm::cos(TAU * (t / self.length_s - self.peak));
        low + (high - low) * libm::pow(wave, self.sharpness)
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds of a run")]
fn wave(duration_s: usize, day: Day, low: f64, high: f64) -> Vec<f64> {
    (0..duration_s).map(|second| day.rate(low, high, second as f64)).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a second of a run, not negative"
)]
fn second(t: f64) -> usize {
    t.max(0.0) as usize
}

/// A day with matches: the rate jumps, drops in the break, returns, and decays. Three quarters of the possible
/// matches take place.
#[expect(clippy::cast_precision_loss, reason = "seconds of a run")]
pub(super) fn world_cup(duration_s: usize, low: f64, high: f64, random: &mut Random) -> Vec<f64> {
    let day = Day { length_s: DAY_S, peak: 0.6, sharpness: 1.0 };
    let mut rates = wave(duration_s, day, low, low + 0.35 * (high - low));
    let days = duration_s.div_ceil(second(DAY_S));
    for number in 0..days {
        for part in MATCHES {
            if random.uniform() >= 0.75 {
                continue;
            }
            let start = second((number as f64 + part) * DAY_S + random.between(-600.0, 600.0));
            let height = random.between(0.4, 1.0) * (high - low) * 0.65;
            let until = (start + 9000).min(duration_s);
            for (at, rate) in rates.iter_mut().enumerate().take(until).skip(start.saturating_sub(900)) {
                *rate += height * of_match(at as f64 - start as f64);
            }
        }
    }
    rates
}

/// Returns the interest in a match, 0 to 1, this many seconds after it began.
fn of_match(since_s: f64) -> f64 {
    match since_s {
        s if s < 0.0 => libm::exp(s / 300.0),
        s if s < 2700.0 => 1.0,
        s if s < 3600.0 => 0.65,
        s if s < 6300.0 => 0.95,
        s => libm::exp(-(s - 6300.0) / 900.0),
    }
}

/// Two harmonics of a day and, about once a day, a news event that increases the rate and fades within the hour.
#[expect(clippy::cast_precision_loss, reason = "seconds of a run")]
pub(super) fn wikipedia(duration_s: usize, low: f64, high: f64, random: &mut Random) -> Vec<f64> {
    let quiet = |at: usize| {
        let day = at as f64 / DAY_S;
        let wave = 0.5 - 0.38 * libm::cos(TAU * (day - 0.12)) - 0.12 * libm::cos(2.0 * TAU * (day - 0.05));
        low + (high - low) * wave.max(0.0)
    };
    let mut rates: Vec<f64> = (0..duration_s).map(quiet).collect();
    for _ in 0..(duration_s / second(DAY_S)).max(1) {
        let start = random.whole(0, duration_s.max(1) - 1);
        let height = random.between(0.3, 0.6);
        for (since, rate) in rates.iter_mut().skip(start).take(7200).enumerate() {
            let since_s = since as f64;
            *rate *= 1.0 + height * (since_s / 120.0).min(1.0) * libm::exp(-since_s / 1500.0);
        }
    }
    rates
}

/// A day with batches at full hours, a source that pauses and then delivers what it held back, and a shift of the
/// level.
#[expect(clippy::cast_precision_loss, reason = "seconds of a run")]
pub(super) fn production(duration_s: usize, low: f64, high: f64, random: &mut Random) -> Vec<f64> {
    let day = Day { length_s: DAY_S, peak: 0.58, sharpness: 1.3 };
    let mut rates = wave(duration_s, day, low, high);
    for hour in 0..duration_s / 3600 {
        if random.uniform() >= 0.5 {
            continue;
        }
        let start = hour * 3600 + random.whole(0, 30);
        let height = random.between(0.3, 0.9);
        let length = random.whole(60, 240);
        rates.iter_mut().skip(start).take(length).for_each(|rate| *rate *= 1.0 + height);
    }
    for _ in 0..(duration_s / 43_200).max(1) {
        let start = random.whole(duration_s / 10, duration_s.saturating_sub(1801).max(duration_s / 10));
        let length = random.whole(60, 300);
        let mut held_back = 0.0;
        for rate in rates.iter_mut().skip(start).take(length) {
            held_back += *rate * 0.9;
            *rate *= 0.1;
        }
        let burst = held_back / length as f64;
        rates.iter_mut().skip(start + length).take(length).for_each(|rate| *rate += burst);
    }
    let shift = random.whole(0, duration_s.max(1) - 1);
    rates.iter_mut().skip(shift).for_each(|rate| *rate *= 1.25);
    rates
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a paused source delivers later what it held back: the sums with and without the pause agree, except for
    /// batches and the shift.
    #[test]
    fn daily_loads_stay_within_what_they_describe() {
        let mut random = Random::new(3, "test");
        let rates = production(86_400, 100.0, 300.0, &mut random);
        let highest = rates.iter().copied().fold(0.0, f64::max);
        assert!(rates.iter().all(|rate| *rate >= 0.0) && highest < 300.0 * 1.9 * 1.25 * 2.0, "{highest}");
        let cup = world_cup(86_400, 100.0, 300.0, &mut random);
        assert!(cup.iter().all(|rate| (100.0..=301.0 + 130.0).contains(rate)));
    }
}
