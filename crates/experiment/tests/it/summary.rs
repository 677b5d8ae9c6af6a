//! Summaries of hand-written series.

use experiment::{Column, DecisionLine, JobState, ProducerTotals, Row, Summary, SummarySettings, summarise};

const SETTINGS: SummarySettings = SummarySettings {
    duration_s: 14.0,
    warm_up_s: 4.0,
    latency_max_ms: 1000.0,
    schedule_delay_max_ms: 250.0,
    ack_delay_max_ms: None,
    others_cpu_max_cores: None,
};

fn row(at_s: u32) -> Row {
    Row { at_s: f64::from(at_s), job: JobState::Running, ..Row::default() }
}

/// One row per second, all equal, with this latency.
fn steady(latency_ms: f64) -> Vec<Row> {
    let row = |at_s| {
        row(at_s)
            .with(Column::EventLatencyMeanMs, latency_ms)
            .with(Column::EventLatencyP50Ms, latency_ms)
            .with(Column::EventLatencyP99Ms, 2.0 * latency_ms)
            .with(Column::SlotsUsed, 3.0)
            .with(Column::BacklogRecords, f64::from(at_s))
            .with(Column::ScheduleDelayP99Ms, 2.0)
    };
    (0..14).map(row).collect()
}

fn totals(delay_p99_us: u64, failed: u64) -> ProducerTotals {
    serde_json::from_value(serde_json::json!({
        "due": 1000, "emitted": 1000, "acked": 1000 - failed, "failed": failed, "bytes": 1,
        "schedule_delay_us": {"p50": 100, "p99": delay_p99_us, "max": 900_000},
        "ack_latency_from_intended_us": {"p50": 5_000, "p99": 9_000, "max": 950_000},
    }))
    .unwrap()
}

fn summary(rows: &[Row]) -> Summary {
    summarise(rows, &[], Some(&totals(2_000, 0)), &SETTINGS)
}

/// Goal: a quiet run is evaluated from the end of its warm-up to the end of its load, and is valid.
#[test]
fn a_quiet_run_counts_from_its_warm_up_on() {
    let mut rows = steady(350.0);
    rows[2].set(Column::EventLatencyMeanMs, Some(9_999.0));
    let summary = summary(&rows);
    assert_eq!((summary.observed_s, summary.unobserved_s, summary.latency_known_s), (10.0, 0.0, 10.0));
    assert_eq!((summary.over_bound_share, summary.over_bound_or_down_share), (Some(0.0), Some(0.0)));
    assert_eq!((summary.event_latency_p50_ms, summary.event_latency_p99_ms), (Some(350.0), Some(700.0)));
    assert_eq!((summary.slot_seconds, summary.backlog_max_records), (Some(30.0), Some(13.0)));
    assert_eq!((summary.rescales, summary.downtime_s), (0, 0.0));
    assert_eq!((summary.due_records, summary.schedule_delay_p99_ms), (Some(1000.0), Some(2.0)));
    assert!(summary.is_valid, "{:?}", summary.problems);
}

/// Goal: unknown values are absent, not 0, and a run without a latency is invalid.
#[test]
fn unknown_stays_unknown() {
    let rows: Vec<Row> = (0..14).map(row).collect();
    let summary = summarise(&rows, &[], None, &SETTINGS);
    assert_eq!((summary.over_bound_share, summary.event_latency_p50_ms), (None, None));
    assert_eq!((summary.slot_seconds, summary.backlog_max_records, summary.due_records), (None, None, None));
    assert!(!summary.is_valid && summary.problems.len() == 2, "{:?}", summary.problems);
    let json = serde_json::to_value(&summary).unwrap();
    assert!(json["slot_seconds"].is_null(), "{json}");
}

/// Goal: a restart is downtime; seconds without a latency count as exceeding the bound only if the job was down;
/// slots not in use cost nothing.
#[test]
fn a_restart_is_downtime() {
    let mut rows = steady(350.0);
    for (index, row) in rows.iter_mut().enumerate().skip(6).take(3) {
        *row = Row { at_s: row.at_s, job: JobState::Down, ..Row::default() }.with(Column::SlotsUsed, 0.0);
        assert!(index < 9);
    }
    // Running again, with a high latency.
    rows[9].set(Column::EventLatencyMeanMs, Some(4_000.0));
    // Running, but no result in this second.
    rows[11].set(Column::EventLatencyMeanMs, None);
    let summary = summary(&rows);
    assert_eq!((summary.downtime_s, summary.latency_known_s), (3.0, 6.0));
    assert_eq!(summary.over_bound_share, Some(1.0 / 6.0));
    // 1 s over the bound and 3 s down, out of 6 s with a latency and those 3 s.
    assert_eq!(summary.over_bound_or_down_share, Some(4.0 / 9.0));
    assert_eq!(summary.slot_seconds, Some(21.0));
}

