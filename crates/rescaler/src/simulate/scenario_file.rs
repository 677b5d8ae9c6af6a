//! A scenario in a file: TOML, and a recorded load as CSV beside it.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;
use sim::conditions::{BUFFER_S, ChangeMethod, Faults, OPERATOR_LATENCY_S, Slots};
use sim::load::{LoadSpec, Noise, Shape};
use sim::scenario::{JobSpec, LoadStep, Scenario, ScenarioSet};

use super::SimulateError;

/// A scenario as it is written. `docs/simulator.md` describes the keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawScenario {
    name: String,
    duration_s: u32,
    latency_bound_s: f64,
    #[serde(default = "metric_age_s")]
    metric_age_s: u32,
    #[serde(default = "operator_latency_s")]
    operator_latency_s: f64,
    #[serde(default = "buffer_s")]
    buffer_s: f64,
    #[serde(default)]
    externally_limited: bool,
    job: JobSpec,
    load: RawLoad,
    #[serde(default)]
    change: RawChange,
    #[serde(default)]
    faults: Faults,
    #[serde(default)]
    slots: Slots,
    step: Option<LoadStep>,
}

fn metric_age_s() -> u32 {
    2
}

fn operator_latency_s() -> f64 {
    OPERATOR_LATENCY_S
}

fn buffer_s() -> f64 {
    BUFFER_S
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLoad {
    /// A shape, or a trace.
    shape: Option<Shape>,
    /// CSV: a second and a rate a line.
    trace: Option<String>,
    #[serde(default)]
    noise: Noise,
}

/// A way by name, and what differs from it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawChange {
    way: ChangeMethodName,
    wait_s: Option<(f64, f64)>,
    outage_s: Option<(f64, f64)>,
    replay_s: Option<f64>,
    warm_up_s: Option<f64>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ChangeMethodName {
    #[default]
    InPlace,
    Savepoint,
    LargeState,
}

impl RawChange {
    fn method(&self) -> ChangeMethod {
        let named = match self.way {
            ChangeMethodName::InPlace => ChangeMethod::IN_PLACE,
            ChangeMethodName::Savepoint => ChangeMethod::SAVEPOINT,
            ChangeMethodName::LargeState => ChangeMethod::LARGE_STATE,
        };
        ChangeMethod {
            wait_s: self.wait_s.unwrap_or(named.wait_s),
            outage_s: self.outage_s.unwrap_or(named.outage_s),
            replay_s: self.replay_s.unwrap_or(named.replay_s),
            warm_up_s: self.warm_up_s.unwrap_or(named.warm_up_s),
        }
    }
}

/// Reads a scenario.
pub(super) fn read(file: &str) -> Result<Scenario, SimulateError> {
    let text = text_of(file)?;
    let syntax = |source| SimulateError::Syntax { file: file.to_owned(), source: Box::new(source) };
    let written: RawScenario = toml::from_str(&text).map_err(syntax)?;
    let shape = match (&written.load.shape, &written.load.trace) {
        (Some(shape), None) => shape.clone(),
        (None, Some(trace)) => {
            let beside = Path::new(file).parent().unwrap_or(Path::new("")).join(trace);
            let beside = beside.display().to_string();
            trace_of(&beside, &text_of(&beside)?)?
        }
        _ => return Err(syntax(serde::de::Error::custom("load: set either a shape or a trace"))),
    };
    Ok(Scenario {
        name: written.name,
        set: ScenarioSet::Own,
        is_externally_limited: written.externally_limited,
        duration_s: written.duration_s,
        job: written.job,
        load: LoadSpec { shape, noise: written.load.noise },
        latency_bound_s: written.latency_bound_s,
        metric_age_s: written.metric_age_s,
        operator_latency_s: written.operator_latency_s,
        buffer_s: written.buffer_s,
        change: written.change.method(),
        faults: written.faults,
        slots: written.slots,
        step: written.step,
    })
}

/// The longest scenario or recorded load that is read, in bytes.
const LIMIT_BYTES: u64 = 64 << 20;

fn text_of(file: &str) -> Result<String, SimulateError> {
    files::read_text(Path::new(file), LIMIT_BYTES)
        .map_err(|source| SimulateError::File { file: file.to_owned(), source })
}

/// A recorded load, as the event producer reads one: each rate holds until the next line. A line of words may come first.
fn trace_of(file: &str, text: &str) -> Result<Shape, SimulateError> {
    let wrong = |line| SimulateError::Trace { file: file.to_owned(), line };
    let mut points: Vec<(f64, f64)> = Vec::new();
    for (line, row) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let row = row.trim();
        let is_heading = line == 1 && row.starts_with(char::is_alphabetic);
        if is_heading || row.is_empty() || row.starts_with('#') {
            continue;
        }
        let (second, rate) = row.split_once(',').ok_or_else(|| wrong(line))?;
        let number = |text: &str| text.trim().parse::<f64>().map_err(|_| wrong(line));
        let (second, rate) = (number(second)?, number(rate)?);
        let is_right = (0.0..f64::from(u32::MAX)).contains(&second) && rate >= 0.0 && rate.is_finite();
        if !is_right || points.last().is_some_and(|last| last.0 >= second) {
            return Err(wrong(line));
        }
        points.push((second, rate));
    }
    if points.is_empty() {
        return Err(SimulateError::EmptyTrace { file: file.to_owned() });
    }
    Ok(Shape::Steps { levels: by_second(&points) })
}

/// The rates of whole seconds: the mean of those that hold within one.
fn by_second(points: &[(f64, f64)]) -> Vec<(u32, f64)> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be in the range of u32"
    )]
    let seconds: BTreeSet<u32> =
        points.iter().flat_map(|(second, _)| [second.floor() as u32, second.ceil() as u32]).collect();
    let mean = |second: u32| {
        let (from, until) = (f64::from(second), f64::from(second) + 1.0);
        let first = points.partition_point(|point| point.0 <= from).saturating_sub(1);
        let parts = points[first..].iter().take_while(|point| point.0 < until).enumerate();
        let share = |(index, (begin, rate)): (usize, &(f64, f64))| {
            let end = points.get(first + index + 1).map_or(until, |next| next.0.min(until));
            rate * (end - begin.max(from))
        };
        parts.map(share).sum::<f64>()
    };
    seconds.into_iter().map(|second| (second, mean(second))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a rate that holds for a part of a second counts for that part, and a mark at the beginning of the file is no part of it.
    #[test]
    fn parts_of_seconds_are_averaged() {
        let shape = trace_of("load.csv", "\u{feff}second,rate\n0,100\n1.5,300\n1.75,700\n4,0\n").unwrap();
        assert_eq!(shape, Shape::Steps { levels: vec![(0, 100.0), (1, 300.0), (2, 700.0), (4, 0.0)] });
    }

    /// Goal: a recorded load is read with its heading, and the line that is wrong is named.
    #[test]
    fn traces_are_read() {
        let shape = trace_of("load.csv", "second,rate\n0, 100\n\n60,250.5\n").unwrap();
        assert_eq!(shape, Shape::Steps { levels: vec![(0, 100.0), (60, 250.5)] });
        for (text, line) in [
            ("0,1\nx,2\n", "line 2"),
            ("5,1\n5,2\n", "line 2"),
            ("s,r\n1,-1\n", "line 2"),
            ("0;20000\n", "line 1"),
            ("0,nan\n", "line 1"),
            ("0,1\n9999999999,1\n", "line 2"),
            ("second,rate\n", "no line with a rate"),
        ] {
            let error = trace_of("load.csv", text).unwrap_err().to_string();
            assert!(error.contains(line), "{error}");
        }
    }
}
