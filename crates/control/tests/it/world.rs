//! A simulated job with known true rates, an agent that applies or rejects every document at once, and the test's
//! clock.

use std::time::Duration;

use control::{
    ControlLoop, Current, DocumentStatus, LoopOptions, NextAction, OperatorNames, PutOutcome, Readiness,
    Record, ResumedState, Switches,
};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use job_config::{ChangeState, JobDocument, Report};
use scaling::limits::Bounds;
use scaling::{
    Constraints, Edge, Job, Kind, Operator, Partitioning, Policy, Query, SCHEMA, Snapshot, Subtask,
};

/// The agent's reaction to the next documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AgentBehaviour {
    /// Applies them immediately.
    Applies,
    /// Rolls them back.
    RollsBack,
}

/// The drop's reaction to the next documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DropBehaviour {
    /// Stores them.
    Stores,
    /// Rejects them, because another publisher was first.
    Refuses,
    /// Stores them, but the response is lost.
    StoresAndIsSilent,
    /// Neither stores them nor responds.
    IsSilent,
}

/// A limit that a scale-up cannot overcome.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Limit {
    /// None: capacity grows with the subtasks.
    Nothing,
    /// An external system accepts this many records per second in total; waiting for it counts as busy.
    External(f64),
    /// One key has this share of all records.
    HotKey(f64),
    /// Every subtask gets every record.
    Broadcast,
    /// One subtask gets all records.
    Global,
    /// The host runs this many subtasks at full speed; more of them run slower.
    Host(u32),
}

/// Every kind of limit, with the words that must name it.
pub(crate) const LIMITS: [(Limit, &str); 6] = [
    (Limit::External(1000.0), "outside the job"),
    (Limit::HotKey(0.5), "subtask 0 gets"),
    (Limit::HotKey(0.2), "subtask 0 gets"),
    (Limit::Broadcast, "broadcast"),
    (Limit::Global, "one subtask"),
    (Limit::Host(4), "outside the job"),
];

/// A job of a source and a map under the control loop.
pub(crate) struct World {
    pub(crate) control: ControlLoop,
    pub(crate) agent: AgentBehaviour,
    pub(crate) drop: DropBehaviour,
    pub(crate) switches: Switches,
    pub(crate) now: Timestamp,
    /// Arriving records per second; the records per second of one subtask of the map follow.
    pub(crate) arrival_per_s: f64,
    pub(crate) subtask_per_s: f64,
    pub(crate) backlog: f64,
    pub(crate) limit: Limit,
    /// Whether the source reports its backlog.
    pub(crate) counts_backlog: bool,
    /// Whether the job reports latency histograms and the map's input rate.
    pub(crate) tells_latency: bool,
    pub(crate) records: Vec<Record>,
    pub(crate) history: Vec<JobDocument>,
    pub(crate) reports: Vec<Report>,
    running: JobDocument,
    running_since: Timestamp,
}

pub(crate) const OPERATOR: &str = "map";

fn document(widths: &[(&str, u32)]) -> JobDocument {
    let operators: String = widths.iter().map(|(name, width)| format!("{name} = {width}\n")).collect();
    JobDocument::parse(&format!(
        "format = 1\njob = \"played\"\ngeneration = 1\nissued_at = \"2026-01-01T00:00:00Z\"\nreason = \"first\"\n\
         restart_mode = \"in-place\"\n[parallelism]\ndefault = 1\nmax = 128\n[parallelism.operators]\n{operators}\
         [sink]\ntopic = \"results\"\n"
    ))
    .unwrap()
}

impl World {
    /// A job whose map has this parallelism and has been running for long.
    pub(crate) fn new(parallelism: u32, arrival_per_s: f64, subtask_per_s: f64) -> Self {
        Self::of(&[(OPERATOR, parallelism)], arrival_per_s, subtask_per_s)
    }

    /// A job whose operators have this parallelism and have been running for long.
    pub(crate) fn of(widths: &[(&str, u32)], arrival_per_s: f64, subtask_per_s: f64) -> Self {
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        let mut world = Self {
            control: loop_from(ResumedState::default()),
            agent: AgentBehaviour::Applies,
            drop: DropBehaviour::Stores,
            switches: Switches::default(),
            now,
            arrival_per_s,
            subtask_per_s,
            backlog: 0.0,
            limit: Limit::Nothing,
            counts_backlog: true,
            tells_latency: false,
            records: Vec::new(),
            history: Vec::new(),
            reports: Vec::new(),
            running: document(widths),
            running_since: now - SignedDuration::from_hours(10),
        };
        world.store(document(widths));
        world
    }

    /// The parallelism of the map.
    pub(crate) fn width(&self) -> u32 {
        self.width_of(OPERATOR)
    }

    /// The parallelism of an operator.
    pub(crate) fn width_of(&self, name: &str) -> u32 {
        self.running.parallelism().of(name)
    }

