//! A variant with a timetable: the experiment itself publishes the job's parallelism at given times, through config drop and agent like a
//! rescaler, but without any decision. Fixed changes at known times are what a measurement of changes needs.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use drop_client::{DropClient, Fetched, Precondition, Published};
use jiff::Timestamp;
use job_config::{Change, JobDocument};
use tokio::time::{Instant, sleep, sleep_until};

use crate::csv;
use crate::raw::{RawExperiment, Timetable};

/// File of a run with the times of the publications.
pub(crate) const FILE: &str = "timetable.csv";
const HEADER: &str = "asked_s,operator,width";
/// How often a publication is tried, and the pause in between.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);

impl Timetable {
    /// Returns why its widths are invalid, if they are.
    pub(crate) fn problem(&self, document: &JobDocument, experiment: &RawExperiment) -> Option<String> {
        let most = document.parallelism().max;
        let is_ordered = self.widths.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let is_within = self.widths.iter().all(|(at_s, _)| *at_s < experiment.duration_s);
        let is_possible = self.widths.iter().all(|(_, width)| (1..=most).contains(width));
        (self.widths.is_empty() || !is_ordered || !is_within || !is_possible).then(|| {
            let duration_s = experiment.duration_s;
            format!("write [second, parallelism] with increasing seconds before {duration_s} and parallelism from 1 to {most}")
        })
    }
}

/// Publishes a timetable's documents at the config drop.
#[derive(Debug)]
pub(crate) struct TimetablePublisher {
    timetable: Timetable,
    drop: DropClient,
    /// Seconds since the load began, and the parallelism published then.
    asked: Vec<(f64, u32)>,
}

impl TimetablePublisher {
    pub(crate) fn new(timetable: Timetable, drop: DropClient) -> Self {
        Self { timetable, drop, asked: Vec::new() }
    }

    /// Publishes every document in time. Returns only if one cannot be published, and then why.
    pub(crate) async fn follow(&mut self, began: Instant) -> String {
        for (at_s, width) in self.timetable.widths.clone() {
            sleep_until(began + Duration::from_secs(at_s)).await;
            self.asked.push((began.elapsed().as_secs_f64(), width));
            if let Err(error) = self.publish(width).await {
                return format!("the timetable's document of second {at_s} was not published: {error:#}");
            }
        }
        std::future::pending().await
    }

    async fn publish(&self, width: u32) -> anyhow::Result<()> {
        let mut attempt = 1;
        loop {
            match self.try_publish(width).await {
                Err(_) if attempt < ATTEMPTS => sleep(PAUSE).await,
                outcome => return outcome,
            }
            attempt += 1;
        }
    }

    async fn try_publish(&self, width: u32) -> anyhow::Result<()> {
        let Fetched::Document(current) = self.drop.get(None, None).await? else {
            bail!("the config drop has no document");
        };
        let operator = &self.timetable.operator;
        let change = Change {
            parallelism: [(operator.clone(), width)].into(),
            default_parallelism: None,
            task_managers: None,
            reason: format!("timetable: {operator} gets {width}"),
            issued_at: Timestamp::now(),
            expires_at: None,
        };
        let next = current.document.successor(&change).context("the next document is invalid")?;
        match self.drop.put(&next, &Precondition::Replaces(current.entity_tag)).await? {
            Published::Stored(_) => Ok(()),
            Published::Superseded => bail!("another program published a document"),
        }
    }

    /// Formats the publications so far as CSV.
    pub(crate) fn text(&self) -> String {
        let operator = &self.timetable.operator;
        let line = |(at_s, width): &(f64, u32)| {
            csv::line([csv::number(Some(*at_s)), operator.clone(), width.to_string()])
        };
        let lines = self.asked.iter().map(line);
        std::iter::once(HEADER.to_owned()).chain(lines).map(|line| line + "\n").collect()
    }
}

/// Reads the times of publications, in seconds since the load began; none if the file does not exist.
///
/// # Errors
/// The file exists but cannot be read.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<f64>> {
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let text = files::read_text(path, crate::folder::RESULT_BYTES)
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.lines().skip(1).filter_map(|line| csv::fields(line).first()?.parse().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = include_str!("../../../configs/experiments/documents/nexmark.toml");

    /// A config drop of this process, and a client of it.
    async fn drop_of(folder: &Path, document: &JobDocument) -> DropClient {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let config = config_drop::Config::load(None, None, Some(folder.join("drop"))).unwrap();
        tokio::spawn(async move { config_drop::run(listener, config, std::future::pending()).await });
        DropClient::new(&url, document.job().clone(), drop_client::ClientSettings::default()).unwrap()
    }

    fn timetable() -> Timetable {
        Timetable { operator: "q7-bid-item".to_owned(), widths: vec![(2, 2), (4, 8)] }
    }

    /// Waits until the drop serves this generation.
    async fn generation(drop: &DropClient, wanted: u64) -> JobDocument {
        let mut known = None;
        loop {
            let fetched = drop.get(known.as_ref(), Some(Duration::from_secs(5))).await.unwrap();
            let Fetched::Document(current) = fetched else { continue };
            if current.document.generation() == wanted {
                return current.document;
            }
            known = Some(current.entity_tag);
        }
    }

    /// Goal: each line of a timetable becomes the next generation of the running document, which differs only in this operator's
    /// parallelism, and the times are stored.
    #[tokio::test]
    async fn documents_follow_the_timetable() {
        let folder = tempfile::tempdir().unwrap();
        let document = JobDocument::parse(DOCUMENT).unwrap();
        let drop = drop_of(folder.path(), &document).await;
        drop.put(&document, &Precondition::Nothing).await.unwrap();
        let mut publisher = TimetablePublisher::new(timetable(), drop.clone());
        // Both times are over.
        let began = Instant::now().checked_sub(Duration::from_secs(10)).unwrap();
        let last = tokio::select! {
            problem = publisher.follow(began) => panic!("{problem}"),
            last = generation(&drop, 3) => last,
        };
        assert_eq!(last.parallelism().of("q7-bid-item"), 8);
        assert!(last.differs_only_in_parallelism(&document));
        let path = folder.path().join(FILE);
        std::fs::write(&path, publisher.text()).unwrap();
        let asked_s = read(&path).unwrap();
        assert!(asked_s.len() == 2 && asked_s.iter().all(|at_s| *at_s >= 10.0), "{asked_s:?}");
    }

    /// Goal: a document that cannot be published ends the run with the reason.
    #[tokio::test]
    async fn a_failed_publication_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let document = JobDocument::parse(DOCUMENT).unwrap();
        let drop = drop_of(folder.path(), &document).await;
        let began = Instant::now().checked_sub(Duration::from_secs(10)).unwrap();
        let problem = TimetablePublisher::new(timetable(), drop).follow(began).await;
        assert!(problem.contains("second 2") && problem.contains("has no document"), "{problem}");
    }
}
