//! Only a document of the requested job is accepted, whatever the response. Each case is the right response with one
//! defect.

use std::time::Duration;

use drop_client::{ClientSettings, Defect, DropClient, Error, Fetched, Precondition, Published, Reported};
use job_config::{ChangeState, EntityTag, JobDocument, Report};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const LIMIT: usize = 2_000;

fn document(job: &str) -> JobDocument {
    JobDocument::parse(&test_documents::document(job, 3, "")).unwrap()
}

/// A client of a server that responds to every request with these bytes, then closes the connection.
async fn client_of(answer: Vec<u8>) -> DropClient {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 16 << 10];
            let _request_bytes = stream.read(&mut request).await.unwrap();
            // The client may close the connection before everything is written.
            drop(stream.write_all(&answer).await);
            drop(stream.shutdown().await);
        }
    });
    let settings = ClientSettings {
        timeout: Duration::from_secs(10),
        max_document_bytes: LIMIT,
        ..ClientSettings::default()
    };
    DropClient::new(&url, "nexmark".parse().unwrap(), settings).unwrap()
}

fn answer(status: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("HTTP/1.1 {status}\r\n{headers}\r\n{body}").into_bytes()
}

fn good_headers<'a>(tag: &'a str, length: &'a str) -> [(&'a str, &'a str); 3] {
    [("content-type", "application/toml; charset=utf-8"), ("etag", tag), ("content-length", length)]
}

async fn get(status: &str, headers: &[(&str, &str)], body: &str) -> Result<Fetched, Error> {
    let known = EntityTag::parse("\"2-0123456789abcdef\"").unwrap();
    client_of(answer(status, headers, body)).await.get(Some(&known), None).await
}

fn defect(result: Result<Fetched, Error>) -> Defect {
    match result {
        Err(Error::NotADocument { defect, .. }) => defect,
        other => panic!("{other:?}"),
    }
}

/// Goal: the right response is accepted, from a config drop and from a plain web server with its own entity tags.
#[tokio::test]
async fn a_document_is_a_document() {
    let expected = document("nexmark");
    let length = expected.text().len().to_string();
    for tag in [expected.entity_tag().as_str(), "\"5f-61\"", "W/\"63d2\""] {
        let fetched = get("200 OK", &good_headers(tag, &length), expected.text()).await.unwrap();
        let Fetched::Document(current) = fetched else { panic!("{fetched:?}") };
        assert_eq!((current.document.text(), current.entity_tag.as_str()), (expected.text(), tag));
    }
    let unmodified = get("304 Not Modified", &[("etag", "\"2-0123456789abcdef\"")], "").await;
    assert_eq!(unmodified.unwrap(), Fetched::NotModified);
    assert_eq!(get("404 Not Found", &[("content-length", "0")], "").await.unwrap(), Fetched::Absent);
}

/// Goal: a defect of a response with status 200 is named.
#[tokio::test]
async fn a_defect_is_named() {
    let right = document("nexmark");
    let (text, tag) = (right.text(), right.entity_tag());
    let length = text.len().to_string();
    let headers = good_headers(tag.as_str(), &length);
    let html = "<html><body>Please log in</body></html>";
    let html_length = html.len().to_string();
    let with = |name: &'static str, value: &'static str| {
        let keep = headers.into_iter().filter(move |(header, _)| *header != name);
        keep.chain((!value.is_empty()).then_some((name, value))).collect::<Vec<_>>()
    };

    let found = defect(get("200 OK", &with("content-type", "text/html"), text).await);
    assert!(matches!(found, Defect::ContentType { .. }), "{found}");
    let found = defect(get("200 OK", &with("content-type", ""), text).await);
    assert!(matches!(found, Defect::ContentType { .. }), "{found}");
    let found = defect(get("200 OK", &with("etag", ""), text).await);
    assert!(matches!(found, Defect::EntityTag), "{found}");
    let found = defect(get("200 OK", &with("etag", "3-abc"), text).await);
    assert!(matches!(found, Defect::EntityTag), "{found}");
    let found = defect(get("200 OK", &good_headers("\"5f-61\"", &html_length), html).await);
    assert!(matches!(found, Defect::Content(_)), "{found}");
    let other = document("another");
    let found =
        defect(get("200 OK", &good_headers(other.entity_tag().as_str(), &length), other.text()).await);
    assert!(matches!(&found, Defect::Refused(refusal) if refusal.name() == "wrong-job"), "{found}");
    let found = defect(get("200 OK", &with("etag", "\"4-0123456789abcdef\""), text).await);
    assert!(matches!(found, Defect::Digest { .. }), "{found}");
}

