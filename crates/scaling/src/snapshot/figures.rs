//! Time and quality of a figure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How far a figure may be believed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quality {
    /// A difference of counters, or a value read as it is, complete.
    #[default]
    Measured,
    /// Computed from measured figures of other operators, for example an offered rate.
    Derived,
    /// A moving average that the engine keeps, which lags behind.
    Smoothed,
    /// Only some readings or some subtasks contributed.
    Partial,
    /// The newest reading is too old: the figure is absent.
    Stale,
    /// Never seen: the figure is absent.
    Missing,
    /// What was read cannot be true (negative, infinite, no number): the figure is absent.
    Impossible,
}

/// When the figures of one operator, subtask or task manager were read, and how good they are.
///
/// `quality` and the times hold for every figure beside it that is present, except for those that `except` names. An absent figure
/// that is not named is [`Quality::Missing`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// The first reading that counts, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<i64>,
    /// The last reading, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<i64>,
    /// How far the figures may be believed.
    #[serde(default)]
    pub quality: Quality,
    /// Figures of another quality, by the name of their field.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub except: BTreeMap<String, Quality>,
}

impl Reading {
    /// The quality of the figure in the field of this name.
    pub fn quality_of(&self, field: &str) -> Quality {
        self.except.get(field).copied().unwrap_or(self.quality)
    }

    /// The time between the first and the last reading, in milliseconds.
    pub fn interval_ms(&self) -> Option<i64> {
        self.at_ms?.checked_sub(self.from_ms?).filter(|interval_ms| *interval_ms > 0)
    }
}

/// What is known of a distribution of values over the epoch; the field that holds it names the unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distribution {
    /// How many values there were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<f64>,
    /// Their sum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sum: Option<f64>,
    /// Their mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    /// The smallest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Half of the values lie below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50: Option<f64>,
    /// 95 % of the values lie below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95: Option<f64>,
    /// 99 % of the values lie below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99: Option<f64>,
    /// The largest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

impl Distribution {
    /// A value that nearly all lie below: the best known of p99, largest, p95, mean.
    pub fn high(&self) -> Option<f64> {
        self.p99.or(self.max).or(self.p95).or(self.mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the quality of a figure is its group's, unless it is named; the interval is never 0 or negative.
    #[test]
    fn exceptions_count_for_the_named_figure() {
        let mut reading = Reading { from_ms: Some(1000), at_ms: Some(3000), ..Reading::default() };
        reading.except.insert("busy_ratio".to_owned(), Quality::Smoothed);
        assert_eq!(reading.quality_of("busy_ratio"), Quality::Smoothed);
        assert_eq!(reading.quality_of("records_in"), Quality::Measured);
        assert_eq!(reading.interval_ms(), Some(2000));
        reading.at_ms = Some(1000);
        assert_eq!(reading.interval_ms(), None);
    }
}
