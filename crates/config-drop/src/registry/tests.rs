//! The registry without HTTP: who may publish what, what readers see, and what is on disk.

use std::path::Path;

use job_config::{ChangeState, Freshness, PrivateKey};
use tokio::task::JoinHandle;

use super::*;

/// Timeout of waits for events that must happen.
const PATIENCE: Duration = Duration::from_secs(30);

fn document(job: &str, generation: u64) -> JobDocument {
    document_with(job, generation, "")
}

fn document_with(job: &str, generation: u64, more: &str) -> JobDocument {
    JobDocument::parse(&test_documents::document(job, generation, more)).unwrap()
}

fn name(job: &str) -> JobName {
    job.parse().unwrap()
}

fn key() -> PrivateKey {
    PrivateKey::from_seed([1; 32]).unwrap()
}

fn replaces(document: &JobDocument) -> ExpectedDocument {
    ExpectedDocument::Document(document.entity_tag())
}

fn open(data: &Path, limits: &Limits) -> DocumentRegistry {
    DocumentRegistry::open(data, limits).unwrap()
}

/// A registry in a new folder, which ends with the test.
fn new(limits: &Limits) -> (tempfile::TempDir, DocumentRegistry) {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(folder.path(), limits);
    (folder, registry)
}

/// Publishes the next document of job `a`, whose generations begin at 1.
async fn publish(registry: &DocumentRegistry, generation: u64) {
    let expected = match generation {
        1 => ExpectedDocument::Nothing,
        _ => replaces(&document("a", generation - 1)),
    };
    let is_first = registry.publish(document("a", generation), expected).await.unwrap();
    assert_eq!(is_first, generation == 1);
}

fn current(registry: &DocumentRegistry) -> Option<u64> {
    registry.current(&name("a")).map(|current| current.document.generation())
}

fn report(generation: u64, sequence: u32) -> Report {
    Report::new(generation, sequence, "2026-01-01T00:00:00Z".parse().unwrap(), ChangeState::Received)
}

/// Goal: the first document is taken where none is expected, and then only the successor of the one that its writer has seen.
#[tokio::test]
async fn only_the_expected_successor_is_taken() {
    let (_folder, registry) = new(&Limits::default());
    let refused = |document: JobDocument, expected: ExpectedDocument| {
        let registry = registry.clone();
        async move { registry.publish(document, expected).await.unwrap_err() }
    };
    let first = document("a", 1);
    let error = refused(document("a", 1), replaces(&first)).await;
    assert!(matches!(error, PublishError::NotCurrent { current: None }), "{error}");
    let too_high = FIRST_GENERATION_MAX + 1;
    let error = refused(document("a", too_high), ExpectedDocument::Nothing).await;
    assert!(matches!(error, PublishError::FirstTooHigh { found } if found == too_high), "{error}");
    assert!(registry.publish(document("b", FIRST_GENERATION_MAX), ExpectedDocument::Nothing).await.unwrap());
    publish(&registry, 1).await;

    for generation in [1, 3] {
        let other = document_with("a", generation, "reason = \"other\"");
        let error = refused(other, replaces(&first)).await;
        let PublishError::NotTheSuccessor { current: 1, found } = error else { panic!("{error}") };
        assert_eq!(found, generation);
    }
    for expected in [ExpectedDocument::Nothing, replaces(&document("a", 2))] {
        let error = refused(document("a", 2), expected).await;
        assert!(
            matches!(&error, PublishError::NotCurrent { current: Some(tag) } if *tag == first.entity_tag()),
            "{error}"
        );
    }
    assert_eq!(current(&registry), Some(1));
    publish(&registry, 2).await;
    assert_eq!(current(&registry), Some(2));
    // Its writer may have missed the answer.
    assert!(!registry.publish(document("a", 2), ExpectedDocument::Nothing).await.unwrap());
    assert_eq!(registry.generations(), [(name("a"), 2), (name("b"), FIRST_GENERATION_MAX)]);
}

/// Goal: there are as many jobs as the limits say, and each can still be changed.
#[tokio::test]
async fn jobs_are_bounded() {
    let limits = Limits { jobs: 2, ..Limits::default() };
    let (_folder, registry) = new(&limits);
    assert_eq!(*registry.limits(), limits);
    publish(&registry, 1).await;
    assert!(registry.publish(document("b", 1), ExpectedDocument::Nothing).await.unwrap());
    let error = registry.publish(document("c", 1), ExpectedDocument::Nothing).await.unwrap_err();
    assert!(matches!(error, PublishError::TooManyJobs { limit: 2 }), "{error}");
    assert!(registry.current(&name("c")).is_none());
    publish(&registry, 2).await;
}

