//! A played job: its true rates are known, its agent applies every document at once or refuses it, and its clock is the test's.

use std::collections::BTreeMap;
use std::time::Duration;

use control::{
    ControlLoop, Current, Deciding, DocumentStatus, LoopOptions, OperatorNames, PutEnd, Record, Resumed,
    Step, Switches,
};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use job_config::{JobDocument, Report, State};
use scaling::{Constraints, Edge, Job, Kind, Operator, Partitioning, Policy, SCHEMA, Snapshot};

/// What the agent does with the next documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Agent {
    /// Applies them at once.
    Applies,
    /// Rolls them back.
    RollsBack,
}

/// What the drop does with the next documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drop {
    /// Stores them.
    Stores,
    /// Has another publisher's document meanwhile.
    Refuses,
    /// Stores them, and the answer is lost.
    StoresAndIsSilent,
    /// Neither stores them nor answers.
    IsSilent,
}

/// A source and a map behind it, as one job under the control loop.
pub(crate) struct World {
    pub(crate) control: ControlLoop,
    pub(crate) agent: Agent,
    pub(crate) drop: Drop,
    pub(crate) now: Timestamp,
    /// Records a second that arrive, and that one subtask of the map can take.
    pub(crate) arrival_per_s: f64,
    pub(crate) subtask_per_s: f64,
    pub(crate) backlog: f64,
    pub(crate) records: Vec<Record>,
    pub(crate) history: Vec<JobDocument>,
    pub(crate) reports: Vec<Report>,
    running: JobDocument,
    running_since: Timestamp,
}

pub(crate) const OPERATOR: &str = "map";

fn document(parallelism: u32) -> JobDocument {
    JobDocument::parse(&format!(
        "format = 1\njob = \"played\"\ngeneration = 1\nissued_at = \"2026-01-01T00:00:00Z\"\nreason = \"first\"\n\
         restart_mode = \"in-place\"\n[parallelism]\ndefault = 1\nmax = 128\n[parallelism.operators]\nmap = {parallelism}\n\
         [sink]\ntopic = \"results\"\n"
    ))
    .unwrap()
}

impl World {
    /// A job whose map has this parallelism and runs since long ago.
    pub(crate) fn new(parallelism: u32, arrival_per_s: f64, subtask_per_s: f64) -> Self {
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        let mut world = Self {
            control: loop_from(Resumed::default()),
            agent: Agent::Applies,
            drop: Drop::Stores,
            now,
            arrival_per_s,
            subtask_per_s,
            backlog: 0.0,
            records: Vec::new(),
            history: Vec::new(),
            reports: Vec::new(),
            running: document(parallelism),
            running_since: now - SignedDuration::from_hours(10),
        };
        world.store(document(parallelism));
        world
    }

    /// The parallelism of the map.
    pub(crate) fn width(&self) -> u32 {
        self.running.parallelism().of(OPERATOR)
    }

    /// Stops the rescaler and starts it again with what its journal holds.
    pub(crate) fn restart(&mut self, resumed: Resumed) {
        self.control = loop_from(resumed);
    }

    /// The document that is current at the drop.
    pub(crate) fn newest(&self) -> Current {
        let document = self.history.last().unwrap().clone();
        Current { entity_tag: document.entity_tag(), document }
    }

    /// Takes a document up at the drop, and has the agent apply it.
    pub(crate) fn store(&mut self, document: JobDocument) {
        let generation = document.generation();
        let applied = self.agent == Agent::Applies || generation == 1;
        if applied {
            self.running = document.clone();
            if generation > 1 {
                self.running_since = self.now;
            }
        }
        self.history.push(document);
        self.reports.push(Report {
            generation,
            sequence: 2,
            at: self.now,
            state: if applied { State::Running } else { State::RolledBack },
            flink_job_id: None,
            savepoint: None,
            message: Some("played".to_owned()),
            previous_state_ms: Some(1000),
            running_generation: Some(self.running.generation()),
            observed: None,
        });
    }

