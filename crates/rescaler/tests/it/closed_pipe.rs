//! Programs whose reader has left.

use std::process::{Command, Stdio};

use crate::support::program;

/// Goal: what a program prints into a pipe whose reader has left is no failure, whichever program it is.
#[test]
fn a_reader_that_leaves_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().to_str().unwrap();
    for (name, arguments) in [
        ("rescaler", &["completions", "bash"][..]),
        ("rescaler", &["simulate", "list"]),
        ("rescaler", &["run", "--flink", "http://127.0.0.1:1", "--check-config"]),
        ("event-producer", &["completions", "zsh"]),
        ("event-producer", &["profile", "--rate", "10", "--duration", "5"]),
        ("event-producer", &["generate", "--events", "1000"]),
        ("state-probe", &["completions", "fish"]),
        ("state-probe", &["once", "--source", "local", "--path", pages]),
        ("testbed", &["completions", "bash"]),
        ("testbed", &["down", "--work", pages]),
        ("manual", &[pages]),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(program(name));
        let output = command.args(arguments).stdin(Stdio::null()).stdout(writer).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name} {arguments:?}: {}: {said}", output.status);
        assert!(!said.contains("roken pipe"), "{name} {arguments:?}: {said}");
    }
}
