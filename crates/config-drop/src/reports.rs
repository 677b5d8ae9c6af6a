//! The reports of one job: deduplicated, bounded in number, and on disk once accepted.

use std::collections::VecDeque;

use job_config::Report;
use journal::{JournalError, JsonLines};
use thiserror::Error;

/// A log of reports is compacted at this multiple of the retained reports, so that compaction stays rare.
pub(crate) const LOG_SLACK: usize = 2;

/// Why a report was rejected.
#[derive(Debug, Error)]
pub enum ReportError {
    /// The job has no document.
    #[error("this job has no document to report on")]
    UnknownJob,
    /// The generation was not published yet.
    #[error("generation {found} is above the current generation {current}")]
    UnknownGeneration {
        /// The current generation.
        current: u64,
        /// The generation of the report.
        found: u64,
    },
    /// Another report has this generation and sequence number.
    #[error("a different report has this generation and sequence number")]
    Contradiction,
    /// The generation already has a final report.
    #[error("report {sequence} of this generation was final")]
    AfterTheEnd {
        /// The sequence number of the final report.
        sequence: u32,
    },
    /// The write failed.
    #[error("could not store the report; retry later")]
    Store(#[source] JournalError),
    /// The process is shutting down.
    #[error("the server is shutting down")]
    Interrupted,
}

/// The reports of one job.
pub(crate) struct Reports {
    log: JsonLines,
    lines: usize,
    pub(crate) kept: VecDeque<Report>,
}

impl Reports {
    /// Restores the newest reports from the log, at most this many.
    pub(crate) fn from_disk(
        log: JsonLines,
        mut reports: Vec<Report>,
        generation: u64,
        most: usize,
    ) -> Result<Self, JournalError> {
        let lines = reports.len();
        // Older drops accepted reports about unpublished generations.
        reports.retain(|report| report.generation <= generation);
        let mut reports = Self { log, lines, kept: reports.into() };
        reports.shorten(most)?;
        Ok(reports)
    }

    pub(crate) fn add(&mut self, report: Report, most: usize) -> Result<(), ReportError> {
        let key = |report: &Report| (report.generation, report.sequence);
        if let Some(same) = self.kept.iter().find(|kept| key(kept) == key(&report)) {
            return if *same == report { Ok(()) } else { Err(ReportError::Contradiction) };
        }
        if let Some(last) = self.final_report_of(report.generation)
            && last.sequence < report.sequence
        {
            return Err(ReportError::AfterTheEnd { sequence: last.sequence });
        }
        // A report older than the oldest retained one was received before, and has been dropped.
        let is_old = self.kept.front().is_some_and(|oldest| key(&report) < key(oldest));
        if is_old && self.kept.len() >= most {
            return Ok(());
        }
        self.log.append(&report).map_err(ReportError::Store)?;
        self.lines += 1;
        self.kept.push_back(report);
        // The report is stored. If the compaction failed, the next report or the next start retries it.
        if let Err(error) = self.shorten(most) {
            tracing::warn!(%error, "could not truncate the log of reports");
        }
        Ok(())
    }

    fn final_report_of(&self, generation: u64) -> Option<&Report> {
        self.kept.iter().find(|kept| kept.generation == generation && kept.state.is_final())
    }

    fn shorten(&mut self, most: usize) -> Result<(), JournalError> {
        while self.kept.len() > most {
            self.kept.pop_front();
        }
        if self.lines > LOG_SLACK * most {
            self.log.rewrite(&self.kept)?;
            self.lines = self.kept.len();
        }
        Ok(())
    }
}
