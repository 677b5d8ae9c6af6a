//! The shipped experiments: each can be run as it is, and demonstrates what it claims.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use event_producer::ConfigFile;
use experiment::{Experiment, Overrides, Variant};
use policies::DecisionSections;
use service::{ConfigError, with_causes};

/// Capacity of one subtask of the slowed operator, in records per second.
const ONE_SUBTASK_PER_S: f64 = 1_200.0;

fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn folder() -> PathBuf {
    tree().join("configs/experiments")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|ending| ending == "toml")).collect();
    files.sort();
    files
}

fn all() -> BTreeMap<String, Experiment> {
    let load = |path: &PathBuf| {
        let experiment = Experiment::load(path, Overrides::default());
        let experiment = experiment.unwrap_or_else(|error| panic!("{}: {error:?}", path.display()));
        (experiment.name.clone(), experiment)
    };
    files(&folder()).iter().map(load).collect()
}

/// Goal: both benchmarks, at low and high parallelism, with and without scaling, and a comparison of all policies,
/// exist.
#[test]
fn every_situation_has_an_experiment() {
    let all = all();
    for benchmark in ["nexmark", "psm"] {
        for (width, policy) in [("low", "fixed"), ("low", "scaled"), ("high", "fixed"), ("high", "scaled")] {
            let name = format!("{benchmark}-{width}-{policy}");
            let variant = &all.get(&name).unwrap_or_else(|| panic!("there is no {name}")).variants[0];
            assert_eq!(variant.policy == "none", policy == "fixed", "{name}");
            assert_eq!(variant.document.job().as_str(), benchmark, "{name}");
            let widest = variant.document.parallelism().operators.values().max();
            assert_eq!(widest.is_some_and(|p| *p > 1), width == "high", "{name}");
        }
        let variants = &all[&format!("{benchmark}-policies")].variants;
        let policies: BTreeSet<&str> = variants.iter().map(|variant| variant.policy.as_str()).collect();
        assert_eq!(policies, BTreeSet::from(["none", "latency", "ds2", "external"]));
    }
}

/// Goal: each load starts within one subtask's capacity, then exceeds it within the duration of the experiment; the
/// cluster's maximum suffices.
#[test]
fn loads_ask_for_scaling() {
    for (name, experiment) in all() {
        let (schedule, duration_s) = (&experiment.schedule, experiment.duration.as_secs_f64());
        let (calm, peak) = (schedule.rate_at(0.0), schedule.peak_rate());
        assert!(
            calm < ONE_SUBTASK_PER_S && peak > 1.5 * ONE_SUBTASK_PER_S,
            "{name}: {calm} to {peak} events/s"
        );
        assert!(schedule.shape_s() <= duration_s, "{name}: ends before its load has shown its shape");
        assert!(experiment.warm_up < experiment.duration / 3, "{name}: most of it is warm-up");
        let slots = experiment.cluster.task_managers * experiment.cluster.task_slots;
        assert!(f64::from(slots) * ONE_SUBTASK_PER_S > 1.5 * peak, "{name}: {slots} slots are not enough");
        for variant in &experiment.variants {
            let widest = variant.document.parallelism().operators.values().max();
            assert!(widest.is_some_and(|widest| *widest <= slots), "{name}: begins wider than its slots");
        }
        let longest_s = if experiment.side_by_side.is_some() { 9_000 } else { 1_800 };
        assert!(experiment.total_duration() <= Duration::from_secs(longest_s), "{name}: too long");
    }
}

/// Goal: each load that rises and falls has six variants, in pairs with the same first one and one time compression;
/// those that change the job do so in place; and runs are validated from outside.
#[test]
fn live_experiments_are_fair() {
    let all = all();
    for load in ["up-down", "step", "ramp", "square", "spike", "day"] {
        let experiment = &all[&format!("live-{load}")];
        let policies: Vec<&str> = experiment.variants.iter().map(|variant| variant.policy.as_str()).collect();
        let flink = "flink-autoscaler";
        assert_eq!(policies, ["slo", flink, "ds2", flink, flink, "none"], "{load}");
        assert!(experiment.compression > 1.0, "{load}");
        assert!(experiment.ack_delay_max_ms.is_some() && experiment.others_cpu_max_cores.is_some(), "{load}");
        let sweep = experiment.sweep.as_ref().unwrap();
        for variant in &experiment.variants {
            let has_operator = variant.document.parallelism().operators.contains_key(&sweep.operator);
            let is_in_place = variant.document.restart_mode() == job_config::RestartMode::InPlace;
            let is_ours = variant.rescaler.is_some();
            assert!(has_operator && (is_in_place || !is_ours), "{load}: {}", variant.name);
        }
        assert_eq!(experiment.rounds(), 5 * experiment.repetitions, "{load}");
        let (odd, even) = (experiment.rounds_of(1), experiment.rounds_of(2));
        let names = |rounds: &[Vec<&Variant>], place: usize| -> Vec<String> {
            rounds[place].iter().map(|variant| variant.name.clone()).collect()
        };
        assert_eq!(names(&odd, 0), ["slo", "flink-tuned"], "{load}");
        assert_eq!(names(&even, 0), ["slo", "fixed-4"], "{load}");
        let command = &experiment.variants[1].program.as_ref().unwrap().command;
        let compression = experiment.compression.to_string();
        assert!(command.contains(&"{job}".to_owned()) && command.contains(&compression), "{command:?}");
    }
}

