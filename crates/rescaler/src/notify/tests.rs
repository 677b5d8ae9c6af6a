//! Delivery to receivers that fail, are slow or never answer.

use std::collections::VecDeque;
use std::sync::Mutex;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::event::{needs_a_person, watching};
use super::*;
use crate::status::{JobInfo, JobStatus, Retention, Switches};

/// For a delivery to come as far as the test needs it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A web hook that answers with these statuses, one after the other, and then with 200; without a status it never answers.
#[derive(Clone)]
struct Hook {
    answers: Arc<Mutex<VecDeque<Option<u16>>>>,
    requests: watch::Sender<Vec<(HeaderMap, serde_json::Value)>>,
}

async fn answer(State(hook): State<Hook>, headers: HeaderMap, body: String) -> StatusCode {
    let body = serde_json::from_str(&body).unwrap();
    hook.requests.send_modify(|requests| requests.push((headers, body)));
    let answer = hook.answers.lock().unwrap().pop_front().unwrap_or(Some(200));
    match answer {
        Some(status) => StatusCode::from_u16(status).unwrap(),
        None => std::future::pending().await,
    }
}

#[expect(clippy::disallowed_methods, reason = "only the notifier under test talks to it")]
async fn hook(answers: &[Option<u16>]) -> (Hook, String) {
    let hook = Hook {
        answers: Arc::new(Mutex::new(answers.iter().copied().collect())),
        requests: watch::Sender::new(Vec::new()),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/a?b=c", listener.local_addr().unwrap());
    let router = Router::new().route("/a", post(answer)).with_state(hook.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (hook, url)
}

fn config(toml: &str) -> Notify {
    let config: Notify = toml::from_str(&format!("retry_pause_ms = 1\n{toml}")).unwrap();
    assert_eq!(config.problems(), Vec::<String>::new());
    config
}

fn event(text: &str) -> Event {
    watching(Some(text), Timestamp::UNIX_EPOCH)
}

fn tell(notifier: &Notifier, text: &str) {
    notifier.send("a", "http://flink", &event(text), false);
}

/// What became of the events for one receiver: sent, failed, dropped.
fn results(notifier: &Notifier, name: &str) -> [u64; 3] {
    let (_, counts) = notifier.counts().find(|(found, _)| *found == name).unwrap();
    counts.results().map(|(_, count)| count)
}

/// The requests whose text ends in these words.
fn ending_in<'a>(requests: &'a [(HeaderMap, serde_json::Value)], words: &str) -> Vec<&'a serde_json::Value> {
    let all = requests.iter().map(|(_, body)| body);
    all.filter(|body| body["text"].as_str().unwrap().ends_with(words)).collect()
}

/// Goal: an event that fails for a while is tried again and arrives once with the same id and the secret header; one that is refused is
/// not tried again; attempts are bounded.
#[tokio::test]
async fn failures_are_tried_again_within_bounds() {
    let answers = [Some(503), Some(429), Some(200), Some(404), Some(500), Some(500), Some(500)];
    let (hook, url) = hook(&answers).await;
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    secrets::write_new(&key, "open sesame\n").unwrap();
    let mut tasks = JoinSet::new();
    let text = format!("url = '{url}'\naccess.headers = {{ X-Key.file = '{}' }}", key.display());
    let notifier = Notifier::start(&config(&text), &mut tasks).unwrap();
    for number in ["first", "second", "third", "fourth"] {
        tell(&notifier, number);
    }
    notifier.flush(PATIENCE).await;
    assert_eq!(results(&notifier, "web-hook"), [2, 2, 0]);
    let requests = hook.requests.borrow();
    let of = |words: &str| ending_in(&requests, words);
    assert_eq!(["first", "second", "third", "fourth"].map(|words| of(words).len()), [3, 1, 3, 1]);
    assert!(of("first").windows(2).all(|pair| pair[0] == pair[1]));
    assert_ne!(of("first")[0]["id"], of("fourth")[0]["id"]);
    let first = of("first")[0];
    assert_eq!(
        (&first["schema"], &first["event"], &first["job"]),
        (&1.into(), &"failure".into(), &"a".into())
    );
    for (headers, _) in &*requests {
        assert_eq!(
            (&headers["x-key"], &headers["content-type"]),
            (&"open sesame".parse().unwrap(), &"application/json".parse().unwrap())
        );
    }
}

