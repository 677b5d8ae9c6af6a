//! Configuration files: read, parsed, and checked with all problems at once.
//!
//! A program describes its file by a type with serde's `deny_unknown_fields`. [`load`] reads it and returns what could be read
//! with the [`Problems`] so far: unknown keys and values of the wrong type. The program adds the values that are out of their
//! range, and [`Problems::finish`] returns the checked configuration or one [`ConfigError`] with everything that is wrong:
//!
//! ```text
//! drop.toml: line 3, jobz: unknown field `jobz`, expected …; limits.wait_ms = 0: give a number from 1 to 600000
//! ```
//!
//! Every problem begins with its key and ends with the remedy. Messages contain no secret: addresses are shown without
//! credentials, and lines of the file are not quoted.

use std::error::Error;
use std::fmt::{Debug, Display};
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use secrets::{Address, Document, HttpUrl, Parsed};
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::with_causes;

/// The origin of values that come from no file.
pub const COMMAND_LINE: &str = "the command line";

/// Why a configuration is invalid. The message names file, keys and remedies; programs then exit with code 2.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no such file.
    #[error("{}: there is no such file; check the path", path.display())]
    Missing {
        /// Path of the file.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// The reason, with its remedy where there is one.
        #[source]
        source: io::Error,
    },
    /// The file is not TOML, or has wrong keys or values; all of them.
    #[error("{origin}: {}", problems.join("; "))]
    Values {
        /// The file, or the command line.
        origin: String,
        /// One sentence per problem: the key, and the remedy.
        problems: Vec<String>,
    },
}

impl ConfigError {
    /// Returns the error of a single problem. `origin` as in [`Problems::new`].
    pub fn new(origin: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Values { origin: origin.into(), problems: vec![problem.into()] }
    }

    /// Returns the error of a file with a single problem.
    pub fn in_file(path: &Path, problem: impl Into<String>) -> Self {
        Self::new(path.display().to_string(), problem)
    }
}

/// Collects everything that is wrong with a configuration.
#[derive(Debug)]
pub struct Problems {
    origin: String,
    found: Vec<String>,
    /// Keys that were removed because their own value was reported.
    omitted: Vec<String>,
}

/// Reads the text of a configuration, from a regular file or a pipe.
///
/// # Errors
/// [`ConfigError::Missing`] and [`ConfigError::Read`].
pub fn read(path: &Path) -> Result<String, ConfigError> {
    files::read_configuration(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => ConfigError::Missing { path: path.to_owned() },
        _ => ConfigError::Read { path: path.to_owned(), source },
    })
}

/// Reads a configuration file, without checking its values.
///
/// # Errors
/// As [`read`] and [`parse`].
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<(T, Problems), ConfigError> {
    parse(&read(path)?, path)
}

/// Reads a configuration file if there is one, else takes the defaults.
///
/// # Errors
/// As [`load`].
pub fn load_or_default<T: DeserializeOwned + Default>(
    path: Option<&Path>,
) -> Result<(T, Problems), ConfigError> {
    match path {
        Some(path) => load(path),
        None => Ok((T::default(), Problems::new(COMMAND_LINE))),
    }
}

/// Parses the text of a configuration. Wrong keys are left out of the value and recorded as problems.
///
/// # Errors
/// [`ConfigError::Values`] if nothing usable remains: the text is not TOML, or a required key is missing or wrong.
pub fn parse<T: DeserializeOwned>(text: &str, path: &Path) -> Result<(T, Problems), ConfigError> {
    match of_parsed(secrets::from_toml_all(text), path) {
        (Some(value), problems) => Ok((value, problems)),
        (None, problems) => Err(problems.into_error()),
    }
}

/// Reads a part of a configuration. Wrong keys are recorded as problems and left out of the value; [`None`] if it cannot be
/// built without them.
pub fn read_document<T: DeserializeOwned>(document: Document<'_>, path: &Path) -> (Option<T>, Problems) {
    of_parsed(document.read(), path)
}

fn of_parsed<T>(parsed: Parsed<T>, path: &Path) -> (Option<T>, Problems) {
    let mut problems = Problems::new(path.display().to_string());
    problems.extend(parsed.errors.iter().map(ToString::to_string));
    problems.omitted = parsed.omitted;
    (parsed.value, problems)
}

impl Problems {
    /// Begins a check. `origin` names the file, or what else the values come from, in the message.
    pub fn new(origin: impl Into<String>) -> Self {
        Self { origin: origin.into(), found: Vec::new(), omitted: Vec::new() }
    }

