//! First steps: which changes begin, and how.

use jiff::SignedDuration;
use job_config::JobDocument;

use super::*;
use crate::ledger::Entry;
use crate::machine::Observation;
use crate::machine::fixture::{NOW, Situation, document, in_place, job, jobs, vertex};
use crate::recovery::RecoveredState;

/// What the drop's reports say about an unfinished generation 2.
fn recovered(resumed: Option<ResumePoint>, before: Option<&JobDocument>) -> RecoveredState {
    RecoveredState {
        generation: 2,
        sequence: 3,
        ended: None,
        resumed,
        job: None,
        savepoint: Some("savepoint".to_owned()),
        document: before.map(|document| document.text().to_owned()),
        is_lost: false,
    }
}

/// The journal was lost; the drop's reports said this before the document was accepted.
fn after_loss(known: RecoveredState, document: &JobDocument) -> Situation {
    let mut situation = Situation::blank();
    situation.write(&Entry::Recovered { at: NOW.parse().unwrap(), known: Box::new(known) });
    situation.accept(document);
    situation
}

/// Goal: a job is stopped only once Flink has built the new job's graph, and only while it runs; the wait for that is bounded.
#[test]
fn a_job_is_stopped_once_it_runs_and_the_new_graph_is_built() {
    let stop = "enter phase stopping, job 07070707";
    let given_up = "enter phase rolled-back, job 07070707: job 07070707070707070707070707070707 is Restarting and was \
                    not running within 10s; nothing was changed";
    for (state, is_checked, waited_s, expected) in [
        (JobState::Running, false, 0, "check that Flink can build"),
        (JobState::Running, true, 0, stop),
        (JobState::Running, true, 99, stop),
        (JobState::Restarting, false, 0, "check that Flink can build"),
        (JobState::Restarting, true, 9, "wait"),
        (JobState::Restarting, true, 10, given_up),
        (JobState::Restarting, true, 11, given_up),
    ] {
        let mut situation = Situation::after(&document(1, ""), &job(7), &document(2, "")).waited(waited_s);
        situation.attempt.checked = is_checked;
        situation.check(&jobs(&[(&job(7), state)]), expected);
    }
}

/// Goal: a document whose graph Flink cannot build changes nothing, and the report says what runs.
#[test]
fn what_flink_cannot_build_changes_nothing() {
    let mut situation = Situation::first(&document(1, ""));
    situation.attempt.refused = Some("no such uid".to_owned());
    let keeps = "enter phase rolled-back, job 07070707: Flink rejects the document: no such uid; job";
    situation.check(&jobs(&[(&job(7), JobState::Running)]), keeps);
    let none = "enter phase failed: Flink rejects the document: no such uid; no job with this name runs";
    situation.check(&jobs(&[]), none);
}

/// Goal: without a program to submit, a job is rescaled in place or left alone; there is nothing that Flink could check.
#[test]
fn without_a_program_a_job_is_only_rescaled() {
    let running = JobState::Running;
    let refused = "enter phase rolled-back, job 07070707: the job can only be rescaled in place";
    for (document, state, expected) in [
        (document(1, ""), running, refused),
        (in_place(1, &[("work", 2)]), running, "enter phase rescaling, job 07070707"),
        (in_place(1, &[("work", 2)]), JobState::Restarting, "wait"),
    ] {
        let mut situation = Situation::first(&document);
        situation.rules.can_submit = false;
        situation.attempt.checked = false;
        situation.check(&jobs(&[(&job(7), state)]), expected);
    }
    let mut situation = Situation::first(&document(1, ""));
    situation.rules.can_submit = false;
    let expected = "enter phase failed: no job with this name runs, and flink.jar is not set";
    situation.check(&jobs(&[]), expected);
}

/// Goal: of several jobs, one that was given up earlier is cancelled; several that were not are left to a person.
#[test]
fn a_rival_is_cancelled_and_strangers_are_left_alone() {
    let mut situation = Situation::after(&document(1, ""), &job(7), &document(2, ""));
    let message = || "late".to_owned();
    situation.enter(Phase::RollingBack { failed: job(8), message: message() });
    situation.enter(Phase::RolledBack { job: job(9), message: message() });
    situation.accept(&document(3, ""));
    let running = |number| (job(number), JobState::Running);
    for (alive, expected) in [
        (vec![running(9), running(8)], "cancel job 08080808"),
        (vec![running(8)], "enter phase stopping, job 08080808"),
        (vec![running(9), running(7)], "enter phase failed: several jobs with this name run (09090909"),
    ] {
        let alive: Vec<_> = alive.iter().map(|(job, state)| (job, *state)).collect();
        situation.check(&jobs(&alive), expected);
    }
}

