//! The journal of a job of 1,000 operators with 100 subtasks each, whose figures differ from subtask to subtask like measured ones.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::sync::Arc;

use control::{Effect, Record};
use decision_journal::Journal;
use jiff::Timestamp;
use journal::Bounds;
use scaling::ds2::Ds2;
use scaling::{
    Constraints, Edge, Job, Kind, LocalTime, Memory, Operator, Partitioning, Quality, Reading, SCHEMA,
    Snapshot, Subtask, TaskManager, decide,
};

const OPERATORS: u32 = 1_000;
const SUBTASKS: u32 = 100;
const BOUNDS: Bounds = Bounds { max_bytes: 64 << 20, keep: 3 };
/// What a line may have, in bytes.
const LINE_BYTES_MAX: usize = 1_000_000;
const NOW_MS: i64 = 1_700_000_000_000;
/// How far the figures of a subtask are from those of its operator, as a share.
const SPREAD: f64 = 0.1;

/// Numbers that look random and are the same in every run.
struct Noise(u64);

impl Noise {
    fn bits(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number from 0 to 1.
    fn share(&mut self) -> f64 {
        f64::from(u32::try_from(self.bits() >> 32).unwrap()) / f64::from(u32::MAX)
    }

    /// A number that differs from this one by up to this share.
    fn near(&mut self, value: f64, spread: f64) -> f64 {
        value * (1.0 + spread * (2.0 * self.share() - 1.0))
    }
}

/// A subtask as a summary of samples gives it for a job of this size.
fn subtask(noise: &mut Noise, records: f64, busy: f64, held: f64) -> Subtask {
    let records_in = noise.near(records, SPREAD).round();
    let busy = noise.near(busy, SPREAD);
    let held = noise.near(held, SPREAD);
    let mut subtask = Subtask {
        records_in: Some(records_in),
        records_out: Some(noise.near(records_in * 0.9, 0.01).round()),
        interval_ms: Some(118_000 + i64::try_from(noise.bits() % 4_000).unwrap()),
        busy_ratio: Some(busy),
        idle_ratio: Some(1.0 - busy - held),
        backpressured_ratio: Some(held),
        watermark_lag_ms: Some(noise.near(150.0, SPREAD).round()),
        ..Subtask::default()
    };
    subtask.reduce();
    subtask
}

fn operator(noise: &mut Noise, number: u32) -> Operator {
    let (rate, busy) = (noise.near(50_000.0, 0.02), noise.near(0.6, 0.2));
    let held = if noise.share() < 0.2 { noise.near(0.05, 0.5) } else { 0.0 };
    let before = number.checked_sub(1).map(|before| format!("stage-{before:04}-aggregate"));
    let edge = |from: &String| Edge { from: from.clone(), partitioning: Partitioning::Hash };
    let reading = Reading {
        from_ms: Some(NOW_MS - 120_000),
        at_ms: Some(NOW_MS),
        quality: Quality::Measured,
        except: [("input_rate_per_s".to_owned(), Quality::Derived)].into(),
    };
    Operator {
        name: format!("stage-{number:04}-aggregate"),
        kind: if number == 0 { Kind::Source } else { Kind::Continuous },
        vertex_id: Some(format!("{:016x}{:016x}", noise.bits(), noise.bits())),
        throughput_per_s: Some(rate),
        input_rate_per_s: Some(noise.near(rate, 0.01)),
        output_rate_per_s: Some(noise.near(rate, 0.01)),
        arrival_rate_per_s: (number == 0).then_some(rate),
        backlog_records: (number == 0).then_some(1_000.0),
        busy_ratio: Some(busy),
        idle_ratio: Some(1.0 - busy - held),
        backpressured_ratio: Some(held),
        watermark_lag_ms: Some(165.0),
        parallelism: SUBTASKS,
        max_parallelism: Some(128),
        edges: before.iter().map(edge).collect(),
        inputs: before.into_iter().collect(),
        subtasks: (0..SUBTASKS).map(|_| subtask(noise, rate * 1.2, busy, held)).collect(),
        reading: Some(reading),
        ..Operator::default()
    }
}

fn snapshot(epoch: u64) -> Snapshot {
    let mut noise = Noise(epoch);
    let task_manager = |noise: &mut Noise, number: u32| TaskManager {
        id: format!("10.0.0.{number}:6122-{:06x}", noise.bits() % 0xff_ffff),
        cpu_load: Some(noise.share()),
        heap_used_bytes: Some(noise.near(4e8, 0.5).round()),
        heap_max_bytes: Some(1e9),
        slots: Some(4),
        slots_free: Some(1),
        ..TaskManager::default()
    };
    Snapshot {
        schema: SCHEMA,
        at_ms: Some(NOW_MS),
        interval_ms: Some(120_000),
        job: Job { name: "large".to_owned(), parallelism: 1, max_parallelism: 128, ..Job::default() },
        operators: (0..OPERATORS).map(|number| operator(&mut noise, number)).collect(),
        task_managers: (0..100).map(|number| task_manager(&mut noise, number)).collect(),
        state_size_bytes: Some(1e12),
        ..Snapshot::default()
    }
}

/// A record with a decision of policy `ds2` on its snapshot.
fn record(epoch: u64, memory: &mut Memory) -> Record {
    let snapshot = snapshot(epoch);
    let decision =
        decide(&Ds2::default(), &Constraints::default(), memory, &snapshot, LocalTime::utc(NOW_MS));
    Record {
        epoch,
        at: Timestamp::from_millisecond(NOW_MS).unwrap(),
        job: "large".to_owned(),
        effect: Effect::Nothing,
        decision,
        snapshot: Some(snapshot),
        state: Arc::new(memory.clone()),
        imagined: false,
        restored: Vec::new(),
        outcome: None,
    }
}

/// Goal: a line of a job of 1,000 operators with 100 subtasks has less than a megabyte, nothing of it is lost, and a replay of it decides the
/// same; a journal of long lines of version 0.2.0 is continued, and both forms are read.
#[test]
fn a_line_of_a_large_job_is_short_and_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions.jsonl");
    let mut memory = Memory::default();
    let records = [1, 2].map(|epoch| record(epoch, &mut memory));
    assert_eq!(records[0].decision.operators.len(), OPERATORS as usize, "{:?}", records[0].decision.reasons);
    let plain = serde_json::to_string(&records[0]).unwrap();
    std::fs::write(&path, format!("{plain}\n")).unwrap();
    let (mut journal, resumed) = Journal::open(&path, BOUNDS).unwrap();
    assert_eq!((resumed.epoch, &resumed.memory), (1, &records[0].state));
    journal.append(&records[1]).unwrap();
    drop(journal);

