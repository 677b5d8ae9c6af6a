//! A drop that misbehaves before it answers correctly. It writes raw bytes, because no HTTP library produces such
//! answers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use job_config::{JobDocument, PrivateKey, Report, SIGNATURE_HEADER};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The key that the agent has pinned.
pub(crate) fn key() -> PrivateKey {
    PrivateKey::from_seed([1; 32]).unwrap()
}

/// One answer to a request for the document.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// The correct document.
    Good(JobDocument),
    /// This document with correct headers; its content makes it inadmissible.
    Bad(JobDocument),
    /// This document, signed with an unknown key.
    WrongKey(JobDocument),
    /// This document without a signature.
    Unsigned(JobDocument),
    /// This status, with a body.
    Status(u16),
    /// A web page with status 200.
    Html,
    /// The correct headers of this document, and a web page.
    HtmlAsDocument(JobDocument),
    /// The beginning of this document with its full length, then a closed connection.
    Truncated(JobDocument),
    /// The beginning of this document with the length of that part.
    Half(JobDocument),
    /// The document under the tag of another.
    OtherTag(JobDocument),
    /// More than the size limit.
    Oversized(JobDocument),
    /// Byte by byte.
    SlowDrip(JobDocument),
    /// A closed connection without an answer.
    Cut,
}

/// Received reports and scripted answers.
#[derive(Debug, Default)]
pub(crate) struct FaultyDropState {
    /// Answers in order; the last one repeats.
    pub(crate) answers: Vec<Answer>,
    /// Reports with these numbers (counted from 1) get an error or no answer.
    pub(crate) report_faults: Vec<u32>,
    pub(crate) reports: Vec<Report>,
    report_number: u32,
}

#[derive(Clone)]
pub(crate) struct FaultyDrop {
    pub(crate) url: String,
    pub(crate) state: Arc<Mutex<FaultyDropState>>,
    _server: Arc<Server>,
}

struct Server(tokio::task::JoinHandle<()>);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl FaultyDrop {
    pub(crate) async fn start(answers: Vec<Answer>, report_faults: Vec<u32>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state =
            Arc::new(Mutex::new(FaultyDropState { answers, report_faults, ..FaultyDropState::default() }));
        let shared = Arc::clone(&state);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                tokio::spawn(async move { drop(serve(stream, state).await) });
            }
        });
        Self { url, state, _server: Arc::new(Server(server)) }
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<FaultyDropState>>) -> std::io::Result<()> {
    let (head, body) = read_request(&mut stream).await?;
    if head.starts_with("POST") {
        let answer = take_report(&state, &body);
        stream.write_all(answer).await?;
        return stream.shutdown().await;
    }
    if head.starts_with("GET") && head.lines().next().is_some_and(|line| line.contains("/reports")) {
        let reports = serde_json::to_string(&state.lock().unwrap().reports).unwrap();
        let length = reports.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(format!("{head}{reports}").as_bytes()).await?;
        return stream.shutdown().await;
    }
    let answer = {
        let mut state = state.lock().unwrap();
        if state.answers.len() > 1 { state.answers.remove(0) } else { state.answers[0].clone() }
    };
    let known = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("if-none-match: ").map(str::to_owned));
    if let Answer::Good(document) = &answer
        && known.as_deref().map(str::trim) == Some(document.entity_tag().as_str())
    {
        tokio::time::sleep(Duration::from_millis(50)).await;
        return stream
            .write_all(b"HTTP/1.1 304 Not Modified\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .await;
    }
    write_answer(&mut stream, &answer).await?;
    stream.shutdown().await
}

fn take_report(state: &Mutex<FaultyDropState>, body: &[u8]) -> &'static [u8] {
    let mut state = state.lock().unwrap();
    state.report_number += 1;
    let number = state.report_number;
    if state.report_faults.contains(&number) {
        return match number % 3 {
            0 => b"",
            1 => b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            _ => b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\nconnection: close\r\n\r\n<html>",
        };
    }
    let report: Report = serde_json::from_slice(body).unwrap();
    if !state.reports.contains(&report) {
        state.reports.push(report);
    }
    b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"
}

async fn read_request(stream: &mut TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let length = head.lines().find_map(|line| {
        line.to_ascii_lowercase().strip_prefix("content-length:").and_then(|n| n.trim().parse::<usize>().ok())
    });
    while bytes.len() < end + length.unwrap_or(0) {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok((head, bytes.split_off(end)))
}

async fn write_answer(stream: &mut TcpStream, answer: &Answer) -> std::io::Result<()> {
    let unsigned = |document: &JobDocument, length: usize, more: &str| {
        let tag = document.entity_tag();
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/toml\r\netag: {tag}\r\ncontent-length: {length}\r\n{more}connection: close\r\n\r\n"
        )
    };
    let signed = |document: &JobDocument, length: usize, key: &PrivateKey| {
        let signature = key.sign(document.text().as_bytes());
        unsigned(document, length, &format!("{SIGNATURE_HEADER}: {signature}\r\n"))
    };
    let head = |document: &JobDocument, length: usize| signed(document, length, &key());
    let page = "<html>Please log in</html>";
    let whole = match answer {
        Answer::Good(document) | Answer::Bad(document) => {
            head(document, document.text().len()) + document.text()
        }
        Answer::WrongKey(document) => {
            let wrong = PrivateKey::from_seed([2; 32]).unwrap();
            signed(document, document.text().len(), &wrong) + document.text()
        }
        Answer::Unsigned(document) => unsigned(document, document.text().len(), "") + document.text(),
        Answer::Status(status) => {
            format!(
                "HTTP/1.1 {status} So\r\ncontent-type: application/toml\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno"
            )
        }
        Answer::Html => format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{page}",
            page.len()
        ),
        Answer::HtmlAsDocument(document) => head(document, page.len()) + page,
        Answer::Truncated(document) => {
            head(document, document.text().len()) + &document.text()[..document.text().len() / 2]
        }
        Answer::Half(document) => {
            let half = &document.text()[..document.text().len() / 2];
            head(document, half.len()) + half
        }
        Answer::OtherTag(document) => {
            (head(document, document.text().len()) + document.text()).replace("etag: \"", "etag: \"9")
        }
        Answer::Oversized(document) => {
            let body = format!("{}# {}", document.text(), "x".repeat(400_000));
            head(document, body.len()) + &body
        }
        Answer::SlowDrip(document) => {
            let whole = head(document, document.text().len()) + document.text();
            for byte in whole.as_bytes() {
                stream.write_all(&[*byte]).await?;
                stream.flush().await?;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            return Ok(());
        }
        Answer::Cut => return Ok(()),
    };
    stream.write_all(whole.as_bytes()).await
}
