//! Plans on a cluster that cannot rescale in place: recommended, or carried out by a program.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use flink_stand_in::{Pace, Scenario, Server};
use serde_json::Value;
use tokio::process::{Child, Command};

/// For a run to come as far as the test needs it.
const PATIENCE: Duration = Duration::from_secs(120);
const CONFIG: &str = "job = \"job\"\n[epoch]\nlength_ms = 2000\nsample_interval_ms = 500\nwarm_up_ms = 0\n\
    [policy]\nname = \"ds2\"\n[policy.ds2]\nstabilization_interval_s = 0\nscale_down_interval_s = 0\n";

/// A busy job of Flink's default scheduler.
fn scenario() -> Scenario {
    let path =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/scenarios/run-default-scheduler/scenario.json");
    Scenario::load(Path::new(path)).unwrap()
}

fn start(folder: &Path, url: &str, program: &str) -> Child {
    let config = folder.join("run.toml");
    std::fs::write(&config, CONFIG).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rescaler"));
    command
        .args(["run", "--flink", url, "--listen", "off", "--config"])
        .arg(config)
        .arg("--data")
        .arg(folder);
    for word in ["sh", "-c", program] {
        command.args(["--apply-with", word]);
    }
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.kill_on_drop(true).spawn().unwrap()
}

/// The lines of all journals below the folder.
fn journal(folder: &Path) -> Vec<Value> {
    let jobs = std::fs::read_dir(folder).unwrap().flatten();
    let files = jobs.filter_map(|job| std::fs::read_to_string(job.path().join("decisions.jsonl")).ok());
    let text: String = files.collect();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Waits until this holds; it is looked at after every request to Flink.
async fn until(server: &Server, what: &str, holds: impl Fn() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, server.wait_until(|_| holds())).await;
    assert!(waited.is_ok(), "{what} did not happen");
}

/// Goal: the program gets the plan with the job as it runs, nothing else is asked of Flink meanwhile, and the change is over when the
/// job runs as planned, under another id.
#[tokio::test]
async fn a_program_carries_a_plan_out() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(scenario(), Pace::Real).await.unwrap();
    let plan_file = folder.path().join("plan.json");
    let mut program = start(folder.path(), server.url(), "cat >plan.tmp && mv plan.tmp plan.json");
    until(&server, "a plan", || plan_file.exists()).await;
    let plan: Value = serde_json::from_str(&std::fs::read_to_string(&plan_file).unwrap()).unwrap();
    let before = scenario().jobs[0].clone();
    assert_eq!((&plan["format"], &plan["job_id"]), (&1.into(), &before.jid.as_str().into()));
    let vertices = plan["vertices"].as_array().unwrap();
    let wanted =
        |id: &str| vertices.iter().find(|vertex| vertex["id"] == id).unwrap()["wanted"].as_i64().unwrap();
    assert!(
        vertices.iter().any(|vertex| vertex["wanted"].as_i64() > vertex["parallelism"].as_i64()),
        "{plan}"
    );
    assert!(plan["overrides"].as_str().unwrap().contains(':') && plan["reason"].is_string(), "{plan}");
    server.with(|stand_in| {
        let job = &mut stand_in.scenario_mut().jobs[0];
        job.jid = "cd".repeat(16);
        job.vertices.iter_mut().for_each(|vertex| vertex.parallelism = wanted(&vertex.id));
    });
    until(&server, "the end of the change", || {
        journal(folder.path()).iter().any(|line| line["outcome"]["state"] == "running")
    })
    .await;
    assert!(server.requests().iter().all(|request| request.method == "GET"));
    drop(program.start_kill());
    let _ended = program.wait().await;
}

/// Goal: a program that fails leaves the plan unpublished, with its own words, and is asked again with the next plan.
#[tokio::test]
async fn a_program_that_fails_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(scenario(), Pace::Real).await.unwrap();
    let mut program = start(folder.path(), server.url(), "cat >/dev/null; echo no such cluster >&2; exit 4");
    let refused = || {
        let lines = journal(folder.path());
        let told = lines.iter().filter_map(|line| line["then"]["message"].as_str());
        told.filter(|message| message.contains("placement.command") && message.contains("no such cluster"))
            .count()
    };
    until(&server, "a second refusal", || refused() >= 2).await;
    drop(program.start_kill());
    let _ended = program.wait().await;
}
