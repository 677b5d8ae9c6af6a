//! The model against itself: simulated runs are stored as recorded ones, calibrated from, and repeated.

use std::path::{Path, PathBuf};

use policies::DecisionSections;
use sim::change::RecordedChange;
use sim::job::slowdown;
use sim::load::{LoadSpec, Noise, Shape};
use sim::scenario::{Scenario, Trial};

use super::agreement::Compared;
use super::playback::{observed, play};
use super::recording::Recording;
use super::trial::FedChange;
use super::*;
use crate::changes::{self, ParallelismChange};
use crate::row::header;
use crate::snapshots;
use crate::summary::Summary;

/// The job of the tests: two sources, a join that is the bottleneck, a window over all keys, a sink.
const JOB: &str = r#"
name = "real"
duration_s = 100
latency_bound_s = 1.0
operator_latency_s = 0.06
buffer_s = 0.3
[job]
capacity_spread = 0.0
[[job.operators]]
name = "source-auction"
kind = "source"
rate_per_s = 20000
partitions = 4
load_share = 0.06
[[job.operators]]
name = "source-bid"
kind = "source"
rate_per_s = 25000
partitions = 4
load_share = 0.94
[[job.operators]]
name = "bid-item"
kind = "continuous"
rate_per_s = 1200
inputs = [{ from = "source-auction" }, { from = "source-bid" }]
keys = "even"
key_spread = 0.08
contention = 0.02
[[job.operators]]
name = "highest-bid"
kind = "all-window"
rate_per_s = 30000
inputs = [{ from = "bid-item", selectivity = 0.9 }]
[[job.operators]]
name = "sink"
kind = "sink"
rate_per_s = 5000
inputs = [{ from = "highest-bid", selectivity = 0.001 }]
[load]
noise = { fast = 0.0, slow = 0.0 }
[load.shape]
kind = "constant"
rate = 500
[change]
wait_s = [0.5, 1.5]
outage_s = [0.2, 0.4]
replay_s = 3.0
warm_up_s = 6.0
[faults]
capacity_noise = 0.02
[slots]
max = 8
per_task_manager = 8
"#;

fn scenario(folder: &Path, text: &str) -> Scenario {
    let file = folder.join("scenario.toml");
    std::fs::write(&file, text).unwrap();
    Scenario::from_file(&file, files::read_text).unwrap()
}

/// A trial of the job with this load, in which the bottleneck begins at parallelism 1.
fn trial_of(scenario: &Scenario, levels: Vec<(u32, f64)>, duration_s: u32) -> Trial {
    let load = LoadSpec { shape: Shape::Steps { levels }, noise: Noise::NONE };
    let mut trial = Scenario { duration_s, load, ..scenario.clone() }.trial(7).unwrap();
    trial.start = vec![1; trial.start.len()];
    trial
}

fn bottleneck(trial: &Trial) -> usize {
    trial.job.operators().iter().position(|operator| operator.name == "bid-item").unwrap()
}

fn summary(variant: &str, policy: &str, duration_s: u32) -> Summary {
    Summary {
        experiment: "test".to_owned(),
        variant: variant.to_owned(),
        policy: policy.to_owned(),
        repetition: 1,
        is_valid: true,
        duration_s: f64::from(duration_s),
        warm_up_s: 20.0,
        latency_max_ms: 1000.0,
        ..Summary::default()
    }
}

/// Stores a simulated run as `experiment run` does.
fn store(recording: &Recording, folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    let write = |name: &str, text: String| std::fs::write(folder.join(name), text).unwrap();
    let running = recording.rows.iter().find(|row| !row.parallelism.is_empty()).unwrap();
    let operators: Vec<String> = running.parallelism.keys().cloned().collect();
    let rows = recording.rows.iter().map(|row| row.line(&operators) + "\n");
    write("series.csv", header(&operators) + "\n" + &rows.collect::<String>());
    write("changes.csv", changes::text(&recording.changes));
    let line =
        |timed: &snapshots::TimedSnapshot| snapshots::line(timed.at_s, &timed.snapshot).unwrap() + "\n";
    write("snapshots.jsonl", recording.snapshots.iter().map(line).collect());
    write("summary.json", serde_json::to_string(&recording.summary).unwrap());
}

