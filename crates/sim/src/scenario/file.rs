//! Scenario files: TOML (`docs/simulator.md` describes the keys), with a recorded load as CSV beside it. The caller reads the files.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{JobSpec, LoadStep, Scenario, ScenarioSet};
use crate::conditions::{BUFFER_S, ChangeMethod, Faults, OPERATOR_LATENCY_S, Slots};
use crate::load::{LoadSpec, Noise, Shape, TraceError, trace};

/// The longest scenario or recorded load that is read, in bytes.
const LIMIT_BYTES: u64 = 64 << 20;

/// Why a file is not a scenario.
#[derive(Debug, Error)]
pub enum ScenarioFileError {
    /// The file, or that of its load, cannot be read.
    #[error("{file}: cannot be read")]
    Read {
        /// The file.
        file: String,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// Its text is not a scenario.
    #[error("{file}: not a scenario")]
    Syntax {
        /// The file.
        file: String,
        /// Where and what.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// Its recorded load is not one.
    #[error("{file}: {problem}")]
    Trace {
        /// The file of the load.
        file: String,
        /// The problem.
        problem: TraceError,
    },
}

/// A scenario as it is read.
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

/// A scenario as it is written: with the values of all defaults.
#[derive(Serialize)]
struct WrittenScenario<'a> {
    name: &'a str,
    duration_s: u32,
    latency_bound_s: f64,
    metric_age_s: u32,
    operator_latency_s: f64,
    buffer_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    externally_limited: Option<bool>,
    job: &'a JobSpec,
    load: &'a LoadSpec,
    change: ChangeMethod,
    faults: Faults,
    slots: Slots,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<LoadStep>,
}

impl Scenario {
    /// Reads a scenario file. `read` returns the text of a file of at most this many bytes.
    ///
    /// # Errors
    /// See [`ScenarioFileError`]. Values out of range are errors of [`Scenario::trial`].
    pub fn from_file(
        path: &Path,
        read: impl Fn(&Path, u64) -> io::Result<String>,
    ) -> Result<Self, ScenarioFileError> {
        let file = || path.display().to_string();
        let text = |path: &Path| {
            let unreadable = |source| ScenarioFileError::Read { file: path.display().to_string(), source };
            read(path, LIMIT_BYTES).map_err(unreadable)
        };
        let syntax = |source| ScenarioFileError::Syntax { file: file(), source: Box::new(source) };
        let written: RawScenario = toml::from_str(&text(path)?).map_err(syntax)?;
        let shape = match (&written.load.shape, &written.load.trace) {
            (Some(shape), None) => shape.clone(),
            (None, Some(name)) => {
                let beside = path.parent().unwrap_or(Path::new("")).join(name);
                let wrong =
                    |problem| ScenarioFileError::Trace { file: beside.display().to_string(), problem };
                trace::parse(&text(&beside)?).map_err(wrong)?
            }
            _ => return Err(syntax(serde::de::Error::custom("load: set either a shape or a trace"))),
        };
        Ok(written.with_shape(shape))
    }

    /// Returns the text of a scenario file with this scenario. A recorded load is written as a shape, and the set is that of files.
    ///
    /// # Errors
    /// A value cannot be written as TOML.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(&WrittenScenario {
            name: &self.name,
            duration_s: self.duration_s,
            latency_bound_s: self.latency_bound_s,
            metric_age_s: self.metric_age_s,
            operator_latency_s: self.operator_latency_s,
            buffer_s: self.buffer_s,
            externally_limited: self.is_externally_limited.then_some(true),
            job: &self.job,
            load: &self.load,
            change: self.change,
            faults: self.faults,
            slots: self.slots,
            step: self.step,
        })
    }
}

impl RawScenario {
    fn with_shape(self, shape: Shape) -> Scenario {
        Scenario {
            name: self.name,
            set: ScenarioSet::Own,
            is_externally_limited: self.externally_limited,
            duration_s: self.duration_s,
            job: self.job,
            load: LoadSpec { shape, noise: self.load.noise },
            latency_bound_s: self.latency_bound_s,
            metric_age_s: self.metric_age_s,
            operator_latency_s: self.operator_latency_s,
            buffer_s: self.buffer_s,
            change: self.change.method(),
            faults: self.faults,
            slots: self.slots,
            step: self.step,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a scenario from these files instead of a disk.
    fn read(files: &[(&str, &str)]) -> Result<Scenario, ScenarioFileError> {
        Scenario::from_file(Path::new("own/scenario.toml"), |path, _limit_bytes| {
            let found = files.iter().find(|(name, _)| Path::new("own").join(name) == path);
            found.map(|(_, text)| (*text).to_owned()).ok_or_else(|| io::ErrorKind::NotFound.into())
        })
    }

    /// Goal: every built-in scenario, written as a file and read again, is the same but for its set.
    #[test]
    fn scenarios_survive_a_file() {
        for scenario in Scenario::all() {
            let text = scenario.to_toml().unwrap();
            let expected = Scenario { set: ScenarioSet::Own, ..scenario };
            assert_eq!(read(&[("scenario.toml", &text)]).unwrap(), expected, "{text}");
        }
    }

    const BEGIN: &str =
        "name = \"a\"\nduration_s = 60\nlatency_bound_s = 1.0\njob.template.kind = \"linear\"\n";

    /// Goal: a recorded load is read from beside the scenario; what is not written has its default, a change that of its way.
    #[test]
    fn a_recorded_load_is_read_from_beside_the_scenario() {
        let text =
            format!("{BEGIN}load.trace = \"load.csv\"\nchange = {{ way = \"savepoint\", replay_s = 3.0 }}");
        let scenario = read(&[("scenario.toml", &text), ("load.csv", "second,rate\n0,5\n")]).unwrap();
        assert_eq!(scenario.load.shape, Shape::Steps { levels: vec![(0, 5.0)] });
        assert_eq!(scenario.change, ChangeMethod { replay_s: 3.0, ..ChangeMethod::SAVEPOINT });
        assert_eq!((scenario.metric_age_s, scenario.buffer_s), (2, BUFFER_S));
    }

    /// Goal: each defect is reported with its file: the scenario's, or that of its load.
    #[test]
    fn defects_are_reported_with_their_file() {
        let with_trace = format!("{BEGIN}load.trace = \"load.csv\"");
        let with_both = format!("{with_trace}\nload.shape = {{ kind = \"constant\", rate = 1.0 }}");
        for (files, expected) in [
            (&[][..], "own/scenario.toml: cannot be read"),
            (&[("scenario.toml", "name = 3")], "own/scenario.toml: not a scenario"),
            (&[("scenario.toml", BEGIN)], "own/scenario.toml: not a scenario"),
            (&[("scenario.toml", with_both.as_str())], "own/scenario.toml: not a scenario"),
            (&[("scenario.toml", with_trace.as_str())], "own/load.csv: cannot be read"),
            (
                &[("scenario.toml", with_trace.as_str()), ("load.csv", "0;5")],
                "own/load.csv: line 1: write SECOND,RATE with increasing seconds",
            ),
            (
                &[("scenario.toml", with_trace.as_str()), ("load.csv", "")],
                "own/load.csv: no line with a rate",
            ),
        ] {
            assert_eq!(read(files).unwrap_err().to_string(), expected);
        }
    }
}
