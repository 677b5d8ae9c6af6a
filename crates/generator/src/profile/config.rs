//! The section `[profile]` as it is written, and the pieces of rate it stands for.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::pieces::{flat, sine, thesis};
use super::schedule::{After, Piece, Schedule};
use super::trace::{TraceError, parse_trace};
use crate::ConfigError;

/// The highest rate, events per second: a hundred times what one producer can emit.
const HIGHEST_RATE: f64 = 1e8;
/// The longest time, s: ten years.
const LONGEST_S: f64 = 10.0 * 365.25 * 86_400.0;
/// The most steps in a list, or lines in a trace: a year in minutes.
pub(super) const MOST_STEPS: usize = 527_040;

/// One step: a rate and how long it holds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Events per second over all streams.
    pub rate: f64,
    /// How long, s.
    pub duration_s: f64,
}

/// `[profile]` as written. Rates are events per second over all streams; `duration_s` ends any profile early.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum ProfileConfig {
    /// One rate, until stopped.
    Constant {
        /// Events per second.
        rate: f64,
        /// End of the run, s; absent: until stopped.
        duration_s: Option<f64>,
    },
    /// A list of rates, then the end.
    Steps {
        /// The steps, in order.
        steps: Vec<Step>,
        /// Begin anew after the last step.
        #[serde(default)]
        repeat: bool,
        /// End of the run, s; absent: the end of the last step.
        duration_s: Option<f64>,
    },
    /// From one rate to another in a straight line, then that rate until stopped.
    Ramp {
        /// Rate at the start.
        from: f64,
        /// Rate at the end.
        to: f64,
        /// How long it takes, s.
        over_s: f64,
        /// End of the run, s; absent: until stopped.
        duration_s: Option<f64>,
    },
    /// Low, high, low, high … until stopped; it begins low.
    Square {
        /// The lower rate.
        low: f64,
        /// The higher rate.
        high: f64,
        /// Low and high together, s.
        period_s: f64,
        /// Share of the period that is high, above 0 and below 1.
        #[serde(default = "half")]
        high_share: f64,
        /// End of the run, s; absent: until stopped.
        duration_s: Option<f64>,
    },
    /// Around a mean, until stopped; it begins rising from the mean.
    Sine {
        /// The mean rate.
        mean: f64,
        /// Largest distance from the mean, at most the mean.
        amplitude: f64,
        /// Length of a wave, s.
        period_s: f64,
        /// End of the run, s; absent: until stopped.
        duration_s: Option<f64>,
    },
    /// A base rate with a spike, then the base rate until stopped.
    Spike {
        /// Rate before and after.
        base: f64,
        /// Rate of the spike.
        peak: f64,
        /// Time before the spike, s.
        before_s: f64,
        /// Length of the spike, s.
        spike_s: f64,
        /// Begin anew after each spike.
        #[serde(default)]
        repeat: bool,
        /// End of the run, s; absent: until stopped.
        duration_s: Option<f64>,
    },
    /// Rates from a CSV file, then the end. See [`ProfileConfig::with_trace`].
    Trace {
        /// The file: `second,rate`, that header first.
        file: PathBuf,
        /// Begin anew after the last line.
        #[serde(default)]
        repeat: bool,
        /// End of the run, s; absent: the end of the trace.
        duration_s: Option<f64>,
    },
    /// Five percent of the maximum more every change interval, then the maximum until stopped.
    Thesis {
        /// Rate at the start.
        low: f64,
        /// Rate at the end.
        maximum: f64,
        /// How long each rate holds, s.
        change_interval_s: f64,
        /// End of the run, s; absent: until stopped.
        duration_s: Option<f64>,
    },
}

fn rate(key: &str, value: f64) -> Result<f64, ConfigError> {
    if (0.0..=HIGHEST_RATE).contains(&value) {
        return Ok(value);
    }
    Err(ConfigError::new(
        &format!("profile.{key}"),
        format!("{value} events/s is not between 0 and {HIGHEST_RATE}"),
    ))
}

fn time(key: &str, value: f64) -> Result<f64, ConfigError> {
    if value > 0.0 && value <= LONGEST_S {
        return Ok(value);
    }
    Err(ConfigError::new(
        &format!("profile.{key}"),
        format!("{value} s is not above 0 and at most {LONGEST_S} s"),
    ))
}

impl ProfileConfig {
    /// Checks all values and lays out the schedule.
    ///
    /// # Errors
    /// The first key whose value cannot be used, or a profile without any event.
    pub fn check(&self) -> Result<Schedule, ConfigError> {
        let (pieces, after) = self.pieces()?;
        let limit_s = self.duration_s().map(|value| time("duration_s", value)).transpose()?;
        Schedule::new(&pieces, after, limit_s)
            .ok_or_else(|| ConfigError::new("profile", "no event is ever due; give a rate above 0"))
    }