    /// One epoch of this length under the policy; returns the width after it.
    pub(crate) fn epoch(&mut self, policy: &dyn Policy, length_s: i64) -> u32 {
        let snapshot = self.pass(length_s);
        let newest = self.newest();
        let _ = self.control.confirm(policy, newest.document.generation(), &newest.entity_tag, self.now);
        let _ = self.control.note_reports(policy, &self.reports, self.now);
        let deciding = self.deciding(newest, snapshot);
        match self.control.epoch(policy, deciding, Switches::default(), self.now) {
            Step::Record(record) => self.records.push(record),
            Step::Publish { record, document, replaces } => {
                assert_eq!(replaces, self.newest().entity_tag);
                self.records.push(record);
                let end = match self.drop {
                    Drop::Stores => PutEnd::Stored,
                    Drop::Refuses => PutEnd::Refused("superseded".to_owned()),
                    Drop::StoresAndIsSilent | Drop::IsSilent => PutEnd::Unknown("no answer".to_owned()),
                };
                if matches!(self.drop, Drop::Stores | Drop::StoresAndIsSilent) {
                    self.store(document);
                }
                let _ = self.control.put_ended(policy, end, self.now);
            }
        }
        self.width()
    }

    fn deciding(&self, newest: Current, snapshot: Snapshot) -> Deciding {
        match control::status(newest, Some(&self.reports), self.now) {
            DocumentStatus::Runs(running) => Deciding::Ready { running, snapshot },
            DocumentStatus::NotYet(reason) => Deciding::NotYet { reason, snapshot: Some(snapshot) },
            DocumentStatus::Earlier(earlier) => {
                let found =
                    self.history.iter().find(|document| document.generation() == earlier.generation());
                let running = earlier.found(found.cloned()).unwrap();
                Deciding::Ready { running, snapshot }
            }
        }
    }

    /// Lets time pass, and returns what the metrics show of it.
    fn pass(&mut self, length_s: i64) -> Snapshot {
        self.now += SignedDuration::from_secs(length_s);
        #[expect(clippy::cast_precision_loss, reason = "seconds of an epoch")]
        let length = length_s as f64;
        let carried = self.subtask_per_s * f64::from(self.width());
        let asked = self.arrival_per_s + self.backlog / length;
        let rate = asked.min(carried);
        self.backlog = ((asked - rate) * length).max(0.0);
        let operator = |name: &str, kind, parallelism: u32, busy: f64, held: f64| Operator {
            name: name.to_owned(),
            kind,
            parallelism,
            throughput_per_s: Some(rate),
            output_rate_per_s: Some(rate),
            busy_ratio: Some(busy),
            backpressured_ratio: Some(held),
            ..Operator::default()
        };
        let mut source = operator("source", Kind::Source, 1, 0.1, if asked > carried { 0.9 } else { 0.0 });
        source.arrival_rate_per_s = Some(self.arrival_per_s);
        source.backlog_records = Some(self.backlog);
        source.max_parallelism = Some(1);
        let mut map = operator(OPERATOR, Kind::Continuous, self.width(), rate / carried, 0.0);
        map.inputs = vec!["source".to_owned()];
        map.edges = vec![Edge { from: "source".to_owned(), partitioning: Partitioning::Rebalance }];
        Snapshot {
            schema: SCHEMA,
            at_ms: Some(self.now.as_millisecond()),
            job: Job {
                name: "played".to_owned(),
                parallelism: 1,
                max_parallelism: 128,
                running_since_ms: Some(self.running_since.as_millisecond()),
                ..Job::default()
            },
            operators: vec![source, map],
            ..Snapshot::default()
        }
    }

    /// The epochs (from 1) in which a document was about to be published, with the planned width.
    pub(crate) fn plans(&self) -> Vec<(u64, u32)> {
        let planned = |record: &Record| {
            record.effect.generation()?;
            Some((record.epoch, *record.decision.parallelism.get(OPERATOR)?))
        };
        self.records.iter().filter_map(planned).collect()
    }
}

fn loop_from(resumed: Resumed) -> ControlLoop {
    let options = LoopOptions {
        job: "played".to_owned(),
        constraints: Constraints::default(),
        document_ttl: Duration::from_secs(600),
        time_zone: TimeZone::UTC,
    };
    ControlLoop::new(options, OperatorNames::new(BTreeMap::new()), resumed)
}