/// Goal: a web hook that never answers holds up nothing: events are put down at once, what does not fit into its queue is counted as
/// dropped, what it has not answered in time as failed, and the program beside it gets every event.
#[tokio::test]
async fn a_silent_receiver_holds_up_nothing() {
    let (_hook, url) = hook(&[None; 100]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events");
    let command = format!("command = ['sh', '-c', 'cat >> {}; echo >> {0}']", file.display());
    let bounds = "timeout_ms = 20000\nattempts = 1\nqueue_events = 100";
    let mut tasks = JoinSet::new();
    let mut settings = config(&format!("url = '{url}'\n{command}\n{bounds}"));
    let notifier = Notifier::start(&settings, &mut tasks).unwrap();
    for number in 0..50 {
        tell(&notifier, &number.to_string());
    }
    let (_, of_command) = notifier.counts().find(|(name, _)| *name == "command").unwrap();
    tokio::time::timeout(PATIENCE, of_command.emptied()).await.unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 50);
    assert_eq!((results(&notifier, "command"), results(&notifier, "web-hook")), ([50, 0, 0], [0, 0, 0]));

    (settings.timeout_ms, settings.queue_events, settings.command) = (50, 3, Vec::new());
    let notifier = Notifier::start(&settings, &mut tasks).unwrap();
    for number in 0..10 {
        tell(&notifier, &number.to_string());
    }
    // Nothing was taken from the queue yet: this thread has not waited.
    assert_eq!(results(&notifier, "web-hook"), [0, 0, 7]);
    notifier.flush(PATIENCE).await;
    assert_eq!(results(&notifier, "web-hook"), [0, 3, 7]);
}

/// Goal: a program that hangs is ended, one that fails is tried again, and neither stops what comes after it.
#[tokio::test]
async fn programs_are_bounded() {
    let mut tasks = JoinSet::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tries");
    let script = format!(
        "event=$(cat); echo >> {}; case $event in *hang*) exec sleep 1000;; *) exit 3;; esac",
        file.display()
    );
    let settings = config(&format!("command = ['sh', '-c', '{script}']\ntimeout_ms = 2000\nattempts = 2"));
    let notifier = Notifier::start(&settings, &mut tasks).unwrap();
    tell(&notifier, "fail");
    tell(&notifier, "hang");
    notifier.flush(PATIENCE).await;
    assert_eq!(results(&notifier, "command"), [0, 2, 0]);
    assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 4);
}

/// Goal: a state that lasts over a restart is sent once, and its end is sent by the run that sees it.
#[tokio::test]
async fn a_restart_sends_nothing_anew() {
    let (hook, url) = hook(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    let mut tasks = JoinSet::new();
    let mut run = async |alarms: &[Option<&str>]| {
        let notifier = Notifier::start(&config(&format!("url = '{url}'")), &mut tasks).unwrap();
        let job = job_status(folder.path()).notifying(notifier.clone(), folder.path().join("notified.json"));
        for alarm in alarms {
            job.alarm(alarm.map(str::to_owned));
        }
        notifier.flush(PATIENCE).await;
        hook.requests.borrow().iter().map(|(_, body)| body["is_over"] == true).collect::<Vec<bool>>()
    };
    assert_eq!(run(&[None, Some("look"), Some("look there")]).await, [false]);
    assert_eq!(run(&[Some("look there")]).await, [false]);
    assert_eq!(run(&[None]).await, [false, true]);
    assert_eq!(run(&[None]).await, [false, true]);
    assert_eq!(run(&[Some("look")]).await, [false, true, false]);
}

/// A job whose switches lie in this folder.
fn job_status(folder: &std::path::Path) -> JobStatus {
    let about = JobInfo {
        name: "a".to_owned(),
        flink_url: "http://flink".to_owned(),
        policy: "slo".to_owned(),
        latency_max_ms: None,
        epoch_length: Duration::from_secs(5),
        sample_interval: Duration::from_secs(1),
        started_at: Timestamp::now(),
    };
    let switches = Switches::open(Some(folder.join("switches.json")), false).unwrap();
    JobStatus::new(about, switches, Retention { points: 1, decisions: 1 })
}

/// Goal: nothing is sent in a dry run, nor of kinds that are not chosen; the end of the program does not wait for a silent receiver.
#[tokio::test]
async fn what_is_not_to_be_sent_is_not() {
    let (hook, url) = hook(&[None]).await;
    let mut tasks = JoinSet::new();
    let notifier =
        Notifier::start(&config(&format!("url = '{url}'\nevents = ['failure']")), &mut tasks).unwrap();
    notifier.send("a", "http://flink", &event("a dry run"), true);
    notifier.send("a", "http://flink", &needs_a_person(Some("look"), Timestamp::UNIX_EPOCH), false);
    tell(&notifier, "only this");
    let mut requests = hook.requests.subscribe();
    tokio::time::timeout(PATIENCE, requests.wait_for(|requests| !requests.is_empty()))
        .await
        .unwrap()
        .unwrap();
    notifier.flush(Duration::from_millis(20)).await;
    let requests = hook.requests.borrow();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].1["text"].as_str().unwrap().ends_with("only this"));
}