/// Goal: a body truncated at any byte is never a document, whether its length was announced or not.
#[tokio::test]
async fn a_cut_body_is_never_a_document() {
    // With a trailing comment some truncations leave a valid document.
    let whole = JobDocument::parse(&format!("{}# the end\n", document("nexmark").text())).unwrap();
    let (text, tag, length) = (whole.text(), whole.entity_tag(), whole.text().len().to_string());
    let headers = good_headers(tag.as_str(), &length);
    for cut in 0..text.len() {
        let announced = get("200 OK", &headers, &text[..cut]).await;
        assert!(matches!(announced, Err(Error::NoAnswer { .. })), "{cut}: {announced:?}");
        let until_close = get("200 OK", &headers[..2], &text[..cut]).await;
        assert!(matches!(until_close, Err(Error::NotADocument { .. })), "{cut}: {until_close:?}");
    }
}

/// Goal: other statuses, including redirects, are errors with the server's message; some are transient.
#[tokio::test]
async fn other_statuses_are_errors() {
    let right = document("nexmark");
    let length = right.text().len().to_string();
    let headers = good_headers("\"5f-61\"", &length);
    let moved = [("location", "http://127.0.0.1:1/"), ("content-length", "0")];
    let cases = [
        ("500 Internal Server Error", headers.as_slice(), true),
        ("503 Service Unavailable", &headers, true),
        ("403 Forbidden", &headers, false),
        ("203 Non-Authoritative Information", &headers, false),
        ("206 Partial Content", &headers, false),
        ("302 Found", moved.as_slice(), false),
    ];
    for (status, headers, transient) in cases {
        let body = if status.starts_with('3') { "" } else { right.text() };
        let error = get(status, headers, body).await.unwrap_err();
        assert!(error.to_string().contains(&status[..3]), "{error}");
        assert!(matches!(error, Error::Status { .. }), "{error}");
        assert_eq!(error.is_transient(), transient, "{error}");
    }
}

/// Goal: an endless body is read up to the limit and no further.
#[tokio::test]
async fn a_body_is_bounded() {
    let endless = "x".repeat(8 << 20);
    let error = get("200 OK", &[("content-type", "application/toml")], &endless).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit_bytes: LIMIT, .. }), "{error}");
}

/// Goal: an unresponsive server costs at most the timeout; the long poll's waiting time is added.
#[tokio::test]
async fn silence_ends_with_the_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let settings = ClientSettings { timeout: Duration::from_millis(100), ..ClientSettings::default() };
    let client = DropClient::new(&url, "nexmark".parse().unwrap(), settings).unwrap();
    for wait in [None, Some(Duration::from_millis(200))] {
        let started = std::time::Instant::now();
        let error = client.get(None, wait).await.unwrap_err();
        assert!(matches!(&error, Error::NoAnswer { .. }) && error.is_transient(), "{error}");
        assert!(started.elapsed() >= Duration::from_millis(100) + wait.unwrap_or_default());
    }
}

/// Goal: results of writes and reports are distinguished.
#[tokio::test]
async fn answers_to_writers_are_told_apart() {
    let document = document("nexmark");
    let put = async |status: &str, headers: &[(&str, &str)]| {
        client_of(answer(status, headers, "")).await.put(&document, &Precondition::Nothing).await
    };
    let tag = document.entity_tag();
    let stored = put("201 Created", &[("etag", tag.as_str()), ("content-length", "0")]).await;
    assert_eq!(stored.unwrap(), Published::Stored(tag));
    let nothing = [("content-length", "0")];
    assert_eq!(put("412 Precondition Failed", &nothing).await.unwrap(), Published::Superseded);
    assert!(matches!(put("204 No Content", &[]).await, Err(Error::NoEntityTag { .. })));
    assert!(matches!(put("200 OK", &nothing).await, Err(Error::Status { status: 200, .. })));

    let report = Report::new(3, 1, "2026-01-01T00:00:00Z".parse().unwrap(), ChangeState::Received);
    let post = async |status: &str| client_of(answer(status, &nothing, "")).await.report(&report).await;
    assert_eq!(
        client_of(answer("204 No Content", &[], "")).await.report(&report).await.unwrap(),
        Reported::Stored
    );
    assert_eq!(post("409 Conflict").await.unwrap(), Reported::Contradicted);
    assert!(matches!(post("200 OK").await, Err(Error::Status { status: 200, .. })));
    let reports = client_of(answer("200 OK", &[("content-length", "6")], "<html>")).await.reports().await;
    assert!(matches!(reports, Err(Error::NotReports { .. })));
}
