//! A job that was rescaled by hand is put back: when two epochs in a row have seen it, and as often as configured.

use std::collections::BTreeMap;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use control::{
    ControlLoop, Current, Environment, FollowUp, LoopOptions, OperatorNames, PutOutcome, Record,
    RestoreLimits, ResumedState, Switches,
};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use job_config::{EntityTag, JobDocument, Report};
use scaling::ds2::Ds2;
use scaling::{Constraints, Kind, Operator, Policy, SCHEMA, Snapshot};

const RESTORES_MAX: u32 = 2;

/// A job whose only operator has parallelism 4 in the document.
struct Edited {
    control: ControlLoop,
    world: World,
}

/// What the loop observes, and what it has written.
struct World {
    now: Timestamp,
    document: JobDocument,
    /// The documents before it.
    history: Vec<JobDocument>,
    reports: Vec<Report>,
    /// What Flink is asked for, and what runs.
    width: u32,
    has_metrics: bool,
    put: PutOutcome,
    /// The journal, a line each.
    journal: Vec<String>,
    published: usize,
    alarm: Option<String>,
}

fn report(generation: u64, state: &str) -> Report {
    serde_json::from_str(&format!(
        r#"{{"generation":{generation},"sequence":2,"at":"2026-01-01T00:00:00Z","state":"{state}"}}"#
    ))
    .unwrap()
}

fn options() -> LoopOptions {
    LoopOptions {
        job: "j".to_owned(),
        constraints: Constraints::default(),
        document_ttl: Duration::from_secs(60),
        applied_within: Duration::from_secs(600),
        time_zone: TimeZone::UTC,
        restore: Some(RestoreLimits { restores_max: RESTORES_MAX, window: Duration::from_secs(3_600) }),
    }
}

impl Edited {
    fn new() -> Self {
        let document = JobDocument::parse(
            "format = 1\njob = \"j\"\ngeneration = 1\nissued_at = \"2026-01-01T00:00:00Z\"\nrestart_mode = \"in-place\"\n\
             [parallelism]\ndefault = 1\nmax = 128\n[parallelism.operators]\nmap = 4\n",
        )
        .unwrap();
        let world = World {
            now: "2026-01-01T12:00:00Z".parse().unwrap(),
            document,
            history: Vec::new(),
            reports: vec![report(1, "running")],
            width: 4,
            has_metrics: true,
            put: PutOutcome::Stored,
            journal: Vec::new(),
            published: 0,
            alarm: None,
        };
        let control = ControlLoop::new(options(), OperatorNames::default(), ResumedState::default());
        Self { control, world }
    }

    /// Runs some epochs; returns how many documents were published in them.
    fn epochs(&mut self, count: u32) -> usize {
        let before = self.world.published;
        for _ in 0..count {
            self.world.now += SignedDuration::from_secs(10);
            let turn = std::pin::pin!(self.control.turn(&mut self.world));
            let Poll::Ready(ended) = turn.poll(&mut Context::from_waker(Waker::noop())) else {
                unreachable!("nothing waits")
            };
            ended.unwrap();
        }
        self.world.published - before
    }

    fn restart(&mut self) {
        let lines = self.world.journal.iter().map(|line| serde_json::from_str(line).unwrap());
        self.control = ControlLoop::new(options(), OperatorNames::default(), control::resume(lines));
    }
}

impl Environment for World {
    type Error = String;

    fn now(&self) -> Timestamp {
        self.now
    }

    fn switches(&self) -> Switches {
        Switches::default()
    }

    async fn policy(&self, _ready: Option<&Snapshot>) -> Box<dyn Policy> {
        Box::new(Ds2::default())
    }

    async fn current(&mut self) -> Result<Current, String> {
        Ok(Current { document: self.document.clone(), entity_tag: self.document.entity_tag() })
    }

    async fn snapshot(&mut self, _document: &JobDocument) -> Result<Snapshot, String> {
        let map = Operator {
            name: "map".to_owned(),
            kind: Kind::Continuous,
            parallelism: self.width,
            ..Operator::default()
        };
        let snapshot = Snapshot { schema: SCHEMA, operators: vec![map], ..Snapshot::default() };
        self.has_metrics.then_some(snapshot).ok_or_else(|| "no metrics".to_owned())
    }

