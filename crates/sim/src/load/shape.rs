//! The shapes of loads, as functions of the second.

use core::f64::consts::TAU;

use generator::profile::ProfileConfig;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::daily;
use crate::random::Random;

/// Records per second over time; times and lengths in seconds, rates in records per second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "kebab-case",
    deny_unknown_fields,
    expecting = "a table with the kind of the load, for example { kind = \"constant\", rate = 20000 }"
)]
pub enum Shape {
    /// A constant rate.
    Constant {
        /// The rate.
        rate: f64,
    },
    /// `[second, rate]`: the rate holds from that second on. Also used for recorded loads.
    Steps {
        /// Levels in order of time.
        levels: Vec<(u32, f64)>,
    },
    /// `[second, rate]`: linear interpolation between corners.
    Ramp {
        /// Corners in order of time.
        corners: Vec<(u32, f64)>,
    },
    /// A sine wave between two rates.
    Sine {
        /// Wave length.
        period_s: u32,
        /// Lowest rate.
        low: f64,
        /// Highest rate.
        high: f64,
    },
    /// A square wave: in each period the lower rate, then the higher one.
    Square {
        /// Period.
        period_s: u32,
        /// Lower rate.
        low: f64,
        /// Higher rate.
        high: f64,
        /// Fraction of the period with the higher rate, 0 to 1.
        duty: f64,
    },
    /// Short spikes.
    Spikes {
        /// Rate between spikes.
        low: f64,
        /// Rate of a spike.
        high: f64,
        /// Start of each spike.
        starts: Vec<u32>,
        /// Length of each spike.
        length_s: u32,
        /// Rise time at the start of each spike.
        rise_s: u32,
    },
    /// A linear rise, then exponential decay.
    FlashCrowd {
        /// Rate before, and asymptotically after.
        low: f64,
        /// The peak.
        high: f64,
        /// Start of the rise.
        start_s: u32,
        /// Duration of the rise.
        rise_s: u32,
        /// Time constant of the decay.
        decay_s: u32,
    },
    /// One wave per day.
    Diurnal {
        /// Lowest rate.
        low: f64,
        /// Highest rate.
        high: f64,
        /// Length of a day.
        day_s: u32,
        /// Time of the peak, as a fraction of the day.
        peak: f64,
        /// Above 1: the peak is narrower than the trough.
        sharpness: f64,
    },
    /// One wave per day with sudden double humps, as in the 1998 World Cup access log.
    WorldCup {
        /// Lowest rate.
        low: f64,
        /// Highest rate.
        high: f64,
    },
    /// Two waves per day and news events, as at Wikipedia.
    Wikipedia {
        /// Lowest rate.
        low: f64,
        /// Highest rate without news.
        high: f64,
    },
    /// One wave per day with batches at full hours, a source that pauses and then bursts, and a shift of the level.
    Production {
        /// Lowest rate.
        low: f64,
        /// Highest rate of the wave.
        high: f64,
    },
    /// A random walk between two rates, with one step a minute.
    Walk {
        /// Lowest rate.
        low: f64,
        /// Highest rate.
        high: f64,
    },
    /// The load that the event producer makes of one of its profiles.
    Profile {
        /// The profile, as in its configuration; not a trace.
        profile: ProfileConfig,
    },
}

/// Why a shape is invalid.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the load's {key}: {remedy}")]
pub struct ShapeError {
    /// The invalid key.
    pub key: String,
    /// Valid values.
    pub remedy: String,
}

