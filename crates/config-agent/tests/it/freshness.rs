//! Freshness: an agent that hears nothing recent from its publisher says so until it does, at a drop and at a folder.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::support::drop_server::TestDrop;
use crate::support::scripted_flink::ScriptedFlink;
use crate::support::{JOB, PATIENCE, agent, config};
use axum::http::StatusCode;
use config_agent::{Agent, Config, DocumentSourceSettings};
use drop_client::{Access, ClientSettings, DropClient, Precondition};
use jiff::Timestamp;
use job_config::{Freshness, JobDocument, PrivateKey};

fn key() -> PrivateKey {
    PrivateKey::from_seed([1; 32]).unwrap()
}

fn document(generation: u64) -> JobDocument {
    JobDocument::parse(&format!(
        "format = 1\njob = \"{JOB}\"\ngeneration = {generation}\nissued_at = \"{}\"\n\
         restart_mode = \"savepoint-restart\"\nparallelism = {{ default = {generation}, max = 1000 }}\n",
        Timestamp::now()
    ))
    .unwrap()
}

/// A statement of now.
fn line(document: &JobDocument) -> String {
    Freshness::of(document, Timestamp::now(), 600).signed(&key()).unwrap().to_string()
}

fn expecting(config: Config, document_url: Option<String>) -> Config {
    let document_source = DocumentSourceSettings {
        document_url: document_url.map(Into::into),
        poll: Duration::from_millis(20),
        access: Access::default().with_public_keys(vec![key().public_key()]),
        freshness_max: Some(Duration::from_secs(1)),
        ..DocumentSourceSettings::default()
    };
    Config { document_source, drop_wait: Duration::from_millis(20), ..config }
}

/// Waits until `/healthz` has this status, and returns it with the metrics. `renew` is called again and again.
async fn health(agent: &Agent, status: StatusCode, mut renew: impl AsyncFnMut()) -> (String, String) {
    let becomes = async {
        loop {
            renew().await;
            let ((found, health), metrics) = config_agent::pages(agent);
            if found == status {
                return (health, metrics);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, becomes).await.unwrap()
}

/// Runs an agent from silence to a statement and to silence again.
async fn tells_silence(agent: Agent, mut renew: impl AsyncFnMut()) {
    let agent = Arc::new(agent);
    let running = tokio::spawn({
        let agent = Arc::clone(&agent);
        async move { agent.run().await }
    });
    let (told, metrics) = health(&agent, StatusCode::SERVICE_UNAVAILABLE, async || {}).await;
    assert!(told.contains("nothing fresh from the publisher for more than 1 s"), "{told}");
    assert!(metrics.contains("config_agent_fresh 0\n"), "{metrics}");
    let (health_text, metrics) = health(&agent, StatusCode::OK, &mut renew).await;
    assert_eq!(health_text, "ok\n");
    assert!(metrics.contains("config_agent_fresh 1\n"), "{metrics}");
    assert!(metrics.contains("config_agent_freshness_age_seconds "), "{metrics}");
    let (told, _) = health(&agent, StatusCode::SERVICE_UNAVAILABLE, async || {}).await;
    assert!(told.contains("the newest was issued at"), "{told}");
    running.abort();
}

/// Goal: an agent at a drop whose publisher is silent fails its health check, and recovers with the next statement.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_of_the_publisher_is_told() {
    let (flink, _) = ScriptedFlink::start().await;
    let drop = TestDrop::start().await;
    let folder = tempfile::tempdir().unwrap();
    let document = document(1);
    let client = DropClient::new(&drop.url, JOB.parse().unwrap(), ClientSettings::default()).unwrap();
    let signature = key().sign(document.text().as_bytes());
    client.put_signed(&document, Some(&signature), &Precondition::Nothing).await.unwrap();
    let mut config = expecting(config(folder.path(), &drop.url, &flink.url), None);
    config.document_source.admission.expiry_required = false;
    tells_silence(agent(&config).await, async || {
        client.put_freshness(&line(&document).parse().unwrap()).await.unwrap();
    })
    .await;
}

fn put(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join("new"), text).unwrap();
    std::fs::rename(folder.join("new"), folder.join(name)).unwrap();
}

/// Goal: the same at a folder, where the statement is in a file beside the document.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_of_a_folder_is_told() {
    let (flink, _) = ScriptedFlink::start().await;
    let folder = tempfile::tempdir().unwrap();
    let shown = tempfile::tempdir().unwrap();
    let document = document(1);
    put(shown.path(), "nexmark.toml.sig", &format!("{}\n", key().sign(document.text().as_bytes())));
    put(shown.path(), "nexmark.toml", document.text());
    let url = format!("file://{}/nexmark.toml", shown.path().display());
    let config = expecting(config(folder.path(), "", &flink.url), Some(url));
    tells_silence(agent(&config).await, async || {
        put(shown.path(), "nexmark.toml.fresh", &format!("{}\n", line(&document)));
    })
    .await;
}
