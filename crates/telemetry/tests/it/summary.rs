//! From samples to a snapshot: what counts, what does not, and what is said about the rest.

use std::collections::BTreeMap;
use std::time::Duration;

use scaling::{Kind, Snapshot};
use telemetry::{
    EndOffsets, Histogram, Incarnation, Input, Kinds, LatencyMetric, NotReady, Sample, Subtask,
    SummarySettings, TaskManager, Vertex, summarise,
};

fn settings() -> SummarySettings {
    SummarySettings {
        warm_up: Duration::from_secs(10),
        latency_metric: LatencyMetric::EventLatency,
        newest_age_max: Duration::from_secs(4),
        kinds: Kinds::default(),
        source: "flink-rest".to_owned(),
    }
}

fn subtask(records_in: f64, records_out: f64) -> Subtask {
    Subtask { records_in: Some(records_in), records_out: Some(records_out), ..Subtask::default() }
}

fn vertex(name: &str, inputs: &[&str], max_parallelism: u32, subtasks: Vec<Subtask>) -> Vertex {
    Vertex {
        name: name.to_owned(),
        parallelism: u32::try_from(subtasks.len()).unwrap(),
        max_parallelism,
        inputs: inputs.iter().map(|name| Input { from: (*name).to_owned(), ..Input::default() }).collect(),
        subtasks,
        ..Vertex::default()
    }
}

/// A job that is asked for 5,000 records a second and manages 2,000, `second` seconds after the first sample.
fn sample(second: i64) -> Sample {
    let elapsed = second as f64;
    let mut source = subtask(0.0, 2000.0 * elapsed);
    source.pending_records = Some(100.0 + 3000.0 * elapsed);
    let mut join = [subtask(1200.0 * elapsed, 600.0 * elapsed), subtask(800.0 * elapsed, 400.0 * elapsed)];
    for (index, subtask) in join.iter_mut().enumerate() {
        let count = 10.0 * elapsed;
        let histogram = |mean: f64| Histogram { count, sum: count * mean };
        // 500 µs of processing and 20 (or 40) ms of waiting at input 1; twice the waiting at input 2.
        let waiting_ms = 20.0 * (index + 1) as f64;
        subtask.histograms = BTreeMap::from([
            ("latencyInput1".to_owned(), histogram(500.0)),
            ("latencyInput2".to_owned(), histogram(500.0)),
            ("waitingTimeInput1".to_owned(), histogram(waiting_ms)),
            ("waitingTimeInput2".to_owned(), histogram(waiting_ms * 2.0)),
        ]);
    }
    let mut top = subtask(1000.0 * elapsed, elapsed);
    top.histograms.insert("eventLatency".to_owned(), Histogram { count: elapsed, sum: 1500.0 * elapsed });
    Sample {
        at_ms: 1_000_000 + second * 1000,
        running_ms: 20_000 + second * 1000,
        incarnation: Incarnation { job_id: "0".repeat(32).parse().unwrap(), running_since_ms: 980_000 },
        newest_ms: 1_000_000 + second * 1000,
        job: scaling::Job { name: "nexmark".to_owned(), ..scaling::Job::default() },
        vertices: vec![
            vertex("q7-bid-item", &["source-bid"], 128, join.to_vec()),
            vertex("q7-highest-bid", &["q7-bid-item"], 1, vec![top]),
            vertex("sink-q7", &["q7-highest-bid"], 128, vec![subtask(elapsed, 0.0)]),
            vertex("source-bid", &[], 128, vec![source]),
        ],
        task_managers: vec![TaskManager {
            id: "tm-1".to_owned(),
            cpu_load: Some(0.25),
            heap_used_bytes: Some(100.0 + elapsed),
            heap_max_bytes: Some(400.0),
            ..TaskManager::default()
        }],
        state_size_bytes: Some(1e6),
        stored_size_bytes: None,
    }
}

fn snapshot(samples: &[Sample]) -> Snapshot {
    summarise(samples, 128, 1, &settings()).unwrap()
}

fn close(found: Option<f64>, expected: f64) -> bool {
    found.is_some_and(|found| (found - expected).abs() < 1e-6)
}