/// Goal: the newest documents are listed and can be read, the current one like those before it, also after a restart.
#[tokio::test]
async fn the_newest_documents_can_be_read() {
    let limits = Limits { history: 2, ..Limits::default() };
    let (folder, mut registry) = new(&limits);
    assert_eq!(registry.history(&name("a")), None);
    for generation in 1..=3 {
        publish(&registry, generation).await;
    }
    for is_restarted in [false, true] {
        if is_restarted {
            drop(registry);
            registry = open(folder.path(), &limits);
        }
        let listed = registry.history(&name("a")).unwrap();
        assert_eq!(listed.iter().map(|one| one.generation).collect::<Vec<_>>(), [2, 3]);
        for generation in 1..=4 {
            let found = registry.revision(&name("a"), generation).await.unwrap();
            let expected = [2, 3].contains(&generation).then(|| document("a", generation));
            assert_eq!(found.map(|stored| stored.document), expected, "generation {generation}");
        }
        assert!(registry.revision(&name("b"), 1).await.unwrap().is_none());
    }
}

/// Goal: a signature can be added to the current document, replaces an earlier one, and is not lost by publishing the document again
/// without it.
#[tokio::test]
async fn a_signature_can_be_added() {
    let (folder, registry) = new(&Limits::default());
    publish(&registry, 1).await;
    let text = document("a", 1).text().to_owned();
    let (first, second) = (key().sign(text.as_bytes()), key().sign(b"another text"));
    for (signature, expected) in
        [(None, None), (Some(first), Some(first)), (None, Some(first)), (Some(second), Some(second))]
    {
        let published = registry.publish_signed(document("a", 1), signature, ExpectedDocument::Nothing).await;
        assert!(!published.unwrap());
        assert_eq!(registry.current(&name("a")).unwrap().signature, expected);
        let listed = registry.history(&name("a")).unwrap();
        assert_eq!(listed.iter().map(|one| one.signed).collect::<Vec<_>>(), [expected.is_some()]);
    }
    drop(registry);
    let registry = open(folder.path(), &Limits::default());
    assert_eq!(registry.current(&name("a")).unwrap().signature, Some(second));
}

/// Goal: after a failed write readers see what a restart would load, which may be the new document; a document that cannot be synced is
/// not confirmed.
#[tokio::test]
async fn after_a_failed_write_readers_see_what_is_on_disk() {
    for (is_first, is_stored, expected) in
        [(false, false, Some(1)), (false, true, Some(2)), (true, false, None), (true, true, Some(1))]
    {
        let (folder, registry) = new(&Limits::default());
        let of_job = folder.path().join("a");
        std::fs::create_dir_all(of_job.join("history")).unwrap();
        let generation = if is_first {
            1
        } else {
            publish(&registry, 1).await;
            2
        };
        // The temporary file cannot be created.
        std::fs::create_dir(of_job.join(".document.toml.tmp")).unwrap();
        let next = document("a", generation);
        if is_stored {
            std::fs::write(of_job.join("document.toml"), next.text()).unwrap();
        }
        let precondition = if is_first { ExpectedDocument::Nothing } else { replaces(&document("a", 1)) };
        let error = registry.publish(next, precondition).await.unwrap_err();
        assert!(matches!(error, PublishError::Store(_)), "{error}");
        assert_eq!(current(&registry), expected, "first: {is_first}, stored: {is_stored}");
    }
    let (folder, registry) = new(&Limits::default());
    publish(&registry, 1).await;
    std::fs::remove_file(folder.path().join("a/document.toml")).unwrap();
    let error = registry.publish(document("a", 1), ExpectedDocument::Nothing).await.unwrap_err();
    assert!(matches!(error, PublishError::Store(_)), "{error}");
}

