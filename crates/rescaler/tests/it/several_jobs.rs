//! Several jobs in one rescaler: each goes its own way, and the page tells of all.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use rescaler::ConfigFile;
use serde_json::Value;
use test_addresses::unused_address;
use tokio::sync::oneshot;

/// Asks until the answer is as wanted; the last answer if it never is.
async fn until(url: &str, is_wanted: impl Fn(u16, &str) -> bool) -> String {
    let mut last = String::new();
    let patience = tokio::time::timeout(Duration::from_secs(60), async {
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        loop {
            ticks.tick().await;
            let Ok(answer) = reqwest::get(url).await else { continue };
            let status = answer.status().as_u16();
            last = answer.text().await.unwrap();
            if is_wanted(status, &last) {
                return;
            }
        }
    });
    assert!(patience.await.is_ok(), "{url} answers {last}");
    last
}

/// Two jobs on clusters that do not answer; the second one's journal cannot be written.
fn config(folder: &Path, listen: SocketAddr) -> std::path::PathBuf {
    let text = format!(
        r#"
        [http]
        listen = "{listen}"
        [epoch]
        length_ms = 200
        sample_interval_ms = 100
        [flink]
        url = "http://{nowhere}"
        [drop]
        url = "http://{nowhere}"
        [[job]]
        name = "good"
        journal.path = "{folder}/good.jsonl"
        [[job]]
        name = "bad"
        journal.path = "{folder}/a-file/bad.jsonl"
        "#,
        nowhere = unused_address().unwrap(),
        folder = folder.display(),
    );
    std::fs::write(folder.join("a-file"), "").unwrap();
    let path = folder.join("rescaler.toml");
    std::fs::write(&path, text).unwrap();
    path
}

/// Goal: the job whose journal cannot be written is told as failed and tried again, the other one's epochs go on; a pause
/// of it is recorded, and outlasts a restart.
#[tokio::test(flavor = "multi_thread")]
async fn the_failure_of_one_does_not_touch_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let listen = unused_address().unwrap();
    let path = config(folder.path(), listen);
    let url = format!("http://{listen}");
    let run = |is_ended: oneshot::Receiver<()>| {
        let config_file = ConfigFile::load(&path).unwrap();
        tokio::spawn(rescaler::run(config_file, false, async move { drop(is_ended.await) }))
    };

    let (end, is_ended) = oneshot::channel();
    let first = run(is_ended);
    let health = until(&format!("{url}/healthz"), |status, _| status == 503).await;
    assert!(health.contains("bad: not watched") && !health.contains("good"), "{health}");
    until(&format!("{url}/metrics"), |_, text| {
        let epochs = text.lines().find_map(|line| line.strip_prefix("rescaler_epochs_total{job=\"good\"} "));
        epochs.is_some_and(|epochs| epochs.parse::<u64>().unwrap() >= 3)
    })
    .await;
    let pause =
        reqwest::Client::new().post(format!("{url}/api/v1/jobs/good/pause")).header("x-rescaler", "1");
    assert!(pause.send().await.unwrap().status().is_success());
    until(&format!("{url}/api/v1/jobs/good/decisions?limit=1"), |_, text| {
        text.contains("paused: no decisions")
    })
    .await;
    // The journal of the other job becomes possible: it is watched without a restart.
    std::fs::remove_file(folder.path().join("a-file")).unwrap();
    until(&format!("{url}/healthz"), |status, _| status == 200).await;
    end.send(()).unwrap();
    first.await.unwrap().unwrap();

    let (end, is_ended) = oneshot::channel();
    let second = run(is_ended);
    let job = until(&format!("{url}/api/v1/jobs/good"), |status, _| status == 200).await;
    let job: Value = serde_json::from_str(&job).unwrap();
    assert_eq!((&job["state"], &job["switches"]["paused"]), (&"paused".into(), &true.into()));
    let history = until(&format!("{url}/api/v1/jobs/good/history"), |status, _| status == 200).await;
    let history: Value = serde_json::from_str(&history).unwrap();
    assert!(history["epoch"].as_array().unwrap().len() >= 4, "the time line forgot: {history}");
    end.send(()).unwrap();
    second.await.unwrap().unwrap();
}

/// Goal: when nothing is left to watch the program ends with the reason, as with a single job whose journal is unusable.
#[tokio::test]
async fn the_end_of_the_last_job_is_the_end() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a-file"), "").unwrap();
    let path = folder.path().join("rescaler.toml");
    let journal = folder.path().join("a-file/bad.jsonl");
    let text = format!(
        "job = \"bad\"\n[drop]\nurl = \"http://127.0.0.1:1\"\n[http]\nlisten = \"off\"\n[journal]\npath = \"{}\"",
        journal.display()
    );
    std::fs::write(&path, text).unwrap();
    let ended = rescaler::run(ConfigFile::load(&path).unwrap(), false, std::future::pending());
    let ended = tokio::time::timeout(Duration::from_secs(60), ended).await.expect("it does not end");
    let reason = format!("{:#}", ended.unwrap_err());
    assert!(reason.contains("a-file"), "{reason}");
}
