//! Failing new jobs: the previous document is restored from the right state, and too many failures block new changes.

use std::time::Duration;

use crate::support::setup::Setup;
use crate::support::{agent, document};
use config_agent::{Phase, restoration_id, submission_id};
use job_config::ChangeState;

fn savepoint_of_first() -> String {
    format!("file:///savepoints/{}", submission_id(&document(1)))
}

/// A cluster on which generation 1 runs and the job of generation 2 will fail.
async fn with_bad_second() -> Setup {
    let setup = Setup::new().await;
    setup.apply(&document(1)).await;
    setup.flink.with(|world| {
        world.jobs_fail = Some("a.B: cannot start".to_owned());
        world.bad = vec![2];
    });
    setup
}

/// The running job, and its start state.
fn running(setup: &Setup) -> (String, Option<String>) {
    let running = setup.flink.running();
    assert_eq!(running.len(), 1);
    assert!(!setup.flink.with(|world| world.two_at_a_time));
    (running[0].document.clone(), running[0].from_savepoint.clone())
}

/// Goal: a failed new job is rolled back to the previous document, from the same savepoint; the next generation
/// resumes from there.
#[tokio::test]
async fn a_failed_job_gives_way_to_the_one_before() {
    let setup = with_bad_second().await;
    let phase = setup.apply(&document(2)).await;
    let Phase::RolledBack { job, message } = &phase else { panic!("{phase:?}") };
    assert_eq!(*job, restoration_id(&document(2)));
    assert!(message.contains("cannot start"), "{message}");
    assert_eq!(running(&setup), (document(1).text().to_owned(), Some(savepoint_of_first())));
    let expected = [
        ChangeState::Received,
        ChangeState::Stopping,
        ChangeState::Stopped,
        ChangeState::Submitting,
        ChangeState::RollingBack,
        ChangeState::RollingBack,
        ChangeState::RolledBack,
    ];
    assert_eq!(setup.states(2).await, expected);

    assert!(matches!(setup.apply(&document(3)).await, Phase::Running { .. }));
    let savepoint = format!("file:///savepoints/{}", restoration_id(&document(2)));
    assert_eq!(running(&setup), (document(3).text().to_owned(), Some(savepoint)));
}

/// Goal: a job that never runs is cancelled before the old one is restored: never two at a time.
#[tokio::test]
async fn a_hanging_job_is_ended_first() {
    let mut setup = with_bad_second().await;
    // The rollback has its own timeout.
    setup.config.rules.running_within = Duration::from_secs(1);
    setup.flink.with(|world| (world.jobs_fail, world.jobs_hang) = (None, true));
    assert!(matches!(setup.apply(&document(2)).await, Phase::RolledBack { .. }));
    assert_eq!(running(&setup), (document(1).text().to_owned(), Some(savepoint_of_first())));
}

/// Goal: a job that fails within the grace time is a failed change; its completed output is not repeated or, if that
/// is impossible, the report says so.
#[tokio::test]
async fn a_job_that_fails_late_goes_back_from_its_checkpoint() {
    for deletes_checkpoints in [false, true] {
        let mut setup = with_bad_second().await;
        setup.config.rules.grace = Duration::from_millis(50);
        setup.flink.with(|world| {
            world.fail_late = true;
            world.deletes_checkpoints = deletes_checkpoints;
        });
        let phase = setup.apply(&document(2)).await;
        let Phase::RolledBack { message, .. } = &phase else { panic!("{phase:?}") };
        assert_eq!(message.contains("may be written twice"), deletes_checkpoints, "{message}");
        let checkpoint = format!("file:///checkpoints/{}", submission_id(&document(2)));
        let expected = if deletes_checkpoints { savepoint_of_first() } else { checkpoint };
        assert_eq!(running(&setup), (document(1).text().to_owned(), Some(expected)));
    }
}

/// Goal: a job that keeps running through the grace time is a successful change.
#[tokio::test]
async fn a_good_job_outlasts_the_grace_time() {
    let mut setup = Setup::new().await;
    setup.config.rules.grace = Duration::from_millis(50);
    assert!(matches!(setup.apply(&document(1)).await, Phase::Running { .. }));
    assert!(matches!(setup.apply(&document(2)).await, Phase::Running { .. }));
    assert_eq!(running(&setup), (document(2).text().to_owned(), Some(savepoint_of_first())));
}

/// Goal: if the restored job fails too, the change fails, and both reasons are reported.
#[tokio::test]
async fn a_failed_restoration_is_told() {
    let setup = with_bad_second().await;
    setup.flink.with(|world| world.bad.clear());
    let phase = setup.apply(&document(2)).await;
    let Phase::Failed { message, .. } = &phase else { panic!("{phase:?}") };
    assert!(
        message.contains("restoring the previous") && message.matches("cannot start").count() == 2,
        "{message}"
    );
}

/// Goal: after too many consecutive failures no change starts, until the pause is over or an operator resets the
/// breaker.
#[tokio::test]
async fn the_circuit_breaker_opens() {
    let mut setup = with_bad_second().await;
    setup.config.rules.breaker_failures = 2;
    setup.flink.with(|world| world.bad = vec![2, 3, 4, 5]);
    assert!(matches!(setup.apply(&document(2)).await, Phase::RolledBack { .. }));
    assert!(matches!(setup.apply(&document(3)).await, Phase::RolledBack { .. }));
    let stops = setup.flink.with(|world| world.stops);
    let phase = setup.apply(&document(4)).await;
    let Phase::RolledBack { message, .. } = &phase else { panic!("{phase:?}") };
    assert!(message.contains("2 changes in a row failed"), "{message}");
    assert_eq!(setup.flink.with(|world| world.stops), stops);

    agent(&setup.config).await.close_circuit_breaker().await.unwrap();
    assert!(matches!(setup.apply(&document(5)).await, Phase::RolledBack { .. }));
    assert!(matches!(setup.apply(&document(6)).await, Phase::Running { .. }));
    setup.config.rules.breaker_failures = 1;
    assert!(
        matches!(setup.apply(&document(7)).await, Phase::Running { .. }),
        "a good change forgives the ones before"
    );
    setup.config.rules.breaker_pause = Duration::ZERO;
    setup.flink.with(|world| world.bad = vec![8]);
    assert!(matches!(setup.apply(&document(8)).await, Phase::RolledBack { .. }));
    assert!(matches!(setup.apply(&document(9)).await, Phase::Running { .. }), "the pause is over");
}
