//! The command `testbed` on real Kafka and Flink: no process outlives its supervisor, and the next one takes over.
//!
//! Needs Java, and either Maven or a filled cache. The rest of the library is tested in the crate `demo`, on a shared
//! cluster.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use nix::sys::signal::Signal;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use testbed::control;
use testbed::identity::ProcessIdentity;
use testbed::process::{Launcher, ProcessSpec};
use testbed::state::TestbedState;
use tokio::time::{sleep, timeout};

/// Timeout of what takes milliseconds on a quiet machine.
const SOON: Duration = Duration::from_secs(60);
/// Timeout of a start on a busy machine, with downloads.
const START: Duration = Duration::from_secs(600);

fn partitions(bootstrap: &str, topic: &str) -> usize {
    let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap();
    let metadata = client.fetch_metadata(Some(topic), SOON).unwrap();
    metadata.topics()[0].partitions().len()
}

async fn until(what: &str, deadline: Duration, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(deadline, wait).await.unwrap_or_else(|_| panic!("not within {deadline:?}: {what}"));
}

fn service_pids(work_dir: &Path) -> Vec<ProcessIdentity> {
    let state = control::status(work_dir).unwrap().state.unwrap();
    state.services.iter().map(|service| service.process).collect()
}

/// Kills the processes in the state file, even if the test fails.
struct Leftovers(PathBuf);

impl Drop for Leftovers {
    fn drop(&mut self) {
        if let Ok(Some(state)) = TestbedState::read(&self.0.join("state.json")) {
            let services = state.services.iter().map(|service| service.process);
            for process in std::iter::once(state.supervisor).chain(services) {
                let _gone = process.signal(Signal::SIGKILL);
            }
        }
    }
}

fn command(work_dir: &Path, arguments: &[&str]) -> Output {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_testbed"));
    command.arg("--work").arg(work_dir).args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Goal: `kill -9` of the supervisor ends every service. The next `up` takes over the folder and finds the topics
/// again; `down` stops it, and a second `down` reports that nothing is running.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_outlives_a_killed_supervisor() {
    let folder = tempfile::tempdir().unwrap();
    let work_dir = folder.path().join("work");
    let _leftovers = Leftovers(work_dir.clone());
    let up = ProcessSpec::new("up", env!("CARGO_BIN_EXE_testbed"), folder.path().join("up.log"));
    let up = up.arg("--work").arg(&work_dir).args(["up", "--task-managers", "1"]);
    let supervisor = Launcher::new().unwrap().launch(&up).unwrap();
    until("the testbed is ready", START, || {
        let log = std::fs::read_to_string(supervisor.log_file()).unwrap();
        assert_eq!(supervisor.status(), None, "{log}");
        control::status(&work_dir).unwrap().healthy
    })
    .await;
    let again = command(&work_dir, &["up", "--detach"]);
    assert!(again.status.code() == Some(1) && said(&again).contains("already up"), "{}", said(&again));
    let created = command(&work_dir, &["topic", "create", "bids", "--partitions", "2"]);
    assert!(created.status.success(), "{}", said(&created));

    let pids = service_pids(&work_dir);
    assert!(pids.len() == 3 && pids.iter().all(|pid| pid.is_alive()));
    assert!(supervisor.identity().signal(Signal::SIGKILL).unwrap());
    until("all services are gone", SOON, || pids.iter().all(|pid| !pid.is_alive())).await;
    let status = command(&work_dir, &["status"]);
    assert!(
        status.status.code() == Some(1) && said(&status).starts_with("no testbed is up"),
        "{}",
        said(&status)
    );

    let up = command(&work_dir, &["up", "--detach", "--task-managers", "1"]);
    assert!(up.status.success(), "{}", said(&up));
    let state = control::status(&work_dir).unwrap().state.unwrap();
    assert_eq!(partitions(&state.kafka_bootstrap.unwrap(), "bids"), 2);
    for expected in ["down\n", "no testbed is up"] {
        let down = command(&work_dir, &["down"]);
        assert!(down.status.success() && said(&down).starts_with(expected), "{}", said(&down));
    }
    assert!(state.services.iter().all(|service| !service.process.is_alive()));
}