/// Goal: the experiments of the calibration are valid; the measurement has four widths, each at half of its capacity and overloaded before
/// the next, and then twenty changes at a load that both of their widths carry.
#[test]
fn the_calibration_measures_what_it_should() {
    let load = |name: &str| {
        let path = folder().join("calibration").join(name);
        Experiment::load(&path, Overrides::default()).unwrap_or_else(|error| panic!("{name}: {error:?}"))
    };
    let measurement = load("in-place.toml");
    let variant = &measurement.variants[0];
    assert_eq!(variant.policy, "timetable");
    let widths = &variant.timetable.as_ref().unwrap().widths;
    let capacity = |width: u32| f64::from(width) * 1_240.0;
    let rate = |second: u64| measurement.schedule.rate_at(second as f64);
    let (sweep, changes) = widths.split_at(3);
    let begins = std::iter::once((0, 1)).chain(sweep.iter().copied());
    let ends = sweep.iter().map(|(second, _)| *second).chain([242]);
    for ((begin, width), end) in begins.zip(ends) {
        let is_near = |per_s: f64, wanted: f64| (per_s / wanted - 1.0).abs() < 0.01;
        assert!(is_near(rate(begin + 20), 0.5 * capacity(width)), "width {width} at rest");
        assert!(is_near(rate(end - 1), 1.5 * capacity(width)), "width {width} overloaded");
    }
    assert_eq!(sweep.last().map(|(_, width)| *width), Some(8));
    assert_eq!(changes.len(), 20);
    assert!(changes.iter().all(|(second, width)| rate(*second) < 0.6 * capacity(*width)));
    let by_savepoint = load("savepoint.toml");
    assert_eq!(by_savepoint.variants[0].timetable.as_ref().unwrap().widths.len(), 20);
    assert_eq!(by_savepoint.variants[0].document.restart_mode(), job_config::RestartMode::SavepointRestart);
    assert_eq!(load("step-savepoint.toml").variants[0].policy, "slo");
}

/// Goal: a variant has exactly one way of scaling, and missing or out-of-range values are named.
#[test]
fn contenders_are_checked() {
    let shipped = std::fs::read_to_string(folder().join("live-step.toml")).unwrap();
    let whole = |text: &str| {
        ["documents/", "loads/", "policies/", "flink-autoscaler/", "sweeps/"]
            .iter()
            .fold(text.to_owned(), |text, part| {
                text.replace(&format!("\"{part}"), &format!("\"{}/{part}", folder().display()))
            })
    };
    let temporary = tempfile::tempdir().unwrap();
    let load = |from: &str, to: &str| {
        assert!(shipped.contains(from), "{from}");
        let path = temporary.path().join("own.toml");
        std::fs::write(&path, whole(&shipped.replacen(from, to, 1))).unwrap();
        Experiment::load(&path, Overrides::default())
    };
    let autoscaler = "flink_autoscaler = { options = \"flink-autoscaler/tuned.properties\", interval_s = 5 }";
    for (from, to, told) in [
        (autoscaler, "", "one of `rescaler`, `program`, `flink_autoscaler` and `timetable`"),
        (autoscaler, "rescaler = \"none\"\nprogram = { command = [\"true\"] }", "one of `rescaler`"),
        (autoscaler, "program = { command = [] }", "command is empty"),
        (autoscaler, "flink_autoscaler = { options = \"gone.properties\" }", "gone.properties"),
        (
            autoscaler,
            "timetable = { operator = \"q7-bid-item\", widths = [[9, 2], [5, 3]] }",
            "increasing seconds",
        ),
        (autoscaler, "timetable = { operator = \"q7-bid-item\", widths = [[5, 129]] }", "from 1 to 128"),
        ("compression = 7.5", "compression = 0.5", "compression"),
        ("\"in-place\"", "\"by-hand\"", "restart_mode"),
        ("ack_delay_max_ms = 500.0", "ack_delay_max_ms = 0.0", "ack_delay_max_ms"),
    ] {
        let error = load(from, to).err().unwrap_or_else(|| panic!("{to} is accepted"));
        let error = with_causes(&error);
        assert!(error.contains(told), "{to}: {error}");
    }
    let own = "program = { command = [\"scaler\", \"{flink}\"], environment = { JOB = \"{job}\" } }";
    let experiment = load(autoscaler, own).unwrap();
    assert_eq!(experiment.variants[1].policy, "program");
}

