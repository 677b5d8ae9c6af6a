//! Rescaling in place: where it is possible, and the fallback where it is not.

use std::time::Duration;

use crate::support::JOB;
use crate::support::scripted_flink::{Fault, VERTEX};
use crate::support::setup::Setup;
use config_agent::{Phase, submission_id};
use job_config::{ChangeState, JobDocument};

fn document(generation: u64, operators: &[(&str, u32)], default: u32) -> JobDocument {
    let operators: String = operators.iter().map(|(uid, p)| format!("{uid} = {p}\n")).collect();
    JobDocument::parse(&format!(
        "format = 1\njob = \"{JOB}\"\ngeneration = {generation}\nissued_at = \"2026-01-01T00:00:00Z\"\n\
         restart_mode = \"in-place\"\n[parallelism]\ndefault = {default}\nmax = 128\n[parallelism.operators]\n{operators}"
    ))
    .unwrap()
}

/// A cluster on which generation 1 runs with parallelism two.
async fn with_first() -> Setup {
    let setup = Setup::new().await;
    assert!(matches!(setup.apply(&document(1, &[(VERTEX, 2)], 1)).await, Phase::Running { .. }));
    setup
}

fn widths(setup: &Setup) -> Vec<u32> {
    setup.flink.running().iter().map(|job| job.width).collect()
}

/// Goal: a new parallelism reaches the running job, which is neither stopped nor resubmitted; so does the next. One
/// that the job already has sends no request.
#[tokio::test]
async fn the_running_job_is_rescaled() {
    let setup = with_first().await;
    let first = submission_id(&document(1, &[(VERTEX, 2)], 1));
    for (generation, width) in [(2, 5), (3, 1), (4, 1)] {
        let phase = setup.apply(&document(generation, &[(VERTEX, width)], 1)).await;
        assert_eq!(phase, Phase::Running { job: first.clone(), message: None });
        assert_eq!(widths(&setup), [width]);
        assert_eq!(
            setup.states(generation).await,
            [ChangeState::Received, ChangeState::Rescaling, ChangeState::Running]
        );
    }
    assert_eq!(setup.counts(), (0, 1));
    assert_eq!(setup.flink.with(|world| (world.rescales, world.wishes)), (2, 2));
}

/// Goal: changes that need a new job graph restart the job: another default, an operator inside a vertex.
#[tokio::test]
async fn everything_else_is_a_restart() {
    let setup = with_first().await;
    for (restarts, next) in
        [(1, document(2, &[(VERTEX, 2)], 2)), (2, document(3, &[(VERTEX, 2), ("decode-bid", 3)], 2))]
    {
        assert!(matches!(setup.apply(&next).await, Phase::Running { .. }));
        assert_eq!(setup.counts(), (restarts, restarts + 1));
        assert_eq!(setup.flink.running()[0].document, next.text());
    }
    assert_eq!(setup.flink.with(|world| world.rescales), 0);
}

/// Goal: where Flink can rescale no job in place, an agent with a jar restarts it from a savepoint instead.
#[tokio::test]
async fn another_scheduler_is_a_restart() {
    let setup = with_first().await;
    setup.flink.with(|world| world.has_other_scheduler = true);
    let next = document(2, &[(VERTEX, 4)], 1);
    assert!(matches!(setup.apply(&next).await, Phase::Running { .. }));
    assert_eq!((setup.counts(), setup.flink.with(|world| world.rescales)), ((1, 2), 0));
    assert_eq!(setup.flink.running()[0].document, next.text());
    assert!(setup.flink.running()[0].from_savepoint.is_some());
}

/// Goal: a change in place does not wait for Flink to build the job's graph; a restart does, and a document whose graph
/// Flink cannot build leaves the job running, also where the change was first requested in place.
#[tokio::test]
async fn only_a_restart_is_checked() {
    let setup = with_first().await;
    setup.flink.with(|world| world.plan_fails = Some("a wrong uid".to_owned()));
    assert!(matches!(setup.apply(&document(2, &[(VERTEX, 4)], 1)).await, Phase::Running { .. }));
    assert_eq!(setup.flink.with(|world| (world.uploads, world.rescales)), (1, 1));
    for (generation, has_other_scheduler) in [(3, false), (4, true)] {
        setup.flink.with(|world| world.has_other_scheduler = has_other_scheduler);
        let operators: &[_] =
            if has_other_scheduler { &[(VERTEX, 3)] } else { &[(VERTEX, 4), ("decode-bid", 3)] };
        let phase = setup.apply(&document(generation, operators, 1)).await;
        let Phase::RolledBack { message, .. } = &phase else { panic!("{phase:?}") };
        assert!(message.contains("a wrong uid") && message.contains("keeps running unchanged"), "{message}");
        assert_eq!((widths(&setup), setup.counts()), (vec![4], (0, 1)));
    }
}

/// Goal: missing slots are reported with numbers, the job returns to its previous parallelism, and the next
/// generation is applied.
#[tokio::test]
async fn missing_slots_are_told() {
    let mut setup = with_first().await;
    setup.config.rules.running_within = Duration::from_secs(5);
    setup.flink.with(|world| world.slots = Some(3));
    let phase = setup.apply(&document(2, &[(VERTEX, 5)], 1)).await;
    let Phase::RolledBack { message, .. } = &phase else { panic!("{phase:?}") };
    assert!(message.contains("q7-bid-item: 3 of 5"), "{message}");
    assert_eq!(widths(&setup), [2]);
    assert!(matches!(setup.apply(&document(3, &[(VERTEX, 3)], 1)).await, Phase::Running { .. }));
    assert_eq!((widths(&setup), setup.counts()), (vec![3], (0, 1)));
}

/// Goal: a crash at any request leads to the same end state, with one rescale and no restart.
#[tokio::test]
async fn a_crash_changes_nothing_in_the_end() {
    for fault in [Fault::LostRequest, Fault::LostAnswer] {
        for request in 1.. {
            let mut setup = with_first().await;
            setup.drop.publish(&document(2, &[(VERTEX, 5)], 1)).await;
            setup.flink.with(|world| world.requests = 0);
            let befallen = setup.crash_at(request, fault, 2).await;
            setup.flink.with(|world| world.fault = None);
            assert!(matches!(setup.finish(2).await, Phase::Running { .. }));
            let rescales = setup.flink.with(|world| world.rescales);
            assert_eq!(
                (widths(&setup), setup.counts(), rescales),
                (vec![5], (0, 1), 1),
                "{fault:?} at {request}"
            );
            if !befallen {
                assert!(request > 3, "the change took only {request} requests");
                break;
            }
        }
    }
}
