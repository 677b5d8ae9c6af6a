//! What is read of jobs of all forms: chains, versions of Flink, connectors, and answers that say less than they seem to.

use scaling::{Kind, Quality};

use crate::scripted::{Flink, START_MS, Task, Value, id, snapshot, summary, task};

fn close(found: Option<f64>, expected: f64) -> bool {
    found.is_some_and(|found| (found - expected).abs() <= expected.abs() * 0.001 + 1e-9)
}

/// A vertex that reads, processes and writes.
fn one_chain(in_per_s: f64) -> Task {
    task("Source: kafka -> map -> sink: Writer -> sink: Committer", 4, &[])
        .records(in_per_s, 0.0)
        .spends(900.0, 0.0)
        .text("Source__kafka.pendingRecords", "100")
}

/// A source with something chained to it, and an operator behind.
fn chained_source(source: Task, reads_per_s: f64, emits_per_s: f64) -> Flink {
    let source = source.records(reads_per_s, emits_per_s).spends(900.0, 0.0);
    Flink::of(vec![source, task("agg", 2, &[0]).records(emits_per_s, 1.0).spends(300.0, 0.0)])
}

/// Goal: a task that reads and writes processes what it reads, by the task's counter (Flink 2.x) or by the source operator's (before).
#[tokio::test]
async fn a_job_of_one_chain_processes_what_it_reads() {
    let since_2 = snapshot(Flink::of(vec![one_chain(2000.0)])).await;
    let before = one_chain(0.0).with("Source__kafka.numRecordsIn", Value::Grows(2000.0));
    let before = snapshot(Flink::of(vec![before])).await;
    for snapshot in [since_2, before] {
        let source = &snapshot.operators[0];
        assert_eq!((source.kind, snapshot.missing.as_slice()), (Kind::Source, &[] as &[String]));
        assert!(close(source.throughput_per_s, 8000.0) && close(source.busy_ratio, 0.9), "{source:?}");
        assert!(
            close(source.arrival_rate_per_s, 8000.0) && close(source.backlog_records, 400.0),
            "{source:?}"
        );
        assert!(close(source.subtasks[3].records_in, 8000.0), "{source:?}");
    }
}

/// Goal: counters that never count tell no rate, whether or not a backlog is told, and that is said; no backlog is not an empty one.
#[tokio::test]
async fn counters_that_never_count_tell_no_rate() {
    for pending in [Some(Value::Is("0".to_owned())), None] {
        let mut chain = one_chain(0.0);
        chain.metrics.remove("Source__kafka.pendingRecords");
        let is_told = pending.is_some();
        chain.metrics.extend(pending.map(|value| ("Source__kafka.pendingRecords".to_owned(), value)));
        let snapshot = snapshot(Flink::of(vec![chain])).await;
        let source = &snapshot.operators[0];
        assert_eq!((source.throughput_per_s, source.arrival_rate_per_s), (None, None));
        assert_eq!(source.backlog_records, is_told.then_some(0.0));
        assert_eq!(source.reading.as_ref().unwrap().quality_of("throughput_per_s"), Quality::Missing);
        assert!(
            snapshot.missing[0].contains("the input rate of kafka is not known"),
            "{:?}",
            snapshot.missing
        );
    }
}

/// Goal: a source that has been idle since it started reads 0, which is a measurement; so is the 0 of a source that is held back.
#[tokio::test]
async fn a_rate_of_0_may_be_measured() {
    let idle = task("Source: kafka -> map", 2, &[]).records(0.0, 0.0).spends(0.0, 0.0);
    let held_back = task("Source: kafka", 2, &[])
        .with("numRecordsIn", Value::Is("0".to_owned()))
        .with("numRecordsOut", Value::Is("5000".to_owned()))
        .spends(0.0, 1000.0)
        .text("Source__kafka.pendingRecords", "12345");
    for (source, backlog) in [(idle, None), (held_back, Some(24_690.0))] {
        let sink = task("sink: Writer", 1, &[0]).records(0.0, 0.0).spends(1000.0, 0.0);
        let snapshot = snapshot(Flink::of(vec![source, sink])).await;
        assert_eq!(snapshot.missing, [] as [String; 0]);
        let source = snapshot.operator("kafka").unwrap();
        assert_eq!((source.throughput_per_s, source.backlog_records), (Some(0.0), backlog));
        assert_eq!(snapshot.operator("sink").unwrap().throughput_per_s, Some(0.0));
    }
}

