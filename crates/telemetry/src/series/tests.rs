//! Series become a sample: each once, only fresh ones, whole or not at all.

use super::*;
use crate::mapping::GlobalMetric;

const NOW_MS: i64 = 1_000_000;
const INTERVAL_MS: i64 = 10_000;

/// A series with a value every ten seconds up to some time before now; the last one is `value`.
fn series(operator: &str, subtask: u32, figure: SubtaskMetric, age_ms: i64, value: f64) -> MatchedSeries {
    let subject =
        Subject::Subtask { job: "my-job".to_owned(), operator: operator.to_owned(), subtask, figure };
    let point = |ago: i64| (NOW_MS - age_ms - ago * INTERVAL_MS, value - 10.0 * ago as f64);
    found(subject, (0..4).rev().map(point).collect())
}

fn found(subject: Subject, points: Vec<Point>) -> MatchedSeries {
    MatchedSeries { subject, points, has_unreadable: false, origin: None }
}

fn task(operator: &str, subtask: u32, age_ms: i64) -> Vec<MatchedSeries> {
    [(SubtaskMetric::RecordsIn, 500.0), (SubtaskMetric::RecordsOut, 400.0), (SubtaskMetric::BusyMs, 300.0)]
        .map(|(figure, value)| series(operator, subtask, figure, age_ms, value))
        .into()
}

fn assembler() -> Assembler {
    Assembler::new(SeriesRules { job: "my job".to_owned(), interval_ms: INTERVAL_MS })
}

fn assemble(found: &[MatchedSeries]) -> Option<Sample> {
    assembler().assemble(found.to_vec(), NOW_MS, None).unwrap()
}

/// Goal: tasks become vertices with as many subtasks as write; chained operators do not, but their readings are the task's.
#[test]
fn tasks_become_vertices() {
    let mut found =
        [task("Source:-a-->-decode", 0, 5_000), task("Source:-a-->-decode", 1, 4_000), task("b", 0, 5_000)]
            .concat();
    found.push(series("Source:-a", 0, SubtaskMetric::PendingRecords, 5_000, 77.0));
    found.push(series("decode", 0, SubtaskMetric::RecordsIn, 5_000, 1.0));
    let sample = assemble(&found).unwrap();
    let names: Vec<_> = sample.vertices.iter().map(|v| (v.name.as_str(), v.parallelism, v.role)).collect();
    assert_eq!(names, [("a", 2, Some(Role::Source)), ("b", 1, Some(Role::Inner))]);
    let first = &sample.vertices[0].subtasks[0];
    assert_eq!((first.records_in, first.records_out, first.busy_ms), (Some(500.0), Some(400.0), Some(300.0)));
    assert_eq!((first.pending_records, first.at_ms), (Some(77.0), Some(NOW_MS - 5_000)));
    assert_eq!(sample.newest_ms, NOW_MS - 4_000);
}

/// Goal: what the source operator has read is told beside what its task counts, and not what an operator behind it receives.
#[test]
fn a_source_operator_counts_what_it_reads() {
    let mut found = task("Source:-a-->-decode", 0, 5_000);
    found.push(series("Source:-a", 0, SubtaskMetric::RecordsIn, 5_000, 9_000.0));
    found.push(series("decode", 0, SubtaskMetric::RecordsIn, 5_000, 8_000.0));
    let sample = assemble(&found).unwrap();
    let source = &sample.vertices[0].subtasks[0];
    assert_eq!((source.source_records_in, source.records_in), (Some(9_000.0), Some(500.0)));
}

fn offset(subtask: u32, partition: u32, age_ms: i64) -> MatchedSeries {
    let subject = Subject::Partition {
        job: "my-job".to_owned(),
        operator: "Source:-a".to_owned(),
        subtask,
        partition: format!("KafkaSourceReader.topic.t.partition.{partition}"),
    };
    found(subject, vec![(NOW_MS - age_ms, 5.0)])
}

/// Goal: partitions count once each, those that are no longer written do not, and as long as a subtask is silent none are known.
#[test]
fn partitions_are_counted() {
    let tasks = |silent_ms| {
        [task("Source:-a-->-decode", 0, 5_000), task("Source:-a-->-decode", 1, silent_ms)].concat()
    };
    let offsets = [offset(0, 0, 5_000), offset(0, 1, 5_000), offset(1, 1, 4_000), offset(1, 7, 31_000)];
    let sample = assemble(&[tasks(5_000), offsets.to_vec()].concat()).unwrap();
    let source = &sample.vertices[0];
    assert_eq!(source.source_partitions, Some(2));
    assert_eq!((source.subtasks[0].partitions, source.subtasks[1].partitions), (Some(2), Some(1)));
    let sample = assemble(&[tasks(31_000), offsets.to_vec()].concat()).unwrap();
    assert_eq!(
        (sample.vertices[0].source_partitions, sample.vertices[0].subtasks[0].partitions),
        (None, None)
    );
    assert_eq!(assemble(&tasks(5_000)).unwrap().vertices[0].source_partitions, None);
}

