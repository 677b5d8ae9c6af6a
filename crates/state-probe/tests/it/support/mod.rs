//! Shared test support: the program, and scripted HTTP servers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// The program, with these arguments.
pub(crate) fn probe(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_state-probe"));
    command.args(arguments);
    command
}

/// Runs it and parses its only line as JSON.
#[track_caller]
pub(crate) fn figures(arguments: &[&str]) -> Value {
    let output = probe(&[&["once", "--output", "json"], arguments].concat()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// Runs it, and expects this exit code, no standard output, and one line of reason with these parts.
#[track_caller]
pub(crate) fn refused(code: i32, arguments: &[&str], parts: &[&str]) {
    let output: Output = probe(&[&["once", "--output", "json"], arguments].concat()).output().unwrap();
    let reason = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{reason}");
    assert!(output.stdout.is_empty(), "{:?}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(reason.lines().count(), 1, "{reason}");
    parts.iter().for_each(|part| assert!(reason.contains(part), "{part:?} is missing in {reason:?}"));
}

/// A server that answers each request by its target, on its own thread, until the test ends.
pub(crate) fn serve(answer: impl Fn(&str) -> (u16, String) + Send + 'static) -> SocketAddr {
    serve_with_head(move |head| answer(head[0].split(' ').nth(1).unwrap_or_default()))
}

/// The same by the request's head, line by line.
pub(crate) fn serve_with_head(answer: impl Fn(&[String]) -> (u16, String) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            // A disconnected client is ignored.
            let _gone = stream.and_then(|stream| converse(stream, &answer));
        }
    });
    address
}

fn converse(mut stream: TcpStream, answer: &impl Fn(&[String]) -> (u16, String)) -> std::io::Result<()> {
    let lines = BufReader::new(stream.try_clone()?).lines();
    let head: Vec<String> = lines
        .take_while(|line| line.as_ref().is_ok_and(|line| !line.is_empty()))
        .collect::<Result<_, _>>()?;
    if head.is_empty() {
        return Ok(());
    }
    let (status, body) = answer(&head);
    write!(stream, "HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

/// One page of a server, if it answers.
pub(crate) fn get(address: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
}

/// Polls until there is a value.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = std::time::Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(std::time::Instant::now() < end, "not in time: {what}");
        thread::park_timeout(Duration::from_millis(10));
    }
}

pub(crate) const SUMMARY: &str = r#"{"ContentSummary":{"directoryCount":3,"ecPolicy":"","fileCount":7,"length":1000,"quota":-1,"spaceConsumed":3000,"spaceQuota":-1,"typeQuota":{}}}"#;

/// An error in WebHDFS's format.
pub(crate) fn exception(name: &str, message: &str) -> String {
    serde_json::json!({"RemoteException": {"exception": name, "javaClassName": format!("x.{name}"), "message": message}})
        .to_string()
}
