//! The configuration file of the program: the page, and one or several jobs.
//!
//! The short form has one job (`job = "nexmark"`) with its tables at the top. The long form has a `[[job]]` table per job. Tables at
//! the top (`[drop]`, `[epoch]`, `[policy]` …) then apply to all jobs, and a job's own tables (`[job.flink]`, `[job.epoch]` …) are merged
//! over them, key by key. Each job has its own journal, by default in a folder with its name.

use std::collections::BTreeSet;
use std::path::Path;

use secrets::{Document, SyntaxError};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use service::settings::{self, ConfigError, Problems};
use toml::{Table, Value};

use crate::config::{Config, DATA};
use crate::http::Http;
use crate::notify::Notify;
use crate::overrides::merge;
use crate::quota::Quota;

/// The page and the jobs.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum ConfigFile {
    /// The short form.
    One(Box<Config>),
    /// The long form.
    Several {
        /// `[http]`
        http: Box<Http>,
        /// `[notify]`
        notify: Box<Notify>,
        /// `[quota]`
        quota: Quota,
        /// Each with all keys that apply to it.
        job: Vec<Config>,
    },
}

impl ConfigFile {
    /// Reads and checks a file of either form.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::load_over(path, &Table::new())
    }

    /// Reads a file of either form, merges `above` over each of its jobs, and checks the result. `above` may name the job of a file with one
    /// job, if the file does not.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub(crate) fn load_over(path: &Path, above: &Table) -> Result<Self, ConfigError> {
        let text = settings::read(path)?;
        let (table, _): (Table, Problems) = settings::parse(&text, path)?;
        match table.get("job") {
            Some(Value::Array(_)) => several(path, &text, table, above.clone()),
            // Parsed once more, from the text, because its errors then name the line.
            _ => Config::parse_over(&text, path, above).map(|config| Self::One(Box::new(config))),
        }
    }

    /// Reads and checks a file of either form, and returns one job: the one with this name, or the only one.
    ///
    /// # Errors
    /// See [`ConfigError`]; [`ConfigError::Values`] if there is no such job, or several and none was named.
    pub(crate) fn load_job(path: &Path, name: Option<&str>) -> Result<Config, ConfigError> {
        Self::load(path)?.job(path, name)
    }

    /// Like [`ConfigFile::load_job`], with `above` merged over each job.
    ///
    /// # Errors
    /// As [`ConfigFile::load_job`].
    pub(crate) fn load_job_over(
        path: &Path,
        name: Option<&str>,
        above: &Table,
    ) -> Result<Config, ConfigError> {
        Self::load_over(path, above)?.job(path, name)
    }

    /// Returns one job: the one with this name, or the only one; `path` is for the message.
    ///
    /// # Errors
    /// [`ConfigError::Values`] if there is no such job, or several and none was named.
    pub(crate) fn job(&self, path: &Path, name: Option<&str>) -> Result<Config, ConfigError> {
        let jobs = self.jobs();
        let found = match (name, jobs) {
            (None, [only]) => Some(only),
            (None, _) => None,
            (Some(name), jobs) => jobs.iter().find(|config| config.job.as_str() == name),
        };
        found.cloned().ok_or_else(|| {
            let known = jobs.iter().map(|config| config.job.as_str()).collect::<Vec<_>>().join(", ");
            let problem = name.map_or_else(
                || format!("several jobs are configured; select one with --job: {known}"),
                |name| format!("no job {name:?}; it has {known}"),
            );
            ConfigError::in_file(path, problem)
        })
    }

    /// Returns the jobs.
    pub fn jobs(&self) -> &[Config] {
        match self {
            Self::One(config) => std::slice::from_ref(&**config),
            Self::Several { job, .. } => job,
        }
    }

    /// `[http]`
    pub fn http(&self) -> &Http {
        match self {
            Self::One(config) => &config.http,
            Self::Several { http, .. } => http,
        }
    }

    /// `[notify]`
    pub fn notify(&self) -> &Notify {
        match self {
            Self::One(config) => &config.notify,
            Self::Several { notify, .. } => notify,
        }
    }

    /// `[quota]`
    pub fn quota(&self) -> &Quota {
        match self {
            Self::One(config) => &config.quota,
            Self::Several { quota, .. } => quota,
        }
    }

    /// Returns `[http]`, for values of the command line.
    pub(crate) fn http_mut(&mut self) -> &mut Http {
        match self {
            Self::One(config) => &mut config.http,
            Self::Several { http, .. } => http,
        }
    }
}