/// Goal: a value that cannot be one is unknown, whoever wrote it.
#[test]
fn strange_values_are_unknown() {
    let mut found = task("Source:-a", 0, 5_000);
    found.push(series("Source:-a", 0, SubtaskMetric::PendingRecords, 5_000, -1.0));
    let tm = |figure, value| {
        let subject = Subject::TaskManager { id: "tm".to_owned(), figure };
        self::found(subject, vec![(NOW_MS - 5_000, value)])
    };
    found.extend([tm(GlobalMetric::CpuLoad, -1.0), tm(GlobalMetric::HeapUsed, 7.0)]);
    let sample = assemble(&found).unwrap();
    assert_eq!(sample.vertices[0].subtasks[0].pending_records, None);
    assert_eq!(
        (sample.task_managers[0].cpu_load, sample.task_managers[0].heap_used_bytes),
        (None, Some(7.0))
    );
}

/// Goal: a series that comes twice, under two patterns or from two task managers, counts once, and the fresher one counts.
#[test]
fn each_series_counts_once() {
    let mut found = task("b", 0, 5_000);
    found.extend(task("b", 0, 5_000));
    let mut old = series("b", 0, SubtaskMetric::RecordsIn, 25_000, 9_000.0);
    found.insert(0, old.clone());
    old.points.clear();
    found.push(old);
    let job = |job: &str, value| {
        let subject = Subject::Job { job: job.to_owned(), figure: GlobalMetric::StateSize };
        self::found(subject, vec![(NOW_MS - 5_000, value)])
    };
    found.extend([job("my-job", 100.0), job("my-job", 100.0), job("other", 7.0)]);
    let stored = Subject::Job { job: "my-job".to_owned(), figure: GlobalMetric::StoredSize };
    found.push(self::found(stored, vec![(NOW_MS - 50_000, 300.0)]));
    let sample = assemble(&found).unwrap();
    assert_eq!(sample.vertices.len(), 1);
    assert_eq!(sample.vertices[0].subtasks[0].records_in, Some(500.0));
    assert_eq!((sample.state_size_bytes, sample.stored_size_bytes), (Some(100.0), Some(300.0)));
}

/// Goal: a subtask that has fallen silent is unknown, not gone; another job's series are nobody's.
#[test]
fn silence_is_unknown() {
    let found = [task("b", 0, 5_000), task("b", 1, 21_000)].concat();
    let sample = assemble(&found).unwrap();
    assert_eq!(sample.vertices[0].parallelism, 2);
    assert_eq!(sample.vertices[0].subtasks[1], Subtask::default());
    // Exactly two intervals old still counts.
    let sample = assemble(&task("b", 0, 20_000)).unwrap();
    assert_eq!(sample.vertices[0].subtasks[0].records_in, Some(500.0));
    // A gap in the numbers is a subtask that was not seen.
    let sample = assemble(&task("b", 2, 5_000)).unwrap();
    assert_eq!((sample.vertices[0].parallelism, sample.vertices[0].subtasks[0].records_in), (3, None));
    let mut other = task("b", 0, 5_000);
    for MatchedSeries { subject, .. } in &mut other {
        if let Subject::Subtask { job, .. } = subject {
            *job = "another".to_owned();
        }
    }
    assert_eq!(assemble(&other), None);
}

/// Goal: when all is silent the sample is as old as its last reading.
#[test]
fn a_silent_store_shows_its_age() {
    let sample = assemble(&task("b", 0, 31_000)).unwrap();
    assert_eq!(NOW_MS - sample.newest_ms, 31_000);
}

/// Goal: a counter that falls, or another number of subtasks, begins another life; else the life goes on.
#[test]
fn lives_are_told_by_the_counters() {
    let mut assembler = assembler();
    let mut life = |found: &[MatchedSeries], now_ms| {
        assembler.assemble(found.to_vec(), now_ms, None).unwrap().unwrap().incarnation.running_since_ms
    };
    let first = life(&task("b", 0, 5_000), NOW_MS);
    assert_eq!(first, NOW_MS - 35_000, "the oldest reading that was seen");
    assert_eq!(life(&task("b", 0, 5_000), NOW_MS + 1), first);
    let wider = [task("b", 0, 5_000), task("b", 1, 5_000)].concat();
    assert_eq!(life(&wider, NOW_MS + 2), NOW_MS + 2);
    assert_eq!(life(&wider, NOW_MS + 3), NOW_MS + 2);
    let mut fallen = wider.clone();
    if let Some(last) = fallen[0].points.last_mut() {
        last.1 = 3.0;
    }
    assert_eq!(life(&fallen, NOW_MS + 4), NOW_MS + 4);
}

