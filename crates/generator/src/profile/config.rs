//! The section `[profile]` as written, and its conversion to pieces of linear rate.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::pieces::{flat, sine, thesis};
use super::schedule::{EndBehaviour, Piece, Schedule};
use super::trace::{TraceError, parse_trace};
use crate::{ConfigError, Problems, first};

/// Highest rate, events per second: a hundred times what one producer can emit.
pub(super) const HIGHEST_RATE: f64 = 1e8;
/// Longest duration, s: ten years.
pub(super) const LONGEST_S: f64 = 10.0 * 365.25 * 86_400.0;
/// Maximum number of steps in a list, or lines in a trace: a year in minutes.
pub(super) const MOST_STEPS: usize = 527_040;

/// One step: a rate and its duration.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileStep {
    /// Events per second over all streams.
    pub rate: f64,
    /// Duration, s.
    pub duration_s: f64,
}

/// `[profile]` as written. Rates are events per second over all streams; `duration_s` ends any profile early.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "lowercase",
    deny_unknown_fields,
    expecting = "a table with the kind of the profile, for example { kind = \"constant\", rate = 1000 }"
)]
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
        steps: Vec<ProfileStep>,
        /// Whether to restart after the last step.
        #[serde(default)]
        repeat: bool,
        /// End of the run, s; absent: the end of the last step.
        duration_s: Option<f64>,
    },
    /// A linear change from one rate to another, then that rate until stopped.
    Ramp {
        /// Rate at the start.
        from: f64,
        /// Rate at the end.
        to: f64,
        /// Duration of the change, s.
        over_s: f64,
        /// End of the run, s; absent: until stopped.
        duration_s: Option<f64>,
    },
    /// Low, high, low, high … until stopped; it begins with low.
    Square {
        /// The lower rate.
        low: f64,
        /// The higher rate.
        high: f64,
        /// Duration of low and high together, s.
        period_s: f64,
        /// Fraction of the period that is high, above 0 and below 1.
        #[serde(default = "half")]
        high_share: f64,
        /// End of the run, s; absent: until stopped.
        duration_s: Option<f64>,
    },
    /// A sine around a mean, until stopped; it begins at the mean, rising.
    Sine {
        /// The mean rate.
        mean: f64,
        /// Amplitude, at most the mean.
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
        /// Whether to restart after each spike.
        #[serde(default)]
        repeat: bool,
        /// End of the run, s; absent: until stopped.
        duration_s: Option<f64>,
    },
    /// Rates from a CSV file, then the end. See [`ProfileConfig::with_trace`].
    Trace {
        /// The file: `second,rate`, with that header.
        file: PathBuf,
        /// Whether to restart after the last line.
        #[serde(default)]
        repeat: bool,
        /// End of the run, s; absent: the end of the trace.
        duration_s: Option<f64>,
    },
    /// Steps of 5 % of the maximum per change interval, then the maximum until stopped.
    Thesis {
        /// Rate at the start.
        low: f64,
        /// Rate at the end.
        maximum: f64,
        /// Duration of each rate, s.
        change_interval_s: f64,
        /// End of the run, s; absent: until stopped.
        duration_s: Option<f64>,
    },
}

fn rate(key: &str, value: f64) -> Result<f64, ConfigError> {
    if (0.0..=HIGHEST_RATE).contains(&value) {
        return Ok(value);
    }
    Err(ConfigError::out_of_range(&format!("profile.{key}"), value, 0.0, HIGHEST_RATE))
}

fn time(key: &str, value: f64) -> Result<f64, ConfigError> {
    if value > 0.0 && value <= LONGEST_S {
        return Ok(value);
    }
    let remedy = format!("give a number above 0 and at most {LONGEST_S}");
    Err(ConfigError::of_value(&format!("profile.{key}"), value, remedy))
}

impl ProfileConfig {
    /// Validates all values and builds the schedule.
    ///
    /// # Errors
    /// The first key with an invalid value, or a profile without any event.
    pub fn check(&self) -> Result<Schedule, ConfigError> {
        self.check_all().map_err(first)
    }

