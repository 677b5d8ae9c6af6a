//! Variations of a scenario: one condition replaced or multiplied, to see how much a policy depends on it.

use std::str::FromStr;

use thiserror::Error;

use super::Scenario;

/// A condition with another value, written `KEY=VALUE` or `KEY=xFACTOR`, with the keys of a scenario file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Variation {
    key: &'static str,
    change: Change,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Change {
    Replace(f64),
    Multiply(f64),
}

/// Why a text is not a variation.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum VariationError {
    /// The text has another form.
    #[error("{0:?}: write KEY=VALUE, or KEY=xFACTOR to multiply, for example change.outage_s=x3")]
    Syntax(String),
    /// The key is unknown.
    #[error("there is no key {key:?}; there are {list}", list = KEYS.join(", "))]
    Key {
        /// The unknown key.
        key: String,
    },
    /// The value is invalid.
    #[error("{key} = {value:?}: give a number that is not negative, or x and a factor")]
    Value {
        /// The key.
        key: &'static str,
        /// The invalid value.
        value: String,
    },
}

/// All keys, in the order of a scenario file.
const KEYS: [&str; 13] = [
    "latency_bound_s",
    "metric_age_s",
    "change.wait_s",
    "change.outage_s",
    "change.replay_s",
    "change.warm_up_s",
    "faults.capacity_noise",
    "faults.slow_task_managers_per_h",
    "faults.metric_gaps_per_h",
    "faults.failing_changes",
    "slots.max",
    "slots.per_task_manager",
    "slots.task_manager_start_s",
];

/// A condition by reference.
enum Condition<'a> {
    Number(&'a mut f64),
    Range(&'a mut (f64, f64)),
    Count(&'a mut u32),
}

impl Variation {
    /// Changes the condition of a scenario. [`Scenario::trial`] rejects values out of range.
    pub fn apply(self, scenario: &mut Scenario) {
        let varied = |value: f64| match self.change {
            Change::Replace(new) => new,
            Change::Multiply(factor) => value * factor,
        };
        match condition(scenario, self.key) {
            Condition::Number(value) => *value = varied(*value),
            Condition::Range((low, high)) => (*low, *high) = (varied(*low), varied(*high)),
            Condition::Count(value) => *value = rounded(varied(f64::from(*value))),
        }
    }
}

fn condition<'a>(scenario: &'a mut Scenario, key: &str) -> Condition<'a> {
    let Scenario { latency_bound_s, metric_age_s, change, faults, slots, .. } = scenario;
    match key {
        "latency_bound_s" => Condition::Number(latency_bound_s),
        "metric_age_s" => Condition::Count(metric_age_s),
        "change.wait_s" => Condition::Range(&mut change.wait_s),
        "change.outage_s" => Condition::Range(&mut change.outage_s),
        "change.replay_s" => Condition::Number(&mut change.replay_s),
        "change.warm_up_s" => Condition::Number(&mut change.warm_up_s),
        "faults.capacity_noise" => Condition::Number(&mut faults.capacity_noise),
        "faults.slow_task_managers_per_h" => Condition::Number(&mut faults.slow_task_managers_per_h),
        "faults.metric_gaps_per_h" => Condition::Number(&mut faults.metric_gaps_per_h),
        "faults.failing_changes" => Condition::Number(&mut faults.failing_changes),
        "slots.max" => Condition::Count(&mut slots.max),
        "slots.per_task_manager" => Condition::Count(&mut slots.per_task_manager),
        "slots.task_manager_start_s" => Condition::Count(&mut slots.task_manager_start_s),
        other => unreachable!("{other} is in KEYS"),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range of u32 first"
)]
fn rounded(value: f64) -> u32 {
    value.round().clamp(0.0, f64::from(u32::MAX)) as u32
}

impl FromStr for Variation {
    type Err = VariationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (key, value) = text.split_once('=').ok_or_else(|| VariationError::Syntax(text.to_owned()))?;
        let (key, value) = (key.trim(), value.trim());
        let unknown = || VariationError::Key { key: key.to_owned() };
        let key = KEYS.into_iter().find(|known| *known == key).ok_or_else(unknown)?;
        let (number, is_factor) = value.strip_prefix('x').map_or((value, false), |factor| (factor, true));
        let valid = number.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
        let number = valid.ok_or_else(|| VariationError::Value { key, value: value.to_owned() })?;
        Ok(Self { key, change: if is_factor { Change::Multiply(number) } else { Change::Replace(number) } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step() -> Scenario {
        Scenario::all().into_iter().find(|scenario| scenario.name == "step").unwrap()
    }

    /// Goal: every key changes exactly one condition.
    #[test]
    fn every_key_changes_one_condition() {
        for key in KEYS {
            let (original, mut varied) = (step(), step());
            format!("{key}=7").parse::<Variation>().unwrap().apply(&mut varied);
            assert_ne!(original, varied, "{key}");
        }
        let mut varied = step();
        for text in ["metric_age_s=10", "change.outage_s=x3", "latency_bound_s=x0.5", "slots.max=x0.5"] {
            text.parse::<Variation>().unwrap().apply(&mut varied);
        }
        assert_eq!((varied.metric_age_s, varied.latency_bound_s, varied.slots.max), (10, 1.0, 32));
        let (low, high) = varied.change.outage_s;
        assert!((low - 0.3).abs() < 1e-9 && (high - 1.2).abs() < 1e-9, "{low} {high}");
    }

    /// Goal: a text that is not a variation is rejected with what is valid.
    #[test]
    fn invalid_texts_are_rejected() {
        for (text, part) in [
            ("metric_age_s", "KEY=VALUE"),
            ("outage=x3", "change.outage_s"),
            ("change.outage_s=3x", "x and a factor"),
            ("change.outage_s=-1", "not negative"),
            ("faults.capacity_noise=NaN", "a number"),
        ] {
            let error = text.parse::<Variation>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
