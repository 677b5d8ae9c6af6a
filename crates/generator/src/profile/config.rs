//! The section `[profile]` as it is written, and the pieces of rate it stands for.

use serde::{Deserialize, Serialize};

use super::schedule::{After, Piece, Schedule};
use crate::ConfigError;

/// The highest rate, events per second: a hundred times what one producer can emit.
const HIGHEST_RATE: f64 = 1e8;
/// The longest time, s: ten years.
const LONGEST_S: f64 = 10.0 * 365.25 * 86_400.0;
/// The most steps in a list, or lines in a trace: a year in minutes.
const MOST_STEPS: usize = 527_040;
/// Steps of the profile `thesis` from 0 to its maximum: each adds 5 %.
const THESIS_STEPS: f64 = 20.0;

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
            ProfileConfig::Thesis { low, maximum, change_interval_s, .. } => {
                thesis_pieces(*low, *maximum, *change_interval_s).map(|pieces| (pieces, After::Hold))
            }
        }
    }
}

const fn flat(rate: f64, duration_s: f64) -> Piece {
    Piece { from_rate: rate, to_rate: rate, duration_s }
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

fn thesis_pieces(low: f64, maximum: f64, change_interval_s: f64) -> Result<Vec<Piece>, ConfigError> {
    let (low, maximum) = (rate("low", low)?, rate("maximum", maximum)?);
    let interval_s = time("change_interval_s", change_interval_s)?;
    if low > maximum {
        return Err(ConfigError::new("profile.low", format!("{low} is above the maximum, {maximum}")));
    }
    let mut pieces = Vec::new();
    let mut current = low;
    while current < maximum {
        pieces.push(flat(current, interval_s));
        current = low + pieces.len() as f64 * (maximum / THESIS_STEPS);
    }
    pieces.push(flat(maximum, interval_s));
    Ok(pieces)
}