/// Goal: counters of one subtask are taken at the same time, even if a report is caught half-written.
#[test]
fn counters_are_taken_together() {
    let mut found = task("b", 0, 5_000);
    found[1].points.pop();
    let subtask = assemble(&found).unwrap().vertices[0].subtasks[0].clone();
    assert_eq!(subtask.at_ms, Some(NOW_MS - 15_000));
    assert_eq!((subtask.records_in, subtask.records_out), (Some(490.0), Some(390.0)));
}

/// Goal: a subtask whose values are no numbers is there and unknown; the job is not smaller for it.
#[test]
fn unreadable_values_are_unknown_and_not_gone() {
    let mut series = [task("b", 0, 5_000), task("b", 1, 5_000)].concat();
    for found in &mut series[3..] {
        found.points.clear();
        found.has_unreadable = true;
    }
    let sample = assemble(&series).unwrap();
    assert_eq!(sample.vertices[0].parallelism, 2);
    assert_eq!(sample.vertices[0].subtasks[1], Subtask::default());
    // One unreadable counter leaves the others.
    series.splice(4.., task("b", 1, 5_000).into_iter().skip(1));
    let sample = assemble(&series).unwrap();
    let second = &sample.vertices[0].subtasks[1];
    assert_eq!((second.records_in, second.records_out, second.busy_ms), (None, Some(400.0), Some(300.0)));
}

/// The series of a task under labels of their own, with other values and times than those of [`task`].
fn written_by(labels: &[(&str, &str)], age_ms: i64, factor: f64) -> Vec<MatchedSeries> {
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let origin = Arc::new(Origin::of_labels(&labels));
    let mut series = task("b", 0, age_ms);
    for found in &mut series {
        found.origin = Some(Arc::clone(&origin));
        found.points.iter_mut().for_each(|(_, value)| *value *= factor);
    }
    series
}

/// Goal: two jobs of one name that write at the same time are refused, with the labels that tell them apart.
#[test]
fn two_jobs_of_one_name_are_refused() {
    let both = |first: &[(&str, &str)], other: &[(&str, &str)]| {
        let found = [written_by(first, 5_000, 1.0), written_by(other, 2_000, 20.0)].concat();
        assembler().assemble(found, NOW_MS, None)
    };
    let refused = both(
        &[("job_id", "aa"), ("cluster", "east"), ("tm_id", "t")],
        &[("job_id", "bb"), ("cluster", "west"), ("tm_id", "t")],
    );
    assert_eq!(
        refused.unwrap_err(),
        [r#"cluster="east", job_id="aa""#.to_owned(), r#"cluster="west", job_id="bb""#.to_owned()]
    );
    // Where the store tells no id, the task managers tell.
    let refused = both(&[("tm_id", "east-1")], &[("tm_id", "west-1")]);
    assert_eq!(refused.unwrap_err()[1], r#"tm_id="west-1""#);
    // One job, scraped twice, or moved within one id.
    assert!(both(&[("tm_id", "t"), ("replica", "0")], &[("tm_id", "t"), ("replica", "1")]).is_ok());
    assert!(both(&[("job_id", "aa"), ("tm_id", "t")], &[("job_id", "aa"), ("tm_id", "u")]).is_ok());
}

/// Goal: a job that was started again, and a series that is there twice with the same values, are one job.
#[test]
fn a_restarted_job_is_one_job() {
    let (first, second) = ([("job_id", "aa"), ("tm_id", "t")], [("job_id", "bb"), ("tm_id", "u")]);
    let found = [written_by(&first, 45_000, 5.0), written_by(&second, 5_000, 1.0)].concat();
    let sample = assembler().assemble(found, NOW_MS, None).unwrap().unwrap();
    assert_eq!(sample.vertices[0].subtasks[0].records_in, Some(500.0));
    let twice =
        [written_by(&[("tm_id", "t")], 5_000, 1.0), written_by(&[("tm_id", "link")], 5_000, 1.0)].concat();
    assert!(assembler().assemble(twice, NOW_MS, None).is_ok());
}
