//! What scales the job in a variant: nothing, a rescaler with a policy, Flink's autoscaler, or any program.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use job_config::{Change, JobDocument};
use service::settings::{self, ConfigError};
use service::with_causes;
use test_cluster::Tenant;
use testbed::process::ProcessSpec;
use toml_edit::DocumentMut;

use crate::experiment::syntax;
use crate::raw::{RawAutoscaler, RawExperiment, RawProgram, RawVariant, Timetable};

/// Value that selects no rescaler.
const NONE: &str = "none";
/// The policy of a variant with a timetable.
pub(crate) const TIMETABLE: &str = "timetable";
/// The entry class of the program in `flink-autoscaler`.
const AUTOSCALER_MAIN: &str = "rescaler.autoscaler.Main";
/// Small and quick to start: it polls Flink every few seconds, beside a job that needs the cores.
const AUTOSCALER_JVM: [&str; 3] = ["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"];

/// Policy, key and default of the durations that are compressed with the load, in seconds.
const COMPRESSED: [(&str, &str, f64); 4] = [
    ("slo", "change_price_s", 240.0),
    ("slo", "urgent_price_s", 60.0),
    ("slo", "hold_s", 600.0),
    ("ds2", "scale_down_interval_s", 3600.0),
];

/// One way of scaling the job.
#[derive(Debug, Clone)]
pub struct Variant {
    /// Name of the variant: as written, or else the policy's.
    pub name: String,
    /// The policy, `none`, `flink-autoscaler`, `program` or `timetable`.
    pub policy: String,
    /// The rescaler's configuration for this job; [`None`]: no rescaler runs.
    pub rescaler: Option<String>,
    /// Program that scales the job instead of the rescaler.
    pub program: Option<Contender>,
    /// Times of changes that the experiment makes instead.
    pub timetable: Option<Timetable>,
    /// The initial document.
    pub document: JobDocument,
}

/// A program that scales the job, with placeholders in arguments and environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contender {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Environment variables, in addition to the inherited ones.
    pub environment: BTreeMap<String, String>,
}

/// Values of a run's placeholders.
#[derive(Debug, Clone)]
pub(crate) struct Placeholders<'a> {
    pub(crate) flink: &'a str,
    pub(crate) job: &'a str,
    pub(crate) job_id: &'a str,
    /// The program's working folder within the run's.
    pub(crate) folder: &'a Path,
    /// Folder of the built program from `flink-autoscaler`.
    pub(crate) autoscaler: &'a Path,
}

impl Contender {
    /// Builds the command of a variant's program, with the placeholders known before the run filled in.
    fn of_program(program: &RawProgram, folder: &Path, compression: f64) -> Self {
        let known = |text: &String| {
            text.replace("{configs}", &folder.display().to_string())
                .replace("{compression}", &compression.to_string())
        };
        Self {
            command: program.command.iter().map(known).collect(),
            environment: program.environment.iter().map(|(key, value)| (key.clone(), known(value))).collect(),
        }
    }

    /// Builds the command of Flink's autoscaler. A user-supplied library precedes the built-in one in the class path.
    fn of_autoscaler(autoscaler: &RawAutoscaler, folder: &Path, compression: f64) -> Self {
        let library =
            autoscaler.library.as_ref().map(|library| format!("{}:", folder.join(library).display()));
        let class_path = format!("{}{{autoscaler}}/*:{{autoscaler}}/lib/*", library.unwrap_or_default());
        let options = folder.join(&autoscaler.options).display().to_string();
        let (interval, compression) = (format!("{} s", autoscaler.interval_s), compression.to_string());
        let java = std::iter::once("java").chain(AUTOSCALER_JVM);
        let arguments = [
            "-cp",
            &class_path,
            AUTOSCALER_MAIN,
            "--flink",
            "{flink}",
            "--job",
            "{job}",
            "--options",
            &options,
            "--interval",
            &interval,
            "--compression",
            &compression,
        ];
        Self { command: java.chain(arguments).map(str::to_owned).collect(), environment: BTreeMap::new() }
    }

    /// Fills in the run's placeholders.
    pub(crate) fn placed(&self, places: &Placeholders<'_>) -> Self {
        let all = [
            ("{flink}", places.flink.to_owned()),
            ("{job}", places.job.to_owned()),
            ("{job_id}", places.job_id.to_owned()),
            ("{folder}", places.folder.display().to_string()),
            ("{autoscaler}", places.autoscaler.display().to_string()),
        ];
        let placed =
            |text: &String| all.iter().fold(text.clone(), |text, (name, value)| text.replace(name, value));
        Self {
            command: self.command.iter().map(placed).collect(),
            environment: self.environment.iter().map(|(key, value)| (key.clone(), placed(value))).collect(),
        }
    }