    let text = std::fs::read_to_string(&path).unwrap();
    let packed = text.lines().nth(1).unwrap();
    println!("{} bytes packed, {} bytes as plain JSON", packed.len(), plain.len());
    assert!(packed.len() < LINE_BYTES_MAX, "{} bytes; the plain line has {}", packed.len(), plain.len());
    assert!(packed.starts_with(r#"{"epoch":2,"at":"2023-11-14T22:13:20Z","job":"large","gzip":""#));
    assert_eq!(decision_journal::read(&path).unwrap(), records);
    assert_eq!(decision_journal::record(packed.as_bytes()).unwrap(), records[1]);

    let (_, resumed) = Journal::open(&path, BOUNDS).unwrap();
    assert_eq!((resumed.epoch, &resumed.memory), (2, &records[1].state));
    let mut memory = Memory::default();
    for record in decision_journal::read(&path).unwrap() {
        let (ds2, constraints) = (Ds2::default(), Constraints::default());
        let again =
            decide(&ds2, &constraints, &mut memory, &record.snapshot.unwrap(), LocalTime::utc(NOW_MS));
        assert_eq!(again, record.decision);
    }
}

/// Goal: a reader of all records at once gets the subtasks of the newest only, and a packed line that a crash tore does not hide the others.
#[test]
fn older_records_lose_their_subtasks_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions.jsonl");
    let (mut journal, _) = Journal::open(&path, BOUNDS).unwrap();
    let mut memory = Memory::default();
    for epoch in 1..=3 {
        journal.append(&record(epoch, &mut memory)).unwrap();
    }
    drop(journal);
    let whole = decision_journal::read(&path).unwrap();
    let found = decision_journal::read_with_newest_subtasks(&path).unwrap();
    let subtasks = |record: &Record| record.snapshot.as_ref().unwrap().operators[0].subtasks.len();
    assert_eq!(found.iter().map(subtasks).collect::<Vec<_>>(), [0, 100, 100]);
    assert_eq!((&found[1..], &found[0].decision), (&whole[1..], &whole[0].decision));

    let line =
        std::fs::read_to_string(&path).unwrap().lines().last().unwrap().replace("\"epoch\":3", "\"epoch\":4");
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(&line.as_bytes()[..line.len() / 2]).unwrap();
    assert_eq!(decision_journal::read(&path).unwrap(), whole);
    assert_eq!(Journal::open(&path, BOUNDS).unwrap().1.epoch, 3);
}
