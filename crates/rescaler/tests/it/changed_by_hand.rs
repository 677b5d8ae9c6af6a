//! A job that was rescaled by hand, over the stand-in of Flink: put back if configured, and not for ever.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use flink_stand_in::{Pace, Scenario, Server};
use serde_json::json;
use test_addresses::unused_address;
use tokio::process::{Child, Command};

/// For a run to come as far as the test needs it.
const PATIENCE: Duration = Duration::from_secs(120);
/// The vertex that is rescaled, and its parallelism in the scenario.
const VERTEX: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const WIDTH: i64 = 2;

fn scenario() -> Scenario {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/scenarios/run-quiet-job/scenario.json");
    let mut scenario = Scenario::load(Path::new(path)).unwrap();
    // Older versions wait between two changes.
    scenario.version = Some("2.3.0".to_owned());
    let vertices = &mut scenario.jobs[0].vertices;
    vertices.iter_mut().for_each(|vertex| vertex.parallelism = WIDTH);
    assert!(vertices.iter().any(|vertex| vertex.id == VERTEX));
    scenario
}

/// Starts a rescaler that never plans anything by itself.
fn start(folder: &Path, flink: &str, action: &str, listen: &str) -> Child {
    let config = folder.join("run.toml");
    let text = format!(
        "job = \"job\"\n[epoch]\nlength_ms = 1000\nfirst_ms = 1000\nsample_interval_ms = 250\nwarm_up_ms = 0\n\
         [policy]\nname = \"external\"\n[policy.external]\ncommand = [\"sh\", \"-c\", 'cat > /dev/null; echo \"{{\\\"parallelism\\\": {{}}}}\"']\n\
         [drift]\naction = \"{action}\"\nrestores_max = 2\n"
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rescaler"));
    command.args(["run", "--flink", flink, "--listen", listen]);
    command.arg("--config").arg(config).arg("--data").arg(folder.join("data"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.kill_on_drop(true).spawn().unwrap()
}

/// Rescales the vertex as a person does.
async fn rescale(server: &Server, scenario: &Scenario, width: i64) {
    let job = &scenario.jobs[0];
    let bounds = |id: &str, upper: i64| {
        (id.to_owned(), json!({ "parallelism": { "lowerBound": 1, "upperBound": upper } }))
    };
    let body: serde_json::Map<_, _> = job
        .vertices
        .iter()
        .map(|vertex| bounds(&vertex.id, if vertex.id == VERTEX { width } else { WIDTH }))
        .collect();
    let url = format!("{}/jobs/{}/resource-requirements", server.url(), job.jid);
    let answer = reqwest::Client::new().put(url).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
}

fn width(server: &Server) -> i64 {
    server.with(|stand_in| stand_in.parallelism_by_vertex(Pace::Real.now_ms())[VERTEX])
}

/// The journal so far.
fn journal(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("data/job/decisions.jsonl")).unwrap_or_default()
}

async fn until(server: &Server, what: &str, mut holds: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, server.wait_until(|_| holds())).await;
    assert!(waited.is_ok(), "{what} did not happen");
}

/// Goal: a job that is rescaled by hand gets the document's parallelism again by a generation that says why; the third time
/// within the window it keeps what it was given, and a person is called.
#[tokio::test]
#[ignore = "needs --full"]
async fn a_job_is_put_back_as_often_as_configured() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = scenario();
    let server = Server::start(scenario.clone(), Pace::Real).await.unwrap();
    let listen = unused_address().unwrap();
    let mut program = start(folder.path(), server.url(), "restore", &listen.to_string());
    until(&server, "a decision", || journal(folder.path()).contains("\"decision\"")).await;
    for restored in 1..=2 {
        rescale(&server, &scenario, WIDTH + restored).await;
        let reason = format!("Flink is asked for that, so it is put back, {restored} of at most 2 times");
        until(&server, &reason, || journal(folder.path()).contains(&reason)).await;
        let ended = format!("\"outcome\":{{\"generation\":{},\"state\":\"running\"", restored + 1);
        until(&server, "the end of that change", || journal(folder.path()).contains(&ended)).await;
        assert_eq!(width(&server), WIDTH);
    }
    rescale(&server, &scenario, WIDTH + 3).await;
    let health = async {
        loop {
            if let Ok(answer) = reqwest::get(format!("http://{listen}/healthz")).await {
                let text = answer.text().await.unwrap();
                if text.contains("Flink was asked for that again after the job had been put back 2 times") {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, health).await.unwrap();
    assert_eq!(width(&server), WIDTH + 3);
    drop(program.start_kill());
    let _ended = program.wait().await;
}

/// Goal: lost slots are reported, and not put back; nor is a change by hand where that is not configured.
#[tokio::test]
async fn other_differences_are_only_reported() {
    for (action, slots) in [("restore", Some(1)), ("report", None)] {
        let folder = tempfile::tempdir().unwrap();
        let scenario = scenario();
        let server = Server::start(scenario.clone(), Pace::Real).await.unwrap();
        let listen = unused_address().unwrap();
        let mut program = start(folder.path(), server.url(), action, &listen.to_string());
        until(&server, "a decision", || journal(folder.path()).contains("\"decision\"")).await;
        match slots {
            // The stand-in follows the requirements, which stay what they are, as far as there are slots.
            Some(slots) => {
                rescale(&server, &scenario, WIDTH).await;
                server.with(|stand_in| stand_in.scenario_mut().jobs[0].slots = Some(slots));
            }
            None => rescale(&server, &scenario, WIDTH + 1).await,
        }
        let drifted = async {
            loop {
                if let Ok(answer) = reqwest::get(format!("http://{listen}/metrics")).await
                    && answer.text().await.unwrap().contains("rescaler_drifted{job=\"job\"} 1\n")
                {
                    return journal(folder.path()).matches("\"decision\"").count();
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let then = tokio::time::timeout(PATIENCE, drifted).await.unwrap();
        until(&server, "four more epochs", || {
            journal(folder.path()).matches("\"decision\"").count() > then + 4
        })
        .await;
        assert!(!journal(folder.path()).contains("\"publishing\""), "{action}");
        drop(program.start_kill());
        let _ended = program.wait().await;
    }
}