impl Shape {
    /// Computes the rate of each second.
    ///
    /// # Errors
    /// See [`ShapeError`].
    pub fn rates_per_s(&self, duration_s: usize, random: &mut Random) -> Result<Vec<f64>, ShapeError> {
        if let Some((key, remedy)) = self.problem() {
            return Err(ShapeError { key: key.to_owned(), remedy: remedy.to_owned() });
        }
        let each = |rate: &dyn Fn(f64) -> f64| {
            #[expect(clippy::cast_precision_loss, reason = "seconds of a run")]
            (0..duration_s).map(|second| rate(second as f64)).collect()
        };
        Ok(match self {
            Self::Constant { rate } => vec![*rate; duration_s],
            Self::Steps { levels } => each(&|t| held(levels, t)),
            Self::Ramp { corners } => each(&|t| between(corners, t)),
            Self::Sine { period_s, low, high } => {
                each(&|t| low + (high - low) * (0.5 - 0.5 * libm::cos(TAU * t / f64::from(*period_s))))
            }
            Self::Square { period_s, low, high, duty } => each(&|t| {
                let phase = (t % f64::from(*period_s)) / f64::from(*period_s);
                if phase >= 1.0 - duty { *high } else { *low }
            }),
            Self::Spikes { low, high, starts, length_s, rise_s } => each(&|t| {
                let since = |start: &u32| t - f64::from(*start);
                let in_spike = |since_s: &f64| *since_s >= 0.0 && *since_s < f64::from(*length_s);
                let risen = |since_s: f64| ((since_s + 1.0) / f64::from(*rise_s).max(1.0)).min(1.0);
                let most = starts.iter().map(since).filter(in_spike).map(risen).fold(0.0, f64::max);
                low + (high - low) * most
            }),
            Self::FlashCrowd { low, high, start_s, rise_s, decay_s } => each(&|t| {
                let (since_s, rise_s) = (t - f64::from(*start_s), f64::from(*rise_s));
                let part = if since_s < 0.0 {
                    0.0
                } else if since_s < rise_s {
                    since_s / rise_s
                } else {
                    libm::exp(-(since_s - rise_s) / f64::from(*decay_s))
                };
                low + (high - low) * part
            }),
            Self::Diurnal { low, high, day_s, peak, sharpness } => {
                let day = daily::Day { length_s: f64::from(*day_s), peak: *peak, sharpness: *sharpness };
                each(&|t| day.rate(*low, *high, t))
            }
            Self::WorldCup { low, high } => daily::world_cup(duration_s, *low, *high, random),
            Self::Wikipedia { low, high } => daily::wikipedia(duration_s, *low, *high, random),
            Self::Production { low, high } => daily::production(duration_s, *low, *high, random),
            Self::Walk { low, high } => walk(duration_s, *low, *high, random),
            Self::Profile { profile } => emitted(profile, duration_s)?,
        })
    }

    fn problem(&self) -> Option<(&'static str, &'static str)> {
        let rate = |value: &f64| value.is_finite() && *value >= 0.0;
        let in_order = |points: &[(u32, f64)]| {
            !points.is_empty()
                && points.iter().all(|(_, value)| rate(value))
                && points.windows(2).all(|pair| pair[0].0 < pair[1].0)
        };
        let points = "must have at least one entry, later seconds after earlier ones, no negative rate";
        let (right, key, remedy) = match self {
            Self::Constant { rate: value } => (rate(value), "rate", "give a number from 0 on"),
            Self::Steps { levels } => (in_order(levels), "levels", points),
            Self::Ramp { corners } => (in_order(corners), "corners", points),
            Self::Square { duty, .. } if !(0.0..=1.0).contains(duty) => {
                (false, "duty", "give a number from 0 to 1")
            }
            Self::Sine { period_s: 0, .. } | Self::Square { period_s: 0, .. } => {
                (false, "period_s", "give a number from 1 on")
            }
            Self::Profile { profile } if profile.trace_file().is_some() => {
                (false, "profile", "name the file of a trace as load.trace")
            }
            Self::Profile { .. } => return None, // the rest is checked where it is converted
            Self::Diurnal { day_s: 0, .. } => (false, "day_s", "give a number from 1 on"),
            Self::FlashCrowd { rise_s, decay_s, .. } if *rise_s == 0 || *decay_s == 0 => {
                (false, "rise_s and decay_s", "give a number from 1 on")
            }
            Self::Sine { low, high, .. }
            | Self::Square { low, high, .. }
            | Self::Spikes { low, high, .. }
            | Self::FlashCrowd { low, high, .. }
            | Self::Diurnal { low, high, .. }
            | Self::WorldCup { low, high }
            | Self::Wikipedia { low, high }
            | Self::Production { low, high }
            | Self::Walk { low, high } => {
                (rate(low) && rate(high), "low and high", "give a number from 0 on")
            }
        };
        (!right).then_some((key, remedy))
    }
}

/// Returns the events of a profile that are due in each second.
fn emitted(profile: &ProfileConfig, duration_s: usize) -> Result<Vec<f64>, ShapeError> {
    let schedule = profile.check().map_err(|error| ShapeError { key: error.key, remedy: error.problem })?;
    let due = |second: usize| {
        schedule.due_count(u64::try_from(second).unwrap_or(u64::MAX).saturating_mul(1_000_000_000))
    };
    let emitted = |second: usize| u32::try_from(due(second + 1) - due(second)).unwrap_or(u32::MAX);
    Ok((0..duration_s).map(emitted).map(f64::from).collect())
}