/// Goal: a row stands for at most three seconds; a longer gap is reported as unobserved, costs nothing, and
/// invalidates the run.
#[test]
fn gaps_are_not_made_up() {
    let mut rows = steady(350.0);
    rows.drain(6..12);
    let summary = summary(&rows);
    // Rows at 4, 5 (which stands for 5 to 8), 12 and 13.
    assert_eq!((summary.observed_s, summary.unobserved_s), (6.0, 4.0));
    assert!(summary.problems.iter().any(|problem| problem.contains("only 6 s of 10 s")), "{summary:?}");
    assert!(!summary.is_valid);
}

/// Goal: an interrupted run reports how much is missing; an empty one is computed without failure.
#[test]
fn partial_runs_are_told() {
    let cut = summary(&steady(350.0)[..8]);
    assert_eq!((cut.observed_s, cut.unobserved_s), (6.0, 4.0));
    let empty = summary(&[]);
    assert_eq!((empty.observed_s, empty.over_bound_or_down_share), (0.0, None));
    assert!(!empty.is_valid);
}

/// Goal: percentiles are weighted by time, not by rows.
#[test]
fn percentiles_are_of_time() {
    let at = |at_s, ms| row(at_s).with(Column::EventLatencyP50Ms, ms).with(Column::EventLatencyP99Ms, ms);
    // 1 s at 10, 3 s at 20, 1 s at 30, 1 s at 40, and so on to 14 s.
    let rows: Vec<Row> =
        [(4, 10.0), (5, 20.0), (8, 30.0), (9, 40.0), (10, 50.0), (11, 60.0), (12, 70.0), (13, 80.0)]
            .map(|(at_s, ms)| at(at_s, ms))
            .to_vec();
    let summary = summary(&rows);
    assert_eq!((summary.event_latency_p50_ms, summary.event_latency_p99_ms), (Some(30.0), Some(80.0)));
}

/// Goal: only published changes are rescales; one without a known end is counted separately.
#[test]
fn decisions_are_counted() {
    let decision = |effect: &str, result: &str| DecisionLine {
        effect: effect.to_owned(),
        result: result.to_owned(),
        ..DecisionLine::default()
    };
    let decisions = [
        decision("nothing", ""),
        decision("published", "running"),
        decision("published", "rolled-back"),
        decision("published", ""),
        decision("not-published", ""),
        decision("dry-run", ""),
    ];
    let summary = summarise(&steady(350.0), &decisions, None, &SETTINGS);
    assert_eq!((summary.rescales, summary.rescales_not_done), (1, 2));
}

/// Goal: a run whose producer fell behind, or lost events, is flagged, with or without its own totals.
#[test]
fn a_late_producer_spoils_the_run() {
    let late = summarise(&steady(350.0), &[], Some(&totals(251_000, 0)), &SETTINGS);
    assert!(!late.is_valid && late.problems[0].contains("fell behind"), "{:?}", late.problems);
    let lossy = summarise(&steady(350.0), &[], Some(&totals(1_000, 3)), &SETTINGS);
    assert!(!lossy.is_valid && lossy.problems[0].contains("3 events"), "{:?}", lossy.problems);
    let mut rows = steady(350.0);
    rows[9].set(Column::ScheduleDelayP99Ms, Some(400.0));
    assert!(
        !summarise(&rows, &[], None, &SETTINGS).is_valid,
        "the worst second counts where there are no totals"
    );
}

/// Goal: late acknowledgements by Kafka, or a busy machine, invalidate a run that is checked for them, and only such
/// a run.
#[test]
fn a_disturbed_run_is_told() {
    let mut rows = steady(350.0);
    rows.iter_mut().for_each(|row| row.set(Column::OthersCpuCores, Some(0.5)));
    let judged = |ack_delay_max_ms, others_cpu_max_cores| {
        let settings = SummarySettings { ack_delay_max_ms, others_cpu_max_cores, ..SETTINGS };
        summarise(&rows, &[], Some(&totals(2_000, 0)), &settings).problems
    };
    assert_eq!(judged(None, None), [""; 0]);
    assert_eq!(judged(Some(9.0), Some(0.5)), [""; 0]);
    let problems = judged(Some(8.0), Some(0.25));
    assert!(problems[0].contains("acknowledged late: 9 ms"), "{problems:?}");
    assert!(problems[1].contains("0.5 cores, 0.25 are allowed"), "{problems:?}");
    let quiet = steady(350.0);
    let settings = SummarySettings { others_cpu_max_cores: Some(0.25), ..SETTINGS };
    let unknown = summarise(&quiet, &[], Some(&totals(2_000, 0)), &settings).problems;
    assert!(unknown[0].contains("unknown whether"), "{unknown:?}");
}

/// Goal: the times over the bound and without a job are reported in seconds as well.
#[test]
fn violations_are_told_in_seconds() {
    let mut rows = steady(350.0);
    rows[6] = Row { at_s: 6.0, job: JobState::Down, ..Row::default() };
    rows[7].set(Column::EventLatencyMeanMs, Some(4_000.0));
    assert_eq!(summary(&rows).violation_or_down_s, Some(2.0));
    assert_eq!(summary(&[]).violation_or_down_s, None);
}
