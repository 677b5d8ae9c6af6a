//! All jobs of a cluster in one process: those that come are watched, those that are left out are not.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use flink_stand_in::{Job, Pace, Scenario, Server};
use tokio::process::{Child, Command};

/// For a run to come as far as the test needs it.
const PATIENCE: Duration = Duration::from_secs(120);
const CONFIG: &str =
    "job = \"job\"\n[epoch]\nlength_ms = 1000\nfirst_ms = 1000\nsample_interval_ms = 250\nwarm_up_ms = 0\n";

/// The job of a scenario under another name and id.
fn named(job: &Job, digit: char, name: &str) -> Job {
    Job { jid: digit.to_string().repeat(32), name: name.to_owned(), ..job.clone() }
}

fn start(folder: &Path, url: &str) -> Child {
    let config = folder.join("run.toml");
    std::fs::write(&config, CONFIG).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rescaler"));
    command.args(["run", "--flink", url, "--all-jobs", "--except", "*-test", "--dry-run", "--listen", "off"]);
    command.arg("--config").arg(config).arg("--data").arg(folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.kill_on_drop(true).spawn().unwrap()
}

/// The number of epochs in the journal of the job whose folder has this name.
fn epochs(folder: &Path, name: &str) -> usize {
    let journal = std::fs::read_to_string(folder.join(name).join("decisions.jsonl"));
    journal.unwrap_or_default().lines().count()
}

/// Goal: every job has decisions of its own, one that comes later too and one that is submitted again goes on in its journal; a job that
/// a pattern or its own parameters leave out has none. Flink is only read in a dry run.
#[tokio::test]
async fn jobs_are_watched_as_they_come() {
    let folder = tempfile::tempdir().unwrap();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/scenarios/run-quiet-job/scenario.json");
    let mut scenario = Scenario::load(Path::new(path)).unwrap();
    let job = scenario.jobs[0].clone();
    scenario.jobs =
        vec![named(&job, 'a', "first"), named(&job, 'b', "first-test"), named(&job, 'c', "left out")];
    scenario.jobs[2].parameters.insert("rescaler.enabled".to_owned(), "false".to_owned());
    let server = Server::start(scenario, Pace::Real).await.unwrap();
    let mut program = start(folder.path(), server.url());
    let until = async |what: &str, holds: &dyn Fn() -> bool| {
        let waited = tokio::time::timeout(PATIENCE, server.wait_until(|_| holds())).await;
        assert!(waited.is_ok(), "{what} did not happen");
    };
    until("decisions of the first job", &|| epochs(folder.path(), "first") >= 2).await;
    let before = epochs(folder.path(), "first");
    server.with(|stand_in| {
        let jobs = &mut stand_in.scenario_mut().jobs;
        jobs[0].jid = "d".repeat(32);
        jobs.push(named(&job, 'e', "Second (v2)"));
    });
    until("decisions of the second job", &|| epochs(folder.path(), "second--v2") >= 2).await;
    until("further decisions of the first", &|| epochs(folder.path(), "first") >= before + 2).await;
    for name in ["first-test", "left-out"] {
        assert!(!folder.path().join(name).exists(), "{name} is watched");
    }
    assert!(server.requests().iter().all(|request| request.method == "GET"));
    drop(program.start_kill());
    let _ended = program.wait().await;
}