    /// Builds the process description, with its own folder, and its log beside the others.
    pub(crate) fn program(&self, tenant: &Tenant, places: &Placeholders<'_>) -> Option<ProcessSpec> {
        let placed = self.placed(places);
        let (executable, arguments) = placed.command.split_first()?;
        let log = tenant.work_dir().join("logs/contender.log");
        let program =
            ProcessSpec::new("contender", executable, log).args(arguments).current_dir(places.folder);
        Some(placed.environment.into_iter().fold(program, |program, (key, value)| program.env(key, value)))
    }
}

/// Validates a variant. The inner error is a problem with its values.
///
/// # Errors
/// A file that it names is unusable.
pub(crate) fn checked_variant(
    folder: &Path,
    document: &JobDocument,
    written: &RawExperiment,
    variant: &RawVariant,
) -> Result<Result<Variant, String>, ConfigError> {
    let label = if variant.name.is_empty() { "rescaler" } else { &variant.name };
    let rescaler = match variant.rescaler.as_deref() {
        None | Some(NONE) => None,
        Some(file) => Some(rescaler_for(&folder.join(file), document.job().as_str(), written.compression)?),
    };
    let folder = whole(folder)?;
    let program = match (&variant.program, &variant.flink_autoscaler) {
        (Some(program), None) => Some(Contender::of_program(program, &folder, written.compression)),
        (None, Some(autoscaler)) => {
            settings::read(&folder.join(&autoscaler.options))?;
            Some(Contender::of_autoscaler(autoscaler, &folder, written.compression))
        }
        _ => None,
    };
    let ways = [
        variant.rescaler.is_some(),
        variant.program.is_some(),
        variant.flink_autoscaler.is_some(),
        variant.timetable.is_some(),
    ];
    if ways.iter().filter(|is_there| **is_there).count() != 1 {
        let problem = "set one of `rescaler`, `program`, `flink_autoscaler` and `timetable`";
        return Ok(Err(format!("{label}: {problem}")));
    }
    if let Some(problem) = variant.timetable.as_ref().and_then(|times| times.problem(document, written)) {
        return Ok(Err(format!("{label}.timetable.widths: {problem}")));
    }
    if program.as_ref().is_some_and(|program| program.command.iter().all(String::is_empty)) {
        return Ok(Err(format!("{label}: program.command is empty")));
    }
    if variant.flink_autoscaler.as_ref().is_some_and(|autoscaler| autoscaler.interval_s == 0) {
        return Ok(Err(format!("{label}.flink_autoscaler.interval_s = 0: give a number from 1 on")));
    }
    let policy = match (&rescaler, variant) {
        (Some((_, policy)), _) => policy.as_str(),
        (None, RawVariant { flink_autoscaler: Some(_), .. }) => "flink-autoscaler",
        (None, RawVariant { program: Some(_), .. }) => "program",
        (None, RawVariant { timetable: Some(_), .. }) => TIMETABLE,
        _ => NONE,
    };
    let policy = policy.to_owned();
    let name = if variant.name.is_empty() { policy.clone() } else { variant.name.clone() };
    let begins = with_restart_mode(document, variant.restart_mode.as_deref())
        .and_then(|document| begin_with(&document, written, variant, &name));
    Ok(begins.map_err(|error| format!("{name}: {}", with_causes(&error))).map(|document| Variant {
        name,
        policy,
        rescaler: rescaler.map(|(text, _)| text),
        program,
        timetable: variant.timetable.clone(),
        document,
    }))
}

/// Makes a path absolute: the programs of a run have other working folders.
fn whole(folder: &Path) -> Result<PathBuf, ConfigError> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    folder.canonicalize().map_err(|source| ConfigError::Read { path: folder.to_owned(), source })
}

/// Sets the document's restart mode.
fn with_restart_mode(
    document: &JobDocument,
    mode: Option<&str>,
) -> Result<JobDocument, job_config::DocumentError> {
    let Some(mode) = mode else { return Ok(document.clone()) };
    // A document always parses.
    let mut text: DocumentMut = document.text().parse().unwrap_or_default();
    text["restart_mode"] = toml_edit::value(mode);
    JobDocument::parse(&text.to_string())
}

/// Sets the initial parallelism of the document, as generation 1.
fn begin_with(
    document: &JobDocument,
    written: &RawExperiment,
    variant: &RawVariant,
    name: &str,
) -> Result<JobDocument, job_config::DocumentError> {
    let both = written.parallelism.iter().chain(&variant.parallelism);
    let mut parallelism: BTreeMap<String, u32> = both.map(|(uid, p)| (uid.clone(), *p)).collect();
    let default_parallelism = parallelism.remove("default");
    let change = Change {
        parallelism,
        default_parallelism,
        task_managers: None,
        reason: format!("experiment started: {name}"),
        issued_at: Timestamp::UNIX_EPOCH,
        expires_at: None,
    };
    document.successor(&change)?.renumbered(1)
}

