//! Changes from beginning to end, successful and failing, over a scripted Flink and the real drop.

use std::time::Duration;

use crate::support::setup::{Setup, run_until_ended};
use crate::support::{JOB, PATIENCE, agent, document, document_of, ended};
use config_agent::{Phase, RunOutcome, submission_id};
use job_config::ChangeState;

fn message_of(phase: &Phase) -> &str {
    match phase {
        Phase::Failed { message, .. } | Phase::RolledBack { message, .. } => message,
        other => panic!("{other:?}"),
    }
}

/// Goal: the first document starts the job; the next one stops it with a savepoint and resumes from there. One upload
/// of the jar serves both, and every step is reported in order.
#[tokio::test]
async fn a_job_is_brought_up_and_changed() {
    let setup = Setup::new().await;
    let first = document(1);
    let phase = setup.apply(&first).await;
    assert_eq!(phase, Phase::Running { job: submission_id(&first), message: None });
    let expected = [ChangeState::Received, ChangeState::Submitting, ChangeState::Running];
    assert_eq!(setup.states(1).await, expected);

    let second = document(2);
    setup.apply(&second).await;
    let expected = [
        ChangeState::Received,
        ChangeState::Stopping,
        ChangeState::Stopped,
        ChangeState::Submitting,
        ChangeState::Running,
    ];
    assert_eq!(setup.states(2).await, expected);
    let running = setup.flink.running();
    assert_eq!(running.len(), 1);
    assert_eq!(running[0].document, second.text());
    let savepoint = format!("file:///savepoints/{}", submission_id(&first));
    assert_eq!(running[0].from_savepoint.as_ref(), Some(&savepoint));
    assert!(setup.drop.reports().await.iter().skip(5).all(|r| r.savepoint.as_ref() == Some(&savepoint)));
    assert_eq!(setup.counts(), (1, 2));
    assert_eq!(setup.flink.with(|world| world.uploads), 1);
}

