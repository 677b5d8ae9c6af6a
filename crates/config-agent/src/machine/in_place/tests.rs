//! Changes in place: where they are possible, and each step there and back.

use flink::JobState;

use super::*;
use crate::machine::Observation;
use crate::machine::fixture::{Situation, document, ended, in_place, job, jobs, starting, vertex, vertex_id};

/// The vertices `src`, of parallelism 1, and `work`.
fn vertices(work: u32) -> Vec<Vertex> {
    vec![vertex(1, "Source: src", 1), vertex(2, "work", work)]
}

/// An answer in which all tasks run, without failures.
fn running(work: u32) -> Observation {
    observed(Submission::Running, vertices(work), 0)
}

fn observed(submission: Submission, vertices: Vec<Vertex>, failures: usize) -> Observation {
    let failures = ["the last cause", "the cause before", "the first cause"].iter().take(failures);
    Observation::Vertices { submission, vertices, failures: failures.map(ToString::to_string).collect() }
}

/// `work` is to be rescaled from 2 to 5, and this phase was entered.
fn in_phase(phase: Phase) -> Situation {
    let (before, after) = (in_place(1, &[("work", 2)]), in_place(2, &[("work", 5)]));
    let mut situation = Situation::after(&before, &job(7), &after);
    situation.enter(phase);
    situation
}

fn rescaling() -> Situation {
    in_phase(Phase::Rescaling { job: job(7) })
}

fn rescaling_back() -> Situation {
    in_phase(Phase::RescalingBack { job: job(7), message: "too slow".to_owned() })
}

fn asked(mut situation: Situation) -> Situation {
    situation.attempt.asked = true;
    situation
}

fn refused(mut situation: Situation, reason: impl ToString) -> Situation {
    situation.attempt.refused = Some(reason.to_string());
    situation
}

fn without_program(mut situation: Situation) -> Situation {
    situation.rules.can_submit = false;
    situation
}

/// The request for these parallelisms, by the number of the vertex.
fn request(parallelism: &[(u8, u32)]) -> NextStep {
    let parallelism = parallelism.iter().map(|(number, p)| (vertex_id(*number), *p)).collect();
    NextStep::Act(Effect::Rescale { job: job(7), parallelism })
}

/// Goal: only the known job is rescaled, and only if nothing but the parallelism of its operators changes. An agent without a program
/// rescales any job.
#[test]
fn only_what_differs_in_parallelism_is_rescaled() {
    let (first, second) = (in_place(1, &[("work", 2)]), in_place(2, &[("work", 5)]));
    let other_graph = in_place(1, &[("another", 2)]);
    let (rescale, restart) = ("enter phase rescaling, job", "enter phase stopping, job");
    for (situation, runs, expected) in [
        (Situation::after(&first, &job(7), &second), job(7), rescale),
        (Situation::after(&first, &job(7), &second), job(8), restart),
        (Situation::after(&other_graph, &job(7), &second), job(7), restart),
        (Situation::after(&document(1, ""), &job(7), &document(2, "")), job(7), restart),
        (Situation::first(&second), job(7), restart),
        (without_program(Situation::first(&second)), job(7), rescale),
        (without_program(Situation::after(&first, &job(7), &second)), job(7), rescale),
        (without_program(Situation::after(&first, &job(7), &second)), job(8), rescale),
    ] {
        situation.check(&jobs(&[(&runs, JobState::Running)]), expected);
    }
}

