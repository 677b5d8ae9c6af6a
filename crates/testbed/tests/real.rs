//! The testbed on the real thing: Kafka and Flink start, grow, shrink and end, and nothing outlives its supervisor.
//!
//! Needs Java, and either Maven or a filled cache. What Flink says is read over a bare socket, not by our own client.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by failing loudly")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use nix::sys::signal::Signal;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::Value;
use testbed::control::{self, Down};
use testbed::identity::ProcessIdentity;
use testbed::process::{Launcher, Program};
use testbed::requests::{Answer, Request, ask};
use testbed::state::State;
use testbed::{Settings, Testbed, TestbedError, TopicError};
use tokio::time::{sleep, timeout};

/// For what takes milliseconds when it works at all.
const SOON: Duration = Duration::from_secs(20);
/// For a start on a busy machine.
const START: Duration = Duration::from_secs(180);

/// One HTTP request by hand: `GET`, until the server closes.
fn get(url: &str, path: &str) -> std::io::Result<Value> {
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap())?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: testbed\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    Ok(serde_json::from_str(body)?)
}

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

/// Goal: everything the library promises, once, on one cluster: addresses that answer, topics, task managers that come, are
/// killed and are paused, and an orderly end.
#[tokio::test(flavor = "multi_thread")]
async fn a_testbed_serves_grows_shrinks_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { work_dir: folder.path().join("work"), ..Settings::default() };
    let testbed = Testbed::start(settings.check().unwrap(), &|line| println!("{line}")).await.unwrap();
    let url = testbed.flink_url();
    assert_eq!(get(&url, "/overview").unwrap()["taskmanagers"], 1);

    testbed.create_topic("bids", 3).await.unwrap();
    assert_eq!(partitions(testbed.kafka_bootstrap(), "bids"), 3);
    assert!(matches!(testbed.create_topic("bids", 3).await, Err(TopicError::Exists(_))));

    assert_eq!(testbed.start_task_manager().await.unwrap(), "tm-2");
    assert_eq!(testbed.task_managers().await, ["tm-1", "tm-2"]);
    let overview = get(&url, "/overview").unwrap();
    assert_eq!((&overview["taskmanagers"], &overview["slots-total"]), (&2.into(), &8.into()));
    let pids = service_pids(testbed.work_dir());
    assert_eq!(pids.len(), 4);
    assert!(control::status(testbed.work_dir()).unwrap().healthy);

    testbed.kill_task_manager("tm-1").await.unwrap();
    assert_eq!(testbed.task_managers().await, ["tm-2"]);
    assert!(matches!(testbed.kill_task_manager("tm-1").await, Err(TestbedError::UnknownService(_))));
    come_and_go_by_name(&testbed).await;

    testbed.pause("jobmanager").await.unwrap();
    assert!(get(&url, "/overview").is_err(), "a paused JobManager does not answer");
    testbed.resume("jobmanager").await.unwrap();
    until("the killed one is missed", SOON, || {
        get(&url, "/overview").is_ok_and(|now| now["taskmanagers"] == 1)
    })
    .await;

    let work_dir = testbed.work_dir().to_owned();
    testbed.stop().await.unwrap();
    assert!(pids.iter().all(|pid| !pid.is_alive()));
    assert_eq!(control::down(&work_dir, SOON).await.unwrap(), Down::NotUp);
}

/// A name given twice at once, from outside, is one task manager; stopped twice it is gone.
async fn come_and_go_by_name(testbed: &Testbed) {
    let add = Request::AddTaskManager { id: Some("tm-7".to_owned()), wait: true };
    let stop = Request::StopTaskManager { id: "tm-7".to_owned() };
    let asked = async {
        let ask = async |request: &Request| ask(testbed.work_dir(), request, START).await.unwrap();
        let (first, second) = tokio::join!(ask(&add), ask(&add));
        let id = "tm-7".to_owned();
        let both = [Answer::Started(id.clone()), Answer::Runs(id.clone())];
        assert!(both.contains(&first) && both.contains(&second) && first != second);
        assert_eq!(testbed.task_managers().await, ["tm-2", "tm-7"]);
        assert_eq!(ask(&stop).await, Answer::Stopped(id.clone()));
        assert_eq!(ask(&stop).await, Answer::StoppedAlready(id));
        let bad = Request::AddTaskManager { id: Some("../tm".to_owned()), wait: true };
        assert!(matches!(ask(&bad).await, Answer::Failed(_)));
    };
    tokio::select! {
        biased; // The requests come first, and wait to be served.
        () = asked => {}
        served = testbed.serve_requests() => panic!("{served:?}"),
    }
}

/// Ends whatever the state file names, even if the test fails.
struct Leftovers(PathBuf);

impl Drop for Leftovers {
    fn drop(&mut self) {
        if let Ok(Some(state)) = State::read(&self.0.join("state.json")) {
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

/// Goal: `kill -9` of the supervisor takes every service with it; the folder it leaves is taken over by the next `up`, which
/// finds the topics again; `down` ends that one, and the second `down` says that there is nothing.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_outlives_a_killed_supervisor() {
    let folder = tempfile::tempdir().unwrap();
    let work_dir = folder.path().join("work");
    let _leftovers = Leftovers(work_dir.clone());
    let up = Program::new("up", env!("CARGO_BIN_EXE_testbed"), folder.path().join("up.log"));
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
    assert!(status.status.code() == Some(1) && said(&status).starts_with("not up"), "{}", said(&status));

    let up = command(&work_dir, &["up", "--detach", "--task-managers", "1"]);
    assert!(up.status.success(), "{}", said(&up));
    let state = control::status(&work_dir).unwrap().state.unwrap();
    assert_eq!(partitions(&state.kafka_bootstrap.unwrap(), "bids"), 2);
    for expected in ["down\n", "not up"] {
        let down = command(&work_dir, &["down"]);
        assert!(down.status.success() && said(&down).starts_with(expected), "{}", said(&down));
    }
    assert!(state.services.iter().all(|service| !service.process.is_alive()));
}