/// Goal: rates are differences of counters, the offered rate sees through back-pressure, latencies are means of the epoch.
#[test]
fn an_epoch_is_summarised() {
    let snapshot = snapshot(&[sample(0), sample(2), sample(4)]);
    assert_eq!(snapshot.missing, [] as [String; 0]);
    let source = snapshot.operator("source-bid").unwrap();
    assert_eq!(source.kind, Kind::Source);
    assert!(close(source.arrival_rate_per_s, 5000.0) && close(source.backlog_records, 12_100.0));
    let join = snapshot.operator("q7-bid-item").unwrap();
    assert_eq!((join.kind, join.parallelism), (Kind::Continuous, 2));
    assert!(close(join.throughput_per_s, 2000.0) && close(join.input_rate_per_s, 5000.0));
    // Input 1: 0.5 + (20 + 40) / 2 ms; input 2: 0.5 + (40 + 80) / 2 ms; the mean of both.
    assert!(close(join.latency_ms, (30.5 + 60.5) / 2.0));
    assert_eq!(snapshot.operator("q7-highest-bid").unwrap().kind, Kind::AllWindow);
    assert_eq!(snapshot.queries[0].name, "q7");
    assert!(close(snapshot.queries[0].overall_latency_ms, 1500.0));
    assert!(close(snapshot.task_managers[0].heap_used_bytes, 102.0));
}

/// Goal: a restart makes everything before it unusable, and tasks that have just begun are not trusted.
#[test]
fn restarts_and_warm_up_are_left_out() {
    let reborn = |second: i64, running_ms: i64| {
        let mut sample = sample(second);
        sample.incarnation.running_since_ms += 5_000;
        sample.running_ms = running_ms;
        sample
    };
    let samples = [sample(0), sample(2), reborn(4, 1_000), reborn(6, 9_999), reborn(8, 11_999)];
    let result = summarise(&samples, 128, 1, &settings());
    assert_eq!(result, Err(NotReady::TooFewSamples { usable: 1, warm_up_s: 10 }));
    let samples = [sample(0), reborn(2, 12_000), reborn(4, 14_000)];
    assert!(close(snapshot(&samples).operator("q7-bid-item").unwrap().throughput_per_s, 2000.0));
}

/// Goal: a subtask that is silent in one sample makes its operator unknown, and what is missing is named; a counter that
/// fell does the same.
#[test]
fn silence_is_unknown_and_named() {
    for spoil in [(|subtask: &mut Subtask| subtask.records_in = None) as fn(&mut Subtask), |subtask| {
        subtask.records_in = Some(1.0)
    }] {
        let mut samples = [sample(1), sample(2), sample(4)];
        spoil(&mut samples[1].vertices[0].subtasks[1]);
        let snapshot = snapshot(&samples);
        assert_eq!(snapshot.operator("q7-bid-item").unwrap().throughput_per_s, None);
        assert_eq!(snapshot.missing.len(), 1);
        assert!(snapshot.missing[0].contains("numRecordsIn of q7-bid-item"), "{:?}", snapshot.missing);
    }
}

/// Goal: an unknown backlog makes the arrival rate and what follows from it unknown, not zero.
#[test]
fn an_unknown_backlog_is_not_an_empty_one() {
    let mut samples = [sample(1), sample(3)];
    samples[1].vertices[3].subtasks[0].pending_records = None;
    let snapshot = snapshot(&samples);
    assert_eq!(snapshot.operator("source-bid").unwrap().arrival_rate_per_s, None);
    assert_eq!(snapshot.operator("q7-bid-item").unwrap().input_rate_per_s, None);
    assert!(close(snapshot.operator("q7-bid-item").unwrap().throughput_per_s, 2000.0));
}

/// Goal: a query whose windows did not fire in the epoch has no latency.
#[test]
fn no_result_means_no_latency() {
    let mut samples = [sample(1), sample(3)];
    samples[1].vertices[1] = samples[0].vertices[1].clone();
    assert_eq!(snapshot(&samples).queries[0].overall_latency_ms, None);
}

/// Goal: a sample of old readings makes no snapshot, however new the sample itself is.
#[test]
fn old_readings_are_refused() {
    let mut samples = [sample(1), sample(3)];
    samples[1].newest_ms -= 5_000;
    let result = summarise(&samples, 128, 1, &settings());
    assert_eq!(result, Err(NotReady::Stale { age_s: 5, max_s: 4 }));
    samples[1].newest_ms += 1_000;
    assert_eq!(snapshot(&samples).newest_age_ms, Some(4_000));
}

