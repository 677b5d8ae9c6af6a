//! The protocol as its two clients see it: a real server on a free port, the real client.

use std::time::{Duration, Instant};

use config_drop::{Config, Limits};
use drop_client::{ClientSettings, DropClient, Error, Fetched, Precondition, Published, Reported};
use job_config::{ChangeState, EntityTag, JobDocument, Report};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const WAIT: Duration = Duration::from_secs(30);

struct Server {
    url: String,
    folder: tempfile::TempDir,
    limits: Limits,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(limits: Limits) -> Self {
        Self::on(tempfile::tempdir().unwrap(), limits).await
    }

    async fn on(folder: tempfile::TempDir, limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let config = Config {
            listen: listener.local_addr().unwrap(),
            data: folder.path().to_owned(),
            limits: limits.clone(),
            protection: config_drop::Protection::default(),
        };
        let task = tokio::spawn(async move {
            let shutdown = async { drop(stopped.await) };
            config_drop::run(listener, config, shutdown).await.unwrap();
        });
        Self { url, folder, limits, stop: Some(stop), task }
    }

    async fn stop(mut self) -> (tempfile::TempDir, Limits) {
        drop(self.stop.take());
        self.task.await.unwrap();
        (self.folder, self.limits)
    }

    async fn restart(self) -> Self {
        let (folder, limits) = self.stop().await;
        Self::on(folder, limits).await
    }

    fn client(&self, job: &str) -> DropClient {
        DropClient::new(&self.url, job.parse().unwrap(), ClientSettings::default()).unwrap()
    }

    fn path(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
}

fn document(job: &str, generation: u64, reason: &str) -> JobDocument {
    let reason = format!("reason = {reason:?}");
    JobDocument::parse(&test_documents::document(job, generation, &reason)).unwrap()
}

fn report(generation: u64, sequence: u32, state: ChangeState) -> Report {
    Report {
        message: (state == ChangeState::Failed).then(|| "no slots".to_owned()),
        ..Report::new(generation, sequence, "2026-01-01T00:00:00Z".parse().unwrap(), state)
    }
}

async fn publish(client: &DropClient, document: &JobDocument, replaces: Option<&EntityTag>) -> EntityTag {
    let expected = replaces.map_or(Precondition::Nothing, |tag| Precondition::Replaces(tag.clone()));
    match client.put(document, &expected).await.unwrap() {
        Published::Stored(tag) => tag,
        Published::Superseded => panic!("superseded"),
    }
}

async fn current(client: &DropClient) -> Option<u64> {
    match client.get(None, None).await.unwrap() {
        Fetched::Document(current) => Some(current.document.generation()),
        Fetched::Absent => None,
        Fetched::NotModified => panic!("nothing was known"),
    }
}

/// Goal: a first document and its successor are served with exactly the published bytes, and survive a restart of the
/// server.
#[tokio::test]
async fn a_document_is_published_fetched_and_kept() {
    let server = Server::start(Limits::default()).await;
    let client = server.client("nexmark");
    assert_eq!(current(&client).await, None);
    let first = document("nexmark", 1, "first");
    let tag = publish(&client, &first, None).await;
    assert_eq!(tag, first.entity_tag());
    let second = document("nexmark", 2, "zweite, ä");
    let second_tag = publish(&client, &second, Some(&tag)).await;
    let server = server.restart().await;
    let client = server.client("nexmark");
    let Fetched::Document(fetched) = client.get(Some(&tag), None).await.unwrap() else {
        panic!("no document")
    };
    assert_eq!((fetched.document, fetched.entity_tag), (second, second_tag.clone()));
    assert_eq!(client.get(Some(&second_tag), None).await.unwrap(), Fetched::NotModified);
    assert_eq!(current(&server.client("other")).await, None);
}

/// Goal: of many writers with the same expectation exactly one wins, generation after generation.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_writers_one_wins() {
    let server = Server::start(Limits::default()).await;
    let mut expected = Precondition::Nothing;
    for generation in 1..=20 {
        let writers = (0..4).map(|writer| {
            let (client, expected) = (server.client("nexmark"), expected.clone());
            let document = document("nexmark", generation, &format!("writer {writer}"));
            tokio::spawn(async move { client.put(&document, &expected).await.unwrap() })
        });
        let mut won = Vec::new();
        for writer in writers.collect::<Vec<_>>() {
            if let Published::Stored(tag) = writer.await.unwrap() {
                won.push(tag);
            }
        }
        assert_eq!(won.len(), 1, "generation {generation}");
        let Fetched::Document(current) = server.client("nexmark").get(None, None).await.unwrap() else {
            panic!("no document")
        };
        assert_eq!(current.entity_tag, won[0]);
        expected = Precondition::Replaces(won.remove(0));
    }
}

