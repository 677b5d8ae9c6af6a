//! Kills at any point: the same end state, and no effect applied twice.
//!
//! Between two requests to Flink the agent has no effect on the world, so a crash at every request, before and after
//! its effect, is a crash everywhere. A torn journal entry is one whose effect was never requested; it is simulated
//! by truncating the journal's last line.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::scripted_flink::Fault;
use crate::support::setup::Setup;
use crate::support::{PATIENCE, agent, document};
use config_agent::{Config, JournalStore, Phase};
use forgetful_disk::ForgetfulDisk;

/// A cluster on which generation 1 runs, and generation 2 at the drop.
async fn with_second_published() -> Setup {
    let setup = Setup::new().await;
    setup.apply(&document(1)).await;
    setup.drop.publish(&document(2)).await;
    setup.flink.with(|world| world.requests = 0);
    setup
}

/// The end state that every crash must lead to.
async fn check(setup: &Setup, what: &str) {
    setup.flink.with(|world| world.fault = None);
    let phase = tokio::time::timeout(PATIENCE, setup.finish(2)).await.unwrap();
    assert!(matches!(phase, Phase::Running { .. }), "{what}: {phase:?}");
    let running = setup.flink.running();
    assert_eq!(running.len(), 1, "{what}");
    assert_eq!(running[0].document, document(2).text(), "{what}");
    assert!(running[0].from_savepoint.is_some(), "{what}");
    let counts = setup.flink.with(|world| (world.stops, world.submissions, world.two_at_a_time));
    assert_eq!(counts, (1, 2, false), "{what}");
    let reports = setup.drop.reports().await;
    let of_second: Vec<u32> =
        reports.iter().filter(|report| report.generation == 2).map(|report| report.sequence).collect();
    assert_eq!(of_second, [1, 2, 3, 4, 5], "{what}");
}

/// Goal: a crash at any request, before or after its effect, leads to the same end state, with one stop and one
/// submission.
#[tokio::test]
async fn a_crash_at_any_request_changes_nothing_in_the_end() {
    for fault in [Fault::LostRequest, Fault::LostAnswer] {
        for request in 1.. {
            let mut setup = with_second_published().await;
            let befallen = setup.crash_at(request, fault, 2).await;
            check(&setup, &format!("{fault:?} at request {request}")).await;
            if !befallen {
                assert!(request > 8, "the change took only {request} requests");
                break;
            }
        }
    }
}

/// Goal: the same with a journal whose last line is torn by a crash before its effect was requested.
#[tokio::test]
async fn a_torn_journal_changes_nothing_in_the_end() {
    for request in 1.. {
        let mut setup = with_second_published().await;
        if !setup.crash_at(request, Fault::LostRequest, 2).await {
            break;
        }
        let path = setup.config.data.join("journal.jsonl");
        // The crashed agent releases the journal asynchronously.
        drop(agent(&setup.config).await);
        let journal = std::fs::read(&path).unwrap();
        let is_compacted = journal.iter().filter(|byte| **byte == b'\n').count() == 1;
        if !is_compacted {
            std::fs::write(&path, &journal[..journal.len() - 7]).unwrap();
        }
        check(&setup, &format!("torn at request {request}")).await;
    }
}

/// Goal: repeated crashes, a few requests apart, lead to the same end state.
#[tokio::test]
async fn crashes_in_a_row_change_nothing_in_the_end() {
    for fault in [Fault::LostRequest, Fault::LostAnswer] {
        let mut setup = with_second_published().await;
        for step in 1.. {
            let request = setup.flink.with(|world| world.requests) + 1 + step % 7;
            if !setup.crash_at(request, fault, 2).await {
                break;
            }
            assert!(step < 200, "no progress");
        }
        check(&setup, &format!("{fault:?} in a row")).await;
    }
}

/// Goal: error 500 at any request only delays the change.
#[tokio::test]
async fn an_error_at_any_request_is_a_delay() {
    for request in 1..=20 {
        let mut setup = with_second_published().await;
        setup.crash_at(request, Fault::Error500, 2).await;
        check(&setup, &format!("error 500 at request {request}")).await;
    }
}

/// The real program, over the same world.
fn program(config: &Config, folder: &Path) -> Child {
    command(config, folder).spawn().unwrap()
}

fn command(config: &Config, folder: &Path) -> Command {
    let file = folder.join("agent.toml");
    let text = format!(
        "job = {:?}\ndata = {:?}\n[drop]\nurl = {:?}\n[flink]\nurl = {:?}\njar = {:?}\nextra_arguments = [\"--bounded\"]\npoll_ms = 1\n[retry]\nfirst_ms = 1\nlongest_ms = 20\n[safety]\ngrace_ms = 0\n",
        config.job.as_str(),
        config.data,
        config.drop_url,
        config.flink_url,
        config.program.as_ref().unwrap().jar,
    );
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_config-agent"));
    command.args(["--once", "--config"]).arg(&file).stderr(Stdio::null());
    command
}

/// Goal: after a power loss, the agent's journal still has every step that had an effect.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journal_outlives_a_loss_of_power() {
    let setup = Setup::new().await;
    setup.drop.publish(&document(1)).await;
    let folder = tempfile::tempdir().unwrap();
    let disk = ForgetfulDisk::new(&folder.path().join("disk")).unwrap();
    std::fs::create_dir(&setup.config.data).unwrap();
    for generation in [1, 2] {
        if generation == 2 {
            setup.drop.publish(&document(2)).await;
        }
        let mut command = command(&setup.config, folder.path());
        disk.under(&mut command);
        let mut agent = command.spawn().unwrap();
        if generation == 2 {
            let stopped = async {
                while setup.flink.with(|world| world.stops) == 0 {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(PATIENCE, stopped).await.unwrap();
            agent.kill().unwrap();
        }
        tokio::task::spawn_blocking(move || agent.wait().unwrap()).await.unwrap();
        disk.lose_power(&setup.config.data).unwrap();
        let journal = JournalStore::open(&setup.config.data, 1_000).unwrap();
        let ledger = journal.ledger();
        let change = ledger.change().unwrap();
        assert_eq!(change.document.generation(), generation);
        match generation {
            1 => assert!(matches!(change.phase, Phase::Running { .. }), "{:?}", change.phase),
            _ => assert!(!matches!(change.phase, Phase::Received), "{:?}", change.phase),
        }
        // Opening the journal rewrote it.
        drop(journal);
        disk.note(&setup.config.data).unwrap();
    }
}

/// Goal: the real program, killed (SIGKILL) at the requests of a change and restarted, ends with exit code 0 and the
/// same end state.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_killed_program_goes_on() {
    for (request, fault) in [
        (4, Fault::LostAnswer),
        (6, Fault::LostRequest),
        (6, Fault::LostAnswer),
        (9, Fault::LostAnswer),
        (12, Fault::LostAnswer),
        (13, Fault::LostRequest),
    ] {
        let mut setup = with_second_published().await;
        let folder = tempfile::tempdir().unwrap();
        setup.flink.with(|world| world.fault = Some((request, fault)));
        let mut first = program(&setup.config, folder.path());
        let befallen = tokio::time::timeout(PATIENCE, setup.faults.recv()).await.unwrap();
        assert_eq!(befallen, Some(fault));
        first.kill().unwrap();
        first.wait().unwrap();
        let mut second = program(&setup.config, folder.path());
        let status = tokio::task::spawn_blocking(move || second.wait().unwrap()).await.unwrap();
        assert_eq!(status.code(), Some(0), "{fault:?} at request {request}");
        check(&setup, &format!("kill, {fault:?} at request {request}")).await;
    }
}
