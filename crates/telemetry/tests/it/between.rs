//! Samples between two whole ones, and jobs of one cluster: less is asked of Flink, and the figures are the same.

use std::time::Duration;

use scaling::Snapshot;
use telemetry::{FlinkCluster, MetricSource, Sample, summarise};

use crate::scripted::{Flink, START_MS, ScriptedFlink, Value, id, settings, task};

/// A source that grows a backlog, an operator that only counts, and one with a figure of its newest values.
fn job() -> Flink {
    let source = task("Source: src", 2, &[])
        .records(0.0, 1000.0)
        .spends(300.0, 100.0)
        .with("Source__src.numRecordsIn", Value::Grows(1000.0))
        .with("Source__src.pendingRecords", Value::From(500.0, 100.0));
    let mut latencies = task("windows", 2, &[1]).records(500.0, 10.0).spends(300.0, 0.0);
    for (name, value) in [
        ("op.latencyCount", Value::Grows(10.0)),
        ("op.latencySum", Value::Grows(5_000.0)),
        ("op.waitingTimeCount", Value::Grows(10.0)),
        ("op.waitingTimeSum", Value::Grows(40.0)),
        ("op.latency_max", Value::From(900.0, -100.0)),
    ] {
        latencies = latencies.with(name, value);
    }
    Flink::of(vec![source, task("work", 3, &[0]).records(700.0, 500.0).spends(600.0, 0.0), latencies])
}

/// The samples of five seconds, and how often Flink was asked for values of each vertex.
async fn samples(flink: Flink, is_whole: [bool; 5]) -> (Vec<Sample>, [usize; 3]) {
    let mut scripted = ScriptedFlink::start(flink).await;
    let mut samples = Vec::new();
    for (now_s, is_whole) in (0..).zip(is_whole) {
        let now_s = f64::from(now_s);
        samples.push(if is_whole {
            scripted.sample(now_s).await
        } else {
            scripted.sample_between(now_s).await
        });
    }
    let asked = [0, 1, 2].map(|index| scripted.times_asked(&format!("{}/metrics?get=", id(index))));
    (samples, asked)
}

fn snapshot(samples: &[Sample]) -> Snapshot {
    summarise(samples, 128, 1, &settings()).unwrap()
}

/// Goal: an operator whose figures are differences of counters is not asked for between two whole samples, a source and one with a figure
/// of its newest values are; and all figures of the snapshot are those of whole samples.
#[tokio::test]
async fn what_is_left_out_changes_no_figure() {
    let (whole, asked) = samples(job(), [true; 5]).await;
    assert_eq!(asked, [5, 5, 5]);
    let (thin, asked) = samples(job(), [true, false, false, false, true]).await;
    assert_eq!(asked, [5, 2, 5]);
    assert_eq!(thin.iter().map(Sample::is_whole).collect::<Vec<_>>(), [true, false, false, false, true]);
    let left_out: Vec<&str> = thin[2]
        .vertices
        .iter()
        .filter(|vertex| vertex.is_left_out)
        .map(|vertex| vertex.name.as_str())
        .collect();
    assert_eq!(left_out, ["work"]);
    let (expected, found) = (snapshot(&whole), snapshot(&thin));
    assert_eq!(expected.missing, [] as [String; 0]);
    assert_eq!((&found.operators, &found.missing), (&expected.operators, &expected.missing));
    assert_eq!(found.queries, expected.queries);
    let work = found.operator("work").unwrap();
    assert_eq!((work.throughput_per_s, work.subtasks.len()), (Some(2100.0), 3));
}

/// Goal: a snapshot that ends with a sample in which an operator was left out has its figures of the whole samples before.
#[tokio::test]
async fn the_newest_reading_counts() {
    let (samples, _) = samples(job(), [true, false, true, false, false]).await;
    let work = snapshot(&samples).operator("work").unwrap().clone();
    assert_eq!((work.throughput_per_s, work.parallelism, work.subtasks.len()), (Some(2100.0), 3, 3));
    let reading = work.reading.unwrap();
    assert_eq!((reading.from_ms, reading.at_ms), (Some(START_MS), Some(START_MS + 2_000)));
}

/// Goal: an operator that does not count all its time is read with every sample: its figures are means.
#[tokio::test]
async fn what_is_not_counted_is_not_left_out() {
    let mut flink = job();
    flink.tasks[1].metrics.remove("accumulateIdleTimeMs");
    let (samples, asked) = samples(flink, [true, false, false, false, true]).await;
    assert_eq!(asked, [5, 5, 5]);
    assert!(samples.iter().all(Sample::is_whole));
}

/// Goal: tasks that have started anew are read as a whole, whatever was asked for.
#[tokio::test]
async fn a_new_life_begins_whole() {
    let flink = Flink { restarted_s: Some(2.0), ..job() };
    let (samples, asked) = samples(flink, [true, false, false, false, true]).await;
    assert_eq!(asked, [5, 3, 5]);
    assert_eq!(samples.iter().map(Sample::is_whole).collect::<Vec<_>>(), [true, false, true, false, true]);
    assert_ne!(samples[1].incarnation, samples[2].incarnation);
}

/// Goal: jobs of one cluster ask once for what belongs to none of them, and each for its own metrics.
#[tokio::test]
async fn a_cluster_is_read_once_for_all_jobs() {
    let load =
        std::collections::BTreeMap::from([("Status.JVM.CPU.Load".to_owned(), Value::Is("0.3".to_owned()))]);
    for (age_max, times) in [(Duration::from_secs(3_600), 1), (Duration::ZERO, 3)] {
        let scripted = ScriptedFlink::start(Flink { task_manager: load.clone(), ..job() }).await;
        let cluster = FlinkCluster::new(scripted.client(), age_max);
        for _ in 0..3 {
            let sample = MetricSource::flink_rest_of(cluster.clone(), "job").sample().await.unwrap();
            assert_eq!(sample.task_managers[0].cpu_load, Some(0.3));
        }
        for path in ["/jobs/overview", "/taskmanagers/tm", "/metrics?get=Status"] {
            assert_eq!(scripted.times_asked(path), times, "{path}");
        }
        assert_eq!(scripted.times_asked(&format!("{}/metrics?get=", id(1))), 3);
    }
}