/// Goal: gaps, repeats and older generations are rejected, with an error distinct from a failed precondition.
#[tokio::test]
async fn only_the_successor_is_taken() {
    let server = Server::start(Limits::default()).await;
    let client = server.client("nexmark");
    let tag = publish(&client, &document("nexmark", 5, "begins at five"), None).await;
    let replaces = Precondition::Replaces(tag.clone());
    for generation in [1, 4, 5, 7] {
        let refused = client.put(&document("nexmark", generation, "other"), &replaces).await;
        assert!(matches!(refused, Err(Error::Status { status: 409, .. })), "{generation}: {refused:?}");
    }
    let foreign = Precondition::Replaces(document("nexmark", 5, "unknown").entity_tag());
    let sixth = document("nexmark", 6, "sixth");
    assert_eq!(client.put(&sixth, &foreign).await.unwrap(), Published::Superseded);
    assert_eq!(client.put(&sixth, &Precondition::Nothing).await.unwrap(), Published::Superseded);
    assert_eq!(current(&client).await, Some(5));
}

/// Goal: a writer that missed the response may retry and learns that its document is current.
#[tokio::test]
async fn a_repeated_publication_changes_nothing() {
    let server = Server::start(Limits::default()).await;
    let client = server.client("nexmark");
    let first = document("nexmark", 1, "first");
    let tag = publish(&client, &first, None).await;
    assert_eq!(publish(&client, &first, None).await, tag);
    let second = document("nexmark", 2, "second");
    let second_tag = publish(&client, &second, Some(&tag)).await;
    assert_eq!(publish(&client, &second, Some(&tag)).await, second_tag);
}

/// Goal: a waiting reader is woken by the change, not by a timer: for the first document as for the next.
#[tokio::test]
async fn a_waiting_reader_is_woken_by_the_change() {
    let server = Server::start(Limits::default()).await;
    let mut known = None;
    let mut slowest = Duration::ZERO;
    for generation in 1..=20 {
        let (reader, tag) = (server.client("nexmark"), known.clone());
        let reading = tokio::spawn(async move {
            let fetched = reader.get(tag.as_ref(), Some(WAIT)).await.unwrap();
            (fetched, Instant::now())
        });
        waiting(&server, 1).await;
        let published = Instant::now();
        let document = document("nexmark", generation, "next");
        let tag = publish(&server.client("nexmark"), &document, known.as_ref()).await;
        let (fetched, at) = reading.await.unwrap();
        assert!(matches!(fetched, Fetched::Document(current) if current.entity_tag == tag));
        slowest = slowest.max(at.duration_since(published));
        known = Some(tag);
    }
    println!("the slowest reader was woken after {slowest:?}");
    // A reader that no change wakes is answered at its timeout.
    assert!(slowest < WAIT / 2, "the slowest reader was woken after {slowest:?}");
}

/// Goal: a long poll ends at its timeout, or immediately when the server shuts down.
#[tokio::test]
async fn a_wait_ends_with_its_time_or_with_the_server() {
    let limits = Limits { wait: Duration::from_millis(50), ..Limits::default() };
    let server = Server::start(limits).await;
    let client = server.client("nexmark");
    assert_eq!(client.get(None, Some(WAIT)).await.unwrap(), Fetched::Absent);
    let tag = publish(&client, &document("nexmark", 1, "first"), None).await;
    assert_eq!(client.get(Some(&tag), Some(WAIT)).await.unwrap(), Fetched::NotModified);
    assert_eq!(client.get(Some(&tag), Some(Duration::ZERO)).await.unwrap(), Fetched::NotModified);

    let server = Server::start(Limits::default()).await;
    let client = server.client("nexmark");
    let reading = tokio::spawn(async move { client.get(None, Some(WAIT)).await.unwrap() });
    waiting(&server, 1).await;
    let stopping = Instant::now();
    server.stop().await;
    assert_eq!(reading.await.unwrap(), Fetched::Absent);
    assert!(stopping.elapsed() < WAIT / 2, "the server did not end the wait: {:?}", stopping.elapsed());
}

/// Goal: waiting readers beyond the limit are rejected, and a slot becomes free when a reader disconnects.
#[tokio::test]
async fn waiting_readers_are_bounded() {
    let server = Server::start(Limits { waiting_readers: 1, ..Limits::default() }).await;
    let client = server.client("nexmark");
    let first = tokio::spawn(async move { client.get(None, Some(WAIT)).await });
    waiting(&server, 1).await;
    let refused = server.client("nexmark").get(None, Some(WAIT)).await.unwrap_err();
    assert!(matches!(&refused, Error::Status { status: 503, .. }) && refused.is_transient(), "{refused}");
    assert_eq!(server.client("nexmark").get(None, None).await.unwrap(), Fetched::Absent);
    first.abort();
    waiting(&server, 0).await;
    let second = tokio::spawn({
        let client = server.client("nexmark");
        async move { client.get(None, Some(WAIT)).await }
    });
    waiting(&server, 1).await;
    publish(&server.client("nexmark"), &document("nexmark", 1, "first"), None).await;
    assert!(matches!(second.await.unwrap().unwrap(), Fetched::Document(_)));
}