    const fn duration_s(&self) -> Option<f64> {
        match self {
            ProfileConfig::Constant { duration_s, .. }
            | ProfileConfig::Steps { duration_s, .. }
            | ProfileConfig::Ramp { duration_s, .. }
            | ProfileConfig::Square { duration_s, .. }
            | ProfileConfig::Sine { duration_s, .. }
            | ProfileConfig::Spike { duration_s, .. }
            | ProfileConfig::Trace { duration_s, .. }
            | ProfileConfig::Thesis { duration_s, .. } => *duration_s,
        }
    }

    fn pieces(&self) -> Result<(Vec<Piece>, After), ConfigError> {
        match self {
            ProfileConfig::Constant { rate: value, .. } => {
                Ok((vec![flat(rate("rate", *value)?, 1.0)], After::Hold))
            }
            ProfileConfig::Steps { steps, repeat, .. } => {
                Ok((step_pieces(steps)?, if *repeat { After::Repeat } else { After::End }))
            }
            ProfileConfig::Ramp { from, to, over_s, .. } => {
                let (from_rate, to_rate) = (rate("from", *from)?, rate("to", *to)?);
                Ok((vec![Piece { from_rate, to_rate, duration_s: time("over_s", *over_s)? }], After::Hold))
            }
            ProfileConfig::Square { low, high, period_s, high_share, .. } => {
                let (low, high, period_s) =
                    (rate("low", *low)?, rate("high", *high)?, time("period_s", *period_s)?);
                let high_s = period_s * between("high_share", *high_share, 0.0, 1.0)?;
                Ok((vec![flat(low, period_s - high_s), flat(high, high_s)], After::Repeat))
            }
            ProfileConfig::Sine { mean, amplitude, period_s, .. } => {
                let mean = rate("mean", *mean)?;
                if !(0.0..=mean).contains(amplitude) || mean + amplitude > HIGHEST_RATE {
                    let problem = format!("{amplitude} is not between 0 and the mean, {mean}");
                    return Err(ConfigError::new("profile.amplitude", problem));
                }
                Ok((sine(mean, *amplitude, time("period_s", *period_s)?), After::Repeat))
            }
            ProfileConfig::Spike { base, peak, before_s, spike_s, repeat, .. } => {
                let (base, peak) = (rate("base", *base)?, rate("peak", *peak)?);
                let mut pieces =
                    vec![flat(base, time("before_s", *before_s)?), flat(peak, time("spike_s", *spike_s)?)];
                if *repeat {
                    return Ok((pieces, After::Repeat));
                }
                pieces.push(flat(base, 1.0));
                Ok((pieces, After::Hold))
            }
            ProfileConfig::Trace { file, .. } => {
                Err(ConfigError::new("profile.file", format!("{} has not been read", file.display())))
            }
            ProfileConfig::Thesis { low, maximum, change_interval_s, .. } => {
                let (low, maximum) = (rate("low", *low)?, rate("maximum", *maximum)?);
                if low > maximum {
                    return Err(ConfigError::new(
                        "profile.low",
                        format!("{low} is above the maximum, {maximum}"),
                    ));
                }
                Ok((thesis(low, maximum, time("change_interval_s", *change_interval_s)?), After::Hold))
            }
        }
    }

    /// The file that must be read before the profile can be used, if it is a trace.
    pub fn trace_file(&self) -> Option<&Path> {
        if let ProfileConfig::Trace { file, .. } = self { Some(file) } else { None }
    }

    /// A trace with the text of its file becomes steps: each rate holds until the second of the next line, the last one as
    /// long as the one before it (one second if it is the only one). Other profiles stay as they are.
    ///
    /// # Errors
    /// Which line of the text cannot be used, and why.
    pub fn with_trace(self, text: &str) -> Result<ProfileConfig, TraceError> {
        match self {
            ProfileConfig::Trace { repeat, duration_s, .. } => {
                Ok(ProfileConfig::Steps { steps: parse_trace(text)?, repeat, duration_s })
            }
            other => Ok(other),
        }
    }
}

const fn half() -> f64 {
    0.5
}

fn between(key: &str, value: f64, above: f64, below: f64) -> Result<f64, ConfigError> {
    if value > above && value < below {
        return Ok(value);
    }
    Err(ConfigError::new(
        &format!("profile.{key}"),
        format!("{value} is not above {above} and below {below}"),
    ))
}

fn step_pieces(steps: &[Step]) -> Result<Vec<Piece>, ConfigError> {
    if steps.is_empty() || steps.len() > MOST_STEPS {
        let problem = format!("{} steps; give 1 to {MOST_STEPS}", steps.len());
        return Err(ConfigError::new("profile.steps", problem));
    }
    let piece = |(index, step): (usize, &Step)| {
        let key = |field: &str| format!("steps[{index}].{field}");
        Ok(flat(rate(&key("rate"), step.rate)?, time(&key("duration_s"), step.duration_s)?))
    };
    steps.iter().enumerate().map(piece).collect()
}
