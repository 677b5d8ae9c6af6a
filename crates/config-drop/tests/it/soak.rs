//! Soak test: over more than a day of changes in compressed time, memory and folder do not grow.
//!
//! By default it runs a few thousand generations; with `scripts/test.sh --full` a hundred thousand, which is one
//! change every second for a day and a quarter. How long a start takes after them is printed (docs/benchmarks.md),
//! not asserted.

#![expect(clippy::print_stdout, reason = "what was measured is printed")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use drop_client::{ClientSettings, DropClient, Fetched, Precondition, Published, Reported};
use job_config::{ChangeState, JobDocument, Report};

struct DropProcess {
    child: Child,
    url: String,
    started_in: Duration,
}

impl DropProcess {
    fn start(data: &Path) -> Self {
        let began = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_config-drop"))
            .args(["--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .env("NO_COLOR", "1")
            .env("RUST_LOG", "config_drop::server=info")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let line = lines.find(|line| line.contains("listening")).unwrap();
        let started_in = began.elapsed();
        let address = line.split("address=").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
        std::thread::spawn(move || lines.count());
        Self { child, url: format!("http://{address}"), started_in }
    }

    /// Resident memory of the process, in KiB.
    fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for DropProcess {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn document(generation: u64) -> JobDocument {
    let comment = format!("# {}", "as long as a real document ".repeat(60));
    JobDocument::parse(&test_documents::document("nexmark", generation, &comment)).unwrap()
}

fn report(generation: u64, sequence: u32) -> Report {
    let state = if sequence == 1 { ChangeState::Received } else { ChangeState::Running };
    Report::new(generation, sequence, "2026-01-01T00:00:00Z".parse().unwrap(), state)
}

/// One change as the drop sees it: a publication, its reader, two reports.
async fn change(client: &DropClient, generation: u64) {
    let next = document(generation);
    let before = (generation > 1).then(|| document(generation - 1).entity_tag());
    let expected = before.clone().map_or(Precondition::Nothing, Precondition::Replaces);
    assert!(matches!(client.put(&next, &expected).await.unwrap(), Published::Stored(_)));
    let fetched = client.get(before.as_ref(), None).await.unwrap();
    assert!(matches!(fetched, Fetched::Document(current) if current.document == next));
    for sequence in [1, 2] {
        assert_eq!(client.report(&report(generation, sequence)).await.unwrap(), Reported::Stored);
    }
}

/// Goal: after 3,000 generations the process uses no more memory than after the first tenth of them, its folder has
/// not grown, and a restart has the last one.
#[tokio::test]
async fn a_long_life_leaves_no_traces() {
    live_through(3_000).await;
}

/// Goal: the same after 100,000 generations.
#[tokio::test]
#[ignore = "needs --full"]
async fn a_day_of_changes_leaves_no_traces() {
    live_through(100_000).await;
}

async fn live_through(generations: u64) {
    let folder = tempfile::tempdir().unwrap();
    let program = DropProcess::start(folder.path());
    let client =
        DropClient::new(&program.url, "nexmark".parse().unwrap(), ClientSettings::default()).unwrap();
    let began = Instant::now();
    let mut resident = Vec::new();
    for generation in 1..=generations {
        change(&client, generation).await;
        if generation % (generations / 10) == 0 {
            resident.push(program.resident_kib());
        }
    }
    let each = began.elapsed() / u32::try_from(generations).unwrap();
    drop(program);
    let again = DropProcess::start(folder.path());
    let client = DropClient::new(&again.url, "nexmark".parse().unwrap(), ClientSettings::default()).unwrap();
    let Fetched::Document(current) = client.get(None, None).await.unwrap() else { panic!("no document") };
    let bytes: u64 = files(folder.path());
    println!(
        "{generations} generations, {each:?} each; resident after each tenth (KiB): {resident:?}; \
         started again in {:?}; {bytes} bytes on the disk",
        again.started_in
    );
    assert_eq!(current.document, document(generations));
    let (first, last) = (resident[0], resident[9]);
    assert!(last <= first + first / 10 + 1_024, "resident memory grew: {resident:?} KiB");
    assert!(bytes < 1 << 20, "{bytes} bytes on the disk");
}

fn files(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| match entry.file_type().unwrap().is_dir() {
            true => files(&entry.path()),
            false => entry.metadata().unwrap().len(),
        })
        .sum()
}
