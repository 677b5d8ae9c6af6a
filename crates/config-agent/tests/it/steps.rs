//! Single steps of the machine: what starts and what does not, by journal, clock and Flink.

use std::time::Duration;

use crate::support::scripted_flink::ScriptedFlink;
use crate::support::setup::Setup;
use crate::support::{JOB, config, document, document_of};
use config_agent::{
    Attempt, Effect, EndedJob, Entry, Ledger, NextStep, Observation, Phase, PoolNode, RecoveredState,
    ResumePoint, Rules, Submission, next, restoration_id, submission_id,
};
use flink::{JobId, JobState};
use jiff::{SignedDuration, Timestamp};

const STARTING: Submission = Submission::Starting { state: JobState::Created, failure: None };
const EXPIRES_AT: &str = "2026-01-01T00:10:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

async fn rules() -> Rules {
    let (flink, _) = ScriptedFlink::start().await;
    config(tempfile::tempdir().unwrap().path(), "http://localhost", &flink.url).rules
}

/// A document with an expiry, accepted before it.
fn accepted(before: Vec<Entry>) -> Ledger {
    let document = document_of(JOB, 2, &format!("expires_at = \"{EXPIRES_AT}\""));
    let mut ledger = Ledger::default();
    let entity_tag = document.entity_tag();
    let entry =
        Entry::Accepted { at: at("2026-01-01T00:09:00Z"), document: document.text().to_owned(), entity_tag };
    for entry in before.iter().chain([&entry]) {
        ledger.apply(entry).unwrap();
    }
    ledger
}

/// The next step while this job runs.
fn step(ledger: &Ledger, now: &str, rules: &Rules) -> NextStep {
    let job = JobId::from_bytes([7; 16]);
    let alive = vec![(job, JobState::Running)];
    let seen = Observation::Jobs { alive, last: None, registered: Vec::new(), wanted: None };
    let attempt = Attempt { now: at(now), ..Attempt::default() };
    next(ledger.change().unwrap(), ledger.history(), &seen, &attempt, rules)
}

/// Goal: a document accepted in time but not started is dropped once it has expired, even if the clock is set back to
/// before its acceptance; a started one continues.
#[tokio::test]
async fn an_expired_document_is_not_begun() {
    let rules = rules().await;
    let ledger = accepted(Vec::new());
    assert_eq!(step(&ledger, "2026-01-01T00:09:59Z", &rules), NextStep::Act(Effect::Check));
    let NextStep::Enter(Phase::RolledBack { message, .. }) = step(&ledger, EXPIRES_AT, &rules) else {
        panic!("it was begun after its expiry");
    };
    assert!(message.contains("the document expired at"), "{message}");
    let mut begun = ledger.clone();
    let phase = Phase::NodesStarted { message: None };
    begun.apply(&Entry::Entered { at: at(EXPIRES_AT), phase, observed: None }).unwrap();
    assert_eq!(step(&begun, "2026-01-01T01:00:00Z", &rules), NextStep::Act(Effect::Check));
    let known = RecoveredState {
        generation: 2,
        sequence: 3,
        ended: None,
        resumed: Some(ResumePoint::Begun),
        job: None,
        savepoint: None,
        document: None,
        is_lost: false,
    };
    let recovered = Entry::Recovered { at: at(EXPIRES_AT), known: Box::new(known) };
    assert_eq!(
        step(&accepted(vec![recovered]), "2026-01-01T01:00:00Z", &rules),
        NextStep::Act(Effect::Check)
    );
}

/// Goal: a clock that is set back cannot revive an expired document; a document without expiry says nothing about the
/// clock.
#[test]
fn a_clock_that_is_set_back_makes_nothing_good_again() {
    let ledger = accepted(Vec::new());
    let change = ledger.change().unwrap();
    let hour = SignedDuration::from_hours(1);
    assert_eq!(change.no_earlier_than_accepted(change.accepted_at - hour), change.accepted_at);
    assert_eq!(change.no_earlier_than_accepted(change.accepted_at + hour), change.accepted_at + hour);
    let mut without = Ledger::default();
    let first = document(1);
    let entity_tag = first.entity_tag();
    let entry = Entry::Accepted { at: at(EXPIRES_AT), document: first.text().to_owned(), entity_tag };
    without.apply(&entry).unwrap();
    let change = without.change().unwrap();
    assert_eq!(change.no_earlier_than_accepted(change.accepted_at - hour), change.accepted_at - hour);
}

/// Goal: a submission that has arrived but is not visible yet is requested again, and is not taken for rejected.
#[tokio::test]
async fn a_submission_that_does_not_show_yet_is_there() {
    let mut setup = Setup::new().await;
    setup.config.rules.running_within = Duration::from_secs(40);
    setup.flink.with(|world| world.hidden_looks = 3);
    let job = submission_id(&document(1));
    assert_eq!(setup.apply(&document(1)).await, Phase::Running { job, message: None });
    assert_eq!(setup.counts(), (0, 1));
    assert!(setup.flink.with(|world| world.repeated_submissions) > 0);
}