fn several(path: &Path, text: &str, mut shared: Table, mut above: Table) -> Result<ConfigFile, ConfigError> {
    let mut problems = Problems::new(path.display().to_string());
    // Values that the command line replaces are not wrong.
    problems.extend(key_problems(text, path, above.is_empty()));
    if !problems.is_empty() {
        return Err(problems.into_error());
    }
    above.remove("job");
    let wrong = |problem| ConfigError::in_file(path, problem);
    let http: Http = of_the_program("http", &mut shared, &mut above).map_err(wrong)?;
    let notify: Notify = of_the_program("notify", &mut shared, &mut above).map_err(wrong)?;
    let quota: Quota = of_the_program("quota", &mut shared, &mut above).map_err(wrong)?;
    let Some(Value::Array(tables)) = shared.remove("job") else { return Err(problems.into_error()) };
    problems.extend([http.problems(), notify.problems(), quota.problems()].concat());
    if tables.is_empty() {
        problems.add("job", "at least one [[job]] is needed");
    }
    let mut jobs = Vec::new();
    for (index, table) in tables.into_iter().enumerate() {
        match job(&shared, table.try_into().unwrap_or_default(), &above) {
            Ok(config) => jobs.push(config),
            Err(found) => problems.extend(found.into_iter().map(|problem| format!("job[{index}].{problem}"))),
        }
    }
    problems.extend(shared_things(&jobs));
    problems.finish(Some(ConfigFile::Several {
        http: Box::new(http),
        notify: Box::new(notify),
        quota,
        job: jobs,
    }))
}

/// The sections of the whole program in a file with several jobs.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ProgramSections {
    http: Http,
    notify: Notify,
    quota: Quota,
}

impl ProgramSections {
    const KEYS: [&str; 3] = ["http", "notify", "quota"];

    fn problems(&self) -> Vec<String> {
        [self.http.problems(), self.notify.problems(), self.quota.problems()].concat()
    }
}

/// Returns every wrong key of a file with several jobs: unknown, misplaced, missing, or with a value of the wrong type. If there are any,
/// and `with_values`, the values that are out of range follow.
fn key_problems(text: &str, path: &Path, with_values: bool) -> Vec<String> {
    let Ok(mut shared) = Document::parse(text) else { return Vec::new() };
    let jobs = shared.take_tables("job");
    let (program, mut problems) =
        settings::read_document::<ProgramSections>(shared.take(&ProgramSections::KEYS), path);
    let mut wrong = problems.take();
    problems.extend_by_key(program.map(|program| program.problems()).unwrap_or_default());
    let mut values = problems.take();
    for (index, mut own) in jobs.into_iter().enumerate() {
        let of_job = |problem: String| format!("job[{index}].{problem}");
        wrong.extend(name_problems(&mut own).into_iter().map(of_job));
        let mut document = shared.clone();
        document.merge(own);
        let (config, mut problems) = settings::read_document::<Config>(document, path);
        // A wrong key at the top is wrong for every job.
        let new = problems.take().into_iter().filter(|problem| !wrong.contains(problem)).collect::<Vec<_>>();
        wrong.extend(new);
        problems.extend_by_key(config.map(|config| config.problems()).unwrap_or_default());
        values.extend(problems.take().into_iter().map(of_job));
    }
    let values = values.into_iter().filter(|_| with_values && !wrong.is_empty());
    wrong.iter().cloned().chain(values).collect()
}

/// Returns what is wrong with the top of a `[[job]]` table, and leaves it as the table of a file with one job.
fn name_problems(own: &mut Document<'_>) -> Vec<String> {
    let mut problems = Vec::new();
    for key in ["job", "http", "notify", "quota"] {
        if own.contains(key) {
            problems.push(format!("{key}: not allowed in a [[job]]; set it at the top"));
        }
    }
    drop(own.take(&["job", "http", "notify", "quota"]));
    if !own.contains("name") {
        problems.push("name: missing; write each job as a [[job]] table, with its name in Flink".to_owned());
    }
    own.rename("name", "job");
    own.set_default("job", "job");
    problems
}

