//! What is read beside the metrics of the job's tasks: task managers, past rescales, and parts that Flink refuses.

use scaling::Snapshot;
use telemetry::summarise;

use crate::scripted::{Flink, START_MS, ScriptedFlink, Value, id, settings, snapshot, task};

fn job() -> Flink {
    let source = task("Source: src", 2, &[])
        .records(1000.0, 1000.0)
        .spends(300.0, 0.0)
        .with("Source__src.pendingRecords", Value::From(500.0, 100.0));
    Flink::of(vec![source, task("work", 2, &[0]).records(1000.0, 0.0).spends(300.0, 0.0)])
}

fn with_task_manager(metrics: &[(&str, Value)]) -> Flink {
    let metrics = metrics.iter().map(|(name, value)| (format!("Status.JVM.{name}"), value.clone()));
    Flink { task_manager: metrics.collect(), ..job() }
}

fn gc_of(snapshot: &Snapshot) -> Option<f64> {
    snapshot.task_managers[0].gc_ms_per_s
}

/// Goal: the share of time spent collecting garbage is a rate, from the sum (Flink 1.19 and later) or from the collectors; where the
/// metrics stand still it is unknown, where only it does it is 0. An id with a `#` in it is one task manager.
#[tokio::test]
async fn garbage_collection_is_a_rate() {
    let text = |text: &str| Value::Is(text.to_owned());
    let heap = || ("Memory.Heap.Used", Value::From(1e8, 1e6));
    let all =
        snapshot(with_task_manager(&[("GarbageCollector.All.Time", Value::Grows(700.0)), heap()])).await;
    assert_eq!((gc_of(&all), all.task_managers[0].slots), (Some(700.0), Some(8)));
    let young = ("GarbageCollector.G1_Young_Generation.Time", Value::Grows(20.0));
    let old = ("GarbageCollector.G1_Old_Generation.Time", Value::Grows(5.0));
    assert_eq!(gc_of(&snapshot(with_task_manager(&[young, old, heap()])).await), Some(25.0));
    let still = ("GarbageCollector.All.Time", text("4711"));
    assert_eq!(gc_of(&snapshot(with_task_manager(&[still.clone(), heap()])).await), Some(0.0));
    let frozen = snapshot(with_task_manager(&[still, ("Memory.Heap.Used", text("100"))])).await;
    assert_eq!(gc_of(&frozen), None);
}

/// Goal: a load or a size that cannot be one is unknown.
#[tokio::test]
async fn strange_task_managers_are_unknown() {
    let metrics = [
        ("CPU.Load", "-1.0"),
        ("Memory.Heap.Used", "NaN"),
        ("Memory.Heap.Max", "-1"),
        ("GarbageCollector.All.Time", "x"),
    ];
    let metrics = metrics.map(|(name, text)| (name, Value::Is(text.to_owned())));
    let snapshot = snapshot(with_task_manager(&metrics)).await;
    let tm = &snapshot.task_managers[0];
    assert_eq!([tm.cpu_load, tm.heap_used_bytes, tm.heap_max_bytes, tm.gc_ms_per_s], [None; 4]);
}

/// Goal: a part that is refused makes what needs it unknown, and nothing else.
#[tokio::test]
async fn a_refused_part_is_unknown() {
    let refused = (403, "no".to_owned());
    let mut flink = job();
    flink.answers.insert(format!("/vertices/{}/metrics", id(1)), refused);
    let snapshot = snapshot(flink).await;
    assert_eq!(snapshot.operator("work").unwrap().throughput_per_s, None);
    assert!(snapshot.missing.iter().all(|text| text.contains("of work")), "{:?}", snapshot.missing);
    assert_eq!(snapshot.operator("src").unwrap().throughput_per_s, Some(2000.0));
}

/// Goal: past rescales are told with their widths by operator, their outage and the backlog they caused; details are asked for once; and
/// where Flink keeps no history there is none.
#[tokio::test]
async fn past_rescales_are_told() {
    let (started, ended) = (START_MS + 1_000, START_MS + 3_000);
    let rescale = |vertices: &str, states: &str| {
        format!(
            r#"{{"rescaleUuid":"u-1","startTimestampInMillis":{started},"endTimestampInMillis":{ended},"terminalState":"COMPLETED",
            "triggerCause":"UPDATE_REQUIREMENT","vertices":{{{vertices}}},"schedulerStates":{states}}}"#
        )
    };
    let vertex = format!(
        r#""{}":{{"jobVertexName":"work","preRescaleParallelism":1,"desiredParallelism":2,"postRescaleParallelism":2}}"#,
        id(1)
    );
    let states = r#"[{"state":"Executing","durationInMillis":1700},{"state":"Restarting","enterTimestampInMillis":STOPPED,"durationInMillis":300}]"#;
    let stopped = ended - 300;
    let states = &states.replace("STOPPED", &stopped.to_string());
    let times =
        format!(r#"{{"subtasks":[{{"timestamps":{{"CREATED":{stopped},"RUNNING":{}}}}}]}}"#, ended + 400);
    let mut flink = job();
    flink.answers.insert("/rescales/history".to_owned(), (200, format!("[{}]", rescale("", "null"))));
    flink.answers.insert("/rescales/details/u-1".to_owned(), (200, rescale(&vertex, states)));
    flink.answers.insert(format!("/vertices/{}/subtasktimes", id(1)), (200, times));
    let mut scripted = ScriptedFlink::start(flink).await;
    let mut samples = Vec::new();
    for now_s in 0..=4 {
        samples.push(scripted.sample(f64::from(now_s)).await);
    }
    let told = summarise(&samples, 128, 1, &settings()).unwrap().job.rescales;
    assert_eq!(told.len(), 1);
    let one = &told[0];
    assert_eq!((one.requested_at_ms, one.at_ms, one.succeeded), (Some(started), Some(ended), Some(true)));
    // The tasks are initialised after the end.
    assert_eq!((one.duration_ms, one.downtime_ms), (Some(2_400), Some(700)));
    assert_eq!((one.before["work"], one.wanted["work"], one.after["work"]), (1, 2, 2));
    // Two subtasks with 500 and 100 more each second, at 4 s.
    assert_eq!(one.backlog_peak_records, Some(1_800.0));
    assert_eq!(scripted.times_asked("/rescales/details/"), 1);
    assert_eq!(scripted.times_asked("/subtasktimes"), 1);
    assert_eq!(snapshot(job()).await.job.rescales, []);
}
