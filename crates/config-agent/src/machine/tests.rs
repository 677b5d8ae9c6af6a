//! Which question belongs to which phase, and what an answer to another question, or the end of a change, leads to.

use super::fixture::{NOW, Situation, document, in_place, job, jobs, pool, starting, submission};
use super::*;

fn trigger() -> TriggerId {
    TriggerId::from_bytes([5; 16])
}

fn message() -> String {
    "it failed".to_owned()
}

/// Generation 2 after generation 1, whose job is 7, in this phase.
fn in_phase(phase: Phase) -> Situation {
    let mut situation = Situation::after(&document(1, ""), &job(7), &document(2, ""));
    situation.enter(phase);
    situation
}

fn stopping_nodes(end: Phase) -> Phase {
    Phase::StoppingNodes { wanted: 1, nodes: None, end: Box::new(end) }
}

/// Each phase after the first with the question that belongs to it. Job 8 is new, job 9 the restored one.
fn phases() -> Vec<(Phase, Query)> {
    let failed = || Phase::Failed { job: None, message: message() };
    let running = || Phase::Running { job: job(8), message: None };
    let submission = |job| Query::Submission { job, rival: None };
    let since = NOW.parse().unwrap();
    let starting_nodes = Phase::StartingNodes { job: None, nodes: Vec::new(), failed: Vec::new(), before: 1 };
    let first_steps = Query::Jobs { last: Some(job(7)), with_nodes: false, with_requirements: false };
    vec![
        (starting_nodes, Query::Nodes { job: None }),
        (Phase::NodesStarted { message: None }, first_steps),
        (stopping_nodes(running()), Query::Nodes { job: Some(job(8)) }),
        (stopping_nodes(failed()), Query::Nodes { job: None }),
        (
            Phase::Stopping { job: job(7), trigger: trigger() },
            Query::Stop { job: job(7), trigger: trigger() },
        ),
        (Phase::Stopped { job: Some(job(7)), savepoint: None, message: None }, Query::Nothing),
        (Phase::Submitting { job: job(8), savepoint: None }, submission(job(8))),
        (Phase::Settling { job: job(8) }, submission(job(8))),
        (Phase::Restoring { job: job(9), savepoint: None, message: message() }, submission(job(9))),
        (Phase::Rescaling { job: job(7) }, Query::Vertices { job: job(7), since }),
        (Phase::RescalingBack { job: job(7), message: message() }, Query::Vertices { job: job(7), since }),
        (Phase::RollingBack { failed: job(8), message: message() }, Query::FailedJob { job: job(8) }),
        (running(), Query::Nothing),
        (Phase::RolledBack { job: job(7), message: message() }, Query::Nothing),
        (failed(), Query::Nothing),
    ]
}

/// Goal: in every phase exactly that is asked which its next step depends on; a rollback also looks for the job given up in its favour.
#[test]
fn every_phase_has_its_question() {
    for (phase, query) in phases() {
        assert_eq!(in_phase(phase.clone()).query(), query, "{phase:?}");
    }
    let mut situation = in_phase(Phase::RollingBack { failed: job(8), message: message() });
    situation.enter(Phase::Restoring { job: job(9), savepoint: None, message: message() });
    assert_eq!(situation.query(), Query::Submission { job: job(9), rival: Some(job(8)) });
}

/// Goal: at the beginning the task managers are asked for only if the document wants a number of them and there is a pool, and the
/// parallelism of the running job only if nothing is known about it and it could stay as it is.
#[test]
fn the_first_question_asks_for_no_more_than_needed() {
    let wants = || document(1, "task_managers = 2");
    for (document, nodes, expected) in
        [(wants(), &["a"] as &[_], true), (wants(), &[], false), (document(1, ""), &["a"], false)]
    {
        let mut situation = Situation::first(&document);
        situation.rules.pool = pool(nodes);
        let query = Query::Jobs { last: None, with_nodes: expected, with_requirements: false };
        assert_eq!(situation.query(), query, "{nodes:?}");
    }
    let (first, second) = (in_place(1, &[("work", 2)]), in_place(2, &[("work", 5)]));
    for (situation, expected) in [
        (Situation::first(&first), true),
        (Situation::first(&document(1, "")), false),
        (Situation::after(&first, &job(7), &second), false),
    ] {
        let Query::Jobs { with_requirements, .. } = situation.query() else { panic!("another question") };
        assert_eq!(with_requirements, expected);
    }
}

/// Goal: an answer to another question changes nothing, and a change that is over stays so, whatever is observed.
#[test]
fn an_answer_to_another_question_changes_nothing() {
    for (phase, query) in phases() {
        let situation = in_phase(phase.clone());
        let seen = match &query {
            Query::Submission { .. } | Query::Nothing => jobs(&[(&job(7), JobState::Running)]),
            _ => submission(Submission::Running),
        };
        let goes_on_by_itself = matches!(phase, Phase::Stopped { .. });
        assert_eq!(situation.next(&seen) == NextStep::Wait, !goes_on_by_itself, "{phase:?}");
        if phase.is_final() {
            assert_eq!(situation.next(&Observation::Nothing), NextStep::Wait, "{phase:?}");
        }
    }
}

/// Goal: a stopped job is followed by the job of the new document, from the same state and under the id that any run of the agent
/// derives from the document.
#[test]
fn a_stopped_job_is_followed_by_the_new_one() {
    let savepoint = Some("savepoint".to_owned());
    let stopped = Phase::Stopped { job: Some(job(7)), savepoint: savepoint.clone(), message: None };
    let submitting = Phase::Submitting { job: submission_id(&document(2, "")), savepoint };
    assert_eq!(in_phase(stopped).next(&Observation::Nothing), NextStep::Enter(submitting));
}

/// Goal: while the previous job is restored, its document runs; in every other phase, and without a previous one, the new document does.
#[test]
fn a_restored_job_runs_the_previous_document() {
    let restoring = || Phase::Restoring { job: job(9), savepoint: None, message: message() };
    let submitting = Phase::Submitting { job: job(8), savepoint: None };
    let mut first = Situation::first(&document(2, ""));
    first.enter(restoring());
    for (situation, generation) in [(in_phase(restoring()), 1), (in_phase(submitting), 2), (first, 2)] {
        let document = to_run(situation.ledger.change().unwrap(), situation.ledger.history());
        assert_eq!(document.generation(), generation);
    }
}

/// Goal: a restored job whose rival started late gives way until the rival has ended, and only then.
#[test]
fn a_rival_counts_only_while_it_lives() {
    let mut situation = in_phase(Phase::RollingBack { failed: job(8), message: message() });
    situation.enter(Phase::Restoring { job: job(9), savepoint: None, message: message() });
    for (submission, rival_lives, expected) in [
        (Submission::Running, true, "cancel job 08080808"),
        (Submission::Running, false, "enter phase rolled-back, job 09090909: it failed"),
        (starting(), false, "wait"),
        (Submission::Unknown, true, "enter phase rolling-back, job 08080808"),
        (Submission::Unknown, false, "run job 09090909 without state"),
    ] {
        situation.check(&Observation::Submission { submission, rival_lives }, expected);
    }
}