/// Goal: with a filter or a flatMap in the source's chain, its throughput, arrivals and backlog are in what it reads, and its output by itself.
#[tokio::test]
async fn what_is_chained_to_a_source_does_not_change_its_unit() {
    for (emits_per_s, asked_behind) in
        [(10.0, Some(30.0)), (1000.0, Some(3000.0)), (5000.0, Some(15_000.0)), (0.0, None)]
    {
        let source = task("Source: kafka -> filter", 2, &[])
            .with("Source__kafka.pendingRecords", Value::From(100_000.0, 500.0));
        let snapshot = snapshot(chained_source(source, 1000.0, emits_per_s)).await;
        assert_eq!(snapshot.missing, [] as [String; 0]);
        let source = snapshot.operator("kafka").unwrap();
        assert!(
            close(source.throughput_per_s, 2000.0) && close(source.arrival_rate_per_s, 3000.0),
            "{source:?}"
        );
        assert!(close(source.output_rate_per_s, 2.0 * emits_per_s), "{source:?}");
        let behind = snapshot.operator("agg").unwrap().input_rate_per_s;
        assert!(asked_behind.map_or(behind.is_none(), |asked| close(behind, asked)), "{behind:?}");
    }
}

/// Goal: where nothing counts what is read, what is emitted stands in for it.
#[tokio::test]
async fn what_is_emitted_stands_in_for_what_is_read() {
    let source = task("Source: own-connector", 2, &[])
        .text("Source__own-connector.numRecordsIn", "0")
        .with("Source__own-connector.pendingRecords", Value::From(0.0, 10.0));
    let mut flink = chained_source(source, 0.0, 1000.0);
    flink.tasks[0].metrics.insert("numRecordsIn".to_owned(), Value::Is("0".to_owned()));
    let snapshot = snapshot(flink).await;
    let source = snapshot.operator("own-connector").unwrap();
    assert!(close(source.throughput_per_s, 2000.0) && close(source.arrival_rate_per_s, 2020.0), "{source:?}");
    assert_eq!(source.arrivals, [] as [(i64, f64); 0]);
}

/// Goal: a picture that is not renewed is old: nothing of it is a figure of now, and that is said. Whether it froze before or soon after.
#[tokio::test]
async fn frozen_metrics_are_unknown() {
    for end_s in [-5.0, 0.0, 1.0] {
        let frozen = |task: Task| {
            let mut task = task.records(1000.0, 1000.0).spends(500.0, 0.0);
            for value in task.metrics.values_mut() {
                if let Value::Grows(per_s) = *value {
                    *value = Value::Until(per_s, end_s);
                }
            }
            task
        };
        let source = frozen(task("Source: src", 4, &[])).text("Source__src.pendingRecords", "0");
        let work = task("work", 4, &[0]).records(1000.0, 0.0).spends(500.0, 0.0);
        let snapshot = snapshot(Flink::of(vec![source, work])).await;
        let source = snapshot.operator("src").unwrap();
        let figures = [source.throughput_per_s, source.busy_ratio, source.idle_ratio, source.backlog_records];
        assert_eq!(figures, [None; 4], "until {end_s}: {source:?}");
        assert_eq!(source.reading.as_ref().map(|reading| reading.quality), Some(Quality::Stale));
        assert!(snapshot.missing.iter().any(|text| text.contains("are stale")), "{:?}", snapshot.missing);
        // What is renewed is not touched by it.
        assert!(close(snapshot.operator("work").unwrap().throughput_per_s, 4000.0));
    }
}

