//! A lost journal: the drop's reports and Flink's state suffice to keep a healthy job and to answer every publisher.

use std::sync::Arc;
use std::time::Duration;

use crate::support::scripted_flink::VERTEX;
use crate::support::setup::{Setup, run_until_ended};
use crate::support::{JOB, PATIENCE, agent, document};
use config_agent::{Config, CrashPoint, DocumentSourceSettings, Ledger, Phase, submission_id};
use job_config::{Admission, ChangeState, JobDocument, Report};

fn in_place(generation: u64, width: u32) -> JobDocument {
    JobDocument::parse(&format!(
        "format = 1\njob = \"{JOB}\"\ngeneration = {generation}\nissued_at = \"2026-01-01T00:00:00Z\"\n\
         restart_mode = \"in-place\"\n[parallelism]\ndefault = 1\nmax = 128\n[parallelism.operators]\n{VERTEX} = {width}\n"
    ))
    .unwrap()
}

fn lose_journal(setup: &Setup) {
    std::fs::remove_dir_all(&setup.config.data).unwrap();
}

/// Runs the agent until it has journalled this many entries, and returns what they add up to.
async fn run_until_entry(setup: &Setup, number: u32) -> Arc<Ledger> {
    let agent = agent(&setup.config).await;
    agent.journal().crash_at(CrashPoint::After(number));
    tokio::select! {
        result = agent.run() => panic!("{result:?}"),
        halted = tokio::time::timeout(PATIENCE, agent.journal().reached_crash_point()) => halted.unwrap(),
    }
    agent.journal().ledger()
}

/// Goal: a job that was rescaled in place stays untouched when the journal is lost, and takes the next change in
/// place.
#[tokio::test]
async fn a_healthy_job_is_not_touched() {
    let setup = Setup::new().await;
    for (generation, width) in [(1, 2), (2, 5)] {
        assert!(matches!(setup.apply(&in_place(generation, width)).await, Phase::Running { .. }));
    }
    let reports = setup.drop.reports().await;
    lose_journal(&setup);
    // The drop's reports say that generation 2 is over.
    run_until_entry(&setup, 1).await;
    let job = submission_id(&in_place(1, 2));
    assert_eq!(setup.apply(&in_place(3, 4)).await, Phase::Running { job, message: None });
    assert_eq!((setup.counts(), setup.flink.running()[0].width), ((0, 1), 4));
    let mut after = setup.drop.reports().await;
    after.retain(|report| report.generation < 3);
    assert_eq!(after, reports);
}

/// Goal: without stored reports, Flink's requirements show that the job already matches the document.
#[tokio::test]
async fn flink_knows_how_wide_the_job_shall_be() {
    let mut setup = Setup::new().await;
    for (generation, width) in [(1, 2), (2, 5)] {
        assert!(matches!(setup.apply(&in_place(generation, width)).await, Phase::Running { .. }));
    }
    lose_journal(&setup);
    let file = setup.folder.path().join("nexmark.toml");
    std::fs::write(&file, in_place(2, 5).text()).unwrap();
    let document_url = Some(format!("file://{}", file.display()).as_str().into());
    let document_source = DocumentSourceSettings {
        document_url,
        poll: Duration::from_millis(20),
        ..DocumentSourceSettings::default()
    };
    setup.config = Config { document_source, drop_url: "".into(), ..setup.config.clone() };
    let job = submission_id(&in_place(1, 2));
    assert_eq!(setup.finish(2).await, Phase::Running { job, message: None });
    assert_eq!((setup.counts(), setup.flink.with(|world| world.wishes)), ((0, 1), 1));
}