/// Goal: jobs, documents and reports have their limits.
#[tokio::test]
async fn sizes_and_numbers_are_bounded() {
    let limits =
        Limits { jobs: 1, document_bytes: 400, report_bytes: 300, reports_kept: 3, ..Limits::default() };
    let server = Server::start(limits).await;
    let client = server.client("a");
    publish(&client, &document("a", 1, "first"), None).await;
    let status = |result: Result<Published, Error>| match result {
        Err(Error::Status { status, .. }) => status,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        status(server.client("b").put(&document("b", 1, "one more"), &Precondition::Nothing).await),
        507
    );
    assert_eq!(status(client.put(&document("a", 2, &"x".repeat(400)), &Precondition::Nothing).await), 413);
    let long = Report { message: Some("x".repeat(300)), ..report(1, 1, ChangeState::Received) };
    assert!(matches!(client.report(&long).await, Err(Error::Status { status: 413, .. })));
    for sequence in 1..=20 {
        assert_eq!(
            client.report(&report(1, sequence, ChangeState::Received)).await.unwrap(),
            Reported::Stored
        );
    }
    let kept = |reports: Vec<Report>| reports.iter().map(|report| report.sequence).collect::<Vec<_>>();
    assert_eq!(kept(client.reports().await.unwrap()), [18, 19, 20]);
    assert_eq!(client.report(&report(1, 2, ChangeState::Received)).await.unwrap(), Reported::Stored);
    let server = server.restart().await;
    assert_eq!(kept(server.client("a").reports().await.unwrap()), [18, 19, 20]);
}

/// Goal: a report about an unpublished generation is rejected, and one that an older drop accepted is dropped: it
/// would hide the true ones.
#[tokio::test]
async fn reports_of_the_future_are_refused() {
    let server = Server::start(Limits { reports_kept: 2, ..Limits::default() }).await;
    let client = server.client("nexmark");
    publish(&client, &document("nexmark", 1, "first"), None).await;
    let refused = client.report(&report(2, 1, ChangeState::Received)).await;
    assert!(matches!(refused, Err(Error::Status { status: 422, .. })), "{refused:?}");
    let (folder, limits) = server.stop().await;
    let log = folder.path().join("nexmark").join("reports.jsonl");
    let bogus =
        [report(1_000_000_000_000_000_000, 1, ChangeState::Received), report(7, 1, ChangeState::Received)];
    let lines: Vec<String> =
        bogus.iter().map(|report| serde_json::to_string(report).unwrap() + "\n").collect();
    std::fs::write(log, lines.concat()).unwrap();
    let server = Server::on(folder, limits).await;
    let client = server.client("nexmark");
    let all = [report(1, 1, ChangeState::Received), report(1, 2, ChangeState::Running)];
    for report in &all {
        assert_eq!(client.report(report).await.unwrap(), Reported::Stored);
    }
    assert_eq!(client.reports().await.unwrap(), all);
    let server = server.restart().await;
    assert_eq!(server.client("nexmark").reports().await.unwrap(), all);
}