/// Goal: rates go by the time of the readings, where a store tells it, and shares of time by what the tasks have counted.
#[test]
fn readings_with_a_time_of_their_own_are_believed() {
    let mut samples = [sample(0), sample(4)];
    for (sample, at_ms, busy_ms) in [(0, 999_000, 1_000.0), (1, 1_001_000, 2_500.0)] {
        let subtask = &mut samples[sample].vertices[3].subtasks[0];
        subtask.at_ms = Some(at_ms);
        subtask.busy_ms = Some(busy_ms);
        subtask.busy_ms_per_s = Some(10.0);
    }
    let snapshot = snapshot(&samples);
    let source = snapshot.operator("source-bid").unwrap();
    assert!(close(source.output_rate_per_s, 4000.0), "{source:?}");
    assert!(close(source.busy_ratio, 0.75), "{source:?}");
}

/// Goal: arrivals are what the brokers say has arrived, as soon as they were asked twice, whatever Flink has heard of it; a topic that was
/// made anew is no negative arrival.
#[test]
fn arrivals_are_counted_from_end_offsets() {
    let observed = |records: [Option<f64>; 4]| {
        let samples = (0..).zip(records).map(|(second, records)| {
            let mut sample = sample(second);
            let at_ms = sample.at_ms + 3;
            sample.vertices[3].end_offsets = records.map(|records| EndOffsets { at_ms, records });
            sample
        });
        let snapshot = summarise(&samples.collect::<Vec<_>>(), 128, 1, &settings()).unwrap();
        let source = snapshot.operator("source-bid").unwrap();
        (source.arrival_rate_per_s, source.arrivals.clone(), source.backlog_records)
    };
    let told = [Some(70_000.0), None, Some(78_000.0), Some(82_500.0)];
    let (rate_per_s, arrivals, backlog) = observed(told);
    assert_eq!((rate_per_s, backlog), (Some(12_500.0 / 3.0), Some(9100.0)));
    assert_eq!(arrivals, [(1_000_003, 70_000.0), (1_002_003, 78_000.0), (1_003_003, 82_500.0)]);
    for too_little in [[None; 4], [None, None, None, Some(1.0)]] {
        let (rate_per_s, arrivals, _) = observed(too_little);
        assert_eq!((rate_per_s, arrivals.is_empty()), (Some(5000.0), true));
    }
    let (rate_per_s, ..) = observed([Some(9.0), Some(90.0), Some(0.0), Some(100.0)]);
    assert_eq!(rate_per_s, Some(5000.0));
}

/// Goal: with more than 10,000 subtasks, a subtask has rounded figures of what policies decide on; with fewer, all figures as they were
/// counted. The figures of operators are whole in both.
#[test]
fn the_subtasks_of_a_large_job_are_reduced() {
    let job = |subtasks: usize| {
        let at = |second: i64| {
            let elapsed = second as f64;
            let counted = Subtask {
                busy_ms: Some(612.345 * elapsed),
                idle_ms: Some(387.655 * elapsed),
                backpressured_ms: Some(0.0),
                ..subtask(30_123.0 * elapsed, 0.0)
            };
            let source = vertex("source", &[], 128, vec![subtask(0.0, elapsed)]);
            let work = vertex("work", &["source"], 128, vec![counted; subtasks]);
            Sample { vertices: vec![source, work], ..sample(second) }
        };
        snapshot(&[at(2), at(4)])
    };
    let [small, large] = [9_999, 10_000].map(|subtasks| {
        let job = job(subtasks);
        let work = job.operator("work").unwrap();
        assert!(close(work.busy_ratio, 0.612_345) && close(work.idle_ratio, 0.387_655));
        work.subtasks[0].clone()
    });
    assert_eq!((small.records_in, large.records_in), (Some(60_246.0), Some(60_250.0)));
    assert!(close(small.busy_ratio, 0.612_345) && small.idle_ratio.is_some());
    assert_eq!((large.busy_ratio, large.idle_ratio), (Some(0.612), None));
}
