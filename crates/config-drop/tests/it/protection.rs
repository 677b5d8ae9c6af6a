//! Tokens, TLS, signatures and the history over HTTP: the real server, the real client.

use std::path::{Path, PathBuf};

use config_drop::{Config, Limits};
use drop_client::{Access, ClientSettings, Defect, DropClient, Error, Fetched, Precondition, Published};
use job_config::{AdmissionError, JobDocument, PrivateKey};
use tokio::net::TcpListener;

const PUBLISHER: &str = "publisher-0123456789";
const AGENT: &str = "agent-0123456789abc";
const READER: &str = "reader-0123456789ab";

/// A running server with this configuration; it ends with the test.
async fn serve(folder: &Path, more: &str, limits: Limits) -> std::net::SocketAddr {
    let path = folder.join("drop.toml");
    let data = folder.join("data");
    std::fs::write(&path, format!("data = {data:?}\nlisten = \"127.0.0.1:0\"\n{more}")).unwrap();
    let mut config = Config::load(Some(&path), None, None).unwrap();
    config.limits = limits;
    let listener = TcpListener::bind(config.listen).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { config_drop::run(listener, config, std::future::pending()).await.unwrap() });
    address
}

/// Goal: holders of reader tokens cannot take all long-poll slots; an agent still finds one.
#[tokio::test]
async fn readers_leave_places_to_agents() {
    let folder = tempfile::tempdir().unwrap();
    let [publisher, agent, reader] = [("publisher", PUBLISHER), ("agent", AGENT), ("reader", READER)]
        .map(|(role, token)| secret(folder.path(), role, token));
    let more = format!(
        "[access]\npublisher_tokens = {publisher:?}\nagent_tokens = {agent:?}\nreader_tokens = {reader:?}\n"
    );
    let limits = Limits { waiting_readers: 3, ..Limits::default() };
    let address = serve(folder.path(), &more, limits).await;
    let with = |path: &PathBuf| {
        client(&format!("http://{address}"), Access::default().with_token_file(path).unwrap())
    };
    let wait =
        |client: DropClient| async move { client.get(None, Some(std::time::Duration::from_secs(60))).await };
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..3 {
        readers.spawn(wait(with(&reader)));
    }
    // Two of them wait; one of the three is rejected.
    assert_eq!(status(readers.join_next().await.unwrap().unwrap()), 503);
    let agent = tokio::spawn(wait(with(&agent)));
    let waiting = async {
        let metrics = || async {
            let request = reqwest::Client::new().get(format!("http://{address}/metrics")).bearer_auth(READER);
            request.send().await.unwrap().text().await.unwrap()
        };
        while !metrics().await.contains("config_drop_waiting_readers 3") {}
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), waiting).await.unwrap();
    with(&publisher).put(&document(1), &Precondition::Nothing).await.unwrap();
    assert!(matches!(agent.await.unwrap(), Ok(Fetched::Document(_))));
}

fn secret(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    secrets::write_new(&path, text).unwrap();
    path
}

fn client(url: &str, access: Access) -> DropClient {
    DropClient::with_access(url, "nexmark".parse().unwrap(), ClientSettings::default(), access).unwrap()
}

fn document(generation: u64) -> JobDocument {
    let reason = format!("reason = \"because of {generation}\"");
    JobDocument::parse(&test_documents::document("nexmark", generation, &reason)).unwrap()
}

fn follows(generation: u64) -> Precondition {
    match generation {
        1 => Precondition::Nothing,
        _ => Precondition::Replaces(document(generation - 1).entity_tag()),
    }
}

fn status<T: std::fmt::Debug>(result: Result<T, Error>) -> u16 {
    match result {
        Err(Error::Status { status, .. }) => status,
        other => panic!("{other:?}"),
    }
}

/// Goal: over TLS with a private certificate authority, each client may do what its token permits; without the right
/// authority, or in plain text, no client connects.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_and_tls_keep_strangers_out() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = folder.join("drop.crt");
    std::fs::write(&certificate, pair.cert.pem()).unwrap();
    let key = secret(folder, "drop.key", &pair.signing_key.serialize_pem());
    let tokens =
        [("publisher", PUBLISHER), ("agent", AGENT), ("reader", READER), ("stranger", "x-0123456789abcdef")];
    let tokens = tokens.map(|(role, token)| secret(folder, role, token));
    let [publisher, agent, reader, stranger] = &tokens;
    let more = format!(
        "[access]\npublisher_tokens = {publisher:?}\nagent_tokens = {agent:?}\nreader_tokens = {reader:?}\n\
         [tls]\ncertificate_file = {certificate:?}\nkey_file = {key:?}\n"
    );
    let port = serve(folder, &more, Limits::default()).await.port();
    let url = format!("https://localhost:{port}");
    let known = || Access::default().with_authorities_file(&certificate).unwrap();
    let with = |path: &PathBuf| client(&url, known().with_token_file(path).unwrap());

    let first = document(1);
    let nothing = Precondition::Nothing;
    assert_eq!(status(client(&url, known()).put(&first, &nothing).await), 401);
    assert_eq!(status(with(stranger).put(&first, &nothing).await), 401);
    assert_eq!(status(with(agent).put(&first, &nothing).await), 403);
    assert_eq!(status(with(reader).put(&first, &nothing).await), 403);
    assert!(matches!(with(publisher).put(&first, &nothing).await.unwrap(), Published::Stored(_)));
    for path in [publisher, agent, reader] {
        assert!(matches!(with(path).get(None, None).await.unwrap(), Fetched::Document(_)));
    }
    assert_eq!(status(client(&url, known()).get(None, None).await), 401);

    let untrusted = client(&url, Access::default().with_token_file(reader).unwrap());
    let error = untrusted.get(None, None).await.unwrap_err();
    assert!(matches!(&error, Error::NoAnswer { .. }), "{error:?}");
    let plain =
        client(&format!("http://localhost:{port}"), Access::default().with_token_file(reader).unwrap());
    assert!(plain.get(None, None).await.is_err());
}