/// Goal: a document accepted in time but not started is dropped once it has expired, even if the clock is set back to
/// before its acceptance; a started one continues.
#[test]
fn an_expired_document_is_not_begun() {
    let expiring = document(2, "expires_at = \"2026-01-01T00:10:00Z\"");
    let alive = jobs(&[(&job(7), JobState::Running)]);
    let accepted = Situation::first(&expiring);
    let begins = "enter phase stopping, job 07070707";
    let dropped = "enter phase rolled-back, job 07070707: the document expired at 2026-01-01T00:10:00Z";
    accepted.clone().at("2026-01-01T00:09:59Z").check(&alive, begins);
    accepted.clone().at("2026-01-01T00:10:00Z").check(&alive, dropped);
    let mut late = accepted.clone().at("2026-01-01T00:20:00Z");
    late.accept(&expiring);
    late.at(NOW).check(&alive, dropped);

    let after_the_end = "2026-01-01T01:00:00Z";
    let mut with_nodes = accepted;
    with_nodes.enter(Phase::NodesStarted { message: None });
    with_nodes.at(after_the_end).check(&alive, begins);
    let resumed = after_loss(recovered(Some(ResumePoint::Begun), None), &expiring);
    resumed.at(after_the_end).check(&alive, begins);
    let submitted = Situation::first(&expiring).at(after_the_end);
    let ours = submission_id(&expiring);
    submitted.check(&jobs(&[(&ours, JobState::Running)]), "enter phase submitting, job");
}

/// Goal: the circuit breaker is open from the last of enough failures until its pause is over, and not because of a failure that a
/// wrong clock has dated in the future.
#[test]
fn the_circuit_breaker_has_a_number_and_a_pause() {
    let failed_at: Timestamp = NOW.parse().unwrap();
    for (failures, seconds_later, is_open) in [
        (1, 0, false),
        (2, 0, true),
        (3, 0, true),
        (2, 59, true),
        (2, 60, false),
        (2, 61, false),
        (2, -1, false),
    ] {
        let mut situation = Situation::after(&document(1, ""), &job(7), &document(2, ""));
        situation.rules.breaker_failures = 2;
        for _ in 0..failures {
            situation.enter(Phase::Stopping { job: job(7), trigger: stop_id(&document(2, "")) });
            situation.enter(Phase::Failed { job: None, message: "it failed".to_owned() });
        }
        situation.accept(&document(3, ""));
        situation.attempt.now = failed_at + SignedDuration::from_secs(seconds_later);
        let expected = match is_open {
            true => {
                format!("enter phase rolled-back, job 07070707: {failures} {BREAKER_IS_OPEN} {failed_at};")
            }
            false => "enter phase stopping, job 07070707".to_owned(),
        };
        situation.check(&jobs(&[(&job(7), JobState::Running)]), &expected);
    }
}

/// Goal: a job that an agent with another journal submitted for this document is watched, not restarted. If it fails, it has the
/// state that it started from: as reported, or else where the job before it ended.
#[test]
fn the_own_job_is_recognised() {
    let second = document(2, "");
    let ours = submission_id(&second);
    let with_reports = after_loss(recovered(None, None), &second);
    let stopped = EndedJob::In { state: JobState::Finished, newest_state: Some("newest".to_owned()) };
    for (situation, last, expected) in [
        (&with_reports, None, Some("savepoint")),
        (&with_reports, Some(&stopped), Some("savepoint")),
        (&Situation::first(&second), Some(&stopped), Some("newest")),
        (&Situation::first(&second), Some(&EndedJob::Forgotten), None),
        (&Situation::first(&second), None, None),
    ] {
        let alive = vec![(ours.clone(), JobState::Created)];
        let seen = Observation::Jobs { alive, last: last.cloned(), registered: Vec::new(), wanted: None };
        let savepoint = expected.map(str::to_owned);
        let expected = NextStep::Enter(Phase::Submitting { job: ours.clone(), savepoint });
        assert_eq!(situation.next(&seen), expected, "{last:?}");
    }
}

/// Goal: a running job that has the document's parallelism already is taken over as it is.
#[test]
fn a_job_that_is_as_wanted_is_adopted() {
    let first = in_place(1, &[("work", 4)]);
    for (parallelism, expected) in [(4, "enter phase rescaling, job 07070707"), (3, "enter phase stopping")] {
        let alive = vec![(job(7), JobState::Running)];
        let wanted = Some(vec![vertex(1, "work", parallelism)]);
        let seen = Observation::Jobs { alive, last: None, registered: Vec::new(), wanted };
        Situation::first(&first).check(&seen, expected);
    }
}

