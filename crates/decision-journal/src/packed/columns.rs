//! The subtasks of a job as columns of digits.
//!
//! ```text
//! {"counts":[3,2],"columns":{"busy_ratio":{"decimals":3,"digits":["00000","66001","01000","20010"]}}}
//! ```
//!
//! Two operators have 3 and 2 subtasks, which are busy for 0.602, 0.610, 0.000, 0.001 and 0.100 of their time: the first text has the first
//! digit of all of them, and so on, filled up with zeros on both sides. A space is an unknown figure, and a figure that no subtask has has no
//! column. Digits of the same place resemble one another, which is why compression makes less of them than of numbers one after the other:
//! the places in front are often all the same, and the last ones take 3.4 bits each, which is what a random digit tells.

use std::collections::BTreeMap;

use scaling::Subtask;
use serde::{Deserialize, Serialize};

/// Longest number in a column, in characters: an `f64` of everyday size has 17 digits at most.
const NUMBER_CHARS: usize = 24;

/// More subtasks than any job has: the limit of what a damaged line makes the reader allocate.
const SUBTASKS_MAX: usize = 10_000_000;

/// The subtasks of all operators of a job.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Columns {
    /// Number of subtasks by operator, in the order of the snapshot.
    counts: Vec<usize>,
    /// By the name of the figure.
    columns: BTreeMap<String, Column>,
    /// What has no column, by the number of the subtask over all operators, from 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    others: Vec<(usize, Subtask)>,
}

/// A figure of all subtasks.
#[derive(Debug, Serialize, Deserialize)]
struct Column {
    /// How many of the places are behind the decimal point.
    decimals: usize,
    /// By place, the highest first: a digit for each subtask, or a space where the figure is unknown.
    digits: Vec<String>,
}

/// A figure of a subtask that has a column.
struct Figure {
    name: &'static str,
    /// The figure as text; [`None`] if it is unknown.
    text: fn(&Subtask) -> Option<String>,
    /// Sets the figure to this text, or makes it unknown.
    set: fn(&mut Subtask, Option<&str>),
}

macro_rules! figures {
    ($($name:ident),*) => {
        [$(Figure {
            name: stringify!($name),
            text: |subtask| subtask.$name.map(|value| value.to_string()),
            set: |subtask, text| subtask.$name = text.and_then(|text| text.parse().ok()),
        }),*]
    };
}

static FIGURES: [Figure; 9] = figures![
    records_in,
    records_out,
    interval_ms,
    busy_ratio,
    idle_ratio,
    backpressured_ratio,
    watermark_lag_ms,
    pending_records,
    partitions
];

impl Figure {
    /// The figure as a number of digits with or without a point, if it is one.
    fn digits(&self, subtask: &Subtask) -> Option<String> {
        let is_digits = |text: &String| {
            text.len() <= NUMBER_CHARS && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        };
        (self.text)(subtask).filter(is_digits)
    }
}

impl Columns {
    /// The columns of these subtasks, given by operator.
    pub(super) fn new<'a>(operators: impl Iterator<Item = &'a [Subtask]>) -> Self {
        let operators: Vec<&[Subtask]> = operators.collect();
        let all = || operators.iter().copied().flatten();
        let mut columns = BTreeMap::new();
        for figure in &FIGURES {
            let texts: Vec<Option<String>> = all().map(|subtask| figure.digits(subtask)).collect();
            if let Some(column) = Column::new(&texts) {
                columns.insert(figure.name.to_owned(), column);
            }
        }
        let other = |(number, subtask): (usize, &Subtask)| {
            let mut rest = subtask.clone();
            for figure in FIGURES.iter().filter(|figure| figure.digits(subtask).is_some()) {
                (figure.set)(&mut rest, None);
            }
            (rest != Subtask::default()).then_some((number, rest))
        };
        Self {
            counts: operators.iter().map(|subtasks| subtasks.len()).collect(),
            others: all().enumerate().filter_map(other).collect(),
            columns,
        }
    }

    /// The subtasks by operator.
    ///
    /// # Errors
    /// The columns do not fit together.
    pub(super) fn subtasks(self) -> Result<Vec<Vec<Subtask>>, String> {
        let total: usize = self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count));
        if total > SUBTASKS_MAX {
            return Err(format!("{total} subtasks"));
        }
        let mut all = vec![Subtask::default(); total];
        for (number, rest) in self.others {
            *all.get_mut(number).ok_or("a subtask that is not counted")? = rest;
        }
        for (name, column) in &self.columns {
            let figure = FIGURES.iter().find(|figure| figure.name == name);
            let figure = figure.ok_or_else(|| format!("an unknown column {name}"))?;
            if column.digits.iter().any(|place| place.len() != total) {
                return Err(format!("column {name} has not one digit for each of {total} subtasks"));
            }
            for (number, subtask) in all.iter_mut().enumerate() {
                if let Some(text) = column.number(number) {
                    (figure.set)(subtask, Some(&text));
                }
            }
        }
        let mut all = all.into_iter();
        Ok(self.counts.into_iter().map(|count| all.by_ref().take(count).collect()).collect())
    }
}