    /// Start of the current execution, in milliseconds since the Unix epoch.
    pub(crate) fn running_since_ms(&self) -> i64 {
        self.running_since.as_millisecond()
    }

    /// Starts the rescaler with bounds for the map.
    pub(crate) fn bound(&mut self, bounds: Bounds) {
        let mut constraints = Constraints::default();
        constraints.limits.operators.insert(OPERATOR.to_owned(), bounds);
        let options = LoopOptions { constraints, ..options() };
        self.control = ControlLoop::new(options, OperatorNames::default(), ResumedState::default());
    }

    /// Restarts the rescaler from its journal.
    pub(crate) fn restart(&mut self, resumed: ResumedState) {
        self.control = loop_from(resumed);
    }

    /// The current document at the drop.
    pub(crate) fn newest(&self) -> Current {
        let document = self.history.last().unwrap().clone();
        Current { entity_tag: document.entity_tag(), document }
    }

    /// Stores a document at the drop and lets the agent apply it.
    pub(crate) fn store(&mut self, document: JobDocument) {
        let generation = document.generation();
        let applied = self.agent == AgentBehaviour::Applies || generation == 1;
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
            state: if applied { ChangeState::Running } else { ChangeState::RolledBack },
            flink_job_id: None,
            savepoint: None,
            message: Some("played".to_owned()),
            previous_state_ms: Some(1000),
            running_generation: Some(self.running.generation()),
            observed: None,
        });
    }

    /// Runs one epoch of this length under the policy; returns the resulting parallelism.
    pub(crate) fn epoch(&mut self, policy: &dyn Policy, length_s: i64) -> u32 {
        let snapshot = self.pass(length_s);
        self.decide(policy, snapshot)
    }

    /// Runs one epoch of this length in which nothing can be published, because a change is under way.
    pub(crate) fn wait(&mut self, policy: &dyn Policy, length_s: i64) {
        let (reason, snapshot) = ("a change is under way".to_owned(), Some(self.pass(length_s)));
        let readiness = Readiness::NotYet { reason, snapshot };
        match self.control.epoch(policy, readiness, self.switches, self.now) {
            NextAction::Record(record) => self.records.push(record),
            NextAction::Publish { .. } => unreachable!("nothing follows a document that is not running"),
        }
    }

    /// Runs one epoch of this length under a policy made for its snapshot; returns the resulting parallelism.
    pub(crate) fn epoch_by(&mut self, policy: impl Fn(&Snapshot) -> Box<dyn Policy>, length_s: i64) -> u32 {
        let snapshot = self.pass(length_s);
        self.decide(&*policy(&snapshot), snapshot)
    }

    /// Decides an epoch with this snapshot; returns the resulting parallelism.
    pub(crate) fn decide(&mut self, policy: &dyn Policy, snapshot: Snapshot) -> u32 {
        let newest = self.newest();
        let _ = self.control.confirm(policy, newest.document.generation(), &newest.entity_tag, self.now);
        let _ = self.control.note_reports(policy, &self.reports, self.now);
        let readiness = self.readiness(newest, snapshot);
        match self.control.epoch(policy, readiness, self.switches, self.now) {
            NextAction::Record(record) => self.records.push(record),
            NextAction::Publish { record, document, replaces } => {
                assert_eq!(replaces, self.newest().entity_tag);
                self.records.push(record);
                let end = match self.drop {
                    DropBehaviour::Stores => PutOutcome::Stored,
                    DropBehaviour::Refuses => PutOutcome::Refused("superseded".to_owned()),
                    DropBehaviour::StoresAndIsSilent | DropBehaviour::IsSilent => {
                        PutOutcome::Unknown("no answer".to_owned())
                    }
                };
                if matches!(self.drop, DropBehaviour::Stores | DropBehaviour::StoresAndIsSilent) {
                    self.store(document);
                }
                let _ = self.control.put_ended(policy, end, self.now);
            }
        }
        self.width()
    }

    fn readiness(&self, newest: Current, snapshot: Snapshot) -> Readiness {
        match control::status(newest, Some(&self.reports), self.now) {
            DocumentStatus::Runs(running) => Readiness::Ready { running, snapshot },
            DocumentStatus::NotYet(reason) | DocumentStatus::ByHand(reason) => {
                Readiness::NotYet { reason, snapshot: Some(snapshot) }
            }
            DocumentStatus::Earlier(earlier) => {
                let found =
                    self.history.iter().find(|document| document.generation() == earlier.generation());
                let running = earlier.found(found.cloned()).unwrap();
                Readiness::Ready { running, snapshot }
            }
        }
    }

    /// Source records per second that the map sustains at this parallelism.
    pub(crate) fn carried_per_s(&self, width: u32) -> f64 {
        let p = f64::from(width);
        match self.limit {
            Limit::Nothing => self.subtask_per_s * p,
            Limit::External(limit) => (self.subtask_per_s * p).min(limit),
            Limit::HotKey(share) => self.subtask_per_s / (share + (1.0 - share) / p),
            Limit::Broadcast | Limit::Global => self.subtask_per_s,
            Limit::Host(cores) => self.subtask_per_s * p.min(f64::from(cores)),
        }
    }

    /// The share of the records that each subtask of the map gets.
    fn shares(&self) -> Vec<f64> {
        let p = f64::from(self.width());
        let of = |index: u32| match self.limit {
            Limit::HotKey(share) if index == 0 => share + (1.0 - share) / p,
            Limit::HotKey(share) => (1.0 - share) / p,
            Limit::Broadcast => 1.0,
            Limit::Global => f64::from(u32::from(index == 0)),
            Limit::Nothing | Limit::External(_) | Limit::Host(_) => 1.0 / p,
        };
        (0..self.width()).map(of).collect()
    }

    /// Simulates time and returns the metrics.
    fn pass(&mut self, length_s: i64) -> Snapshot {
        self.now += SignedDuration::from_secs(length_s);
        #[expect(clippy::cast_precision_loss, reason = "seconds of an epoch")]
        let length = length_s as f64;
        let carried = self.carried_per_s(self.width());
        let asked = self.arrival_per_s + self.backlog / length;
        let rate = asked.min(carried);
        self.backlog = ((asked - rate) * length).max(0.0);
        let held = if asked > carried { 1.0 - 0.1 * rate / asked } else { 0.0 };
        let mut source = operator("source", Kind::Source, 1, rate);
        source.busy_ratio = Some(0.1);
        source.backpressured_ratio = Some(held.min(0.9));
        source.max_parallelism = Some(1);
        if self.counts_backlog {
            source.arrival_rate_per_s = Some(self.arrival_per_s);
            source.backlog_records = Some(self.backlog);
        }
        let mut map = self.map(rate, carried, length);
        let mut queries = Vec::new();
        if self.tells_latency {
            let latency_ms = Some(20.0 + 1000.0 * self.backlog / carried);
            map.latency_ms = latency_ms;
            map.input_rate_per_s = Some(self.arrival_per_s);
            queries.push(Query { name: "q".to_owned(), overall_latency_ms: latency_ms, ..Query::default() });
        }
        Snapshot {
            schema: SCHEMA,
            at_ms: Some(self.now.as_millisecond()),
            interval_ms: Some(length_s * 1000),
            job: Job {
                name: "played".to_owned(),
                parallelism: 1,
                max_parallelism: 128,
                running_since_ms: Some(self.running_since.as_millisecond()),
                ..Job::default()
            },
            operators: vec![source, map],
            queries,
            ..Snapshot::default()
        }
    }

    fn map(&self, rate: f64, carried: f64, length: f64) -> Operator {
        let shares = self.shares();
        let fullest = shares.iter().copied().fold(0.0, f64::max);
        // With a shared limit all subtasks wait for it; otherwise each is busy in proportion to its share.
        let busy = |share: f64| match self.limit {
            Limit::External(limit) if rate >= limit => 1.0,
            _ => (rate / carried * share / fullest).min(1.0),
        };
        let subtask = |share: &f64| Subtask {
            records_in: Some((rate * share * length).round()),
            busy_ratio: Some(busy(*share)),
            ..Subtask::default()
        };
        let partitioning = match self.limit {
            Limit::Broadcast => Partitioning::Broadcast,
            Limit::Global => Partitioning::Global,
            Limit::HotKey(_) => Partitioning::Hash,
            Limit::Nothing | Limit::External(_) | Limit::Host(_) => Partitioning::Rebalance,
        };
        Operator {
            backpressured_ratio: Some(0.0),
            inputs: vec!["source".to_owned()],
            edges: vec![Edge { from: "source".to_owned(), partitioning }],
            subtasks: shares.iter().map(subtask).collect(),
            ..operator(OPERATOR, Kind::Continuous, self.width(), rate * shares.iter().sum::<f64>())
        }
    }

    /// The epochs (from 1) with a publication, and the planned parallelism.
    pub(crate) fn plans(&self) -> Vec<(u64, u32)> {
        let planned = |record: &Record| {
            record.effect.generation()?;
            Some((record.epoch, *record.decision.parallelism.get(OPERATOR)?))
        };
        self.records.iter().filter_map(planned).collect()
    }
}

fn operator(name: &str, kind: Kind, parallelism: u32, rate_per_s: f64) -> Operator {
    Operator {
        name: name.to_owned(),
        kind,
        parallelism,
        throughput_per_s: Some(rate_per_s),
        output_rate_per_s: Some(rate_per_s),
        ..Operator::default()
    }
}

fn options() -> LoopOptions {
    LoopOptions {
        job: "played".to_owned(),
        constraints: Constraints::default(),
        document_ttl: Duration::from_secs(600),
        applied_within: Duration::from_secs(1_800),
        time_zone: TimeZone::UTC,
        restore: None,
    }
}

fn loop_from(resumed: ResumedState) -> ControlLoop {
    ControlLoop::new(options(), OperatorNames::default(), resumed)
}