/// Goal: a signature is served with its document, can be added later, and a drop with the public key accepts no other
/// document.
#[tokio::test]
async fn signatures_are_carried_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let [key, other] = [1, 2].map(|byte| PrivateKey::from_seed([byte; 32]).unwrap());
    let sign = |key: &PrivateKey, generation| key.sign(document(generation).text().as_bytes());
    let carrying = serve(folder.path(), "", Limits::default()).await;
    let url = format!("http://{carrying}");
    let writer = client(&url, Access::default());
    let pinned = client(&url, Access::default().with_public_keys(vec![key.public_key()]));
    let refusal = async || match pinned.get(None, None).await {
        Err(Error::NotADocument { defect: Defect::Refused(refusal), .. }) => refusal,
        other => panic!("{other:?}"),
    };
    writer.put(&document(1), &follows(1)).await.unwrap();
    assert_eq!(refusal().await, AdmissionError::Unsigned);
    writer.put_signed(&document(1), Some(&sign(&other, 1)), &Precondition::Nothing).await.unwrap();
    assert_eq!(refusal().await, AdmissionError::WrongKey);
    writer.put_signed(&document(1), Some(&sign(&key, 1)), &Precondition::Nothing).await.unwrap();
    let Fetched::Document(current) = pinned.get(None, None).await.unwrap() else { panic!("no document") };
    assert_eq!((current.document, current.signature), (document(1), Some(sign(&key, 1))));

    let folder = tempfile::tempdir().unwrap();
    let more = format!("[access]\npublic_keys = [\"{}\"]", key.public_key());
    let checking = serve(folder.path(), &more, Limits::default()).await;
    let writer = client(&format!("http://{checking}"), Access::default());
    assert_eq!(status(writer.put(&document(1), &follows(1)).await), 403);
    assert_eq!(status(writer.put_signed(&document(1), Some(&sign(&other, 1)), &follows(1)).await), 403);
    assert_eq!(status(writer.put_signed(&document(1), Some(&sign(&key, 2)), &follows(1)).await), 403);
    writer.put_signed(&document(1), Some(&sign(&key, 1)), &follows(1)).await.unwrap();
}

/// Goal: the recent documents can be listed and fetched byte for byte, across a restart, and older ones are deleted.
#[tokio::test]
async fn the_last_documents_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let key = PrivateKey::from_seed([1; 32]).unwrap();
    let limits = Limits { history: 3, ..Limits::default() };
    let address = serve(folder.path(), "", limits.clone()).await;
    let writer = client(&format!("http://{address}"), Access::default());
    for generation in 1..=5 {
        let document = document(generation);
        let signature = key.sign(document.text().as_bytes());
        writer.put_signed(&document, Some(&signature), &follows(generation)).await.unwrap();
    }
    let path = format!("http://{address}/v1/jobs/nexmark/history");
    let list: serde_json::Value = reqwest::get(&path).await.unwrap().json().await.unwrap();
    let generations: Vec<_> = list.as_array().unwrap().iter().map(|one| one["generation"].as_u64()).collect();
    assert_eq!(generations, [Some(3), Some(4), Some(5)]);
    assert_eq!(list[0]["reason"], "because of 3");
    assert_eq!(list[0]["signed"], true);
    assert_eq!(list[0]["entity_tag"], document(3).entity_tag().as_str());
    for generation in [3, 4, 5] {
        let answer = reqwest::get(format!("{path}/{generation}")).await.unwrap();
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        let expected = document(generation);
        assert_eq!(header("etag"), expected.entity_tag().as_str());
        assert_eq!(header("rescaler-signature"), key.sign(expected.text().as_bytes()).to_string());
        assert_eq!(answer.text().await.unwrap(), expected.text());
    }
    for (wrong, status) in [("2", 404), ("6", 404), ("x", 400), ("-1", 400)] {
        assert_eq!(reqwest::get(format!("{path}/{wrong}")).await.unwrap().status(), status, "{wrong}");
    }
    let files = std::fs::read_dir(folder.path().join("data/nexmark/history")).unwrap().count();
    assert_eq!(files, 2, "the current document is not among them");
}

/// Goal: a client that begins no TLS handshake is disconnected after the time for a silent connection.
#[tokio::test]
async fn an_unfinished_handshake_is_ended() {
    use tokio::io::AsyncReadExt as _;
    let folder = tempfile::tempdir().unwrap();
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = folder.path().join("drop.crt");
    std::fs::write(&certificate, pair.cert.pem()).unwrap();
    let key = secret(folder.path(), "drop.key", &pair.signing_key.serialize_pem());
    let limits = Limits { idle_timeout: std::time::Duration::from_millis(100), ..Limits::default() };
    let more = format!("[tls]\ncertificate_file = {certificate:?}\nkey_file = {key:?}\n");
    let address = serve(folder.path(), &more, limits).await;
    let mut silent = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(std::time::Duration::from_secs(60), silent.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the silent connection is still open");
}
