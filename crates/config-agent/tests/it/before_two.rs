//! Changes in place before Flink 2.0, where a rescale does not wait for a checkpoint by itself.

use std::time::Duration;

use config_agent::{Config, Phase};
use flink_stand_in::{LoggedRequest, Pace, Scenario, Server};
use job_config::JobDocument;
use serde_json::json;

use crate::support::drop_server::TestDrop;
use crate::support::setup::run_until_ended;
use crate::support::{JOB, agent, config};

fn document(generation: u64, parallelism: u32) -> JobDocument {
    JobDocument::parse(&format!(
        "format = 1\njob = \"{JOB}\"\ngeneration = {generation}\nissued_at = \"2026-01-01T00:00:00Z\"\n\
         restart_mode = \"in-place\"\n[parallelism]\ndefault = 1\nmax = 128\n[parallelism.operators]\nwork = {parallelism}\n"
    ))
    .unwrap()
}

/// A job of this version, with these fields.
fn scenario(version: &str, config: serde_json::Value, more: serde_json::Value) -> Scenario {
    let mut job = json!({ "jid": "ab".repeat(16), "name": JOB, "vertices": [
        { "id": "b".repeat(32), "name": "work", "parallelism": 4 },
    ] });
    job.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(json!({ "version": version, "config": config, "jobs": [job] })).unwrap()
}

/// The relevant requests, oldest first, of a change to this parallelism after a first document.
async fn requests(scenario: Scenario, within: Duration) -> (Vec<LoggedRequest>, Phase) {
    let flink = Server::start(scenario, Pace::Real).await.unwrap();
    let drop = TestDrop::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut config: Config = config(folder.path(), &drop.url, flink.url());
    config.program = None;
    config.rules.can_submit = false;
    config.rules.running_within = within;
    drop.publish(&document(1, 8)).await;
    let phase = run_until_ended(&agent(&config).await, 1).await;
    let about_it = |request: &LoggedRequest| request.path.contains("checkpoints") || request.method == "PUT";
    (flink.requests().into_iter().filter(about_it).collect(), phase)
}

/// The order of the rescale and its checkpoint.
fn steps(requests: &[LoggedRequest]) -> Vec<&'static str> {
    let step = |request: &LoggedRequest| match request.method.as_str() {
        "POST" => Some("checkpoint"),
        "PUT" => Some("change"),
        _ if request.path.ends_with(&"0".repeat(32)) => Some("look"),
        _ => None,
    };
    let mut steps: Vec<&str> = requests.iter().filter_map(step).collect();
    steps.dedup();
    steps
}

/// Goal: before 2.0 a checkpoint completes before the rescale request, and none follows it; from 2.0 on Flink waits
/// for the one that is triggered after the rescale.
#[tokio::test]
async fn the_checkpoint_comes_first() {
    let minute = Duration::from_secs(60);
    for version in ["1.18.1", "1.19.3", "1.20.5"] {
        let (requests, phase) =
            requests(scenario(version, json!({}), json!({ "checkpoint_takes_s": 0.3 })), minute).await;
        assert_eq!(steps(&requests), ["checkpoint", "look", "change"], "{version}: {requests:?}");
        assert!(matches!(phase, Phase::Running { .. }), "{version}: {phase:?}");
    }
    for version in ["2.0.2", "2.3.0"] {
        let (requests, _) = requests(scenario(version, json!({}), json!({})), minute).await;
        assert_eq!(steps(&requests), ["change", "checkpoint"], "{version}: {requests:?}");
    }
}

/// Goal: Flink's configured shortest time between two changes passes before the checkpoint is triggered; 1.18 has
/// none.
#[tokio::test]
async fn the_interval_is_waited_out() {
    let interval = json!({ "jobmanager.adaptive-scheduler.scaling-interval.min": "2 s" });
    let young = json!({ "age_ms": 500 });
    let minute = Duration::from_secs(60);
    let flink_began = Pace::Real.now_ms();
    let (after, _) = requests(scenario("1.20.5", interval, young), minute).await;
    let asked = after.iter().find(|request| request.method == "POST").unwrap();
    // It had run for half a second when it was first seen, which was after the beginning.
    assert!(asked.at_ms - flink_began >= 1_500, "{} ms", asked.at_ms - flink_began);
    assert_eq!(steps(&after), ["checkpoint", "look", "change"]);
}

/// Goal: a checkpoint that fails, does not end, or cannot be triggered does not prevent the change.
#[tokio::test]
async fn without_a_checkpoint_the_change_is_asked_for() {
    let minute = Duration::from_secs(60);
    for (more, within) in [
        (json!({ "checkpoint_fails": "the disk is full" }), minute),
        (json!({ "checkpoint_takes_s": 1e9 }), Duration::from_millis(300)),
        (json!({ "checkpoints": "none" }), minute),
    ] {
        let (requests, _) = requests(scenario("1.20.5", json!({}), more.clone()), within).await;
        assert_eq!(steps(&requests).last(), Some(&"change"), "{more}: {requests:?}");
    }
}