/// The measurement that the shipped experiment makes: each width at half of its capacity and overloaded, then many changes.
fn measured(scenario: &Scenario, folder: &Path) -> PathBuf {
    let (mut levels, mut widths, mut at_s) = (Vec::new(), Vec::new(), 0);
    for width in [1, 2, 4, 8_u32] {
        let rest_s = if width == 1 { 50 } else { 34 };
        levels.extend([(at_s, 560.0 * f64::from(width)), (at_s + rest_s, 1750.0 * f64::from(width))]);
        widths.extend((width > 1).then_some((at_s, width)));
        at_s += rest_s + 16;
    }
    levels.push((at_s, 2_200.0));
    at_s += 15;
    for number in 0..20 {
        widths.push((at_s + 24 * number, if number % 2 == 0 { 6 } else { 4 }));
    }
    let duration_s = at_s + 24 * 20;
    let trial = trial_of(scenario, levels, duration_s);
    let fed: Vec<FedChange> = (0..)
        .zip(&widths)
        .map(|(number, (at_s, width))| {
            let mut parallelism = trial.start.clone();
            parallelism[bottleneck(&trial)] = *width;
            let (wait_s, outage_s) = (1.0 + f64::from(number % 3), 0.2 + 0.1 * f64::from(number % 3));
            let change = RecordedChange { parallelism, stop_at_s: f64::from(*at_s) + wait_s, outage_s };
            (*at_s as usize, change)
        })
        .collect();
    let path = folder.join("measured");
    store(&play(&trial, &fed, &summary("timetable", "timetable", duration_s)), &path);
    path
}

/// A run in which policy `slo` scales the job: a minute of calm, then three times the load.
fn scaled(scenario: &Scenario, folder: &Path) -> PathBuf {
    let path = folder.join("slo-1");
    let levels = vec![(0, 700.0), (60, 2_100.0)];
    let trial = trial_of(scenario, levels, 240);
    std::fs::create_dir_all(path.join("conf")).unwrap();
    let config = "job = \"real\"\n[epoch]\nlength_ms = 5000\nwarm_up_ms = 8000\n[policy]\nname = \"slo\"\n\
                  [policy.slo]\nlatency_bound_ms = 1000.0\nchange_price_s = 40.0\n";
    std::fs::write(path.join("conf/rescaler.toml"), config).unwrap();
    let (contender, options) =
        DecisionSections::load(&path.join("conf/rescaler.toml")).unwrap().simulated().unwrap();
    let run = sim::run(&trial, contender.controller(&trial, &options).as_mut());
    let fed: Vec<FedChange> = run
        .changes
        .iter()
        .map(|change| {
            let ParallelismChange { ended_s, outage_s, .. } = observed(change);
            let parallelism = change.after.clone();
            let recorded = RecordedChange { parallelism, stop_at_s: ended_s - outage_s, outage_s };
            (change.requested_s, recorded)
        })
        .collect();
    assert_eq!(fed.len(), 1, "the policy widens once: {fed:?}");
    store(&play(&trial, &fed, &summary("slo", "slo", 240)), &path);
    path
}

fn calibrated(from: &Path, folder: &Path) -> (PathBuf, Scenario) {
    let out = folder.join("model.toml");
    let options =
        CalibrateOptions { folders: vec![from.to_owned()], change: ChangeKind::InPlace, out: out.clone() };
    let text = calibrate(&options).unwrap();
    assert!(text.contains("# * "), "{text}");
    let read = Scenario::from_file(&out, files::read_text).unwrap();
    (out, read)
}

fn replayed(run: &Path, scenario: &Scenario) -> Agreement {
    replay_one(scenario, &Recording::read(run).unwrap(), &[1, 2, 3]).unwrap()
}

fn verdict<'a>(agreement: &'a Agreement, figure: &str) -> &'a Compared {
    let found = agreement.figures.iter().find(|compared| compared.figure.starts_with(figure));
    found.unwrap_or_else(|| panic!("{figure}: {agreement:?}"))
}

