//! Tests with a small job and the project's client.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use flink::{Client, ClientSettings, InPlace, JobId, Obstacle, Requirement, VertexId};
use flink_stand_in::{Pace, Scenario, Server};
use serde_json::json;

const START_MS: i64 = 1_800_000_000_000;

fn job() -> JobId {
    "ab".repeat(16).parse().unwrap()
}

fn vertex(digit: &str) -> VertexId {
    digit.repeat(32).parse().unwrap()
}

fn scenario(more: serde_json::Value) -> Scenario {
    let mut scenario = json!({
        "jobs": [{
            "jid": "ab".repeat(16), "name": "job", "vertices": [
                { "id": "a".repeat(32), "name": "Source: src", "parallelism": 2,
                  "metrics": { "numRecordsOut": { "rate": 100 }, "busyTimeMsPerSecond": "NaN" } },
                { "id": "b".repeat(32), "name": "work", "parallelism": 2, "maxParallelism": 8,
                  "inputs": [{ "id": "a".repeat(32) }] },
            ],
        }],
        "taskmanagers": [{ "id": "host#1:6122/a?b", "slots": 16, "free": 8 }],
    });
    scenario.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(scenario).unwrap()
}

async fn server(more: serde_json::Value) -> (Server, Client, Arc<AtomicI64>) {
    let now_ms = Arc::new(AtomicI64::new(START_MS));
    let server = Server::start(scenario(more), Pace::Virtual(Arc::clone(&now_ms))).await.unwrap();
    let client = Client::new(server.url(), ClientSettings::default()).unwrap();
    (server, client, now_ms)
}

/// Goal: a counter grows with virtual time, and text stays unchanged.
#[tokio::test]
async fn counters_grow_with_virtual_time() {
    let (_server, client, now_ms) = server(json!({})).await;
    let names = client.vertex_metric_names(&job(), &vertex("a")).await.unwrap();
    assert_eq!(names.len(), 4);
    let read = async || {
        let metrics = client.vertex_metrics(&job(), &vertex("a"), &names).await.unwrap();
        metrics.into_iter().find(|metric| metric.id == "1.numRecordsOut").unwrap().value
    };
    assert_eq!(read().await, Some(100_000.0));
    now_ms.fetch_add(7_500, Ordering::SeqCst);
    assert_eq!(read().await, Some(100_750.0));
}

/// Goal: accepted requirements change the parallelism as far as slots allow and restart the tasks; others are
/// rejected with 400.
#[tokio::test]
async fn requirements_change_the_parallelism() {
    let (server, client, now_ms) = server(json!({})).await;
    server.with(|stand_in| stand_in.scenario_mut().jobs[0].slots = Some(5));
    let up_to = |upper: u32| Requirement { lower: 1, upper };
    let wanted = |p: u32| BTreeMap::from([(vertex("a"), up_to(3)), (vertex("b"), up_to(p))]);
    for refused in [wanted(9), BTreeMap::from([(vertex("a"), up_to(3))])] {
        let error = client.require(&job(), &refused).await.unwrap_err();
        assert!(matches!(error, flink::Error::Status { status: 400, .. }), "{error}");
    }
    now_ms.fetch_add(60_000, Ordering::SeqCst);
    client.require(&job(), &wanted(7)).await.unwrap();
    assert_eq!(client.requirements(&job()).await.unwrap(), wanted(7));
    let details = client.job(&job()).await.unwrap();
    assert_eq!(details.running_since_ms(), Some(START_MS + 60_000));
    let parallelism = |id| details.vertices.iter().find(|vertex| vertex.id == id).unwrap().parallelism;
    assert_eq!((parallelism(vertex("a")), parallelism(vertex("b"))), (3, 5));
    let methods: Vec<String> = server.requests().into_iter().map(|request| request.method).collect();
    assert_eq!(methods, ["PUT", "PUT", "PUT", "GET", "GET"]);
}

/// Goal: a scheduler, a mode or a version that cannot rescale is recognised without a change request.
#[tokio::test]
async fn obstacles_are_recognised_by_reading() {
    for (more, expected) in [
        (json!({}), None),
        (json!({ "scheduler": "default" }), Some(Obstacle::Scheduler)),
        (json!({ "scheduler": "reactive", "shows_config": true }), Some(Obstacle::Reactive)),
        (json!({ "version": "1.17.2" }), Some(Obstacle::Version("1.17.2".to_owned()))),
        (json!({ "version": "1.18.1", "shows_config": true }), None),
    ] {
        let (server, client, _) = server(more.clone()).await;
        let found = match client.in_place(&job()).await.unwrap() {
            InPlace::Possible(_) => None,
            InPlace::Impossible(obstacle) => Some(obstacle),
        };
        assert_eq!(found, expected, "{more}");
        assert!(server.requests().iter().all(|request| request.method == "GET"));
    }
}

/// Goal: reactive mode with a hidden configuration is recognised from the rejection.
#[tokio::test]
async fn reactive_mode_is_told_by_the_refusal() {
    let (_server, client, _) = server(json!({ "scheduler": "reactive" })).await;
    let InPlace::Possible(requirements) = client.in_place(&job()).await.unwrap() else {
        panic!("it shows nothing")
    };
    let refused = client.require(&job(), &requirements).await.unwrap_err();
    assert_eq!(Obstacle::from_error(&refused), Some(Obstacle::Reactive));
}

/// Goal: a task manager is found by any id.
#[tokio::test]
async fn ids_with_any_letter_are_found() {
    let (_server, client, _) = server(json!({})).await;
    let names = ["Status.JVM.CPU.Load".to_owned()];
    let metrics = client.task_manager_metrics("host#1:6122/a?b", &names).await.unwrap();
    assert_eq!(metrics[0].value, Some(0.3));
}

/// Goal: an override applies in its time window and up to its limit; otherwise the usual response is returned.
#[tokio::test]
async fn overrides_have_their_time() {
    let unavailable =
        json!({ "status": 503, "body": { "errors": ["leader election"] }, "after_s": 4, "until_s": 8 });
    let once = json!({ "status": 500, "body": "x", "times": 1 });
    let overrides = json!({ "GET /jobs/overview": unavailable, "GET /taskmanagers": once });
    let (_server, client, now_ms) = server(json!({ "overrides": overrides })).await;
    for (at_s, is_well) in [(0, true), (5, false), (9, true)] {
        now_ms.store(START_MS + at_s * 1000, Ordering::SeqCst);
        assert_eq!(client.jobs().await.is_ok(), is_well, "after {at_s} s");
    }
    assert!(client.task_managers().await.is_err());
    assert!(client.task_managers().await.is_ok());
}

/// Goal: after a swap other jobs run, and the JobManager's clock has the scenario's offset.
#[tokio::test]
async fn jobs_are_swapped_and_clocks_are_off() {
    let swap = json!({ "after_s": 6, "jobs": [{ "jid": "cd".repeat(16), "name": "job", "vertices": [] }] });
    let (_server, client, now_ms) = server(json!({ "swap": swap, "jm_clock_ahead_ms": 3_600_000 })).await;
    let details = client.job(&job()).await.unwrap();
    assert_eq!(details.now, Some(START_MS + 3_600_000));
    assert_eq!(details.running_since_ms(), Some(START_MS - 3_600_000));
    assert_eq!(details.running_ms(), Some(7_200_000));
    now_ms.fetch_add(7_000, Ordering::SeqCst);
    assert!(client.job(&job()).await.unwrap_err().is_not_found());
    assert_eq!(client.jobs().await.unwrap()[0].id, "cd".repeat(16).parse().unwrap());
}
