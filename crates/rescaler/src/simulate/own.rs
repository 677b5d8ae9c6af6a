//! A scenario in a file: TOML, and a recorded load as CSV beside it.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use sim::conditions::{ChangeWay, Faults, Slots};
use sim::load::{LoadSpec, Noise, Shape};
use sim::scenario::{JobSpec, Scenario, Set, Step};

use super::SimulateError;

/// A scenario as it is written. `docs/simulator.md` describes the keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    duration_s: u32,
    latency_bound_s: f64,
    #[serde(default = "metric_age_s")]
    metric_age_s: u32,
    #[serde(default)]
    externally_limited: bool,
    job: JobSpec,
    load: WrittenLoad,
    #[serde(default)]
    change: WrittenChange,
    #[serde(default)]
    faults: Faults,
    #[serde(default)]
    slots: Slots,
    step: Option<Step>,
}

fn metric_age_s() -> u32 {
    2
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenLoad {
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
struct WrittenChange {
    way: Way,
    wait_s: Option<(f64, f64)>,
    outage_s: Option<(f64, f64)>,
    replay_s: Option<f64>,
    warm_up_s: Option<f64>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Way {
    #[default]
    InPlace,
    Savepoint,
    LargeState,
}

impl WrittenChange {
    fn way(&self) -> ChangeWay {
        let named = match self.way {
            Way::InPlace => ChangeWay::IN_PLACE,
            Way::Savepoint => ChangeWay::SAVEPOINT,
            Way::LargeState => ChangeWay::LARGE_STATE,
        };
        ChangeWay {
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
    let written: Written = toml::from_str(&text).map_err(syntax)?;
    let shape = match (&written.load.shape, &written.load.trace) {
        (Some(shape), None) => shape.clone(),
        (None, Some(trace)) => {
            let beside = Path::new(file).parent().unwrap_or(Path::new("")).join(trace);
            let beside = beside.display().to_string();
            trace_of(&beside, &text_of(&beside)?)?
        }
        _ => return Err(syntax(serde::de::Error::custom("load: either a shape or a trace is needed"))),
    };
    Ok(Scenario {
        name: written.name,
        set: Set::Own,
        is_externally_limited: written.externally_limited,
        duration_s: written.duration_s,
        job: written.job,
        load: LoadSpec { shape, noise: written.load.noise },
        latency_bound_s: written.latency_bound_s,
        metric_age_s: written.metric_age_s,
        change: written.change.way(),
        faults: written.faults,
        slots: written.slots,
        step: written.step,
    })
}

fn text_of(file: &str) -> Result<String, SimulateError> {
    fs::read_to_string(file).map_err(|source| SimulateError::File { file: file.to_owned(), source })
}

/// A recorded load: each rate holds until the next line. A line of words may come first.
fn trace_of(file: &str, text: &str) -> Result<Shape, SimulateError> {
    let mut levels: Vec<(u32, f64)> = Vec::new();
    for (line, row) in (1..).zip(text.lines()) {
        let row = row.trim();
        if row.is_empty() || row.starts_with('#') {
            continue;
        }
        let point = row.split_once(',').and_then(|(second, rate)| {
            Some((second.trim().parse::<u32>().ok()?, rate.trim().parse::<f64>().ok()?))
        });
        match point {
            Some((second, rate)) if rate >= 0.0 && levels.last().is_none_or(|last| last.0 < second) => {
                levels.push((second, rate));
            }
            None if line == 1 => {}
            _ => return Err(SimulateError::Trace { file: file.to_owned(), line }),
        }
    }
    Ok(Shape::Steps { levels })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a recorded load is read with its heading, and the line that is wrong is named.
    #[test]
    fn traces_are_read() {
        let shape = trace_of("load.csv", "second,rate\n0, 100\n\n60,250.5\n").unwrap();
        assert_eq!(shape, Shape::Steps { levels: vec![(0, 100.0), (60, 250.5)] });
        for (text, line) in [("0,1\nx,2\n", "line 2"), ("5,1\n5,2\n", "line 2"), ("s,r\n1,-1\n", "line 2")] {
            let error = trace_of("load.csv", text).unwrap_err().to_string();
            assert!(error.contains(line), "{error}");
        }
    }
}