/// Removes a section of the whole program from the shared keys, and merges the keys of the command line over it.
///
/// # Errors
/// The wrong key.
fn of_the_program<T: Default + DeserializeOwned>(
    key: &str,
    shared: &mut Table,
    above: &mut Table,
) -> Result<T, String> {
    let mut table = Table::new();
    for section in [shared.remove(key), above.remove(key)].into_iter().flatten() {
        merge(&mut table, Table::from_iter([(key.to_owned(), section)]));
    }
    let Some(section) = table.remove(key) else { return Ok(T::default()) };
    section.try_into().map_err(|error| format!("{key}: {}", SyntaxError::in_value(&error)))
}

/// Returns the configuration of one job: the shared keys, its own keys over them, and the keys of the command line over both.
///
/// # Errors
/// All values out of range, or the first wrong key of the command line.
fn job(shared: &Table, mut own: Table, above: &Table) -> Result<Config, Vec<String>> {
    let name = own.remove("name").unwrap_or_else(|| Value::String(String::new()));
    let mut table = shared.clone();
    // All jobs would write a shared journal.
    if let Some(Value::Table(journal)) = table.get_mut("journal") {
        journal.remove("path");
    }
    merge(&mut table, own);
    merge(&mut table, above.clone());
    let journal = table.entry("journal").or_insert_with(|| Value::Table(Table::new()));
    if let (Value::Table(journal), Some(name)) = (journal, name.as_str()) {
        let default = || Value::String(format!("{DATA}/{name}/decisions.jsonl"));
        journal.entry("path").or_insert_with(default);
    }
    table.insert("job".to_owned(), name);
    let config = Config::from_table(table).map_err(|problem| vec![problem])?;
    let problems = config.problems();
    if problems.is_empty() { Ok(config) } else { Err(problems) }
}

