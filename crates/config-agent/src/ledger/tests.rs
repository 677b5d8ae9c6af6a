//! What the journal's entries add up to: reports, rejections, and the history of the job.

use flink::{JobId, TriggerId};
use jiff::SignedDuration;

use super::*;

const START: &str = "2026-01-01T00:00:00Z";

fn document(generation: u64, more: &str) -> JobDocument {
    JobDocument::parse(&format!(
        "format = 1\njob = \"nexmark\"\ngeneration = {generation}\nissued_at = \"{START}\"\n{more}\n\
         restart_mode = \"savepoint-restart\"\nparallelism = {{ default = 1, max = 8 }}\n"
    ))
    .unwrap()
}

fn job(number: u8) -> JobId {
    JobId::from_bytes([number; 16])
}

fn message() -> String {
    "it failed".to_owned()
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn stopping(number: u8) -> Phase {
    Phase::Stopping { job: job(number), trigger: TriggerId::from_bytes([5; 16]) }
}

fn stopped(savepoint: &str) -> Phase {
    Phase::Stopped { job: Some(job(7)), savepoint: some(savepoint), message: None }
}

fn submitting(number: u8, savepoint: Option<&str>) -> Phase {
    Phase::Submitting { job: job(number), savepoint: savepoint.map(str::to_owned) }
}

fn running(number: u8) -> Phase {
    Phase::Running { job: job(number), message: None }
}

fn rolling_back(number: u8) -> Phase {
    Phase::RollingBack { failed: job(number), message: message() }
}

fn restoring(number: u8, savepoint: Option<&str>) -> Phase {
    Phase::Restoring { job: job(number), savepoint: savepoint.map(str::to_owned), message: message() }
}

fn rolled_back(number: u8) -> Phase {
    Phase::RolledBack { job: job(number), message: message() }
}

fn failed() -> Phase {
    Phase::Failed { job: None, message: message() }
}

/// A journal whose entries are a second apart.
#[derive(Default)]
struct Journal {
    ledger: Ledger,
    entries: i64,
}

impl Journal {
    /// This document was accepted, and its change entered these phases.
    fn of(generation: u64, phases: impl IntoIterator<Item = Phase>) -> Self {
        Self::default().then(generation, phases)
    }

    fn then(mut self, generation: u64, phases: impl IntoIterator<Item = Phase>) -> Self {
        self.accept(&document(generation, ""));
        self.enter(phases);
        self
    }

    fn now(&self) -> Timestamp {
        START.parse::<Timestamp>().unwrap() + SignedDuration::from_secs(self.entries)
    }

    fn write(&mut self, entry: &Entry) {
        self.entries += 1;
        self.ledger.apply(entry).unwrap();
    }

    fn accept(&mut self, document: &JobDocument) {
        let (text, entity_tag) = (document.text().to_owned(), document.entity_tag());
        self.write(&Entry::Accepted { at: self.now(), document: text, entity_tag });
    }

    fn enter(&mut self, phases: impl IntoIterator<Item = Phase>) {
        for phase in phases {
            self.write(&Entry::Entered { at: self.now(), phase, observed: None });
        }
    }

    fn reject(&mut self, document: &RejectedDocument) {
        self.write(&Entry::Refused { at: self.now(), document: document.clone() });
    }

    fn recover(&mut self, known: RecoveredState) {
        self.write(&Entry::Recovered { at: self.now(), known: Box::new(known) });
    }

    fn deliver(&mut self, generation: u64, sequence: u32) {
        self.write(&Entry::Delivered { generation, sequence });
    }

    /// Takes all reports that the drop has not confirmed.
    fn reports(&mut self) -> Vec<Report> {
        self.ledger.outbox.drain(..).collect()
    }

    /// The generations and sequence numbers of the reports that the drop has not confirmed.
    fn undelivered(&self) -> Vec<(u64, u32)> {
        self.ledger.outbox.iter().map(|report| (report.generation, report.sequence)).collect()
    }
}

fn rejected(generation: u64) -> RejectedDocument {
    RejectedDocument {
        generation,
        entity_tag: document(generation, "").entity_tag(),
        reason: "expired".to_owned(),
        sentence: "it expired".to_owned(),
    }
}

fn recovered(generation: u64) -> RecoveredState {
    RecoveredState {
        generation,
        sequence: 4,
        ended: None,
        resumed: Some(ResumePoint::Begun),
        job: Some(job(7)),
        savepoint: some("savepoint"),
        document: some(document(1, "").text()),
        is_lost: true,
    }
}

/// Goal: a job that was abandoned for starting too late, and is kept by the next change, is not cancelled as its
/// own rival.
#[test]
fn a_job_that_goes_on_is_not_given_up() {
    let journal = Journal::of(2, [restoring(7, None), failed()]);
    assert_eq!(journal.ledger.history().abandoned, [job(7)]);
    let journal = journal.then(3, [rolled_back(7)]);
    assert!(journal.ledger.history().abandoned.is_empty());
}

/// Goal: every step is reported with its number, its state, the time that the one before took, the job, and the state to start from; the
/// last one says which document runs.
#[test]
fn every_step_is_reported() {
    let mut journal =
        Journal::of(1, [stopping(7), stopped("savepoint"), submitting(8, Some("savepoint")), running(8)]);
    let savepoint = some("savepoint");
    let expected = [
        (ChangeState::Received, None, None, None, None),
        (ChangeState::Stopping, Some(1_000), Some(job(7)), None, None),
        (ChangeState::Stopped, Some(1_000), Some(job(7)), savepoint.clone(), None),
        (ChangeState::Submitting, Some(1_000), Some(job(8)), savepoint.clone(), None),
        (ChangeState::Running, Some(1_000), Some(job(8)), savepoint, Some(1)),
    ];
    let reports = journal.reports();
    assert_eq!(reports.len(), expected.len());
    for (number, (report, expected)) in (1..).zip(reports.into_iter().zip(expected)) {
        assert_eq!((report.generation, report.sequence), (1, number));
        let job = report.flink_job_id.map(|id| id.parse::<JobId>().unwrap());
        let found =
            (report.state, report.previous_state_ms, job, report.savepoint, report.running_generation);
        assert_eq!(found, expected);
    }
}

/// Goal: after a rollback the previous document runs, and after a failure it is not known what runs.
#[test]
fn the_last_report_says_what_runs() {
    for (end, expected) in [(rolled_back(7), Some(1)), (failed(), None), (running(8), Some(2))] {
        let mut journal = Journal::of(1, [running(7)]).then(2, [end]);
        let last = journal.reports().pop().unwrap();
        assert_eq!(last.running_generation, expected, "{:?}", last.state);
    }
}

/// Goal: a report has the words of its phase: nodes with what became of them, reasons, and what is being waited for.
#[test]
fn reports_say_what_happens_in_words() {
    let nodes = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let failure = crate::phase::NodeFailure { node: "c".to_owned(), reason: "exit 1".to_owned() };
    let starting_nodes =
        Phase::StartingNodes { job: None, nodes: nodes(&["a", "b"]), failed: vec![failure], before: 1 };
    let end = || Box::new(running(8));
    for (phase, expected) in [
        (starting_nodes, Some("a, b; node c did not start: exit 1")),
        (Phase::NodesStarted { message: None }, None),
        (Phase::NodesStarted { message: some("one came late") }, Some("one came late")),
        (Phase::StoppingNodes { wanted: 1, nodes: Some(nodes(&["a", "b"])), end: end() }, Some("a, b")),
        (Phase::StoppingNodes { wanted: 1, nodes: None, end: end() }, None),
        (Phase::Settling { job: job(8) }, Some("all tasks run; observing whether they keep running")),
        (stopping(7), None),
        (rolling_back(8), Some("it failed")),
        (failed(), Some("it failed")),
        (running(8), None),
    ] {
        let report = Journal::of(1, [phase]).reports().pop().unwrap();
        assert_eq!(report.message.as_deref(), expected, "{:?}", report.state);
    }
}

/// Goal: a confirmation covers the report and those before it; one of a report that is not there any more covers none.
#[test]
fn confirmed_reports_are_forgotten() {
    let journal = || Journal::of(2, [stopping(7), failed()]);
    let all: [(u64, u32); 3] = [(2, 1), (2, 2), (2, 3)];
    for (generation, sequence, left) in [(2, 1, &all[1..]), (2, 2, &all[2..]), (2, 3, &[]), (1, 3, &all)] {
        let mut journal = journal();
        journal.deliver(generation, sequence);
        assert_eq!(journal.undelivered(), left, "after {generation}.{sequence}");
        assert_eq!(journal.ledger.undelivered(), left.len());
        let next = journal.ledger.next_report().map(|report| (report.generation, report.sequence));
        assert_eq!(next, left.first().copied());
    }
}

/// Goal: of too many reports the oldest are dropped.
#[test]
fn the_oldest_reports_are_dropped() {
    for (most, dropped, left) in [(4, 0, 3), (3, 0, 3), (2, 1, 2), (0, 3, 0)] {
        let mut journal = Journal::of(1, [stopping(7), failed()]);
        assert_eq!(journal.ledger.shorten_outbox(most), dropped, "at most {most}");
        let newest = &[(1, 1), (1, 2), (1, 3)][3 - left..];
        assert_eq!(journal.undelivered(), newest, "at most {most}");
    }
}

/// Goal: reports whose numbers the drop has already are counted on from a higher one, and so are the following ones; those of other
/// generations and with lower numbers stay.
#[test]
fn reports_are_renumbered() {
    let both = || Journal::of(1, [running(7)]).then(2, [stopping(7), stopped("savepoint")]);
    let mut journal = both();
    journal.write(&Entry::Renumbered { generation: 2, from: 2, by: 5 });
    journal.enter([failed()]);
    assert_eq!(journal.undelivered(), [(1, 1), (1, 2), (2, 1), (2, 7), (2, 8), (2, 9)]);
    let mut journal = both();
    journal.write(&Entry::Renumbered { generation: 1, from: 1, by: 5 });
    journal.enter([failed()]);
    assert_eq!(journal.undelivered(), [(1, 6), (1, 7), (2, 1), (2, 2), (2, 3), (2, 4)]);
}

/// Goal: a rejected document is reported as failed and known again by its entity tag; only the last few are remembered.
#[test]
fn a_rejected_document_is_reported_and_remembered() {
    let mut journal = Journal::of(1, [running(7)]);
    journal.reports();
    journal.reject(&rejected(2));
    let report = journal.reports().pop().unwrap();
    assert_eq!((report.generation, report.sequence, report.state), (2, 1, ChangeState::Failed));
    assert_eq!(report.message.as_deref(), Some("refused (expired): it expired"));
    assert_eq!(report.running_generation, Some(1));
    let most = u64::try_from(REJECTED_MAX).unwrap();
    (3..=most + 2).for_each(|generation| journal.reject(&rejected(generation)));
    for (generation, expected) in [(1, None), (2, None), (3, Some(3)), (most + 2, Some(most + 2))] {
        let found = journal.ledger.rejection(&document(generation, "").entity_tag());
        assert_eq!(found.map(|rejected| rejected.generation), expected);
    }
}

/// Goal: a journal with nothing but confirmations is taken for lost, and no other.
#[test]
fn only_a_journal_that_knows_nothing_is_blank() {
    let mut journal = Journal::default();
    journal.deliver(1, 1);
    assert!(Ledger::default().is_blank() && journal.ledger.is_blank());
    let (mut with_rejection, mut with_recovery) = (Journal::default(), Journal::default());
    with_rejection.reject(&rejected(1));
    with_recovery.recover(recovered(2));
    for (journal, what) in [
        (Journal::of(1, []), "a change"),
        (with_rejection, "a rejection"),
        (with_recovery, "what the reports said"),
    ] {
        assert!(!journal.ledger.is_blank(), "{what}");
    }
}

/// Goal: what the drop's reports said is the history until there is a better one, and reports go on with the next number where they are
/// about the same generation.
#[test]
fn the_reports_of_an_earlier_run_are_gone_on_with() {
    for (generation, sequence, resumed) in [(2, 5, Some(ResumePoint::Begun)), (3, 1, None)] {
        let mut journal = Journal::default();
        journal.recover(recovered(2));
        assert_eq!(journal.ledger.recovered(), Some(&recovered(2)));
        let history = journal.ledger.history();
        assert_eq!((&history.job, &history.savepoint), (&Some(job(7)), &some("savepoint")));
        assert_eq!(history.document, Some(document(1, "")));
        assert!(history.is_lost);

        journal.accept(&document(generation, ""));
        assert_eq!(journal.undelivered(), [(generation, sequence)]);
        assert_eq!(journal.ledger.change().unwrap().resumed, resumed);
        assert_eq!(journal.ledger.recovered(), None, "it holds for one change");
        journal.enter([running(8)]);
        assert!(!journal.ledger.history().is_lost);

        let mut journal = Journal::default();
        journal.recover(recovered(2));
        journal.reject(&rejected(generation));
        assert_eq!(journal.undelivered(), [(generation, sequence)]);
    }
}

/// Goal: only a change that could have affected a job counts as a failure, with its time. A good change, and an operator, start at zero.
#[test]
fn failures_are_counted_until_one_goes_well() {
    let failures = |journal: &Journal| journal.ledger.history().failures;
    for (phases, expected) in [
        (vec![failed()], 0),
        (vec![rolled_back(7)], 0),
        (vec![Phase::Rescaling { job: job(7) }, rolled_back(7)], 0),
        (vec![stopping(7), failed()], 1),
        (vec![stopping(7), stopped("savepoint"), failed()], 1),
        (vec![stopping(7), rolled_back(7)], 1),
        (vec![submitting(8, None), failed()], 1),
        (vec![Phase::RescalingBack { job: job(7), message: message() }, rolled_back(7)], 1),
    ] {
        let journal = Journal::of(1, phases.clone());
        assert_eq!(failures(&journal), expected, "{phases:?}");
        let failed_at = (expected > 0).then(|| journal.now() - SignedDuration::from_secs(1));
        assert_eq!(journal.ledger.history().failed_at, failed_at, "{phases:?}");
        let journal = journal.then(2, [stopping(7), failed()]);
        assert_eq!(failures(&journal), expected + 1, "{phases:?}");
        assert_eq!(failures(&journal.then(3, [running(9)])), 0);
    }
    let mut forgiven = Journal::of(1, [stopping(7), failed()]);
    forgiven.write(&Entry::FailuresForgiven);
    assert_eq!(failures(&forgiven), 0);
}

/// Goal: the history has the newest state while no job runs; a running job owns it, and what the job started from is kept for a rollback.
#[test]
fn the_history_follows_the_state() {
    let states = |journal: &Journal| {
        let history = journal.ledger.history();
        (history.job.clone(), history.savepoint.clone(), history.began_from.clone())
    };
    let mut journal = Journal::of(1, [submitting(7, None), running(7)]);
    assert_eq!(states(&journal), (Some(job(7)), None, None));
    journal = journal.then(2, [stopping(7), stopped("savepoint")]);
    assert_eq!(states(&journal), (Some(job(7)), some("savepoint"), None));
    journal.enter([submitting(8, None)]);
    assert_eq!(states(&journal), (Some(job(8)), some("savepoint"), None));
    journal.enter([rolling_back(8), restoring(9, Some("checkpoint"))]);
    assert_eq!(states(&journal), (Some(job(9)), some("checkpoint"), None));
    journal.enter([rolled_back(9)]);
    assert_eq!(states(&journal), (Some(job(9)), None, some("checkpoint")));
    assert_eq!(journal.ledger.history().document, Some(document(1, "")));
    // A change that never touched the job does not change what it started from.
    journal = journal.then(3, [Phase::Rescaling { job: job(9) }, running(9)]);
    assert_eq!(states(&journal), (Some(job(9)), None, some("checkpoint")));
    assert_eq!(journal.ledger.history().document, Some(document(3, "")));
}

/// Goal: every job that may still start after it was given up is remembered once, and only the last few.
#[test]
fn jobs_that_may_still_start_are_remembered() {
    for (phases, expected) in [
        (vec![submitting(8, None), rolling_back(8)], vec![job(8)]),
        (vec![submitting(8, None), rolling_back(8), restoring(9, None), rolling_back(8)], vec![job(8)]),
        (vec![submitting(8, None), failed()], vec![job(8)]),
        (vec![Phase::Settling { job: job(8) }, failed()], vec![job(8)]),
        (vec![stopping(7), failed()], vec![]),
        (vec![submitting(8, None), running(8)], vec![]),
    ] {
        let journal = Journal::of(1, phases.clone());
        assert_eq!(journal.ledger.history().abandoned, expected, "{phases:?}");
    }
    let mut journal = Journal::of(1, (1..=10).map(rolling_back));
    assert_eq!(journal.ledger.history().abandoned, (3..=10).map(job).collect::<Vec<_>>());
    journal.enter([running(5)]);
    let others = (3..=10).filter(|number| *number != 5).map(job).collect::<Vec<_>>();
    assert_eq!(journal.ledger.history().abandoned, others);
}

/// Goal: a savepoint that cannot be deleted is told with the next document, once, and hides no message of its change.
#[test]
fn a_savepoint_that_stays_is_told() {
    let mut journal = Journal::of(1, [stopping(7), stopped("s"), submitting(8, Some("s")), running(8)]);
    let gone = |problem: Option<&str>| Entry::SavepointGone {
        path: "s".into(),
        problem: problem.map(str::to_owned),
    };
    journal.write(&gone(Some("no such folder")));
    let mut journal = journal.then(2, [failed()]).then(3, []);
    let messages: Vec<_> = journal.reports().into_iter().skip(5).map(|report| report.message).collect();
    assert_eq!(messages, [some("could not delete savepoint s: no such folder"), some("it failed"), None]);
    journal.write(&gone(Some("no such folder")));
    journal.write(&gone(None));
    journal.enter([failed()]);
    assert_eq!(journal.reports().pop().unwrap().message, some("it failed"));
}

/// Goal: a clock that is set back cannot revive an expired document; a document without expiry says nothing about the
/// clock.
#[test]
fn a_clock_that_is_set_back_makes_nothing_good_again() {
    let hour = SignedDuration::from_hours(1);
    let expiring = document(1, "expires_at = \"2026-01-01T00:10:00Z\"");
    for (document, has_expiry) in [(expiring, true), (document(1, ""), false)] {
        let mut journal = Journal::default();
        journal.accept(&document);
        let change = journal.ledger.change().unwrap();
        let at = change.accepted_at;
        assert_eq!(change.no_earlier_than_accepted(at + hour), at + hour);
        let set_back = if has_expiry { at } else { at - hour };
        assert_eq!(change.no_earlier_than_accepted(at - hour), set_back);
    }
}

/// Goal: a compacted journal is read back as it was, with its documents.
#[test]
fn a_snapshot_has_everything() {
    let mut journal = Journal::of(1, [submitting(7, None), running(7)]);
    journal.reject(&rejected(2));
    for ledger in [journal.ledger, Ledger::default()] {
        let text = serde_json::to_string(&Entry::Snapshot(Box::new(ledger.clone()))).unwrap();
        let mut read = Ledger::default();
        read.apply(&serde_json::from_str(&text).unwrap()).unwrap();
        assert_eq!(read, ledger);
    }
}

/// Goal: entries that cannot follow each other, and documents that are none, are errors.
#[test]
fn a_damaged_journal_is_an_error() {
    let at = Timestamp::UNIX_EPOCH;
    let early = Entry::Entered { at, phase: failed(), observed: None };
    assert_eq!(Ledger::default().apply(&early), Err(Contradiction::NoChange));
    let entity_tag = document(1, "").entity_tag();
    let accepted = Entry::Accepted { at, document: "format = 2".to_owned(), entity_tag };
    let known = RecoveredState { document: some("format = 2"), ..recovered(2) };
    for entry in [accepted, Entry::Recovered { at, known: Box::new(known) }] {
        let error = Ledger::default().apply(&entry).unwrap_err();
        assert!(matches!(error, Contradiction::Document(_)), "{error}");
    }
}