/// Goal: after a lost journal, a change that had failed is not begun again; the restored job may still be starting, and is waited for
/// where it is known what it restores.
#[test]
fn a_failed_change_is_not_begun_again() {
    let (first, second) = (document(1, ""), document(2, ""));
    let (ours, restored) = (submission_id(&second), restoration_id(&second));
    let failed = Some(ResumePoint::TakenBack);
    let rolled_back = "enter phase rolled-back, job";
    for (resumed, before, runs, expected) in [
        (failed, None, job(7), rolled_back),
        (failed, Some(&first), job(7), rolled_back),
        (failed, None, restored.clone(), rolled_back),
        (failed, Some(&first), restored.clone(), "enter phase rolling-back, job"),
        (failed, Some(&first), ours, "enter phase submitting, job"),
        (None, None, restored, rolled_back),
        (None, None, job(7), "enter phase stopping, job"),
        (Some(ResumePoint::Begun), Some(&first), job(7), "enter phase stopping, job"),
    ] {
        let situation = after_loss(recovered(resumed, before), &second);
        situation.check(&jobs(&[(&runs, JobState::Running)]), expected);
    }
    let situation = after_loss(recovered(failed, Some(&first)), &second);
    let job = restoration_id(&second);
    let expected = NextStep::Enter(Phase::Restoring {
        job: job.clone(),
        savepoint: Some("savepoint".to_owned()),
        message: "the change failed before the journal was lost".to_owned(),
    });
    assert_eq!(situation.next(&jobs(&[(&job, JobState::Created)])), expected);
}

/// Goal: the first job starts without state, any other from the newest state that is known. Where none is, only the configured
/// permission starts a job without state.
#[test]
fn a_job_starts_from_the_newest_known_state() {
    let ran = || Situation::after(&document(1, ""), &job(7), &document(2, ""));
    let mut stopped = ran();
    stopped.enter(Phase::Stopped { job: Some(job(7)), savepoint: Some("savepoint".into()), message: None });
    stopped.accept(&document(3, ""));
    let lost = RecoveredState { is_lost: true, ..recovered(None, None) };
    let lost = after_loss(RecoveredState { savepoint: None, ..lost }, &document(2, ""));
    let ended = |state: Option<&str>| EndedJob::In {
        state: JobState::Failed,
        newest_state: state.map(str::to_owned),
    };
    let needs = |why: &str| format!("enter phase failed{why}");
    for (situation, last, is_permitted, expected) in [
        (&Situation::first(&document(1, "")), None, false, "enter phase submitting, job".to_owned()),
        (&lost, None, false, needs(": the journal is lost, and no trusted report")),
        (&lost, None, true, "enter phase submitting, job".to_owned()),
        (
            &ran(),
            None,
            false,
            needs(", job 07070707: job 07070707070707070707070707070707 is unknown to Flink"),
        ),
        (&ran(), Some(EndedJob::Forgotten), false, needs(", job 07070707: job 0707070707070707")),
        (
            &ran(),
            Some(ended(None)),
            false,
            needs(", job 07070707: job 07070707070707070707070707070707 is Failed"),
        ),
        (&ran(), None, true, "enter phase stopped, job 07070707".to_owned()),
    ] {
        let mut situation = situation.clone();
        situation.rules.start_fresh_if_lost = is_permitted;
        let seen = Observation::Jobs { alive: Vec::new(), last, registered: Vec::new(), wanted: None };
        situation.check(&seen, &expected);
        situation.attempt.checked = false;
        situation.check(&seen, "check that Flink can build");
    }
    for (situation, last, expected) in [
        (&ran(), ended(Some("newest")), Some("newest")),
        (&stopped, ended(Some("newest")), Some("newest")),
        (&stopped, ended(None), Some("savepoint")),
        (&stopped, EndedJob::Forgotten, Some("savepoint")),
    ] {
        let last = Some(last);
        let seen = Observation::Jobs { alive: Vec::new(), last, registered: Vec::new(), wanted: None };
        let NextStep::Enter(Phase::Stopped { savepoint, .. }) = situation.next(&seen) else {
            panic!("{:?}", situation.next(&seen))
        };
        assert_eq!(savepoint.as_deref(), expected, "{seen:?}");
    }
}

/// Goal: a restored job that fails at once leaves the state that it started from, here the newest checkpoint of the job that failed
/// before it. The next document does not start from the older savepoint, whose results since would be written twice.
#[test]
fn a_failed_restoration_leaves_the_newest_state() {
    let first = document(1, "");
    let (failed, restored) = (submission_id(&first), restoration_id(&first));
    let (savepoint, checkpoint) = (Some("savepoint".to_owned()), Some("checkpoint".to_owned()));
    let message = || "it failed".to_owned();
    let mut situation = Situation::first(&first);
    for phase in [
        Phase::Stopped { job: Some(job(7)), savepoint: savepoint.clone(), message: None },
        Phase::Submitting { job: failed.clone(), savepoint },
        Phase::RollingBack { failed, message: message() },
        Phase::Restoring { job: restored.clone(), savepoint: checkpoint.clone(), message: message() },
        Phase::Failed { job: Some(restored.clone()), message: message() },
    ] {
        situation.enter(phase);
    }
    situation.accept(&document(2, ""));
    let last = Some(EndedJob::In { state: JobState::Failed, newest_state: None });
    let step = situation.next(&Observation::Jobs { alive: vec![], last, registered: vec![], wanted: None });
    let NextStep::Enter(Phase::Stopped { job, savepoint, .. }) = step else { panic!("{step:?}") };
    assert_eq!((job, savepoint), (Some(restored), checkpoint));
}