/// Goal: one subtask that is frozen makes its operator unknown, not smaller.
#[tokio::test]
async fn one_frozen_subtask_makes_its_operator_unknown() {
    let mut work = task("work", 2, &[0]).records(1000.0, 0.0).spends(500.0, 0.0);
    for name in
        ["accumulateBusyTimeMs", "accumulateIdleTimeMs", "accumulateBackPressuredTimeMs", "numRecordsIn"]
    {
        work = work.only(1, name, Some(Value::Is("4711".to_owned())));
    }
    let source = task("Source: src", 1, &[]).records(2000.0, 2000.0).spends(100.0, 0.0);
    let snapshot = snapshot(Flink::of(vec![source, work])).await;
    let work = snapshot.operator("work").unwrap();
    assert_eq!((work.throughput_per_s, work.busy_ratio), (None, None));
    assert!(close(work.subtasks[0].records_in, 4000.0) && work.subtasks[1].records_in.is_none(), "{work:?}");
    assert_eq!(work.reading.as_ref().map(|reading| reading.quality), Some(Quality::Partial));
}

/// Goal: rates are right or unknown however rarely Flink renews its metrics and whenever the epoch begins.
#[tokio::test]
async fn rates_do_not_depend_on_when_metrics_are_renewed() {
    let mut known = 0;
    for renewed_s in [1.0, 2.0, 5.0, 10.0] {
        for begin_s in [0.0, 0.7, 3.3, 6.1, 9.9] {
            let source = task("Source: src", 2, &[])
                .records(1000.0, 500.0)
                .spends(800.0, 0.0)
                .with("Source__src.pendingRecords", Value::From(50_000.0, 300.0));
            let work = task("work", 2, &[0]).records(500.0, 0.0).spends(900.0, 0.0);
            let flink = Flink { renewed_s, ..Flink::of(vec![source, work]) };
            let seconds: Vec<f64> = (0..=8).map(|second| begin_s + f64::from(second)).collect();
            let snapshot = summary(flink, &seconds).await.unwrap();
            let source = snapshot.operator("src").unwrap();
            let Some(rate) = source.throughput_per_s else {
                assert!(renewed_s > 8.0, "renewed every {renewed_s} s, from {begin_s}");
                continue;
            };
            known += 1;
            let at = format!("renewed every {renewed_s} s, from {begin_s}: {rate}");
            assert!(close(Some(rate), 2000.0) && close(source.busy_ratio, 0.8), "{at}, {source:?}");
            assert!(close(source.arrival_rate_per_s, 2600.0), "{at}, {:?}", source.arrival_rate_per_s);
            assert!(close(snapshot.operator("work").unwrap().throughput_per_s, 1000.0), "{at}");
        }
    }
    assert!(known > 15, "{known}");
}

