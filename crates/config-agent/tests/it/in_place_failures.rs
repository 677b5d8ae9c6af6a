//! Changes in place after which the job keeps failing, and jobs that cannot be rescaled in place at all.

use std::time::Duration;

use config_agent::{Config, Phase};
use flink_stand_in::{Bounds, Pace, Scenario, Scheduler, Server};
use job_config::JobDocument;
use serde_json::json;

use crate::support::drop_server::TestDrop;
use crate::support::setup::run_until_ended;
use crate::support::{JOB, agent, config};

const CAUSE: &str = "org.rocksdb.RocksDBException: While open a file for appending: File name too long";

/// A stand-in of Flink, the real drop, and an agent that only rescales in place.
struct World {
    flink: Server,
    drop: TestDrop,
    config: Config,
    _folder: tempfile::TempDir,
}

fn document(generation: u64, parallelism: u32) -> JobDocument {
    JobDocument::parse(&format!(
        "format = 1\njob = \"{JOB}\"\ngeneration = {generation}\nissued_at = \"2026-01-01T00:00:00Z\"\n\
         restart_mode = \"in-place\"\n[parallelism]\ndefault = 1\nmax = 128\n[parallelism.operators]\nwork = {parallelism}\n"
    ))
    .unwrap()
}

fn scenario(more: serde_json::Value) -> Scenario {
    let mut job = json!({ "jid": "ab".repeat(16), "name": JOB, "vertices": [
        { "id": "a".repeat(32), "name": "Source: src", "parallelism": 2 },
        { "id": "b".repeat(32), "name": "work", "parallelism": 4, "inputs": [{ "id": "a".repeat(32) }] },
    ] });
    job.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(json!({ "jobs": [job] })).unwrap()
}

impl World {
    async fn new(scenario: Scenario) -> Self {
        let flink = Server::start(scenario, Pace::Real).await.unwrap();
        let drop = TestDrop::start().await;
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(folder.path(), &drop.url, flink.url());
        config.program = None;
        config.rules.can_submit = false;
        config.rules.running_within = Duration::from_secs(600);
        Self { flink, drop, config, _folder: folder }
    }

    async fn apply(&self, document: &JobDocument) -> Phase {
        self.drop.publish(document).await;
        run_until_ended(&agent(&self.config).await, document.generation()).await
    }

    fn parallelism(&self) -> i64 {
        self.flink.with(|stand_in| stand_in.parallelism_by_vertex(Pace::Real.now_ms()))
            ["b".repeat(32).as_str()]
    }

    fn puts(&self) -> Vec<String> {
        let requests = self.flink.requests().into_iter();
        requests.filter(|request| request.method == "PUT").map(|request| request.body).collect()
    }
}

/// Goal: a job that keeps failing at its new parallelism is rolled back well before the timeout, with the root cause
/// in the message.
#[tokio::test]
async fn a_job_that_keeps_failing_goes_back() {
    let failing = json!({ "failing_after_rescale": { "every_s": 0.2, "stacktrace": format!("a.B: x\n\tat a.B.c(D.java:1)\nCaused by: {CAUSE}") } });
    let world = World::new(scenario(failing)).await;
    assert!(matches!(world.apply(&document(1, 4)).await, Phase::Running { .. }));
    let Phase::RolledBack { message, .. } = world.apply(&document(2, 1)).await else { panic!("it went on") };
    // On a busy machine it may fail once more before it is observed.
    assert!(message.contains("; it failed ") && message.contains(CAUSE), "{message}");
    assert!(message.contains("previous parallelism"), "{message}");
    assert_eq!(world.parallelism(), 4);
}

/// Goal: failures before the change, and fewer than the bound after it, do not end it.
#[tokio::test]
async fn a_job_that_recovers_goes_on() {
    let recovering =
        json!({ "failing_after_rescale": { "every_s": 0.1, "times": 2, "stacktrace": "a.B: a hiccup" } });
    let world = World::new(scenario(recovering)).await;
    assert!(matches!(world.apply(&document(1, 4)).await, Phase::Running { .. }));
    assert!(matches!(world.apply(&document(2, 6)).await, Phase::Running { .. }));
    assert_eq!(world.parallelism(), 6);
}

/// Goal: a lower bound stays, unless it exceeds the new upper one; a document that matches the current requirements
/// changes nothing.
#[tokio::test]
async fn lower_bounds_stay() {
    // A job of its own for each change: Flink rescales a job again only after 30 s.
    for (parallelism, lower) in [(8, 3), (2, 2)] {
        let bounds = Bounds { lower_bound: 3, upper_bound: 4 };
        let world = World::new(scenario(json!({ "requirements": { "b".repeat(32): bounds } }))).await;
        assert!(matches!(world.apply(&document(1, 4)).await, Phase::Running { .. }));
        assert_eq!(world.puts(), [] as [String; 0]);
        assert!(matches!(world.apply(&document(2, parallelism)).await, Phase::Running { .. }));
        let put: serde_json::Value = serde_json::from_str(world.puts().last().unwrap()).unwrap();
        let found = &put["b".repeat(32)]["parallelism"];
        assert_eq!((&found["lowerBound"], &found["upperBound"]), (&json!(lower), &json!(parallelism)));
    }
}

/// Goal: a job that cannot be rescaled in place is rejected with the remedy, and Flink gets no change request.
#[tokio::test]
async fn what_cannot_be_rescaled_is_not_asked_to() {
    for (scheduler, version, remedy) in [
        (Scheduler::Default, None, "jobmanager.scheduler: adaptive"),
        (Scheduler::Adaptive, Some("1.17.2"), "Flink 1.18 or newer"),
    ] {
        let mut scenario = scenario(json!({}));
        (scenario.scheduler, scenario.version) = (scheduler, version.map(str::to_owned));
        let world = World::new(scenario).await;
        let Phase::RolledBack { message, .. } = world.apply(&document(1, 8)).await else {
            panic!("it went on")
        };
        assert!(message.contains(remedy), "{message}");
        assert_eq!(world.puts(), [] as [String; 0]);
    }
}

/// Goal: of two jobs with the same name, the one configured by its id is rescaled.
#[tokio::test]
async fn a_twin_is_named_by_its_id() {
    let mut both = scenario(json!({}));
    let mut twin = both.jobs[0].clone();
    twin.jid = "cd".repeat(16);
    both.jobs.push(twin);
    let mut world = World::new(both).await;
    world.config.flink_job = "ab".repeat(16);
    assert!(matches!(world.apply(&document(1, 8)).await, Phase::Running { .. }));
    let put = world.flink.requests().into_iter().find(|request| request.method == "PUT").unwrap();
    assert_eq!(put.path, format!("/jobs/{}/resource-requirements", "ab".repeat(16)));
}