/// Goal: a reader waits while it knows the document, or there is none; a change and a shutdown wake it.
#[tokio::test]
async fn a_reader_waits_for_something_new() {
    let long = PATIENCE * 100;
    let (_folder, registry) = new(&Limits { wait: long, ..Limits::default() });
    let read = |known: &[JobDocument]| {
        let registry = registry.clone();
        let known: Vec<EntityTag> = known.iter().map(JobDocument::entity_tag).collect();
        tokio::spawn(async move {
            let found = registry.await_other(&name("a"), &known, long, false).await.unwrap();
            found.map(|stored| stored.document.generation())
        })
    };
    let ends = async |reading: JoinHandle<Option<u64>>| {
        tokio::time::timeout(PATIENCE, reading).await.unwrap().unwrap()
    };
    let waits = async |reading: &JoinHandle<Option<u64>>| {
        while registry.waiting_readers() != 1 {
            assert!(!reading.is_finished(), "it did not wait");
            tokio::task::yield_now().await;
        }
    };
    assert_eq!(registry.waiting_readers(), 0);
    let reading = read(&[]);
    waits(&reading).await;
    publish(&registry, 1).await;
    assert_eq!(ends(reading).await, Some(1));
    let reading = read(&[document("a", 1)]);
    waits(&reading).await;
    publish(&registry, 2).await;
    assert_eq!(ends(reading).await, Some(2));
    assert_eq!(ends(read(&[document("a", 1)])).await, Some(2), "it did not know the newest");
    let reading = read(&[document("a", 1), document("a", 2)]);
    waits(&reading).await;
    registry.close();
    assert_eq!(ends(reading).await, Some(2));
    assert_eq!(registry.waiting_readers(), 0);
}

/// Goal: reports are about published generations, and are there again after a restart.
#[tokio::test]
async fn reports_are_about_what_was_published() {
    let (folder, mut registry) = new(&Limits::default());
    let unknown = registry.report(&name("a"), report(1, 1)).await;
    assert!(matches!(unknown, Err(ReportError::UnknownJob)));
    assert_eq!(registry.reports(&name("a")).await, None);
    publish(&registry, 1).await;
    publish(&registry, 2).await;
    let early = registry.report(&name("a"), report(3, 1)).await;
    assert!(matches!(early, Err(ReportError::UnknownGeneration { current: 2, found: 3 })));
    let all = [report(1, 1), report(2, 1)];
    for report in &all {
        registry.report(&name("a"), report.clone()).await.unwrap();
    }
    assert_eq!(registry.reports(&name("a")).await.unwrap(), all);
    drop(registry);
    registry = open(folder.path(), &Limits::default());
    assert_eq!(registry.reports(&name("a")).await.unwrap(), all);
}

/// Goal: a log as full as the limits allow can be read, and no larger one: six times the size of a report, because of JSON's escapes, for
/// twice as many reports as are kept, and one.
#[tokio::test]
async fn the_longest_log_of_reports_can_be_read() {
    let limits = Limits { report_bytes: 100, reports_kept: 3, ..Limits::default() };
    let (folder, registry) = new(&limits);
    publish(&registry, 1).await;
    drop(registry);
    let line = |sequence: u32, bytes: usize| {
        let mut report = report(1, sequence);
        report.message = Some(String::new());
        let rest = serde_json::to_string(&report).unwrap().len() + 1;
        report.message = Some("x".repeat(bytes - rest));
        serde_json::to_string(&report).unwrap() + "\n"
    };
    for (last, is_read) in [(600, true), (601, false)] {
        let lines: String =
            (1..=7).map(|sequence| line(sequence, if sequence == 7 { last } else { 600 })).collect();
        std::fs::write(folder.path().join("a/reports.jsonl"), lines).unwrap();
        let registry = DocumentRegistry::open(folder.path(), &limits);
        assert_eq!(registry.is_ok(), is_read, "the last report has {last} bytes");
    }
}

/// Goal: a freshness statement is shown with the document that it is about, until another one is current.
#[tokio::test]
async fn a_statement_belongs_to_the_current_document() {
    let (_folder, registry) = new(&Limits::default());
    let stated = |generation| {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        Freshness::of(&document("a", generation), now, 60).signed(&key()).unwrap()
    };
    let shown = |registry: &DocumentRegistry| registry.freshness(&registry.current(&name("a")).unwrap());
    let unknown = registry.state_freshness(&name("a"), stated(1));
    assert!(matches!(unknown, Err(FreshnessRefusal::UnknownJob)));
    publish(&registry, 1).await;
    assert_eq!(shown(&registry), None);
    let early = registry.state_freshness(&name("a"), stated(2));
    assert!(matches!(early, Err(FreshnessRefusal::NotCurrent { current: 1 })));
    assert_eq!(shown(&registry), None);
    registry.state_freshness(&name("a"), stated(1)).unwrap();
    assert_eq!(shown(&registry), Some(stated(1)));
    publish(&registry, 2).await;
    assert_eq!(shown(&registry), None);
}

/// Goal: a data folder that cannot be written is told.
#[tokio::test]
async fn a_lost_folder_is_told() {
    let (_folder, registry) = new(&Limits::default());
    assert_eq!(registry.problem().await, None);
    let (folder, registry) = new(&Limits::default());
    folder.close().unwrap();
    let problem = registry.problem().await.unwrap();
    assert!(problem.contains("cannot write to disk"), "{problem}");
}
