//! Final reports of a large job reach a drop with the default limits, and the next change is applied.

use config_agent::{Config, Phase};
use config_drop::Limits;
use flink_stand_in::{Override, Pace, Scenario, Server};
use job_config::{ChangeState, JobDocument};
use serde_json::{Value, json};

use crate::support::drop_server::TestDrop;
use crate::support::setup::run_until_ended;
use crate::support::{JOB, agent, config};

const VERTICES: usize = 70;
const RESCALES: usize = 8;

/// A name of fifty characters.
fn name(vertex: usize) -> String {
    format!("{vertex:02}-{}", "x".repeat(47))
}

fn id(vertex: usize) -> String {
    format!("{vertex:032x}")
}

fn job_id() -> String {
    "ab".repeat(16)
}

/// A rescale that widened one vertex, as Flink tells it; it began at a time after every test.
fn rescale(number: usize, with_vertices: bool) -> Value {
    let vertex = |index: usize| {
        let after = if index == number { 2 } else { 1 };
        let told = json!({ "jobVertexName": name(index), "preRescaleParallelism": 1, "desiredParallelism": after,
            "postRescaleParallelism": after });
        (id(index), told)
    };
    let vertices: serde_json::Map<String, Value> =
        if with_vertices { (0..VERTICES).map(vertex).collect() } else { serde_json::Map::new() };
    let began_ms = 4_102_444_800_000_i64 + i64::try_from(number).unwrap();
    json!({ "rescaleUuid": format!("r{number}"), "vertices": vertices, "startTimestampInMillis": began_ms,
        "endTimestampInMillis": began_ms + 700, "terminalState": "COMPLETED", "triggerCause": "UPDATE_REQUIREMENT" })
}

fn scenario() -> Scenario {
    let vertices: Vec<Value> = (0..VERTICES)
        .map(|index| json!({ "id": id(index), "name": name(index), "parallelism": 1 }))
        .collect();
    let jobs = json!([{ "jid": job_id(), "name": JOB, "vertices": vertices }]);
    let mut scenario: Scenario = serde_json::from_value(json!({ "version": "2.3.0", "jobs": jobs })).unwrap();
    let mut answer = |path: String, body: Value| {
        let told = Override { status: Some(200), body, ..Override::default() };
        scenario.overrides.insert(format!("GET /jobs/{}/rescales/{path}", job_id()), told);
    };
    answer("history".to_owned(), (0..RESCALES).map(|number| rescale(number, false)).collect());
    for number in 0..RESCALES {
        answer(format!("details/r{number}"), rescale(number, true));
    }
    scenario
}

fn document(generation: u64) -> JobDocument {
    JobDocument::parse(&format!(
        "format = 1\njob = \"{JOB}\"\ngeneration = {generation}\nissued_at = \"2026-01-01T00:00:00Z\"\n\
         restart_mode = \"in-place\"\n[parallelism]\ndefault = 1\nmax = 128\n[parallelism.operators]\n\"{}\" = {generation}\n",
        name(0)
    ))
    .unwrap()
}

/// Goal: the report about 70 vertices with names of 50 characters and 8 rescales is delivered within the drop's default
/// limit, with as many of the rescales as fit, and so is the next one.
#[tokio::test]
async fn a_large_job_is_reported_and_goes_on() {
    let flink = Server::start(scenario(), Pace::Real).await.unwrap();
    let drop = TestDrop::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut config: Config = config(folder.path(), &drop.url, flink.url());
    config.program = None;
    config.rules.can_submit = false;
    for generation in 1..=3 {
        drop.publish(&document(generation)).await;
        let phase = run_until_ended(&agent(&config).await, generation).await;
        assert!(matches!(phase, Phase::Running { .. }), "{phase:?}");
        let reports = drop.reports().await;
        let last = reports.last().unwrap();
        assert_eq!((last.generation, last.state), (generation, ChangeState::Running));
        let seen = last.observed.as_ref().unwrap();
        assert_eq!(seen.rescales.len(), RESCALES, "{seen:?}");
        let bytes = serde_json::to_vec(last).unwrap().len();
        assert!(bytes <= Limits::default().report_bytes, "{bytes} bytes");
        assert!(seen.parallelism.len() < VERTICES, "it had not to be shortened");
    }
}