impl Column {
    /// The column of these numbers; [`None`] if all are unknown.
    fn new(texts: &[Option<String>]) -> Option<Self> {
        let widest = |(whole, decimals): (usize, usize), text: &String| {
            let own = places(text);
            (whole.max(own.0), decimals.max(own.1))
        };
        let (whole, decimals) = texts.iter().flatten().fold((0, 0), widest);
        if whole + decimals == 0 {
            return None;
        }
        let mut digits: Vec<String> =
            (0..whole + decimals).map(|_| String::with_capacity(texts.len())).collect();
        for text in texts {
            let Some(text) = text else {
                digits.iter_mut().for_each(|place| place.push(' '));
                continue;
            };
            let before = whole - places(text).0;
            let zeros = std::iter::repeat_n('0', before);
            let filled =
                zeros.chain(text.chars().filter(|digit| *digit != '.')).chain(std::iter::repeat('0'));
            digits.iter_mut().zip(filled).for_each(|(place, digit)| place.push(digit));
        }
        Some(Self { decimals, digits })
    }

    /// The number of this subtask as text; [`None`] if it is unknown.
    fn number(&self, subtask: usize) -> Option<String> {
        let point_at = self.digits.len().saturating_sub(self.decimals);
        let mut text = String::with_capacity(self.digits.len() + 1);
        for (place, digits) in self.digits.iter().enumerate() {
            if place == point_at {
                text.push('.');
            }
            text.push(char::from(*digits.as_bytes().get(subtask)?));
        }
        (!text.contains(' ')).then_some(text)
    }
}

/// The number of digits before and behind the decimal point.
fn places(number: &str) -> (usize, usize) {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    (whole.len(), decimals.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use scaling::Distribution;

    fn busy(ratio: f64) -> Subtask {
        Subtask { busy_ratio: Some(ratio), ..Subtask::default() }
    }

    fn round_trip(operators: &[Vec<Subtask>]) -> String {
        let columns = Columns::new(operators.iter().map(Vec::as_slice));
        let text = serde_json::to_string(&columns).unwrap();
        let read: Columns = serde_json::from_str(&text).unwrap();
        assert_eq!(read.subtasks().unwrap(), operators, "{text}");
        text
    }

    /// Goal: the form is the documented one.
    #[test]
    fn digits_of_a_place_stand_together() {
        let operators = [vec![busy(0.602), busy(0.61), busy(0.0)], vec![busy(0.001), busy(0.1)]];
        let expected = r#"{"counts":[3,2],"columns":{"busy_ratio":{"decimals":3,"digits":["00000","66001","01000","20010"]}}}"#;
        assert_eq!(round_trip(&operators), expected);
    }

    /// Goal: every figure of every subtask survives, whether it has a column or not, down to the last bit, and unknown stays unknown.
    #[test]
    fn nothing_is_lost() {
        let numbers = [
            0.0,
            -0.0,
            1.0,
            0.1 + 0.2,
            1.0 / 3.0,
            60_120.0,
            1e15,
            123_456_789.125,
            1e300,
            -5.5,
            5e-324,
            f64::MAX,
            1e-7,
        ];
        let mut subtasks: Vec<Subtask> = numbers
            .iter()
            .map(|number| Subtask {
                records_in: Some(*number),
                pending_records: Some(*number),
                interval_ms: Some(119_000),
                partitions: Some(3),
                ..Subtask::default()
            })
            .collect();
        subtasks.push(Subtask::default());
        subtasks.push(Subtask {
            interval_ms: Some(i64::MIN),
            partitions: Some(u32::MAX),
            ..Subtask::default()
        });
        subtasks.push(Subtask {
            interval_ms: Some(i64::MAX),
            task_manager: Some("tm".to_owned()),
            ..busy(0.5)
        });
        let firing = Distribution { max: Some(41.5), ..Distribution::default() };
        subtasks.push(Subtask {
            firing_ms: Some(Box::new(firing)),
            watermark_lag_ms: Some(3.5),
            ..busy(1.0)
        });
        round_trip(&[subtasks.clone(), Vec::new(), subtasks]);
        round_trip(&[]);
        round_trip(&[Vec::new()]);
        round_trip(&[vec![Subtask::default()]]);
    }

    /// Goal: columns that do not fit together are refused instead of read wrongly.
    #[test]
    fn damaged_columns_are_refused() {
        for wrong in [
            r#"{"counts":[2],"columns":{"busy_ratio":{"decimals":0,"digits":["1"]}}}"#,
            r#"{"counts":[1],"columns":{"other":{"decimals":0,"digits":["1"]}}}"#,
            r#"{"counts":[1],"columns":{},"others":[[1,{}]]}"#,
            r#"{"counts":[18446744073709551615,5],"columns":{}}"#,
        ] {
            let columns: Columns = serde_json::from_str(wrong).unwrap();
            assert!(columns.subtasks().is_err(), "{wrong}");
        }
    }
}