/// Goal: a job is as wanted if each operator that the document names and that has a vertex has the parallelism of the document, within
/// the maximum of the vertex, and there is such a vertex at all.
#[test]
fn a_job_is_as_wanted_where_every_named_vertex_is() {
    let wants = |operators: &[(&str, u32)], vertices: &[Vertex]| is_wanted(&in_place(1, operators), vertices);
    let by_id = "02".repeat(16);
    let by_id = by_id.as_str();
    let cases: [(&[(&str, u32)], bool); 10] = [
        (&[("work", 5)], true),
        (&[("work", 4)], false),
        (&[("src", 1), ("work", 5)], true),
        (&[("src", 2), ("work", 5)], false),
        (&[("src", 1), ("work", 4)], false),
        (&[(by_id, 5)], true),
        (&[(by_id, 1)], false),
        (&[("work", 5), ("inside-a-chain", 9)], true),
        (&[("inside-a-chain", 5)], false),
        (&[], false),
    ];
    for (operators, expected) in cases {
        assert_eq!(wants(operators, &vertices(5)), expected, "{operators:?}");
    }
    let bounded = Vertex { max_parallelism: 4, ..vertex(2, "work", 4) };
    assert!(wants(&[("work", 9)], &[bounded]));
}

/// Goal: the new parallelism is requested once, of the vertices that change, and the change is over when all of them run with it.
#[test]
fn the_new_parallelism_is_requested_and_awaited() {
    assert_eq!(rescaling().next(&running(2)), request(&[(2, 5)]));
    let reached = "enter phase running, job 07070707";
    let late = "enter phase rolling-back, job 07070707: job 07070707070707070707070707070707 was not rescaled within 10s";
    let too_few_slots = format!("{late} (work: 2 of 5); slots may be missing");
    let not_all_run = format!("{late} (not all tasks run)");
    let asked = asked(rescaling());
    for (situation, seen, expected) in [
        (rescaling(), running(5), reached),
        (asked.clone(), running(5), reached),
        (asked.clone(), running(2), "wait"),
        (asked.clone().waited(9), running(2), "wait"),
        (asked.clone().waited(10), running(2), too_few_slots.as_str()),
        (asked.clone().waited(11), running(2), late),
        (asked.clone(), observed(starting(), vertices(5), 0), "wait"),
        (asked.waited(10), observed(starting(), vertices(5), 0), not_all_run.as_str()),
    ] {
        situation.check(&seen, expected);
    }
}

/// Goal: vertices are found by the first operator or, where operators have no uid, by the id of the vertex.
#[test]
fn a_vertex_can_be_named_by_its_id() {
    let id = "02".repeat(16);
    let (before, after) = (in_place(1, &[(id.as_str(), 2)]), in_place(2, &[(id.as_str(), 5)]));
    let mut situation = Situation::after(&before, &job(7), &after);
    situation.enter(Phase::Rescaling { job: job(7) });
    assert_eq!(situation.next(&running(2)), request(&[(2, 5)]));
}

/// Goal: a job that keeps failing, or ends, during a change in place is not waited for until the time is over.
#[test]
fn too_many_failures_end_the_change() {
    let failing = |failures| observed(starting(), vertices(2), failures);
    let asked = asked(rescaling());
    asked.check(&failing(2), "wait");
    let message = "enter phase rolling-back, job 07070707: job 07070707070707070707070707070707 does not run with the new \
                   parallelism; it failed 3 times: the last cause";
    asked.check(&failing(3), message);
    for gone in [Submission::Unknown, ended(JobState::Failed, None)] {
        let step = asked.next(&observed(gone, vertices(2), 0));
        let NextStep::Enter(Phase::RollingBack { failed, message }) = step else { panic!("{step:?}") };
        assert!(failed == job(7) && message.contains("ended during the rescale"), "{message}");
    }
}

/// Goal: where no job can be rescaled in place, a restart does it; any other refusal leaves the job as it is. So does the first where
/// there is no program.
#[test]
fn a_refusal_leads_to_a_restart_or_to_nothing() {
    let unchanged = "enter phase rolled-back, job 07070707: Flink refused to rescale job";
    let unchecked = |mut situation: Situation| {
        situation.attempt.checked = false;
        situation
    };
    for (situation, expected) in [
        (refused(rescaling(), "no slots"), unchanged),
        (refused(rescaling(), Obstacle::Scheduler), "enter phase stopping, job 07070707"),
        (unchecked(refused(rescaling(), Obstacle::Scheduler)), "check that Flink can build"),
        (without_program(refused(rescaling(), Obstacle::Scheduler)), unchanged),
    ] {
        situation.check(&running(2), expected);
    }
}