/// Returns names and journals that two jobs share.
fn shared_things(jobs: &[Config]) -> Vec<String> {
    let (mut names, mut journals, mut problems) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for (index, config) in jobs.iter().enumerate() {
        if !names.insert(config.job.to_string()) {
            problems.push(format!("job[{index}].name: duplicate name {}", config.job));
        }
        if !journals.insert(&config.journal.path) {
            let path = config.journal.path.display();
            problems.push(format!(
                "job[{index}].journal.path: {path} is used by another job; give each job its own"
            ));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<ConfigFile, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rescaler.toml");
        std::fs::write(&path, text).unwrap();
        ConfigFile::load(&path)
    }

    /// Goal: the short form is one job, with the page's defaults.
    #[test]
    fn one_job_in_the_short_form() {
        let config_file = load("job = \"nexmark\"\n[http]\nlisten = \"off\"").unwrap();
        assert_eq!(config_file.jobs().len(), 1);
        assert_eq!(config_file.http().listen.address(), None);
    }

    /// Goal: what stands at the top holds for all jobs, a job's own keys win one by one, and journals are apart.
    #[test]
    fn jobs_share_what_stands_at_the_top() {
        let text = r#"
            [epoch]
            length_ms = 60000
            sample_interval_ms = 1000
            [[job]]
            name = "nexmark"
            flink.url = "http://10.0.0.1:8081"
            [[job]]
            name = "psm"
            flink.url = "http://10.0.0.2:8081"
            [job.epoch]
            length_ms = 30000
        "#;
        let config_file = load(text).unwrap();
        let [nexmark, psm] = config_file.jobs() else { panic!("{config_file:?}") };
        assert_eq!((nexmark.epoch.length_ms, nexmark.epoch.sample_interval_ms), (Some(60_000), 1_000));
        assert_eq!((psm.epoch.length_ms, psm.epoch.sample_interval_ms), (Some(30_000), 1_000));
        assert_eq!(psm.flink.url.reveal(), "http://10.0.0.2:8081");
        assert_eq!(nexmark.journal.path, Path::new("run/rescaler/nexmark/decisions.jsonl"));
        assert_eq!(psm.journal.path, Path::new("run/rescaler/psm/decisions.jsonl"));
    }

    /// Goal: keys of the command line count for every job, more than its own, and for the page.
    #[test]
    fn the_command_line_counts_for_every_job() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rescaler.toml");
        std::fs::write(&path, "[[job]]\nname = \"a\"\nepoch.length_ms = 30000\n[[job]]\nname = \"b\"")
            .unwrap();
        let above = "job = \"job\"\nepoch.length_ms = 40000\nhttp.listen = \"off\"";
        let config_file = ConfigFile::load_over(&path, &toml::from_str(above).unwrap()).unwrap();
        let lengths: Vec<_> = config_file.jobs().iter().map(|config| config.epoch.length_ms).collect();
        assert_eq!(lengths, [Some(40_000), Some(40_000)]);
        assert_eq!(config_file.http().listen.address(), None);
        assert_eq!(config_file.jobs()[1].placement.data.as_deref(), Some(Path::new("run/rescaler/b")));
    }

    /// Goal: of several jobs one is picked by name, and a wrong or missing name is told with the right ones.
    #[test]
    fn one_of_several_jobs_is_picked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rescaler.toml");
        std::fs::write(&path, "[[job]]\nname = \"a\"\n[[job]]\nname = \"b\"").unwrap();
        assert_eq!(ConfigFile::load_job(&path, Some("b")).unwrap().job.as_str(), "b");
        for (name, expected) in
            [(None, "select one with --job: a, b"), (Some("c"), "no job \"c\"; it has a, b")]
        {
            let message = ConfigFile::load_job(&path, name).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
        std::fs::write(&path, "job = \"a\"").unwrap();
        assert_eq!(ConfigFile::load_job(&path, None).unwrap().job.as_str(), "a");
    }

    /// Goal: all mistakes of all jobs are reported at once: keys with their line, those at the top once, values with their job. What the
    /// command line replaces is not wrong.
    #[test]
    fn all_mistakes_of_all_jobs_are_reported() {
        let text = "\
[epoch]
frist_ms = 1
first_ms = \"soon\"
[http]
lisen = \"off\"
[[job]]
name = \"a\"
epoch.lenght_ms = 2
limits.max = \"many\"
epoch.sample_interval_ms = 1
quota.slots = 3
[[job]]
name = 4
drop.timeout_ms = 0
";
        let message = load(text).unwrap_err().to_string();
        for expected in [
            "line 2, frist_ms: unknown field",
            "line 3, first_ms: invalid type",
            "line 5, lisen: unknown field",
            "line 8, epoch.lenght_ms: unknown field",
            "line 9, limits.max: invalid type",
            "job[0].epoch.sample_interval_ms = 1: give a number from 100 on",
            "job[0].quota: not allowed",
            "line 13, name: invalid type",
        ] {
            assert_eq!(message.matches(expected).count(), 1, "{expected}: {message}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rescaler.toml");
        std::fs::write(&path, "[[job]]\nname = \"a\"\ndrop.timeout_ms = 0\nepoch.x = 1").unwrap();
        let above = toml::from_str("drop.timeout_ms = 5").unwrap();
        let message = ConfigFile::load_over(&path, &above).unwrap_err().to_string();
        assert!(message.contains("line 4, epoch.x") && !message.contains("timeout_ms"), "{message}");
    }

    /// Goal: every mistake is named with the job it is in.
    #[test]
    fn mistakes_name_their_job() {
        let two = |second: &str| format!("[[job]]\nname = \"a\"\n[[job]]\n{second}");
        let cases = [
            (two("name = \"a\""), "job[1].name: duplicate name a"),
            (two("flink.url = \"http://x\""), "job[1].name: missing"),
            ("job = [1]".to_owned(), "job[0].name: missing"),
            (two("name = \"b\"\nepoch.length = 1"), "line 5, epoch.length: unknown field"),
            (two("name = \"b\"\nepoch.length_ms = 1"), "job[1].epoch.length_ms"),
            (two("name = \"b\"\njournal.path = \"run/rescaler/a/decisions.jsonl\""), "job[1].journal.path"),
            (two("name = \"b\"\nhttp.listen = \"off\""), "job[1].http"),
            (two("name = \"b\"\nquota.slots = 3"), "job[1].quota"),
            (format!("[quota]\nslots = 0\n{}", two("name = \"b\"")), "quota.slots"),
            (format!("[notify]\nattempts = 0\n{}", two("name = \"b\"")), "notify.attempts"),
            ("job = []".to_owned(), "at least one"),
            (format!("[http]\nlisten = \"here\"\n{}", two("name = \"b\"")), "line 2, listen: \"here\""),
        ];
        for (text, expected) in cases {
            let message = load(&text).unwrap_err().to_string();
            assert!(message.contains(expected) && message.contains("rescaler.toml"), "{text}: {message}");
        }
    }
}
