//! Notifications of a run: the program beside the stand-in of Flink and a web hook.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use flink_stand_in::{Pace, Scenario, Server};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// For a run to come as far as the test needs it.
const PATIENCE: Duration = Duration::from_secs(120);

/// A policy that wants three subtasks.
const POLICY: &str = "cat > /dev/null; echo '{\"parallelism\": {\"work\": 3}}'";

type Events = Arc<watch::Sender<Vec<Value>>>;

/// Keeps each event; answers only if it is not silent.
async fn take(State((events, is_silent)): State<(Events, bool)>, body: String) {
    events.send_modify(|events| events.push(serde_json::from_str(&body).unwrap()));
    if is_silent {
        std::future::pending().await
    }
}

#[expect(clippy::disallowed_methods, reason = "only the test talks to it")]
async fn hook(is_silent: bool) -> (Events, String) {
    let events: Events = Arc::new(watch::Sender::new(Vec::new()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let router = Router::new().route("/hook", post(take)).with_state((Arc::clone(&events), is_silent));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (events, url)
}

async fn flink() -> Server {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/scenarios/run-quiet-job/scenario.json");
    Server::start(Scenario::load(Path::new(path)).unwrap(), Pace::Real).await.unwrap()
}

fn start(folder: &Path, flink: &str, hook: &str, more: &[&str]) -> Child {
    let config = folder.join("run.toml");
    let command = serde_json::to_string(&["sh", "-c", POLICY]).unwrap();
    let text = format!(
        "job = \"job\"\n[epoch]\nlength_ms = 1000\nfirst_ms = 1000\nsample_interval_ms = 250\nwarm_up_ms = 0\n\
         [policy]\nname = \"external\"\n[policy.external]\ncommand = {command}\n[notify]\nurl = \"{hook}\"\n"
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rescaler"));
    command.args(["run", "--flink", flink, "--listen", "off"]).args(more);
    command.arg("--config").arg(config).arg("--data").arg(folder.join("data"));
    let log = std::fs::File::create(folder.join("log")).unwrap();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true).spawn().unwrap()
}

fn of_kind(events: &[Value], kind: &str) -> Vec<Value> {
    events.iter().filter(|event| event["event"] == kind).cloned().collect()
}

async fn ended(mut program: Child) {
    drop(program.start_kill());
    let _ended = program.wait().await;
}

/// Goal: a plan that is published and its change are one event each, with the plan, the job and its figures.
#[tokio::test]
async fn a_plan_and_its_change_are_sent() {
    let (folder, flink, (events, url)) = (tempfile::tempdir().unwrap(), flink().await, hook(false).await);
    let program = start(folder.path(), flink.url(), &url, &[]);
    let mut sent = events.subscribe();
    let is_over = sent.wait_for(|events| !of_kind(events, "change").is_empty());
    let events = tokio::time::timeout(PATIENCE, is_over).await.unwrap().unwrap().clone();
    let (decisions, changes) = (of_kind(&events, "decision"), of_kind(&events, "change"));
    assert_eq!((decisions.len(), changes.len(), events.len()), (1, 1, 2), "{events:?}");
    let decision = &decisions[0];
    assert_eq!(
        (&decision["job"], &decision["outcome"], &decision["parallelism"]["work"]),
        (&"job".into(), &"published".into(), &3.into()),
        "{decision}"
    );
    assert!(decision["text"].as_str().unwrap().starts_with("rescale work 2 → 3"), "{decision}");
    assert_eq!(changes[0]["generation"], decision["generation"]);
    ended(program).await;
}

/// Goal: while a web hook does not answer, the job is rescaled and epochs go on as ever.
#[tokio::test]
async fn a_silent_web_hook_delays_nothing() {
    let (folder, flink, (events, url)) = (tempfile::tempdir().unwrap(), flink().await, hook(true).await);
    let program = start(folder.path(), flink.url(), &url, &[]);
    let mut sent = events.subscribe();
    tokio::time::timeout(PATIENCE, sent.wait_for(|events| !events.is_empty())).await.unwrap().unwrap();
    let journal = folder.path().join("data/job/decisions.jsonl");
    let decided = || {
        let text = std::fs::read_to_string(&journal).unwrap_or_default();
        text.lines().filter(|line| line.contains("\"decision\":")).count()
    };
    let (before, begun) = (decided(), tokio::time::Instant::now());
    // The deadline of one attempt is 10 s: these epochs end within it.
    let goes_on = flink.wait_until(|_| decided() >= before + 4);
    assert!(tokio::time::timeout(PATIENCE, goes_on).await.is_ok(), "the epochs stand still");
    let is_first_attempt = events.borrow().len() == 1;
    assert!(is_first_attempt || begun.elapsed() > Duration::from_secs(9), "it was not silent");
    ended(program).await;
}

/// Goal: a dry run says what it would send, and sends nothing.
#[tokio::test]
async fn a_dry_run_only_says_what_it_would_send() {
    let (folder, flink, (events, url)) = (tempfile::tempdir().unwrap(), flink().await, hook(false).await);
    let program = start(folder.path(), flink.url(), &url, &["--dry-run"]);
    let log = || std::fs::read_to_string(folder.path().join("log")).unwrap();
    let is_told = flink.wait_until(|_| log().contains("not sent, because this is a dry run: {"));
    assert!(tokio::time::timeout(PATIENCE, is_told).await.is_ok(), "{}", log());
    assert!(
        log().contains("\\\"outcome\\\":\\\"dry-run\\\"") || log().contains("\"outcome\":\"dry-run\""),
        "{}",
        log()
    );
    ended(program).await;
    assert_eq!(*events.borrow(), Vec::<Value>::new());
}
