//! What an epoch costs over a large job, without what it costs to ask Flink: one snapshot of the epoch's samples, the decision
//! by each policy, and the line of the journal. CPU time, not elapsed time, because the machine may be busy with other things;
//! medians over the rounds.
//!
//! `cargo bench -p rescaler --bench epoch`; `--rounds N` for other than 21.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints its table and fails loudly"
)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use control::{Effect, Record};
use nix::time::{ClockId, clock_gettime};
use scaling::ds2::Ds2;
use scaling::latency::Latency;
use scaling::{Constraints, Job, LocalTime, Memory};
use telemetry::{
    Histogram, Incarnation, Input, Kinds, LatencyMetric, Sample, Subtask, SummarySettings, TaskManager,
    Vertex, summarise,
};

const OPERATORS: u32 = 100;
const SUBTASKS: u32 = 32;
/// The default epoch: 120 s, a sample every 2 s.
const SAMPLES: u32 = 60;
const INTERVAL_MS: i64 = 2_000;
const ROUNDS: usize = 21;

/// CPU time of this process, in milliseconds.
fn cpu_ms() -> f64 {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap();
    time.tv_sec() as f64 * 1e3 + time.tv_nsec() as f64 / 1e6
}

/// A subtask with everything that this project's jobs report.
fn subtask(seconds: f64) -> Subtask {
    let histogram = |mean: f64| Histogram { count: 100.0 * seconds, sum: 100.0 * seconds * mean };
    let histograms =
        [("latency", 800.0), ("waitingTime", 12.0)].map(|(name, mean)| (name.to_owned(), histogram(mean)));
    Subtask {
        records_in: Some(100.0 * seconds),
        records_out: Some(90.0 * seconds),
        busy_ms: Some(400.0 * seconds),
        idle_ms: Some(500.0 * seconds),
        backpressured_ms: Some(100.0 * seconds),
        busy_ms_per_s: Some(400.0),
        idle_ms_per_s: Some(500.0),
        backpressured_ms_per_s: Some(100.0),
        watermark_lag_ms: Some(150.0),
        pending_records: Some(10.0),
        histograms: BTreeMap::from(histograms),
        maxima: BTreeMap::from([("latency".to_owned(), 2_000.0)]),
        ..Subtask::default()
    }
}

/// One sample of a chain of operators, the first of which is a source.
fn sample(number: u32) -> Sample {
    let at_ms = 1_700_000_000_000 + i64::from(number) * INTERVAL_MS;
    let seconds = 60.0 + f64::from(number) * INTERVAL_MS as f64 / 1e3;
    let vertex = |n: u32| Vertex {
        name: format!("q{n:02}-operator"),
        id: Some(format!("{n:032x}")),
        parallelism: SUBTASKS,
        max_parallelism: 128,
        inputs: n
            .checked_sub(1)
            .map(|before| Input { from: format!("q{before:02}-operator"), ship_strategy: "HASH".to_owned() })
            .into_iter()
            .collect(),
        subtasks: (0..SUBTASKS).map(|_| subtask(seconds)).collect(),
        ..Vertex::default()
    };
    let task_manager = |n: u32| TaskManager {
        id: format!("tm-{n}"),
        cpu_load: Some(0.4),
        heap_used_bytes: Some(4e8),
        heap_max_bytes: Some(1e9),
        slots: Some(4),
        slots_free: Some(0),
        ..TaskManager::default()
    };
    Sample {
        at_ms,
        newest_ms: at_ms,
        running_ms: at_ms,
        incarnation: Incarnation { job_id: "j".to_owned(), running_since_ms: 0 },
        job: Job { name: "large".to_owned(), ..Job::default() },
        vertices: (0..OPERATORS).map(vertex).collect(),
        task_managers: (0..8).map(task_manager).collect(),
        state_size_bytes: Some(1e10),
        stored_size_bytes: None,
    }
}

fn main() {
    let rounds = std::env::args()
        .skip_while(|argument| argument != "--rounds")
        .nth(1)
        .map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let samples: Vec<Sample> = (0..SAMPLES).map(sample).collect();
    let settings = SummarySettings {
        warm_up: Duration::from_secs(10),
        latency_metric: LatencyMetric::OverallLatency,
        newest_age_max: Duration::from_secs(4),
        kinds: Kinds::default(),
        source: "flink-rest".to_owned(),
    };
    let (latency, ds2) = (Latency::default(), Ds2::default());
    let (constraints, mut memory) = (Constraints::default(), Memory::default());
    let now = LocalTime::utc(1_700_000_120_000);

    let names = ["snapshot of the samples", "decision by latency", "decision by ds2", "line of the journal"];
    let mut costs = vec![Vec::new(); names.len()];
    let mut line_bytes = 0;
    for _ in 0..rounds {
        let mut cost = Vec::new();
        let mut lap = cpu_ms();
        let mut next = || {
            let now = cpu_ms();
            cost.push(now - std::mem::replace(&mut lap, now));
        };
        let snapshot = summarise(black_box(&samples), 128, 1, &settings).unwrap();
        next();
        black_box(scaling::decide(&latency, &constraints, &mut memory, &snapshot, now));
        next();
        let decision = scaling::decide(&ds2, &constraints, &mut memory, &snapshot, now);
        next();
        assert!(snapshot.missing.is_empty(), "{:?}", snapshot.missing);
        let record = Record {
            epoch: 1,
            at: jiff::Timestamp::UNIX_EPOCH,
            job: "large".to_owned(),
            effect: Effect::Nothing,
            decision,
            snapshot: Some(snapshot),
            state: Arc::new(memory.clone()),
            imagined: false,
            restored: Vec::new(),
            outcome: None,
        };
        line_bytes = serde_json::to_vec(&record).unwrap().len();
        next();
        for (all, one) in costs.iter_mut().zip(cost) {
            all.push(one);
        }
    }
    println!(
        "{OPERATORS} operators of {SUBTASKS} subtasks, {SAMPLES} samples, CPU time in ms, median of {rounds} (least, most):"
    );
    let mut total = 0.0;
    for (name, cost) in names.iter().zip(&mut costs) {
        cost.sort_by(f64::total_cmp);
        let median = cost[cost.len() / 2];
        total += median;
        println!("  {name:<24} {median:7.2} ({:.2}, {:.2})", cost[0], cost[cost.len() - 1]);
    }
    println!("  {:<24} {total:7.2}", "together");
    println!("a line of the journal has {line_bytes} bytes");
}
