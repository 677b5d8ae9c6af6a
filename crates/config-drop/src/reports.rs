//! The reports of one job: each counts once, the newest are kept, and all that were taken are on the disk.

use std::collections::VecDeque;

use job_config::Report;
use journal::{JournalError, JsonLines};
use thiserror::Error;

/// A log of reports is rewritten when it has this many times the reports that are kept, so that rewriting stays rare.
pub(crate) const LOG_SLACK: usize = 2;

/// Why a report was not taken.
#[derive(Debug, Error)]
pub enum ReportError {
    /// There is no document of that job.
    #[error("there is no document of this job, so there is nothing to report about")]
    UnknownJob,
    /// There has been no such generation yet.
    #[error("generation {found} is above the current one, {current}")]
    UnknownGeneration {
        /// The generation that is current.
        current: u64,
        /// The generation of the report.
        found: u64,
    },
    /// Another report has this generation and sequence number.
    #[error("another report has this generation and sequence number")]
    Contradiction,
    /// The generation's last report was a final one.
    #[error("report {sequence} of this generation was a final one")]
    AfterTheEnd {
        /// The sequence number of the final report.
        sequence: u32,
    },
    /// The disk refused.
    #[error("the report could not be stored; send it again later")]
    Store(#[source] JournalError),
    /// The process is ending.
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
    /// What the log has of this many newest reports.
    pub(crate) fn from_disk(
        log: JsonLines,
        mut reports: Vec<Report>,
        generation: u64,
        most: usize,
    ) -> Result<Self, JournalError> {
        let lines = reports.len();
        // An older drop took reports about generations that never were.
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
        // A report from before the oldest that is kept was here once, and has been let go.
        let is_old = self.kept.front().is_some_and(|oldest| key(&report) < key(oldest));
        if is_old && self.kept.len() >= most {
            return Ok(());
        }
        self.log.append(&report).map_err(ReportError::Store)?;
        self.lines += 1;
        self.kept.push_back(report);
        // The report is stored. A log that could not be shortened is shortened at the next report, or the next start.
        if let Err(error) = self.shorten(most) {
            tracing::warn!(%error, "the log of reports could not be shortened");
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
