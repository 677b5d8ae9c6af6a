//! Freshness statements over HTTP: taken from the publisher, shown with the answers about their document alone.

use config_drop::{Config, Limits};
use drop_client::{Access, ClientSettings, DropClient, Error, Fetched, Precondition};
use job_config::{EntityTag, Freshness, JobDocument, PrivateKey, SignedFreshness};
use tokio::net::TcpListener;

/// Starts a drop that checks signatures; returns its URL. It ends with the test.
async fn serve(folder: &std::path::Path, keys: &str) -> String {
    let path = folder.join("drop.toml");
    let data = folder.join("data");
    let text = format!("data = {data:?}\nlisten = \"127.0.0.1:0\"\n[access]\npublic_keys = [{keys}]\n");
    std::fs::write(&path, text).unwrap();
    let config = Config { limits: Limits::default(), ..Config::load(Some(&path), None, None).unwrap() };
    let listener = TcpListener::bind(config.listen).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { config_drop::run(listener, config, std::future::pending()).await.unwrap() });
    url
}

fn client(url: &str) -> DropClient {
    let settings = ClientSettings::default();
    DropClient::with_access(url, "nexmark".parse().unwrap(), settings, Access::default()).unwrap()
}

fn key(seed: u8) -> PrivateKey {
    PrivateKey::from_seed([seed; 32]).unwrap()
}

fn document(job: &str, generation: u64) -> JobDocument {
    JobDocument::parse(&test_documents::document(job, generation, "")).unwrap()
}

fn statement(document: &JobDocument, key: &PrivateKey) -> SignedFreshness {
    Freshness::of(document, "2026-01-01T00:00:00Z".parse().unwrap(), 60).signed(key).unwrap()
}

async fn publish(client: &DropClient, document: &JobDocument, expected: Precondition) -> EntityTag {
    let signature = key(1).sign(document.text().as_bytes());
    client.put_signed(document, Some(&signature), &expected).await.unwrap();
    document.entity_tag()
}

fn status(result: Result<(), Error>) -> u16 {
    match result {
        Err(Error::Status { status, .. }) => status,
        other => panic!("{other:?}"),
    }
}

/// Goal: a statement comes with "nothing new" and with the document, also after a wait, until another document is
/// current.
#[tokio::test]
async fn a_statement_comes_with_nothing_new() {
    let folder = tempfile::tempdir().unwrap();
    let client = client(&serve(folder.path(), "").await);
    let (first, second) = (document("nexmark", 1), document("nexmark", 2));
    let tag = publish(&client, &first, Precondition::Nothing).await;
    assert_eq!(client.ask(Some(&tag), None).await.unwrap().freshness, None);
    let stated = statement(&first, &key(1));
    client.put_freshness(&stated).await.unwrap();
    for wait in [None, Some(std::time::Duration::from_millis(5))] {
        let answer = client.ask(Some(&tag), wait).await.unwrap();
        assert_eq!((answer.fetched, answer.freshness), (Fetched::NotModified, Some(stated.to_string())));
        let answer = client.ask(None, wait).await.unwrap();
        assert!(matches!(answer.fetched, Fetched::Document(_)));
        assert_eq!(answer.freshness, Some(stated.to_string()));
    }
    publish(&client, &second, Precondition::Replaces(tag)).await;
    assert_eq!(client.ask(None, None).await.unwrap().freshness, None);
    let later = statement(&second, &key(1));
    client.put_freshness(&later).await.unwrap();
    assert_eq!(client.ask(None, None).await.unwrap().freshness, Some(later.to_string()));
}

/// Goal: a statement about another document or under another key is refused, and does not replace the right one.
#[tokio::test]
async fn other_statements_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let url = serve(folder.path(), &format!("\"{}\"", key(1).public_key())).await;
    let client = client(&url);
    let current = document("nexmark", 1);
    assert_eq!(status(client.put_freshness(&statement(&current, &key(1))).await), 404);
    publish(&client, &current, Precondition::Nothing).await;
    let right = statement(&current, &key(1));
    client.put_freshness(&right).await.unwrap();
    for (wrong, expected) in [
        (statement(&current, &key(2)), 403),
        (statement(&document("nexmark", 2), &key(1)), 409),
        (statement(&document("other", 1), &key(1)), 409),
    ] {
        assert_eq!(status(client.put_freshness(&wrong).await), expected);
    }
    let long = "x".repeat(2_000);
    for (body, content_type, expected) in
        [("{}", "text/plain", 400), (&long, "text/plain", 413), ("{}", "application/json", 415)]
    {
        let request = reqwest::Client::new().put(format!("{url}/v1/jobs/nexmark/freshness"));
        let request = request.header("content-type", content_type).body(body.to_owned());
        assert_eq!(request.send().await.unwrap().status(), expected, "{body}");
    }
    assert_eq!(client.ask(None, None).await.unwrap().freshness, Some(right.to_string()));
}
