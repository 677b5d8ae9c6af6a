//! What must hold: everything acknowledged is served, and every generation was applied once and in order.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use drop_client::{DropClient, Fetched};
use flink_stand_in::{Pace, Server};
use job_config::{ChangeState, JobDocument, Report};
use serde_json::Value;
use tokio::sync::watch;

use super::programs::journal;
use super::{Counts, client, load_document, until_done};

/// Where to find what the drop has acknowledged.
pub(super) struct Acknowledged {
    folder: PathBuf,
    load: watch::Receiver<u64>,
}

/// What the drop had acknowledged at some moment.
pub(super) struct Known {
    /// Newest generation of job `load`.
    pub(super) load: u64,
    /// Newest generation of the job, by the rescaler's journal.
    published: u64,
    /// Reports, by the agent's journal: generation and sequence.
    delivered: Vec<(u64, u32)>,
}

/// The complete lines of a journal that is being written.
fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

impl Acknowledged {
    pub(super) fn new(folder: &Path, load: watch::Receiver<u64>) -> Self {
        Self { folder: folder.to_owned(), load }
    }

    /// What is acknowledged now.
    pub(super) fn now(&self) -> Known {
        let load = *self.load.borrow();
        let published = lines(&journal(&self.folder))
            .iter()
            .filter(|line| line["then"]["effect"] == "published")
            .filter_map(|line| line["then"]["generation"].as_u64())
            .max();
        let delivered = lines(&self.folder.join("agent/journal.jsonl"))
            .iter()
            .filter(|line| line["entry"] == "delivered")
            .filter_map(|line| Some((line["generation"].as_u64()?, line["sequence"].as_u64()?)))
            .map(|(generation, sequence)| (generation, u32::try_from(sequence).unwrap()))
            .collect();
        Known { load, published: published.unwrap_or(1), delivered }
    }
}

impl Known {
    /// Checks that the drop serves all of it, as soon as it answers.
    pub(super) async fn check(&self, drop_url: &str) {
        let (load, job) = (client(drop_url, "load"), client(drop_url, "job"));
        let newest = current(&load).await;
        let newest = newest.map_or(0, |document| document.generation());
        assert!(newest >= self.load, "generation {} of job load is lost: {newest}", self.load);
        if self.load > 0 {
            let stored = until_done("the history", || load.generation(self.load)).await;
            assert_eq!(stored.unwrap().document, load_document(self.load));
        }
        let newest = current(&job).await.unwrap().generation();
        assert!(newest >= self.published, "generation {} is lost: {newest}", self.published);
        let reports = until_done("the reports", || job.reports()).await;
        for (generation, sequence) in &self.delivered {
            let is_this = |report: &Report| (report.generation, report.sequence) == (*generation, *sequence);
            assert!(reports.iter().any(is_this), "report {generation}.{sequence} is lost");
        }
    }
}

async fn current(client: &DropClient) -> Option<JobDocument> {
    match until_done("the newest document", || client.get(None, None)).await {
        Fetched::Document(current) => Some(current.document),
        Fetched::Absent | Fetched::NotModified => None,
    }
}

/// Waits for the final report of the newest document.
pub(super) async fn await_rest(job: &DropClient) {
    until_done("the end of the last change", || async {
        let newest = current(job).await.unwrap().generation();
        let reports = job.reports().await.map_err(|_| ())?;
        let ended = |report: &Report| report.generation == newest && report.state.is_final();
        reports.iter().any(ended).then_some(()).ok_or(())
    })
    .await;
}

/// Every document of the job, by generation, with the parallelism of its operator.
async fn documents(job: &DropClient) -> BTreeMap<u64, u32> {
    let newest = current(job).await.unwrap().generation();
    let mut widths = BTreeMap::new();
    for generation in 1..=newest {
        let stored = until_done("the history", || job.generation(generation)).await;
        assert!(stored.is_some(), "generation {generation} is lost");
        let document = stored.unwrap().document;
        widths.insert(generation, document.parallelism().of("work"));
    }
    widths
}

/// Checks the reports: in order, and one end of each generation.
fn check_reports(reports: &[Report], newest: u64) {
    let keys: Vec<_> = reports.iter().map(|report| (report.generation, report.sequence)).collect();
    assert!(keys.is_sorted(), "{keys:?}");
    for generation in 1..=newest {
        let own = reports.iter().filter(|report| report.generation == generation);
        let ends: Vec<_> = own.filter(|report| report.state.is_final()).map(|report| report.state).collect();
        assert_eq!(ends, [ChangeState::Running], "generation {generation}");
    }
}

/// Checks what Flink was asked for, and what the drop knows of it.
pub(super) async fn check_end(job: &DropClient, server: &Server) -> Counts {
    let widths = documents(job).await;
    let reports = until_done("the reports", || job.reports()).await;
    check_reports(&reports, *widths.keys().last().unwrap());
    let distinct: Vec<u32> = widths.values().copied().collect();
    assert!(distinct.windows(2).all(|two| two[0] > two[1]), "{distinct:?}");
    let asked: Vec<u32> = server
        .requests()
        .iter()
        .filter(|request| request.method == "PUT" && request.status == 200)
        .map(|request| work(&request.body))
        .collect();
    // Generation 1 asks for what runs.
    assert!(asked.windows(2).all(|two| two[0] >= two[1]), "an older generation was applied: {asked:?}");
    let mut once = asked.clone();
    once.dedup();
    let wanted: Vec<u32> = distinct[1..].to_vec();
    let first_too = [&distinct[..1], &wanted[..]].concat();
    assert!(once == wanted || once == first_too, "asked for {once:?}, not {wanted:?}");
    let runs = server.with(|stand_in| stand_in.parallelism_by_vertex(Pace::Real.now_ms()));
    assert_eq!(runs[&"b".repeat(32)], i64::from(*distinct.last().unwrap()));
    Counts {
        generations: widths.len(),
        rescales: asked.len(),
        repeated: asked.len() - once.len(),
        reports: reports.len(),
        ..Counts::default()
    }
}

/// The upper bound of operator `work` in a request for requirements.
fn work(body: &str) -> u32 {
    let body: Value = serde_json::from_str(body).unwrap();
    u32::try_from(body[&"b".repeat(32)]["parallelism"]["upperBound"].as_u64().unwrap()).unwrap()
}
