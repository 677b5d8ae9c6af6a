//! Killed anywhere: the same end state, nothing twice.
//!
//! Between two requests to Flink the agent has no effect on the world, so a crash at every request, before and after its
//! effect, is a crash everywhere. A torn journal entry is one whose effect was never asked for; it is played by cutting the
//! journal's last line.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by failing loudly")]

mod support;

use std::path::Path;
use std::process::{Child, Command, Stdio};

use config_agent::{Agent, Config, Phase};
use support::drop_server::Drop;
use support::scripted_flink::{Fault, ScriptedFlink};
use support::{PATIENCE, agent, config, document, ended};
use tokio::sync::mpsc::UnboundedReceiver;

struct Setup {
    flink: ScriptedFlink,
    faults: UnboundedReceiver<Fault>,
    drop: Drop,
    config: Config,
    _folder: tempfile::TempDir,
}

impl Setup {
    /// A cluster on which generation 1 runs, and generation 2 at the drop.
    async fn new() -> Self {
        let (flink, faults) = ScriptedFlink::start().await;
        let drop = Drop::start().await;
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), &drop.url, &flink.url);
        let setup = Self { flink, faults, drop, config, _folder: folder };
        setup.drop.publish(&document(1)).await;
        setup.finish(1).await;
        setup.drop.publish(&document(2)).await;
        setup.flink.with(|world| world.requests = 0);
        setup
    }

    async fn finish(&self, generation: u64) -> Phase {
        let agent = agent(&self.config).await;
        tokio::select! {
            result = agent.run() => panic!("{result:?}"),
            phase = ended(agent.book(), generation) => phase,
        }
    }

    /// Lets an agent run until the fault befalls its request with this number, or its change is over. Says whether it befell.
    async fn crash_at(&mut self, request: u32, fault: Fault) -> bool {
        self.flink.with(|world| world.fault = Some((request, fault)));
        let agent: Agent = agent(&self.config).await;
        tokio::select! {
            result = agent.run() => panic!("{result:?}"),
            _ = ended(agent.book(), 2) => false,
            befallen = self.faults.recv() => befallen.is_some(),
        }
    }

    async fn check(&self, what: &str) {
        self.flink.with(|world| world.fault = None);
        let phase = tokio::time::timeout(PATIENCE, self.finish(2)).await.unwrap();
        assert!(matches!(phase, Phase::Running { .. }), "{what}: {phase:?}");
        let running = self.flink.running();
        assert_eq!(running.len(), 1, "{what}");
        assert_eq!(running[0].document, document(2).text(), "{what}");
        assert!(running[0].from_savepoint.is_some(), "{what}");
        let counts = self.flink.with(|world| (world.stops, world.submissions, world.two_at_a_time));
        assert_eq!(counts, (1, 2, false), "{what}");
        let reports = self.drop.reports().await;
        let of_second: Vec<u32> =
            reports.iter().filter(|report| report.generation == 2).map(|report| report.sequence).collect();
        assert_eq!(of_second, [1, 2, 3, 4, 5], "{what}");
    }
}

/// Goal: a crash at any request, before or after its effect, leads to the same end state with one stop and one submission.
#[tokio::test]
async fn a_crash_at_any_request_changes_nothing_in_the_end() {
    for fault in [Fault::LostRequest, Fault::LostAnswer] {
        for request in 1.. {
            let mut setup = Setup::new().await;
            let befallen = setup.crash_at(request, fault).await;
            setup.check(&format!("{fault:?} at request {request}")).await;
            if !befallen {
                assert!(request > 8, "the change took only {request} requests");
                break;
            }
        }
    }
}

/// Goal: the same with a journal whose last line is torn, where the crash came before the line's effect was asked for.
#[tokio::test]
async fn a_torn_journal_changes_nothing_in_the_end() {
    for request in 1.. {
        let mut setup = Setup::new().await;
        if !setup.crash_at(request, Fault::LostRequest).await {
            break;
        }
        let path = setup.config.data.join("journal.jsonl");
        // The agent of the crash lets go of the journal in its own time.
        drop(agent(&setup.config).await);
        let journal = std::fs::read(&path).unwrap();
        let is_compacted = journal.iter().filter(|byte| **byte == b'\n').count() == 1;
        if !is_compacted {
            std::fs::write(&path, &journal[..journal.len() - 7]).unwrap();
        }
        setup.check(&format!("torn at request {request}")).await;
    }
}

/// Goal: crash after crash after crash, a few requests apart.
#[tokio::test]
async fn crashes_in_a_row_change_nothing_in_the_end() {
    for fault in [Fault::LostRequest, Fault::LostAnswer] {
        let mut setup = Setup::new().await;
        for step in 1.. {
            let request = setup.flink.with(|world| world.requests) + 1 + step % 7;
            if !setup.crash_at(request, fault).await {
                break;
            }
            assert!(step < 200, "no progress");
        }
        setup.check(&format!("{fault:?} in a row")).await;
    }
}

/// Goal: error 500 at any request is a delay and no more.
#[tokio::test]
async fn an_error_at_any_request_is_a_delay() {
    for request in 1..=20 {
        let mut setup = Setup::new().await;
        setup.crash_at(request, Fault::Error500).await;
        setup.check(&format!("error 500 at request {request}")).await;
    }
}

/// The real program, over the same world.
fn program(config: &Config, folder: &Path) -> Child {
    let file = folder.join("agent.toml");
    let text = format!(
        "job = {:?}\ndata = {:?}\n[drop]\nurl = {:?}\n[flink]\nurl = {:?}\njar = {:?}\nextra_arguments = [\"--bounded\"]\npoll_ms = 1\n[retry]\nfirst_ms = 1\nlongest_ms = 20\n[safety]\ngrace_ms = 0\n",
        config.job.as_str(),
        config.data,
        config.drop_url,
        config.flink_url,
        config.program.jar,
    );
    std::fs::write(&file, text).unwrap();
    Command::new(env!("CARGO_BIN_EXE_config-agent"))
        .args(["--once", "--config"])
        .arg(&file)
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Goal: the real program, killed (SIGKILL) at the requests of a change, and started again, ends with exit code 0 and the same
/// end state.
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
        let mut setup = Setup::new().await;
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
        setup.check(&format!("kill, {fault:?} at request {request}")).await;
    }
}