/// Goal: names, types, labels and help texts of the metrics stay.
#[tokio::test]
async fn the_metrics_page_stays() {
    let setup = Setup::new().await;
    setup.apply(&document(1)).await;
    let (_, page) = config_agent::pages(&agent(&setup.config).await);
    let since = page.lines().find_map(|line| line.strip_prefix("config_agent_state_since_seconds ")).unwrap();
    assert!(since.parse::<u64>().unwrap() > 1_700_000_000, "{page}");
    let expected = format!(
        "\
# HELP config_agent_generation Generation accepted last.
# TYPE config_agent_generation gauge
config_agent_generation{{job=\"nexmark\"}} 1
# HELP config_agent_state How far that generation has come.
# TYPE config_agent_state gauge
config_agent_state{{job=\"nexmark\",state=\"running\"}} 1
# HELP config_agent_state_since_seconds When, in seconds since the Unix epoch.
# TYPE config_agent_state_since_seconds gauge
config_agent_state_since_seconds {since}
# HELP config_agent_undelivered_reports Reports that the drop does not have yet.
# TYPE config_agent_undelivered_reports gauge
config_agent_undelivered_reports 0
# HELP config_agent_dependency_up Whether the last call was answered.
# TYPE config_agent_dependency_up gauge
config_agent_dependency_up{{dependency=\"the config drop\"}} 1
config_agent_dependency_up{{dependency=\"the delivery of reports\"}} 1
config_agent_dependency_up{{dependency=\"Flink\"}} 1
# HELP config_agent_refused_documents_total Documents that were refused, each time they were offered.
# TYPE config_agent_refused_documents_total counter
config_agent_refused_documents_total{{reason=\""
    );
    assert!(page.starts_with(&expected), "{page}");
}

/// Goal: while one agent runs, each new generation is applied as it is published.
#[tokio::test]
async fn changes_follow_each_other() {
    let setup = Setup::new().await;
    let agent = agent(&setup.config).await;
    let publish = async {
        for generation in 1..=5 {
            setup.drop.publish(&document(generation)).await;
            ended(agent.journal(), generation).await;
        }
    };
    tokio::select! {
        result = agent.run() => panic!("{result:?}"),
        () = publish => {}
    }
    assert_eq!(setup.counts(), (4, 5));
    assert_eq!(setup.flink.running()[0].document, document(5).text());
}

/// Goal: a running job unknown to the journal is stopped with a savepoint, not left beside the new one; two of them
/// are left alone.
#[tokio::test]
async fn a_foreign_job_is_adopted() {
    let setup = Setup::new().await;
    setup.flink.add_job(&"a".repeat(32), "RUNNING");
    assert!(matches!(setup.apply(&document(4)).await, Phase::Running { .. }));
    let running = setup.flink.running();
    assert_eq!(running.len(), 1);
    assert_eq!(running[0].from_savepoint, Some(format!("file:///savepoints/{}", "a".repeat(32))));

    setup.flink.add_job(&"b".repeat(32), "RUNNING");
    let phase = setup.apply(&document(5)).await;
    assert!(message_of(&phase).contains("several jobs with this name"), "{phase:?}");
    assert_eq!(setup.counts(), (1, 1));
}

/// Goal: an agent that lost its journal recognises the job of the same document and leaves it running.
#[tokio::test]
async fn a_lost_journal_does_not_restart_the_job() {
    let setup = Setup::new().await;
    setup.apply(&document(1)).await;
    std::fs::remove_dir_all(&setup.config.data).unwrap();
    let agent = agent(&setup.config).await;
    assert_eq!(tokio::time::timeout(PATIENCE, agent.once()).await.unwrap().unwrap(), RunOutcome::Good);
    assert_eq!(setup.counts(), (0, 1));
}

/// Goal: a document that fails Flink's dry run, and a missing jar, stop nothing.
#[tokio::test]
async fn an_unfit_document_leaves_the_job_alone() {
    let setup = Setup::new().await;
    setup.apply(&document(1)).await;
    setup.flink.with(|world| world.plan_fails = Some("unknown operator".to_owned()));
    let phase = setup.apply(&document(2)).await;
    let message = message_of(&phase);
    assert!(message.contains("unknown operator") && message.contains("keeps running unchanged"), "{message}");
    setup.flink.with(|world| world.plan_fails = None);
    let mut missing = setup.config.clone();
    missing.program.as_mut().unwrap().jar = setup.folder.path().join("missing.jar");
    setup.drop.publish(&document(3)).await;
    let phase = run_until_ended(&agent(&missing).await, 3).await;
    assert!(message_of(&phase).contains("missing.jar"), "{phase:?}");
    assert_eq!(setup.counts(), (0, 1));
    assert_eq!(setup.flink.running()[0].document, document(1).text());
}

/// Goal: a failed savepoint leaves the job running, is reported, and the next generation is applied.
#[tokio::test]
async fn a_failed_savepoint_leaves_the_job_running() {
    let setup = Setup::new().await;
    setup.apply(&document(1)).await;
    setup.flink.with(|world| world.stop_fails = Some("a.B: disk full\n\tat c.D(E.java:1)".to_owned()));
    let phase = setup.apply(&document(2)).await;
    let message = message_of(&phase);
    assert!(message.contains("disk full") && message.contains("keeps running unchanged"), "{message}");
    assert_eq!(setup.flink.running()[0].document, document(1).text());
    assert!(matches!(setup.apply(&document(3)).await, Phase::Running { .. }));
}

/// Goal: a job that fails, and one that never runs, are failures with the root cause; the next generation resumes
/// from the savepoint that the failed one was to start from.
#[tokio::test]
async fn a_failed_job_does_not_lose_the_state() {
    let mut setup = Setup::new().await;
    setup.config.rules.roll_back = false;
    setup.apply(&document(1)).await;
    let savepoint = format!("file:///savepoints/{}", submission_id(&document(1)));
    let trace = "a.B: cannot start\n\tat c.D(E.java:1)\nCaused by: f.G: no such state".to_owned();
    setup.flink.with(|world| world.jobs_fail = Some(trace));
    let phase = setup.apply(&document(2)).await;
    let message = message_of(&phase);
    assert!(message.contains("cannot start") && message.contains("no such state"), "{message}");
    let reports = setup.drop.reports().await;
    assert_eq!(reports.last().unwrap().savepoint.as_ref(), Some(&savepoint));

    setup.flink.with(|world| world.jobs_fail = None);
    assert!(matches!(setup.apply(&document(3)).await, Phase::Running { .. }));
    assert_eq!(setup.flink.running()[0].from_savepoint.as_ref(), Some(&savepoint));
    assert_eq!(setup.counts(), (1, 3));

    setup.config.rules.running_within = Duration::from_secs(2);
    setup.flink.with(|world| world.jobs_hang = true);
    let phase = setup.apply(&document(4)).await;
    assert!(message_of(&phase).contains("within 2s"), "{phase:?}");
}

/// Goal: the savepoint of an operation that Flink has forgotten is found in the job that ended.
#[tokio::test]
async fn a_forgotten_operation_is_found_in_the_job() {
    let setup = Setup::new().await;
    setup.apply(&document(1)).await;
    setup.flink.with(|world| world.forgets_operations = true);
    assert!(matches!(setup.apply(&document(2)).await, Phase::Running { .. }));
    let expected = format!("file:///savepoints/{}", submission_id(&document(1)));
    assert_eq!(setup.flink.running()[0].from_savepoint, Some(expected));
    assert_eq!(setup.counts(), (1, 2));
}

/// Goal: if the cluster lost the job and its state, no job is started without state, unless configured.
#[tokio::test]
async fn lost_state_is_not_replaced_by_none() {
    let mut setup = Setup::new().await;
    setup.apply(&document(1)).await;
    setup.flink.with(|world| {
        world.jobs.clear();
        world.order.clear();
    });
    let phase = setup.apply(&document(2)).await;
    assert!(message_of(&phase).contains("start_fresh_if_lost"), "{phase:?}");
    setup.config.rules.start_fresh_if_lost = true;
    assert!(matches!(setup.apply(&document(3)).await, Phase::Running { .. }));
    assert_eq!(setup.flink.running()[0].from_savepoint, None);
}

/// Goal: a job that was stopped by hand is resumed from where it ended.
#[tokio::test]
async fn a_job_stopped_by_hand_goes_on() {
    let setup = Setup::new().await;
    setup.apply(&document(1)).await;
    setup.flink.with(|world| {
        let job = world.jobs.values_mut().next().unwrap();
        job.state = "FINISHED";
        job.savepoint = Some("file:///by-hand".to_owned());
    });
    setup.apply(&document(2)).await;
    assert_eq!(setup.flink.running()[0].from_savepoint.as_deref(), Some("file:///by-hand"));
}

/// Goal: a restarting job is not stopped before it runs, and the wait for it has a timeout.
#[tokio::test]
async fn a_restarting_job_is_given_time() {
    let mut setup = Setup::new().await;
    setup.config.rules.stoppable_within = Duration::from_millis(300);
    setup.flink.add_job(&"a".repeat(32), "RESTARTING");
    let phase = setup.apply(&document(1)).await;
    assert!(message_of(&phase).contains("Restarting"), "{phase:?}");
    assert_eq!(setup.counts(), (0, 0));
}

/// Goal: an expired document is reported as failed and never accepted, without effect; its successor is applied.
#[tokio::test]
async fn an_expired_document_is_not_applied() {
    let setup = Setup::new().await;
    setup.drop.publish(&document_of(JOB, 1, "expires_at = \"2026-01-02T00:00:00Z\"")).await;
    let agent = agent(&setup.config).await;
    let reported = async {
        loop {
            let reports = setup.drop.reports().await;
            if !reports.is_empty() {
                return reports;
            }
        }
    };
    let reports = tokio::select! {
        result = agent.run() => panic!("{result:?}"),
        reports = tokio::time::timeout(PATIENCE, reported) => reports.unwrap(),
    };
    let message = reports[0].message.as_deref().unwrap();
    assert!(message.contains("refused (expired): it expired at 2026-01-02"), "{message}");
    assert_eq!((reports.len(), reports[0].state), (1, ChangeState::Failed));
    assert_eq!((agent.journal().ledger().change(), setup.counts()), (None, (0, 0)));
    drop(agent);
    assert!(matches!(setup.apply(&document(2)).await, Phase::Running { .. }));
}

/// Goal: `--once` returns whether the newest document runs; `--dry-run` changes nothing.
#[tokio::test]
async fn single_runs_tell_how_it_went() {
    let mut setup = Setup::new().await;
    setup.config.rules.roll_back = false;
    let once = async || agent(&setup.config).await.once().await.unwrap();
    assert_eq!(once().await, RunOutcome::Bad);
    setup.drop.publish(&document(1)).await;
    assert_eq!(agent(&setup.config).await.dry_run().await.unwrap(), RunOutcome::Good);
    assert_eq!((setup.counts(), setup.drop.reports().await.len()), ((0, 0), 0));
    assert_eq!(once().await, RunOutcome::Good);
    assert_eq!(once().await, RunOutcome::Good);
    setup.flink.with(|world| world.jobs_fail = Some("a.B: no".to_owned()));
    setup.drop.publish(&document(2)).await;
    assert_eq!(once().await, RunOutcome::Bad);
    assert_eq!(once().await, RunOutcome::Bad);
    assert_eq!(setup.counts(), (1, 2));
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