/// Goal: an operator in the middle of a vertex gets another parallelism only by a restart, once Flink has built the new graph; one whose
/// parallelism stays does not matter.
#[test]
fn an_operator_without_a_vertex_needs_a_restart() {
    let with_decoder = |decoder| {
        let (before, after) =
            (in_place(1, &[("decode", 3), ("work", 2)]), in_place(2, &[("decode", decoder), ("work", 5)]));
        let mut situation = Situation::after(&before, &job(7), &after);
        situation.enter(Phase::Rescaling { job: job(7) });
        situation
    };
    assert_eq!(with_decoder(3).next(&running(2)), request(&[(2, 5)]));
    let mut unchecked = with_decoder(4);
    unchecked.attempt.checked = false;
    for (situation, expected) in [
        (unchecked, "check that Flink can build"),
        (with_decoder(4), "enter phase stopping, job 07070707"),
        (
            refused(with_decoder(4), "no such uid"),
            "enter phase rolled-back, job 07070707: Flink rejects the document",
        ),
        (
            without_program(with_decoder(4)),
            "enter phase rolled-back, job 07070707: job 07070707070707070707070707070707 has no vertex that starts with \
             operator decode",
        ),
    ] {
        situation.check(&running(2), expected);
    }
}

/// Goal: the way back is requested once and ends the change: when it is reached, when its time is over, when the job keeps failing, or
/// when Flink refuses it.
#[test]
fn the_previous_parallelism_is_requested_and_awaited() {
    assert_eq!(rescaling_back().next(&running(5)), request(&[(1, 1), (2, 2)]));
    let told = |more: &str| format!("enter phase rolled-back, job 07070707: too slow; {more}");
    let restored = told("restored the previous parallelism");
    let missing = told("requested the previous parallelism, not reached yet (work: 5 of 2)");
    let failed = told("requested the previous parallelism, but it failed 3 times: the last cause");
    let (restored, missing, failed) = (restored.as_str(), missing.as_str(), failed.as_str());
    let asked = asked(rescaling_back());
    let failing = |failures| observed(starting(), vertices(5), failures);
    for (situation, seen, expected) in [
        (asked.clone(), running(2), restored),
        (asked.clone(), running(5), "wait"),
        (asked.clone(), observed(starting(), vertices(2), 0), "wait"),
        (asked.clone().waited(9), running(5), "wait"),
        (asked.clone().waited(10), running(5), missing),
        (asked.clone().waited(11), running(5), missing),
        (refused(rescaling_back(), "no"), running(5), missing),
        (refused(rescaling_back(), "no"), running(2), restored),
        (asked.clone(), failing(2), "wait"),
        (asked.clone(), failing(3), failed),
        (rescaling_back(), observed(Submission::Running, Vec::new(), 0), restored),
    ] {
        situation.check(&seen, expected);
    }
}

/// Goal: a job that ends on the way back is rolled back from a savepoint; without a previous document it stays as it is.
#[test]
fn on_the_way_back_a_job_may_end_or_be_unknown() {
    for gone in [Submission::Unknown, ended(JobState::Failed, None)] {
        let step = asked(rescaling_back()).next(&observed(gone, vertices(5), 0));
        let NextStep::Enter(Phase::RollingBack { failed, message }) = step else { panic!("{step:?}") };
        assert_eq!((failed, message.as_str()), (job(7), "too slow; then the job ended"));
    }
    let mut first = Situation::first(&in_place(1, &[("work", 5)]));
    first.enter(Phase::RescalingBack { job: job(7), message: "too slow".to_owned() });
    let expected = "enter phase rolled-back, job 07070707: too slow; it keeps its present parallelism, because the previous one \
                    is unknown";
    first.check(&running(2), expected);
}