/// Goal: a drop without tokens accepts only its own addresses as host, which prevents DNS rebinding.
#[tokio::test]
async fn names_of_others_are_refused() {
    let server = Server::start(Limits::default()).await;
    let ask = |host: &'static str| {
        let request =
            reqwest::Client::new().get(server.path("/v1/jobs/nexmark/document")).header("host", host);
        async move { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!(ask("localhost:8460").await, 404);
    assert_eq!(ask("evil.example:8460").await, 421);
}

/// Goal: reports are idempotent, contradictions and reports after a final one are rejected, and reports survive a
/// restart.
#[tokio::test]
async fn reports_count_once() {
    let server = Server::start(Limits::default()).await;
    let client = server.client("nexmark");
    assert!(matches!(
        client.report(&report(1, 1, ChangeState::Received)).await,
        Err(Error::Status { status: 404, .. })
    ));
    publish(&client, &document("nexmark", 1, "first"), None).await;
    let all = [report(1, 1, ChangeState::Received), report(1, 2, ChangeState::Failed)];
    for report in all.iter().chain(&all) {
        assert_eq!(client.report(report).await.unwrap(), Reported::Stored);
    }
    let other = report(1, 2, ChangeState::Running);
    assert_eq!(client.report(&other).await.unwrap(), Reported::Contradicted);
    assert_eq!(client.report(&report(1, 3, ChangeState::Running)).await.unwrap(), Reported::Contradicted);
    let server = server.restart().await;
    assert_eq!(server.client("nexmark").reports().await.unwrap(), all);
    assert_eq!(server.client("other").reports().await.unwrap(), []);
}

/// Goal: every malformed request gets the status and the sentence that the protocol specifies, as JSON.
#[tokio::test]
async fn malformed_requests_are_refused() {
    let server = Server::start(Limits::default()).await;
    let http = reqwest::Client::new();
    let text = document("nexmark", 1, "first").text().to_owned();
    let path = server.path("/v1/jobs/nexmark/document");
    let put =
        |path: &str, kind: &'static str, body: String| http.put(path).header("content-type", kind).body(body);
    let reports = server.path("/v1/jobs/nexmark/reports");
    let none_match = "if-none-match";
    let cases = [
        (put(&path, "application/toml", text.clone()), 428, "If-Match"),
        (put(&path, "application/toml", text.clone()).header("if-match", "*"), 400, "If-Match"),
        (put(&path, "text/plain", text.clone()).header(none_match, "*"), 415, "application/toml"),
        (put(&path, "application/toml", "speed = 3".to_owned()).header(none_match, "*"), 400, "speed"),
        (
            put(&server.path("/v1/jobs/other/document"), "application/toml", text).header(none_match, "*"),
            409,
            "other",
        ),
        (http.get(server.path("/v1/jobs/Nex%2Fmark/document")), 400, "not a job name"),
        (http.get(format!("{path}?wait=soon")), 400, "wait"),
        (http.get(format!("{path}?wait=1s&wait=2s")), 400, "wait"),
        (http.get(&path).header(none_match, "1-ab"), 400, "If-None-Match"),
        (http.get(server.path("/v1/jobs")), 404, "no such path"),
        (http.delete(&path), 405, "method not allowed"),
        (http.post(&reports).header("content-type", "application/json").body("{}"), 400, "not a report"),
        (http.post(&reports).body("{}"), 415, "application/json"),
    ];
    for (request, status, expected) in cases {
        let request = request.build().unwrap();
        let what = format!("{} {}", request.method(), request.url());
        let response = http.execute(request).await.unwrap();
        assert_eq!(response.status(), status, "{what}");
        let body: serde_json::Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        assert!(body["error"].as_str().unwrap().contains(expected), "{what} gave {body}");
    }
}

/// Goal: connections with a dripping body, or an endless head, are closed.
#[tokio::test]
async fn slow_clients_are_cut() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let short = Duration::from_millis(200);
    let server =
        Server::start(Limits { request_timeout: short, idle_timeout: short, ..Limits::default() }).await;
    let heads = [
        (
            "PUT /v1/jobs/a/document HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/toml\r\nif-none-match: *\r\ncontent-length: 9\r\n\r\nabc",
            "408",
        ),
        ("GET /healthz HTTP/1.1\r\nhost:", ""),
    ];
    for (sent, expected) in heads {
        let mut stream =
            tokio::net::TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tokio::time::timeout(WAIT, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.contains(expected), "{answer}");
    }
}

/// Goal: the health check and the metrics reflect what has happened, with names, types and help texts that stay.
#[tokio::test]
async fn health_and_metrics_answer() {
    let server = Server::start(Limits::default()).await;
    publish(&server.client("nexmark"), &document("nexmark", 3, "third"), None).await;
    let health = reqwest::get(server.path("/healthz")).await.unwrap();
    assert_eq!((health.status().as_u16(), health.text().await.unwrap().trim()), (200, "ok"));
    let response = reqwest::get(server.path("/metrics")).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let expected = "\
# HELP config_drop_requests_total Requests answered.
# TYPE config_drop_requests_total counter
config_drop_requests_total{method=\"GET\",route=\"/healthz\",status=\"200\"} 1
config_drop_requests_total{method=\"PUT\",route=\"/v1/jobs/{job}/document\",status=\"201\"} 1
# HELP config_drop_waiting_readers Readers that wait for a change.
# TYPE config_drop_waiting_readers gauge
config_drop_waiting_readers 0
# HELP config_drop_generation Generation of the current document.
# TYPE config_drop_generation gauge
config_drop_generation{job=\"nexmark\"} 3
";
    assert_eq!(response.text().await.unwrap(), expected);
}

async fn metrics(server: &Server) -> String {
    reqwest::get(server.path("/metrics")).await.unwrap().text().await.unwrap()
}

/// Waits until this many readers wait.
async fn waiting(server: &Server, readers: usize) {
    let expected = format!("config_drop_waiting_readers {readers}\n");
    tokio::time::timeout(WAIT, async { while !metrics(server).await.contains(&expected) {} }).await.unwrap();
}