/// Goal: a change in progress is completed, and reported under unused sequence numbers; the document before it is known again.
#[tokio::test]
async fn a_change_under_way_is_finished() {
    for entries in 2..=6 {
        let setup = Setup::new().await;
        assert!(matches!(setup.apply(&in_place(1, 2)).await, Phase::Running { .. }));
        setup.drop.publish(&in_place(2, 5)).await;
        run_until_entry(&setup, entries).await;
        let is_told = |reports: Vec<Report>| reports.iter().any(|r| r.generation == 2 && r.state.is_final());
        lose_journal(&setup);
        let ledger = run_until_entry(&setup, 1).await;
        let known = ledger.recovered().unwrap();
        let is_over = known.generation == 2 && known.ended.is_some();
        let last_ran = if is_over { in_place(2, 5) } else { in_place(1, 2) };
        assert_eq!(known.document.as_deref(), Some(last_ran.text()), "{entries}");
        let agent = agent(&setup.config).await;
        let end = async {
            while !is_told(setup.drop.reports().await) {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            result = agent.run() => panic!("{result:?}"),
            ended = tokio::time::timeout(PATIENCE, end) => ended.unwrap(),
        }
        let reports = setup.drop.reports().await;
        let last = reports.last().unwrap();
        assert_eq!(
            (last.state, last.running_generation),
            (ChangeState::Running, Some(2)),
            "{entries}: {reports:?}"
        );
        assert_eq!((setup.counts(), setup.flink.running()[0].width), ((0, 1), 5), "{entries}");
    }
}

/// Goal: a stopped job is restarted from its savepoint, not without state.
#[tokio::test]
async fn a_stopped_job_goes_on_from_its_savepoint() {
    let setup = Setup::new().await;
    assert!(matches!(setup.apply(&document(1)).await, Phase::Running { .. }));
    setup.drop.publish(&document(2)).await;
    let first = agent(&setup.config).await;
    let mut ledgers = first.journal().subscribe();
    let stopped = ledgers.wait_for(|ledger| {
        ledger.change().is_some_and(|change| matches!(change.phase, Phase::Submitting { .. }))
            && ledger.next_report().is_none_or(|report| report.generation == 2 && report.sequence > 2)
    });
    tokio::select! {
        result = first.run() => panic!("{result:?}"),
        stopped = stopped => drop(stopped.unwrap()),
    }
    drop(first);
    lose_journal(&setup);
    let agent = agent(&setup.config).await;
    assert!(matches!(run_until_ended(&agent, 2).await, Phase::Running { .. }));
    let running = setup.flink.running();
    assert!(running[0].from_savepoint.is_some());
    assert_eq!(setup.counts(), (1, 2));
}

/// Goal: a permanently rejected document, reported as such, is not applied by an agent that would accept it now:
/// neither after a restart with another setting, nor with an empty journal.
#[tokio::test]
async fn what_was_refused_stays_refused() {
    let mut setup = Setup::new().await;
    assert!(matches!(setup.apply(&document(1)).await, Phase::Running { .. }));
    setup.drop.publish(&document(2)).await;
    setup.config.document_source.admission = Admission { expiry_required: true, ..Admission::default() };
    let refusing = agent(&setup.config).await;
    let mut ledgers = refusing.journal().subscribe();
    let told = async {
        let tag = document(2).entity_tag();
        let is_told = |ledger: &Arc<Ledger>| ledger.rejection(&tag).is_some() && ledger.undelivered() == 0;
        drop(ledgers.wait_for(is_told).await.unwrap());
    };
    tokio::select! {
        result = refusing.run() => panic!("{result:?}"),
        () = told => {}
    }
    drop(refusing);
    assert_eq!(setup.states(2).await, [ChangeState::Failed]);
    setup.config.document_source.admission = Admission::default();
    for is_lost in [false, true] {
        if is_lost {
            lose_journal(&setup);
        }
        let generation = if is_lost { 4 } else { 3 };
        let agent = agent(&setup.config).await;
        let looked = async {
            while agent.rejections().now.is_none() && agent.journal().ledger().recovered().is_none() {
                tokio::task::yield_now().await;
            }
            setup.drop.publish(&document(generation)).await;
        };
        tokio::select! {
            result = agent.run() => panic!("{result:?}"),
            ((), phase) = async { tokio::join!(looked, crate::support::ended(agent.journal(), generation)) } => {
                assert!(matches!(phase, Phase::Running { .. }), "{phase:?}");
            }
        }
    }
    let submitted: Vec<String> =
        setup.flink.with(|world| world.order.iter().map(|id| world.jobs[id].document.clone()).collect());
    let texts = [1, 3, 4].map(|generation| document(generation).text().to_owned());
    assert_eq!(submitted, texts);
}