/// Goal: the parameters of a simulated job are found from what a recording of it shows.
#[test]
fn parameters_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let real = scenario(folder.path(), JOB);
    let (_, found) = calibrated(&measured(&real, folder.path()), folder.path());
    let close = |what: &str, found: f64, real: f64, part: f64| {
        assert!((found - real).abs() <= part * real.abs(), "{what}: {found}, really {real}");
    };
    let operator = |scenario: &Scenario, name: &str| {
        scenario.job.operators.iter().find(|operator| operator.name == name).unwrap().clone()
    };
    let (own, wanted) = (operator(&found, "bid-item"), operator(&real, "bid-item"));
    close("c1", own.rate_per_s, wanted.rate_per_s, 0.05);
    for p in [1, 4, 8] {
        let slow = |operator: &sim::scenario::OperatorSpec| {
            slowdown(p, operator.contention, operator.coherence) / operator.rate_per_s
        };
        close("service time", slow(&own), slow(&wanted), 0.05);
    }
    close("busy bias", own.busy_bias, 1.0, 0.05);
    assert!(own.inputs.iter().all(|input| (input.selectivity - 1.0).abs() < 0.02), "{:?}", own.inputs);
    close("share of a source", operator(&found, "source-bid").load_share, 0.94, 0.01);
    close("selectivity", operator(&found, "highest-bid").inputs[0].selectivity, 0.9, 0.02);
    close("another rate", operator(&found, "highest-bid").rate_per_s, 30_000.0, 0.1);
    close("wait", found.change.wait_s.0, 1.0, 0.01);
    close("wait", found.change.wait_s.1, 3.0, 0.01);
    close("outage", found.change.outage_s.1, 0.4, 0.01);
    close("replay", found.change.replay_s, 3.0, 0.15);
    close("warm-up", found.change.warm_up_s, 6.0, 0.35);
    close("latency", found.operator_latency_s, 0.06, 0.1);
    close("buffers", found.buffer_s, 0.3, 0.4);
    close("noise", found.faults.capacity_noise, 0.02, 0.6);
    assert_eq!((found.metric_age_s, found.slots.max), (0, 8));
    assert!(found.job.operators.iter().any(|operator| operator.partitions == Some(4)));
}

/// Goal: a simulated run that is stored as a recorded one agrees with itself, with its true parameters and with those that were measured,
/// in every figure and in the changes of its policy.
#[test]
fn a_run_agrees_with_itself() {
    let folder = tempfile::tempdir().unwrap();
    let real = scenario(folder.path(), JOB);
    let run = scaled(&real, folder.path());
    let agreement = replayed(&run, &real);
    assert!(agreement.agrees, "{}", agreement::text(std::slice::from_ref(&agreement)));
    let (_, found) = calibrated(&measured(&real, folder.path()), folder.path());
    let agreement = replayed(&run, &found);
    assert!(agreement.agrees, "{}", agreement::text(std::slice::from_ref(&agreement)));
    assert!(agreement.figures.iter().all(|compared| compared.agrees == Some(true)), "{agreement:?}");
    assert!(agreement.policy.is_some_and(|policy| policy.policy == "slo" && policy.epoch_s == 5.0));
}

/// Goal: wrong parameters are shown as disagreement of the figures that they spoil, and the run as different.
#[test]
fn wrong_parameters_disagree() {
    let folder = tempfile::tempdir().unwrap();
    let real = scenario(folder.path(), JOB);
    let run = scaled(&real, folder.path());
    let differs = |from: &str, to: &str, figure: &str| {
        assert!(JOB.contains(from), "{from}");
        let wrong = scenario(folder.path(), &JOB.replacen(from, to, 1));
        let agreement = replayed(&run, &wrong);
        let compared = verdict(&agreement, figure);
        assert_eq!(compared.agrees, Some(false), "{to}: {compared:?}");
        assert!(!agreement.agrees && agreement::text(&[agreement]).contains("DIFFERS"), "{to}");
    };
    differs("operator_latency_s = 0.06", "operator_latency_s = 0.1", "median latency at rest");
    differs("rate_per_s = 1200", "rate_per_s = 900", "busy, bid-item");
    differs("rate_per_s = 1200", "rate_per_s = 690", "violations");
    differs("rate_per_s = 1200", "rate_per_s = 690", "backlog peak");
}

/// Goal: a run of another job is refused with the names of the operators, and a run without snapshots has no busy times but is compared
/// otherwise.
#[test]
fn what_does_not_fit_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let real = scenario(folder.path(), JOB);
    let run = scaled(&real, folder.path());
    let other = scenario(folder.path(), &JOB.replace("bid-item", "other-item"));
    let error = replay_one(&other, &Recording::read(&run).unwrap(), &[1]).unwrap_err();
    let error = format!("{error:#}");
    assert!(error.contains("no operator bid-item") && error.contains("other-item"), "{error}");
    std::fs::remove_file(run.join("snapshots.jsonl")).unwrap();
    let agreement = replayed(&run, &real);
    assert_eq!(verdict(&agreement, "busy, bid-item").agrees, None);
    assert_eq!(verdict(&agreement, "violations").agrees, Some(true));
    let options = CalibrateOptions {
        folders: vec![run],
        change: ChangeKind::InPlace,
        out: folder.path().join("m.toml"),
    };
    let error = format!("{:#}", calibrate(&options).unwrap_err());
    assert!(error.contains("no snapshot"), "{error}");
}