/// Goal: a running job without edges is one whose graph is not known: that is said, and no vertex becomes a source because of it.
#[tokio::test]
async fn a_plan_without_edges_is_an_unknown_graph() {
    let nodes = format!(r#"{{"nodes":[{{"id":"{}"}},{{"id":"{}"}}]}}"#, id(0), id(1));
    let half = format!(r#"{{"nodes":[{{"id":"{}"}}]}}"#, id(0));
    for plan in ["null", "{}", r#"{"nodes":[]}"#, &nodes, &half] {
        let source = task("Source: src", 2, &[]).records(1000.0, 1000.0).spends(300.0, 0.0);
        let sink = task("sink: Writer", 2, &[0]).records(1000.0, 0.0).spends(300.0, 0.0);
        let flink = Flink { plan: Some(plan.to_owned()), ..Flink::of(vec![source, sink]) };
        let snapshot = snapshot(flink).await;
        assert!(snapshot.missing.iter().any(|text| text.contains("graph is not known")), "{plan}");
        assert_eq!(snapshot.operator("sink").unwrap().kind, Kind::Sink, "{plan}");
        assert_eq!(snapshot.operator("src").unwrap().kind, Kind::Source, "{plan}");
    }
}

/// Goal: a job of one vertex needs no plan, and one of several chains that have nothing to do with each other has none of edges.
#[tokio::test]
async fn a_graph_without_edges_may_be_known() {
    let one = Flink { plan: Some("null".to_owned()), ..Flink::of(vec![one_chain(1000.0)]) };
    let second = Task { name: "Source: other -> sink: Writer".to_owned(), ..one_chain(1000.0) };
    for flink in [one, Flink::of(vec![one_chain(1000.0), second])] {
        let count = flink.tasks.len();
        let snapshot = snapshot(flink).await;
        assert_eq!((snapshot.missing.as_slice(), snapshot.operators.len()), (&[] as &[String], count));
        assert!(snapshot.operators.iter().all(|operator| operator.kind == Kind::Source));
    }
}

/// Goal: a backlog that cannot be one is unknown, and so is what follows from it; that of another source is not touched.
#[tokio::test]
async fn a_strange_backlog_is_unknown() {
    let texts = [
        "-1",
        "-400000000000",
        "-9223372036854775808",
        "9223372036854775807",
        "NaN",
        "Infinity",
        "1.234,5",
        "1.234",
        "",
        "n/a",
    ];
    for text in texts {
        let source = |name: &str| task(name, 2, &[]).records(1000.0, 1000.0).spends(800.0, 0.0);
        let strange = source("Source: a").text("Source__a.pendingRecords", text);
        let sound = source("Source: b").with("Source__b.pendingRecords", Value::From(5000.0, 100.0));
        // One subtask that tells a number does not make up for the other.
        let half = source("Source: c").text("Source__c.pendingRecords", "70").only(
            1,
            "Source__c.pendingRecords",
            Some(Value::Is(text.to_owned())),
        );
        let join = task("join", 2, &[0, 1, 2]).records(3000.0, 1.0).spends(900.0, 0.0);
        let snapshot = snapshot(Flink::of(vec![strange, sound, half, join])).await;
        for name in ["a", "c"] {
            let source = snapshot.operator(name).unwrap();
            assert_eq!((source.backlog_records, source.arrival_rate_per_s), (None, None), "{name}: {text:?}");
            assert!(close(source.throughput_per_s, 2000.0));
        }
        assert_eq!(snapshot.operator("c").unwrap().subtasks[0].pending_records, Some(70.0));
        let sound = snapshot.operator("b").unwrap();
        assert!(
            close(sound.arrival_rate_per_s, 2200.0) && close(sound.backlog_records, 10_800.0),
            "{sound:?}"
        );
    }
}

/// Goal: of two sources, one of which cannot tell its backlog, the other's and its growth are told; the series agree with them.
#[tokio::test]
async fn each_source_has_a_backlog_of_its_own() {
    let silent = task("Source: a", 2, &[]).records(1000.0, 1000.0).spends(100.0, 900.0);
    let lagging = task("Source: b", 2, &[])
        .records(10.0, 10.0)
        .spends(100.0, 0.0)
        .with("Source__b.pendingRecords", Value::From(1_000_000.0, 50.0));
    let join = task("join", 2, &[0, 1]).records(1010.0, 1.0).spends(990.0, 0.0);
    let snapshot = snapshot(Flink::of(vec![silent, lagging, join])).await;
    let silent = snapshot.operator("a").unwrap();
    assert_eq!((silent.backlog_records, silent.arrival_rate_per_s), (None, None));
    assert!(silent.backlog_series.is_empty() && silent.arrivals.is_empty());
    let lagging = snapshot.operator("b").unwrap();
    assert!(
        close(lagging.backlog_records, 2_000_400.0) && close(lagging.arrival_rate_per_s, 120.0),
        "{lagging:?}"
    );
    let last = (START_MS + 4000, 2_000_400.0);
    assert_eq!((lagging.backlog_series.len(), lagging.backlog_series.last()), (5, Some(&last)));
    let arrived = lagging.arrivals[4].1 - lagging.arrivals[0].1;
    assert!(close(Some(arrived), 4.0 * 120.0), "{:?}", lagging.arrivals);
}

fn offsets(task: Task, of_subtask: &[&[u32]]) -> Task {
    let group = "Source__src.KafkaSourceReader.topic.some_topic.partition";
    of_subtask.iter().enumerate().fold(task, |task, (subtask, partitions)| {
        partitions.iter().fold(task, |task, partition| {
            task.only(subtask, &format!("{group}.{partition}.currentOffset"), Some(Value::Grows(7.0)))
        })
    })
}

/// Goal: the partitions of a Kafka source are counted, and a subtask without one has nothing waiting and nothing to read.
#[tokio::test]
async fn partitions_are_counted() {
    let source = task("Source: src", 4, &[])
        .records(1000.0, 1000.0)
        .spends(1000.0, 0.0)
        .with("Source__src.pendingRecords", Value::From(100_000.0, 500.0));
    let source = [2, 3].into_iter().fold(source, |source, idle| {
        source
            .only(idle, "Source__src.pendingRecords", None)
            .only(idle, "numRecordsIn", Some(Value::Is("0".to_owned())))
            .only(idle, "numRecordsOut", Some(Value::Is("0".to_owned())))
            .only(idle, "accumulateBusyTimeMs", Some(Value::Is("0".to_owned())))
            .only(idle, "accumulateIdleTimeMs", Some(Value::Grows(1000.0)))
    });
    let work = task("work", 2, &[0]).records(1000.0, 0.0).spends(300.0, 0.0);
    for (source, partitions) in [(offsets(source.clone(), &[&[0, 3], &[1]]), Some(3)), (source, None)] {
        let snapshot = snapshot(Flink::of(vec![source, work.clone()])).await;
        let source = snapshot.operator("src").unwrap();
        assert_eq!((source.source_partitions, snapshot.missing.len()), (partitions, 0));
        assert!(
            close(source.throughput_per_s, 2000.0) && close(source.arrival_rate_per_s, 3000.0),
            "{source:?}"
        );
        assert!(close(source.busy_ratio, 0.5) && close(source.backlog_records, 204_000.0), "{source:?}");
        let of_subtask: Vec<Option<u32>> = source.subtasks.iter().map(|subtask| subtask.partitions).collect();
        let expected = [Some(2), Some(1), Some(0), Some(0)];
        // Without names of partitions only those that have none are told: they alone have no pendingRecords.
        let is_told = |count: &Option<u32>| partitions.is_some() || *count == Some(0);
        assert_eq!(of_subtask, expected.map(|count| Some(count).filter(is_told).flatten()));
    }
}

/// Goal: slot sharing groups are told where Flink tells them, and windows by their metrics.
#[tokio::test]
async fn groups_and_windows_are_told() {
    let source = task("Source: src", 2, &[]).records(1000.0, 1000.0).spends(100.0, 0.0);
    let window = task("count", 2, &[0])
        .records(1000.0, 1.0)
        .spends(100.0, 0.0)
        .text("TumblingEventTimeWindows.numLateRecordsDropped", "0");
    let window = Task { group: Some("b".repeat(32)), ..window };
    let snapshot = snapshot(Flink::of(vec![source, window])).await;
    let (source, window) = (snapshot.operator("src").unwrap(), snapshot.operator("count").unwrap());
    assert_eq!(
        (source.slot_sharing_group.clone(), window.slot_sharing_group.clone()),
        (None, Some("b".repeat(32)))
    );
    assert_eq!((source.kind, window.kind), (Kind::Source, Kind::Window));
}
