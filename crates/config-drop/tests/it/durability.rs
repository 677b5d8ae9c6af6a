//! Durability: the real program is killed in the middle of its work, and has everything it confirmed after a restart.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use drop_client::{Access, ClientSettings, DropClient, Fetched, Precondition, Published, Reported};
use forgetful_disk::ForgetfulDisk;
use job_config::{ChangeState, JobDocument, PrivateKey, Report, Signature};
use tokio::sync::mpsc::UnboundedSender;

/// Timeout of waits for events that must happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running `config-drop`, killed (SIGKILL) when dropped.
struct DropProcess {
    child: Child,
    url: String,
}

impl DropProcess {
    fn start(data: &Path) -> Self {
        Self::on(data, None)
    }

    fn on(data: &Path, disk: Option<&ForgetfulDisk>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_config-drop"));
        command
            .args(["--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .env("NO_COLOR", "1")
            .env("RUST_LOG", "info")
            .stderr(Stdio::piped());
        if let Some(disk) = disk {
            disk.under(&mut command);
        }
        let mut child = command.spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut lines = log.lines().map_while(Result::ok);
        let address = lines
            .find_map(|line| line.contains("listening").then(|| field(&line, "address=")).flatten())
            .unwrap();
        // The rest of the log is read, so that the program never waits for a full pipe.
        std::thread::spawn(move || lines.count());
        Self { child, url: format!("http://{address}") }
    }

    fn client(&self) -> DropClient {
        let access = Access::default().with_public_keys(vec![key().public_key()]);
        DropClient::with_access(&self.url, "nexmark".parse().unwrap(), ClientSettings::default(), access)
            .unwrap()
    }
}

fn key() -> PrivateKey {
    PrivateKey::from_seed([1; 32]).unwrap()
}

fn signature(document: &JobDocument) -> Signature {
    key().sign(document.text().as_bytes())
}

impl Drop for DropProcess {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn field(line: &str, name: &str) -> Option<String> {
    line.split(name).nth(1).and_then(|rest| rest.split_whitespace().next()).map(str::to_owned)
}

fn document(generation: u64) -> JobDocument {
    let comment = format!("# {}", "a comment that makes the document longer than one page ".repeat(100));
    JobDocument::parse(&test_documents::document("nexmark", generation, &comment)).unwrap()
}

fn report(generation: u64) -> Report {
    Report::new(generation, 1, "2026-01-01T00:00:00Z".parse().unwrap(), ChangeState::Received)
}

/// What the drop confirmed to a writer.
#[derive(Default)]
struct Confirmed {
    generation: u64,
    reports: Vec<Report>,
}

/// Writes until the program is killed, and sends each confirmed document's generation.
async fn write_until_killed(
    client: DropClient,
    mut confirmed: Confirmed,
    documents: UnboundedSender<u64>,
) -> Confirmed {
    loop {
        let expected = match confirmed.generation {
            0 => Precondition::Nothing,
            current => Precondition::Replaces(document(current).entity_tag()),
        };
        let next = document(confirmed.generation + 1);
        match client.put_signed(&next, Some(&signature(&next)), &expected).await {
            Ok(Published::Stored(_)) => {
                confirmed.generation += 1;
                // Once the killer has counted enough, it stops receiving.
                documents.send(confirmed.generation).ok();
            }
            Ok(Published::Superseded) => panic!("there is no other writer"),
            Err(_) => return confirmed,
        }
        let report = report(confirmed.generation);
        match client.report(&report).await {
            Ok(Reported::Stored) => confirmed.reports.push(report),
            Ok(Reported::Contradicted) => panic!("there is no other reporter"),
            Err(_) => return confirmed,
        }
    }
}

/// Goal: after a kill at any moment, the next start serves the last confirmed document or its successor, complete and
/// with its signature (verified by the client), its predecessors, and every confirmed report.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_drop_has_what_it_confirmed() {
    let folder = tempfile::tempdir().unwrap();
    interrupted(folder.path(), 12, None).await;
}

/// Goal: the same after power losses, which lose everything that was not synced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drop_without_power_has_what_it_confirmed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let disk = ForgetfulDisk::new(&folder.path().join("disk")).unwrap();
    interrupted(&data, 8, Some(&disk)).await;
}

async fn interrupted(data: &Path, rounds: u64, disk: Option<&ForgetfulDisk>) {
    let mut confirmed = Confirmed::default();
    for round in 0..rounds {
        let program = DropProcess::on(data, disk);
        let client = program.client();
        if let Fetched::Document(current) = client.get(None, None).await.unwrap() {
            let found = current.document;
            let last = confirmed.generation;
            assert!([last, last + 1].contains(&found.generation()), "{last} became {}", found.generation());
            assert_eq!(found.text(), document(found.generation()).text());
            confirmed.generation = found.generation();
        }
        if confirmed.generation > 0 {
            let history = format!("{}/v1/jobs/nexmark/history", program.url);
            let list: serde_json::Value = reqwest::get(&history).await.unwrap().json().await.unwrap();
            let kept: Vec<u64> =
                list.as_array().unwrap().iter().map(|one| one["generation"].as_u64().unwrap()).collect();
            let newest = confirmed.generation;
            assert_eq!(kept, (newest.saturating_sub(19).max(1)..=newest).collect::<Vec<_>>());
            let reports = client.reports().await.unwrap();
            let missing = confirmed.reports.iter().rev().take(100).find(|report| !reports.contains(report));
            assert_eq!(missing, None);
        }
        let (documents, mut told) = tokio::sync::mpsc::unbounded_channel();
        let writing = tokio::spawn(write_until_killed(client, confirmed, documents));
        // Two documents are confirmed; then the moment of the kill moves through the steps of the next writes.
        for _ in 0..2 {
            let document = tokio::time::timeout(PATIENCE, told.recv()).await.unwrap();
            assert!(document.is_some(), "the writer ended before the program was killed");
        }
        tokio::time::sleep(Duration::from_micros(1_300 * round)).await;
        drop(program);
        confirmed = writing.await.unwrap();
        if let Some(disk) = disk {
            disk.lose_power(data).unwrap();
        }
    }
}

/// Goal: a second process on the same folder, and a damaged document, prevent the start with a message; bad usage
/// exits with 2.
#[test]
fn a_bad_start_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_config-drop"))
            .args(arguments)
            .env("NO_COLOR", "1")
            .output()
            .unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let data = folder.path().to_str().unwrap();
    let program = DropProcess::start(folder.path());
    let (code, message) = run(&["--listen", "127.0.0.1:0", "--data", data]);
    assert!(code == 1 && message.contains("another process"), "{code} {message}");
    drop(program);
    std::fs::create_dir(folder.path().join("nexmark")).unwrap();
    std::fs::write(folder.path().join("nexmark/document.toml"), "format = 1\njob = ").unwrap();
    let (code, message) = run(&["--listen", "127.0.0.1:0", "--data", data]);
    assert!(code == 1 && message.contains("nexmark/document.toml"), "{code} {message}");
    let (code, message) = run(&["--listen", "127.0.0.1:0"]);
    assert!(code == 2 && message.contains("--data"), "{code} {message}");
    let (code, message) = run(&["--config", "/nonexistent.toml"]);
    assert!(code == 2 && message.contains("/nonexistent.toml"), "{code} {message}");
    let (code, _) = run(&["--data", data, "--check-config"]);
    assert_eq!(code, 0);
}

/// Goal: SIGTERM ends the program with exit code 0 while a reader waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminated_drop_ends_cleanly() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = DropProcess::start(folder.path());
    let client = program.client();
    let reading = tokio::spawn(async move { client.get(None, Some(Duration::from_secs(30))).await });
    let metrics = format!("{}/metrics", program.url);
    let waits = async {
        while !reqwest::get(&metrics).await.unwrap().text().await.unwrap().contains("waiting_readers 1") {}
    };
    tokio::time::timeout(PATIENCE, waits).await.unwrap();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(program.child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(reading.await.unwrap().unwrap(), Fetched::Absent);
    assert_eq!(program.child.wait().unwrap().code(), Some(0));
}