    /// Whether nothing is wrong so far.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Records a problem of a key. A key whose value was already reported has no further problem.
    pub fn add(&mut self, key: &str, problem: impl Display) {
        self.push(key, format!("{key}: {problem}"));
    }

    /// Records a value that is wrong, with the remedy.
    pub fn refuse(&mut self, key: &str, value: impl Display, remedy: impl Display) {
        self.push(key, refusal(key, value, remedy));
    }

    /// Records problems that name their keys themselves.
    pub fn extend(&mut self, problems: impl IntoIterator<Item = String>) {
        self.found.extend(problems);
    }

    /// Like [`Problems::extend`], without problems of keys whose value was already reported.
    pub fn extend_by_key(&mut self, problems: impl IntoIterator<Item = String>) {
        for problem in problems {
            let key = problem.split([':', ' ']).next().unwrap_or_default().to_owned();
            self.push(&key, problem);
        }
    }

    /// Takes out the problems so far. Keys whose value was reported have no further problems all the same.
    pub fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.found)
    }

    fn push(&mut self, key: &str, problem: String) {
        let is_omitted = |omitted: &String| {
            key.strip_prefix(omitted.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        if !self.omitted.iter().any(is_omitted) {
            self.found.push(problem);
        }
    }

    /// Checks a number against its range, and returns it, or the nearest bound.
    pub fn range<T: PartialOrd + Display + Copy>(
        &mut self,
        key: &str,
        value: T,
        range: RangeInclusive<T>,
    ) -> T {
        let Some(problem) = out_of_range(key, value, &range) else { return value };
        self.push(key, problem);
        if value > *range.end() { *range.end() } else { *range.start() }
    }

    /// Checks a condition on a value.
    pub fn check(&mut self, is_right: bool, key: &str, value: impl Display, remedy: impl Display) {
        if !is_right {
            self.refuse(key, value, remedy);
        }
    }

    /// Returns a value that has no default. `what` completes "set it to".
    pub fn require<T>(&mut self, key: &str, what: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.add(key, format!("missing; set it to {what}"));
        }
        value
    }

    /// Returns a value, or records why it is wrong, with the causes.
    pub fn accept<T, E: Error + 'static>(&mut self, key: &str, value: Result<T, E>) -> Option<T> {
        value.map_err(|error| self.add(key, with_causes(&error))).ok()
    }

    /// Like [`Problems::accept`], for errors that begin with a key within this section.
    pub fn accept_section<T, E: Error + 'static>(&mut self, section: &str, value: Result<T, E>) -> Option<T> {
        value.map_err(|error| self.push(section, format!("{section}.{}", with_causes(&error)))).ok()
    }

    /// Returns the URL of one server.
    pub fn url(&mut self, key: &str, address: &Address) -> Option<HttpUrl> {
        address.http().map_err(|remedy| self.refuse(key, Quoted(address), remedy)).ok()
    }

    /// Returns the URLs of one cluster's servers.
    pub fn urls(&mut self, key: &str, address: &Address) -> Option<Vec<HttpUrl>> {
        address.http_list().map_err(|remedy| self.refuse(key, Quoted(address), remedy)).ok()
    }

    /// Returns the configuration if nothing is wrong with it.
    ///
    /// # Errors
    /// [`ConfigError::Values`] with all problems.
    pub fn finish<T>(self, config: Option<T>) -> Result<T, ConfigError> {
        match config {
            Some(config) if self.found.is_empty() => Ok(config),
            _ => Err(self.into_error()),
        }
    }

    /// Returns all problems as the error of this configuration.
    pub fn into_error(self) -> ConfigError {
        ConfigError::Values { origin: self.origin, problems: self.found }
    }
}

/// Adds the value of its key to each problem (`key: remedy`), if that is a single value. `effective` is the configuration with its
/// defaults; it must serialise secrets without showing them.
pub fn with_values(problems: Vec<String>, effective: &impl Serialize) -> Vec<String> {
    let Ok(effective) = Table::try_from(effective) else { return problems };
    let with_value = |problem: &str| {
        let (key, remedy) = problem.split_once(": ")?;
        Some(refusal(key, single_value(&effective, key)?, remedy))
    };
    problems.into_iter().map(|problem| with_value(&problem).unwrap_or(problem)).collect()
}