/// Goal: the programs accept their configurations, and a policy with a bound has the experiment's. (The rest of a rescaler's configuration,
/// in which an experiment changes nothing but the job, is checked by the tests of the rescaler.)
#[test]
fn the_programs_accept_their_configurations() {
    for file in files(&folder().join("loads")) {
        let (written, problems) = ConfigFile::load(Some(&file)).unwrap();
        written.check_with(problems).unwrap_or_else(|error| panic!("{error:#}"));
    }
    let temporary = tempfile::tempdir().unwrap();
    for (name, experiment) in all() {
        for variant in &experiment.variants {
            let Some(text) = &variant.rescaler else { continue };
            let file = temporary.path().join(format!("{name}-{}.toml", variant.name));
            std::fs::write(&file, text).unwrap();
            DecisionSections::load(&file).unwrap_or_else(|error| panic!("{error:?}"));
            let value: toml::Value = toml::from_str(text).unwrap();
            assert_eq!(value["job"].as_str(), Some(variant.document.job().as_str()), "{name}");
            let bound =
                value["policy"].get("latency").and_then(|latency| latency["latency_max_ms"].as_float());
            assert!(bound.is_none_or(|bound| bound == experiment.latency_max_ms), "{name}: another bound");
            let command = value["policy"].get("external").and_then(|external| external["command"].as_array());
            for path in command.into_iter().flatten().filter_map(toml::Value::as_str) {
                assert!(!path.contains('/') || tree().join(path).is_file(), "{name}: there is no {path}");
            }
        }
    }
}

/// Goal: duration and repetitions on the command line are validated by the same rules; a load that ends too early, a
/// missing file and an unknown key are named.
#[test]
fn what_does_not_fit_is_named() {
    let file = folder().join("nexmark-low-fixed.toml");
    let load = |overrides| Experiment::load(&file, overrides);
    let longer = Overrides { duration: Some(Duration::from_secs(900)), repetitions: Some(3) };
    let experiment = load(longer).unwrap();
    assert_eq!((experiment.duration.as_secs(), experiment.repetitions), (900, 3));
    let short = Overrides { duration: Some(Duration::from_secs(20)), repetitions: Some(0) };
    let error = load(short).unwrap_err().to_string();
    assert!(error.contains("duration_s") && error.contains("repetitions"), "{error}");

    let temporary = tempfile::tempdir().unwrap();
    let written = |name: &str, text: &str| {
        let path = temporary.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let shipped = std::fs::read_to_string(&file).unwrap();
    let whole = |part: &str| folder().join(part).display().to_string();
    let shipped = shipped
        .replace("documents/nexmark.toml", &whole("documents/nexmark.toml"))
        .replace("loads/nexmark.toml", &whole("loads/nexmark.toml"));
    let problem = |text: String| {
        let error = Experiment::load(&written("own.toml", &text), Overrides::default()).unwrap_err();
        (matches!(error, ConfigError::Values { .. }), format!("{error:?}"))
    };
    written("short.toml", "[profile]\nkind = \"constant\"\nrate = 100.0\nduration_s = 60.0\n");
    let (is_value, told) = problem(shipped.replace(&whole("loads/nexmark.toml"), "short.toml"));
    assert!(is_value && told.contains("ends after 60 s"), "{told}");
    let (is_value, told) = problem(shipped.replace(&whole("loads/nexmark.toml"), &whole("loads/psm.toml")));
    assert!(is_value && told.contains("benchmark psm differs"), "{told}");
    let (_, told) = problem(shipped.replace("rescaler = \"none\"", "rescaler = \"gone.toml\""));
    assert!(told.contains("gone.toml"), "{told}");
    let (_, told) = problem(shipped.replace("warm_up_s", "warmup_s"));
    assert!(told.contains("warmup_s"), "{told}");
    let (is_value, told) = problem(shipped.replace("rescaler = \"none\"", ""));
    assert!(is_value && told.contains("[[variant]]"), "{told}");
}