/// Goal: a node that offers no slots in time is stopped, and without another one the change ends; before that it is
/// waited for.
#[tokio::test]
async fn a_late_node_is_given_up() {
    let node = PoolNode { name: "spare".to_owned(), task_manager: "tm-spare".to_owned() };
    let rules = Rules { pool: vec![node], nodes_within: Duration::from_secs(10), ..rules().await };
    let mut ledger = accepted(Vec::new());
    let nodes = vec!["spare".to_owned()];
    let phase = Phase::StartingNodes { job: None, nodes: nodes.clone(), failed: Vec::new(), before: 1 };
    ledger.apply(&Entry::Entered { at: at("2026-01-01T00:09:01Z"), phase, observed: None }).unwrap();
    let commands = |names: &[String]| names.iter().map(|name| (name.clone(), None)).collect();
    let step = |waited_s, stopped: &[String]| {
        let seen = Observation::Nodes { registered: Vec::new(), submission: None };
        let attempt = Attempt {
            now: at("2026-01-01T00:09:02Z"),
            waited: Duration::from_secs(waited_s),
            started: commands(&nodes),
            stopped: commands(stopped),
            ..Attempt::default()
        };
        next(ledger.change().unwrap(), ledger.history(), &seen, &attempt, &rules)
    };
    assert_eq!(step(9, &[]), NextStep::Wait);
    assert_eq!(step(10, &[]), NextStep::Act(Effect::StopNode { node: "spare".to_owned() }));
    let given_up = format!("{:?}", step(10, &nodes));
    assert!(given_up.contains("no slots within 10s; the pool has no other node"), "{given_up}");
}

/// Goal: a restored job that fails at once leaves the state that it started from, here the newest checkpoint of the job that failed
/// before it. The next document does not start from the older savepoint, whose results since would be written twice.
#[tokio::test]
async fn a_failed_restoration_leaves_the_newest_state() {
    let first = document(1);
    let (failed, restored) = (submission_id(&first), restoration_id(&first));
    let (savepoint, checkpoint) = (Some("savepoint".to_owned()), Some("checkpoint".to_owned()));
    let message = || "it failed".to_owned();
    let phases = [
        Phase::Stopped { job: Some(JobId::from_bytes([7; 16])), savepoint: savepoint.clone(), message: None },
        Phase::Submitting { job: failed.clone(), savepoint },
        Phase::RollingBack { failed, message: message() },
        Phase::Restoring { job: restored.clone(), savepoint: checkpoint.clone(), message: message() },
        Phase::Failed { job: Some(restored.clone()), message: message() },
    ];
    let accepted_first = Entry::Accepted {
        at: at("2026-01-01T00:01:00Z"),
        document: first.text().to_owned(),
        entity_tag: first.entity_tag(),
    };
    let entered =
        phases.map(|phase| Entry::Entered { at: at("2026-01-01T00:02:00Z"), phase, observed: None });
    let ledger = accepted([accepted_first].into_iter().chain(entered).collect());
    let last = Some(EndedJob::In { state: JobState::Failed, newest_state: None });
    let seen = Observation::Jobs { alive: Vec::new(), last, registered: Vec::new(), wanted: None };
    let attempt = Attempt { now: at("2026-01-01T00:09:01Z"), checked: true, ..Attempt::default() };
    let step = next(ledger.change().unwrap(), ledger.history(), &seen, &attempt, &rules().await);
    let NextStep::Enter(Phase::Stopped { job, savepoint, .. }) = step else { panic!("{step:?}") };
    assert_eq!((job, savepoint), (Some(restored), checkpoint));
}

/// Goal: an agent that has lost its journal while it restored the previous document waits for the restored job, which may still be starting,
/// and does not report it as running.
#[tokio::test]
async fn a_restoration_goes_on_after_a_lost_journal() {
    let known = RecoveredState {
        generation: 2,
        sequence: 6,
        ended: None,
        resumed: Some(ResumePoint::TakenBack),
        job: None,
        savepoint: Some("savepoint".to_owned()),
        document: Some(document(1).text().to_owned()),
        is_lost: false,
    };
    let recovered = Entry::Recovered { at: at("2026-01-01T00:08:00Z"), known: Box::new(known) };
    let mut ledger = accepted(vec![recovered]);
    let job = restoration_id(&ledger.change().unwrap().document);
    let alive = vec![(job.clone(), JobState::Created)];
    let seen = Observation::Jobs { alive, last: None, registered: Vec::new(), wanted: None };
    let (rules, now) = (rules().await, "2026-01-01T00:09:01Z");
    let attempt = Attempt { now: at(now), ..Attempt::default() };
    let step = next(ledger.change().unwrap(), ledger.history(), &seen, &attempt, &rules);
    let NextStep::Enter(phase) = step else { panic!("{step:?}") };
    let Phase::Restoring { job: restoring, savepoint, .. } = &phase else { panic!("{phase:?}") };
    assert_eq!((restoring, savepoint.as_deref()), (&job, Some("savepoint")));
    ledger.apply(&Entry::Entered { at: at(now), phase, observed: None }).unwrap();
    for (submission, ends) in [(Submission::Running, true), (STARTING, false)] {
        let seen = Observation::Submission { submission, rival_lives: false };
        let step = next(ledger.change().unwrap(), ledger.history(), &seen, &attempt, &rules);
        assert_eq!(matches!(step, NextStep::Enter(Phase::RolledBack { .. })), ends, "{step:?}");
    }
}