/// Returns the value at a dotted path, if it is a number, a text or a choice.
fn single_value<'a>(table: &'a Table, path: &str) -> Option<&'a Value> {
    let (path, last) = path.rsplit_once('.').unwrap_or(("", path));
    // Properties of Kafka's client may be secrets.
    let mut sections = path.split('.').filter(|section| !section.is_empty() && *section != "properties");
    let section = sections.try_fold(table, |table, section| table.get(section)?.as_table())?;
    section.get(last).filter(|value| !value.is_table() && !value.is_array())
}

/// Formats a value that is wrong: `key = value: remedy`.
pub fn refusal(key: &str, value: impl Display, remedy: impl Display) -> String {
    format!("{key} = {value}: {remedy}")
}

/// Formats a number that is out of its range; [`None`] if it is not.
pub fn out_of_range<T: PartialOrd + Display>(
    key: &str,
    value: T,
    range: &RangeInclusive<T>,
) -> Option<String> {
    let remedy = || format!("give a number from {} to {}", range.start(), range.end());
    (!range.contains(&value)).then(|| refusal(key, &value, remedy()))
}

/// Displays a value as `Debug` does, for texts in quotes.
struct Quoted<'a, T>(&'a T);

impl<T: Debug> Display for Quoted<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Debug::fmt(self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Written {
        jobs: u64,
        share: f64,
        data: Option<PathBuf>,
        url: Option<Address>,
        limits: Limits,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Limits {
        wait_ms: u64,
    }

    fn check(text: &str) -> Result<PathBuf, ConfigError> {
        let (written, mut problems) = parse::<Written>(text, Path::new("x.toml"))?;
        problems.range("jobs", written.jobs, 1..=64);
        problems.range("share", written.share, 0.5..=1.0);
        problems.range("limits.wait_ms", written.limits.wait_ms, 1..=600_000);
        if let Some(url) = &written.url {
            problems.url("url", url);
        }
        let data = problems.require("data", "a folder", written.data);
        problems.finish(data)
    }

    /// Goal: wrong keys, wrong types, ranges, missing values and addresses are reported together, each once, in one form,
    /// without secrets.
    #[test]
    fn all_problems_are_reported_at_once() {
        let text = "jobz = 1\njobs = 65\nshare = 0.25\nurl = \"ann:hunter2@host\"\nlimits.wait_ms = \"soon\"";
        let message = check(text).unwrap_err().to_string();
        let problems: Vec<&str> = message.strip_prefix("x.toml: ").unwrap().split("; ").collect();
        assert_eq!(problems.len(), 7, "{message}");
        assert!(problems[0].starts_with("line 1, jobz: unknown field `jobz`"), "{message}");
        assert!(problems[1].starts_with("line 5, limits.wait_ms: invalid type"), "{message}");
        assert_eq!(
            problems[2..],
            [
                "jobs = 65: give a number from 1 to 64",
                "share = 0.25: give a number from 0.5 to 1",
                "url = \"host\": write it as http://host:port",
                "data: missing",
                "set it to a folder",
            ]
        );
        assert_eq!(check("jobs = 1\nshare = 1\nlimits.wait_ms = 1\ndata = \"d\"").unwrap(), Path::new("d"));
    }

    /// Goal: a section with a wrong value is not checked any further; its neighbour with the same beginning is.
    #[test]
    fn reported_keys_are_not_reported_again() {
        let mut problems = Problems::new(COMMAND_LINE);
        problems.omitted = vec!["limits".to_owned()];
        problems.add("limits", "x");
        problems.add("limits.wait_ms", "x");
        assert!(problems.is_empty());
        problems.add("limits_of", "x");
        assert_eq!(problems.into_error().to_string(), "the command line: limits_of: x");
    }

    /// Goal: a missing file, an unreadable one and text that is not TOML are reported with the file and the remedy.
    #[test]
    fn files_that_cannot_be_read_are_reported() {
        let folder = tempfile::tempdir().unwrap();
        let said = |path: &Path| with_causes(&load::<Written>(path).unwrap_err());
        let missing = said(&folder.path().join("x.toml"));
        assert!(missing.ends_with("x.toml: there is no such file; check the path"), "{missing}");
        let is_folder = said(folder.path());
        assert!(is_folder.ends_with(": cannot be read: it is a folder; name a regular file"), "{is_folder}");
        let path = folder.path().join("y.toml");
        std::fs::write(&path, "jobs 3").unwrap();
        assert!(said(&path).contains("y.toml: line 1: "), "{}", said(&path));
    }
}