/// Returns the rate of the last point at or before `t`; before the first point, its rate.
fn held(points: &[(u32, f64)], t: f64) -> f64 {
    let passed = points.partition_point(|(second, _)| f64::from(*second) <= t);
    points.get(passed.saturating_sub(1)).map_or(0.0, |(_, rate)| *rate)
}

/// Interpolates linearly between the surrounding points.
fn between(points: &[(u32, f64)], t: f64) -> f64 {
    let passed = points.partition_point(|(second, _)| f64::from(*second) <= t);
    let before = points.get(passed.saturating_sub(1)).copied().unwrap_or_default();
    match points.get(passed) {
        Some(after) if passed > 0 => {
            let (from_s, until_s) = (f64::from(before.0), f64::from(after.0));
            before.1 + (after.1 - before.1) * (t - from_s) / (until_s - from_s)
        }
        _ => before.1,
    }
}

fn walk(duration_s: usize, low: f64, high: f64, random: &mut Random) -> Vec<f64> {
    let mut at = 0.5_f64;
    let mut rate = |second: usize| {
        if second.is_multiple_of(60) {
            at = (at + 0.06 * random.normal()).clamp(0.0, 1.0);
        }
        low + (high - low) * at
    };
    (0..duration_s).map(&mut rate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(shape: &Shape, seconds: usize) -> Vec<f64> {
        shape.rates_per_s(seconds, &mut Random::new(1, "test")).unwrap()
    }

    /// Goal: levels hold, corners are interpolated, and the last value stays.
    #[test]
    fn points_are_read_as_written() {
        let steps = rates(&Shape::Steps { levels: vec![(0, 1.0), (2, 5.0)] }, 4);
        assert_eq!(steps, [1.0, 1.0, 5.0, 5.0]);
        let ramp = rates(&Shape::Ramp { corners: vec![(1, 0.0), (3, 4.0)] }, 5);
        assert_eq!(ramp, [0.0, 0.0, 2.0, 4.0, 4.0]);
        let spikes = Shape::Spikes { low: 1.0, high: 3.0, starts: vec![1], length_s: 3, rise_s: 2 };
        assert_eq!(rates(&spikes, 5), [1.0, 2.0, 3.0, 3.0, 1.0]);
        let square = Shape::Square { period_s: 4, low: 1.0, high: 2.0, duty: 0.5 };
        assert_eq!(rates(&square, 6), [1.0, 1.0, 2.0, 2.0, 1.0, 1.0]);
    }

    /// A shape from the lines of a scenario file.
    fn written(profile: &str) -> Shape {
        toml::from_str(&format!("kind = \"profile\"\nprofile = {{ {profile} }}")).unwrap()
    }

    /// Goal: a profile of the event producer is the load that the producer makes of it, up to its end.
    #[test]
    fn a_profile_is_what_the_producer_emits() {
        let ramp = rates(&written("kind = \"ramp\", from = 0, to = 100, over_s = 10"), 12);
        // Halfway through each second; the event at its start counts in the second before.
        assert_eq!(ramp, [5.0, 15.0, 25.0, 35.0, 45.0, 55.0, 65.0, 75.0, 85.0, 95.0, 100.0, 100.0]);
        let ended = rates(&written("kind = \"constant\", rate = 40, duration_s = 2"), 3);
        assert_eq!(ended, [40.0, 39.0, 0.0]);
    }

    /// Goal: invalid shapes are rejected with the valid values.
    #[test]
    fn impossible_shapes_are_refused() {
        let refused =
            |shape: Shape| shape.rates_per_s(1, &mut Random::new(1, "test")).unwrap_err().to_string();
        assert!(refused(Shape::Constant { rate: -1.0 }).contains("rate"));
        assert!(refused(Shape::Steps { levels: vec![] }).contains("levels"));
        assert!(refused(Shape::Ramp { corners: vec![(5, 1.0), (5, 2.0)] }).contains("corners"));
        assert!(refused(Shape::Sine { period_s: 0, low: 0.0, high: 1.0 }).contains("period_s"));
        assert!(refused(written("kind = \"constant\", rate = -1")).contains("profile.rate: give a number"));
        assert!(refused(written("kind = \"trace\", file = \"a.csv\"")).contains("load.trace"));
    }
}