    async fn reports(&mut self) -> Result<Option<Vec<Report>>, String> {
        Ok(Some(self.reports.clone()))
    }

    async fn revision(&mut self, generation: u64) -> Result<Option<JobDocument>, String> {
        Ok(self.history.iter().find(|document| document.generation() == generation).cloned())
    }

    fn append(&mut self, record: &Record) -> Result<(), String> {
        self.journal.push(serde_json::to_string(record).unwrap());
        Ok(())
    }

    fn follow_up(&mut self, follow_up: &FollowUp) -> Result<(), String> {
        self.journal.push(serde_json::to_string(follow_up).unwrap());
        Ok(())
    }

    fn alarm(&mut self, sentence: Option<&str>) {
        self.alarm = sentence.map(str::to_owned);
    }

    fn drift(&mut self, _sentence: Option<&str>) {}

    async fn required(&mut self) -> Option<BTreeMap<String, u32>> {
        Some(BTreeMap::from([("map".to_owned(), self.width)]))
    }

    /// The agent applies at once what the drop stores.
    async fn put(&mut self, document: &JobDocument, _replaces: EntityTag) -> PutOutcome {
        if self.put == PutOutcome::Stored {
            self.history.push(std::mem::replace(&mut self.document, document.clone()));
            self.width = document.parallelism().of("map");
            self.reports.push(report(document.generation(), "running"));
            self.published += 1;
        }
        self.put.clone()
    }
}

/// Goal: it is put back in the second epoch that sees it, as often as configured; then a person is called.
#[test]
fn a_change_by_hand_is_put_back_in_the_second_epoch() {
    let mut job = Edited::new();
    for _ in 0..RESTORES_MAX {
        job.world.width = 7;
        assert_eq!((job.epochs(1), job.world.width), (0, 7));
        assert_eq!((job.epochs(1), job.world.width), (1, 4));
    }
    job.world.width = 7;
    assert_eq!(job.epochs(5), 0);
    assert!(job.world.alarm.is_some_and(|alarm| alarm.contains("put back 2 times within 3600 s")));
}

/// Goal: an epoch without metrics is no sight of the job: the change is put back in the second epoch that sees it.
#[test]
fn an_epoch_without_metrics_sees_nothing() {
    let mut job = Edited::new();
    job.world.width = 7;
    job.world.has_metrics = false;
    assert_eq!(job.epochs(3), 0);
    job.world.has_metrics = true;
    assert_eq!(job.epochs(1), 0);
    job.world.has_metrics = false;
    assert_eq!(job.epochs(3), 0);
    job.world.has_metrics = true;
    assert_eq!(job.epochs(1), 1);
}

/// Goal: an attempt whose document the drop did not take does not count as one, nor after a restart.
#[test]
fn only_what_was_published_counts() {
    for restarts in [false, true] {
        let mut job = Edited::new();
        job.world.width = 7;
        job.world.put = PutOutcome::Refused("superseded".to_owned());
        assert_eq!(job.epochs(10), 0);
        assert_eq!(job.world.alarm, None);
        if restarts {
            job.restart();
        }
        job.world.put = PutOutcome::Stored;
        assert_eq!((job.epochs(2), job.world.width), (1, 4));
    }
}

/// Goal: a document that was applied without a report, and has expired, is what Flink is asked for, and no change by hand.
#[test]
fn a_change_without_a_report_is_not_by_hand() {
    let mut job = Edited::new();
    let issued_at = job.world.now;
    let next = JobDocument::parse(&job.world.document.text().replace("map = 4", "map = 7")).unwrap();
    let next = next.renumbered(2).unwrap();
    let expires_at = Some(issued_at + SignedDuration::from_secs(30));
    let next = next.dated(issued_at, expires_at).unwrap();
    job.world.history.push(std::mem::replace(&mut job.world.document, next));
    job.world.width = 7;
    assert_eq!((job.epochs(60), job.world.width), (0, 7));
    // Its report comes late; after that a change by hand is one.
    job.world.reports.push(report(2, "running"));
    assert_eq!(job.epochs(3), 0);
    job.world.width = 5;
    assert_eq!((job.epochs(2), job.world.width), (1, 7));
}