/// Adapts a rescaler's configuration to this job, and returns it with its policy's name. The rescaler itself
/// validates it.
fn rescaler_for(path: &Path, job: &str, compression: f64) -> Result<(String, String), ConfigError> {
    let mut text: DocumentMut =
        settings::read(path)?.parse().map_err(|error: toml_edit::TomlError| syntax(path, &error))?;
    text["job"] = toml_edit::value(job);
    let policy = text.get("policy").and_then(|policy| policy.get("name")).and_then(toml_edit::Item::as_str);
    let policy = policy.unwrap_or("latency").to_owned();
    compress(&mut text, &policy, compression);
    Ok((text.to_string(), policy))
}

/// Divides a policy's load-related durations by the compression factor: retention of added capacity, pay-back time of
/// a change, wait before a scale-down. Machine-related durations (metric age, restart time, catch-up time) are not
/// compressed.
fn compress(text: &mut DocumentMut, policy: &str, compression: f64) {
    let times = COMPRESSED.iter().filter(|(of, ..)| *of == policy);
    for (_, key, default) in times.filter(|_| compression > 1.0) {
        let item = text.get("policy").and_then(|table| table.get(policy)).and_then(|table| table.get(key));
        let written = item.and_then(toml_edit::Item::as_value).and_then(number);
        let compressed = written.unwrap_or(*default) / compression;
        text["policy"][policy][key] = if is_whole(key) {
            #[expect(clippy::cast_possible_truncation, reason = "seconds")]
            let seconds = compressed.round().max(1.0) as i64;
            toml_edit::value(seconds)
        } else {
            toml_edit::value(compressed)
        };
    }
}

fn number(value: &toml_edit::Value) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "seconds")]
    let whole = |seconds: i64| seconds as f64;
    value.as_float().or_else(|| value.as_integer().map(whole))
}

/// Whether the value must be an integer: `ds2` takes whole seconds.
fn is_whole(key: &str) -> bool {
    key == "scale_down_interval_s"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Placeholders<'static> {
        Placeholders {
            flink: "http://127.0.0.1:1",
            job: "b-nexmark",
            job_id: "ab",
            folder: Path::new("/run/b"),
            autoscaler: Path::new("/tree/target"),
        }
    }

    /// Goal: a program of any kind is started with the run's placeholders filled in, in arguments and environment.
    #[test]
    fn placeholders_are_filled() {
        let written = RawProgram {
            command: ["scaler", "--at={flink}/{job_id}", "{configs}/own", "{compression}"]
                .map(str::to_owned)
                .to_vec(),
            environment: BTreeMap::from([("JOB".to_owned(), "{job} in {folder}".to_owned())]),
        };
        let placed = Contender::of_program(&written, Path::new("/c"), 7.5).placed(&places());
        assert_eq!(placed.command, ["scaler", "--at=http://127.0.0.1:1/ab", "/c/own", "7.5"]);
        assert_eq!(placed.environment["JOB"], "b-nexmark in /run/b");
    }

    /// Goal: prices and waits are compressed with the load, whether configured or default; machine-related durations
    /// and other policies are not.
    #[test]
    fn prices_are_compressed() {
        let compressed = |text: &str, policy: &str, factor: f64| {
            let mut text: DocumentMut = text.parse().unwrap();
            compress(&mut text, policy, factor);
            toml::from_str::<toml::Value>(&text.to_string()).unwrap()["policy"].clone()
        };
        let slo = "[policy]\nname = \"slo\"\n[policy.slo]\nlatency_bound_ms = 1000.0\nhold_s = 300.0\n";
        let policy = compressed(slo, "slo", 7.5);
        assert_eq!(policy["slo"]["hold_s"].as_float(), Some(40.0));
        assert_eq!(policy["slo"]["change_price_s"].as_float(), Some(32.0));
        assert_eq!(policy["slo"]["latency_bound_ms"].as_float(), Some(1000.0));
        assert_eq!(compressed(slo, "slo", 1.0)["slo"].as_table().unwrap().len(), 2);
        let ds2 =
            "[policy]\nname = \"ds2\"\n[policy.ds2]\nscale_down_interval_s = 300\nrestart_time_s = 10.0\n";
        let policy = compressed(ds2, "ds2", 7.5);
        assert_eq!(policy["ds2"]["scale_down_interval_s"].as_integer(), Some(40));
        assert_eq!(policy["ds2"]["restart_time_s"].as_float(), Some(10.0));
    }

    /// Goal: a user-supplied library precedes the built-in one, and durations are compressed with the load.
    #[test]
    fn another_version_of_the_library_comes_first() {
        let mut written = RawAutoscaler { options: "fast.properties".into(), interval_s: 5, library: None };
        let class_path = |written: &RawAutoscaler| {
            let placed = Contender::of_autoscaler(written, Path::new("/c"), 2.0).placed(&places());
            assert!(placed.command.ends_with(&["--compression".to_owned(), "2".to_owned()]));
            placed.command[5].clone()
        };
        assert_eq!(class_path(&written), "/tree/target/*:/tree/target/lib/*");
        written.library = Some("flink-autoscaler-1.15.0.jar".into());
        assert_eq!(class_path(&written), "/c/flink-autoscaler-1.15.0.jar:/tree/target/*:/tree/target/lib/*");
    }
}