    /// Validates all values and builds the schedule.
    ///
    /// # Errors
    /// Every key with an invalid value, or a profile without any event.
    pub fn check_all(&self) -> Result<Schedule, Vec<ConfigError>> {
        let mut problems = Problems::default();
        let pieces = self.pieces(&mut problems);
        let limit_s = match self.duration_s() {
            Some(value) => problems.note(time("duration_s", value)).map(Some),
            None => Some(None),
        };
        let schedule = pieces.zip(limit_s).and_then(|((pieces, after), limit_s)| {
            let schedule = Schedule::new(&pieces, after, limit_s);
            let none = || ConfigError::new("profile", "the rate is always 0; use a rate above 0");
            problems.note(schedule.ok_or_else(none))
        });
        problems.unless_any(schedule)
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

    fn pieces(&self, problems: &mut Problems) -> Option<(Vec<Piece>, EndBehaviour)> {
        match self {
            ProfileConfig::Constant { rate: value, .. } => {
                Some((vec![flat(problems.note(rate("rate", *value))?, 1.0)], EndBehaviour::Hold))
            }
            ProfileConfig::Steps { steps, repeat, .. } => Some((
                step_pieces(steps, problems)?,
                if *repeat { EndBehaviour::Repeat } else { EndBehaviour::End },
            )),
            ProfileConfig::Ramp { from, to, over_s, .. } => {
                let rates = [problems.note(rate("from", *from)), problems.note(rate("to", *to))];
                let duration_s = problems.note(time("over_s", *over_s))?;
                Some((
                    vec![Piece { from_rate: rates[0]?, to_rate: rates[1]?, duration_s }],
                    EndBehaviour::Hold,
                ))
            }
            ProfileConfig::Square { low, high, period_s, high_share, .. } => {
                let rates = [problems.note(rate("low", *low)), problems.note(rate("high", *high))];
                let period_s = problems.note(time("period_s", *period_s));
                let high_share = problems.note(between("high_share", *high_share, 0.0, 1.0))?;
                let high_s = period_s? * high_share;
                Some((
                    vec![flat(rates[0]?, period_s? - high_s), flat(rates[1]?, high_s)],
                    EndBehaviour::Repeat,
                ))
            }
            ProfileConfig::Sine { mean, amplitude, period_s, .. } => {
                let mean = problems.note(rate("mean", *mean));
                let period_s = problems.note(time("period_s", *period_s))?;
                problems.note(amplitude_of(mean?, *amplitude))?;
                Some((sine(mean?, *amplitude, period_s), EndBehaviour::Repeat))
            }
            ProfileConfig::Spike { base, peak, before_s, spike_s, repeat, .. } => {
                spike_pieces([*base, *peak], [*before_s, *spike_s], *repeat, problems)
            }
            ProfileConfig::Trace { file, .. } => {
                let problem = format!("{} has not been read", file.display());
                problems.note(Err(ConfigError::new("profile.file", problem)))
            }
            ProfileConfig::Thesis { low, maximum, change_interval_s, .. } => {
                thesis_pieces(*low, *maximum, *change_interval_s, problems)
            }
        }
    }

    /// Returns the file that must be read first, if the profile is a trace.
    pub fn trace_file(&self) -> Option<&Path> {
        if let ProfileConfig::Trace { file, .. } = self { Some(file) } else { None }
    }

    /// Converts a trace with the text of its file to steps: each rate holds until the second of the next line, the
    /// last one as long as the one before it (one second if it is the only one). Other profiles are unchanged.
    ///
    /// # Errors
    /// The invalid line of the text, with the reason.
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
    let remedy = format!("give a number above {above} and below {below}");
    Err(ConfigError::of_value(&format!("profile.{key}"), value, remedy))
}

fn amplitude_of(mean: f64, amplitude: f64) -> Result<(), ConfigError> {
    if (0.0..=mean).contains(&amplitude) && mean + amplitude <= HIGHEST_RATE {
        return Ok(());
    }
    let remedy = format!("give a number from 0 to profile.mean = {mean}, and at most {HIGHEST_RATE} with it");
    Err(ConfigError::of_value("profile.amplitude", amplitude, remedy))
}

fn spike_pieces(
    [base, peak]: [f64; 2],
    [before_s, spike_s]: [f64; 2],
    repeat: bool,
    problems: &mut Problems,
) -> Option<(Vec<Piece>, EndBehaviour)> {
    let rates = [problems.note(rate("base", base)), problems.note(rate("peak", peak))];
    let times = [problems.note(time("before_s", before_s)), problems.note(time("spike_s", spike_s))];
    let mut pieces = vec![flat(rates[0]?, times[0]?), flat(rates[1]?, times[1]?)];
    if repeat {
        return Some((pieces, EndBehaviour::Repeat));
    }
    pieces.push(flat(base, 1.0));
    Some((pieces, EndBehaviour::Hold))
}

fn thesis_pieces(
    low: f64,
    maximum: f64,
    change_interval_s: f64,
    problems: &mut Problems,
) -> Option<(Vec<Piece>, EndBehaviour)> {
    let rates = [problems.note(rate("low", low)), problems.note(rate("maximum", maximum))];
    let interval_s = problems.note(time("change_interval_s", change_interval_s));
    let (low, maximum) = (rates[0]?, rates[1]?);
    if low > maximum {
        let remedy = format!("give a number up to profile.maximum = {maximum}");
        return problems.note(Err(ConfigError::of_value("profile.low", low, remedy)));
    }
    Some((thesis(low, maximum, interval_s?), EndBehaviour::Hold))
}

fn step_pieces(steps: &[ProfileStep], problems: &mut Problems) -> Option<Vec<Piece>> {
    if steps.is_empty() || steps.len() > MOST_STEPS {
        let problem = format!("there are {}; give 1 to {MOST_STEPS}", steps.len());
        return problems.note(Err(ConfigError::new("profile.steps", problem)));
    }
    let mut piece = |(index, step): (usize, &ProfileStep)| {
        let key = |field: &str| format!("steps[{index}].{field}");
        let rate = problems.note(rate(&key("rate"), step.rate));
        let duration_s = problems.note(time(&key("duration_s"), step.duration_s));
        Some(flat(rate?, duration_s?))
    };
    // Checks every step, even after an invalid one.
    let pieces: Vec<Option<Piece>> = steps.iter().enumerate().map(&mut piece).collect();
    pieces.into_iter().collect()
}
