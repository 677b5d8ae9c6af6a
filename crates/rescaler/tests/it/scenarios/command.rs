//! One command line of one of the programs, run as a process with the folder's files beside it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use flink_stand_in::{Pace, Server};
use tokio::process::Command;

use super::Scenario;
use super::expected;

/// For a command to end by itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program of this name, which is built into the same folder as the rescaler.
fn program(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_rescaler")).with_file_name(name);
    assert!(path.exists(), "{} is missing; run `cargo build --workspace --bins`", path.display());
    path
}

/// The stand-in, where the folder has a `scenario.json`.
async fn server(scenario: &Scenario) -> Option<Server> {
    let file = flink_stand_in::Scenario::load(&scenario.file("scenario.json")?);
    Some(Server::start(file.unwrap(), Pace::Real).await.unwrap())
}

/// Everything in which the outcome differs from what is required.
pub(super) async fn run_scenario(scenario: &Scenario, wanted: &expected::Command) -> Vec<String> {
    let server = server(scenario).await;
    let address = server.as_ref().map_or(String::new(), |server| server.url().replace("http://", ""));
    let arguments = wanted.arguments.iter().map(|argument| argument.replace("{address}", &address));
    let stdin = wanted.stdin.as_ref().map(|name| std::fs::File::open(scenario.folder.join(name)).unwrap());
    let output = Command::new(program(&wanted.program))
        .args(arguments)
        .current_dir(&scenario.folder)
        .stdin(stdin.map_or_else(Stdio::null, Stdio::from))
        .kill_on_drop(true)
        .output();
    let Ok(output) = tokio::time::timeout(PATIENCE, output).await else {
        return vec![format!("did not end within {} s", PATIENCE.as_secs())];
    };
    let output = output.unwrap();
    let text = [output.stdout, output.stderr].concat();
    let mut problems = wanted.words().problems(&String::from_utf8_lossy(&text));
    if output.status.code() != Some(i32::from(wanted.exit)) {
        problems.push(format!(
            "{}, not {}: {:.500}",
            output.status,
            wanted.exit,
            String::from_utf8_lossy(&text)
        ));
    }
    problems
}
