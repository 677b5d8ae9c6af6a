//! Progress output of a run: a line every few seconds, and one for each change, as plain text.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Instant;

use crate::row::{Column, JobState, Row};

/// One in this many rows is shown.
const EVERY: u32 = 5;

/// The terminal, and the start time.
#[derive(Debug)]
pub(crate) struct Screen {
    /// Prefix of each line, which distinguishes runs side by side.
    label: String,
    began: Instant,
    rows: u32,
    widths: BTreeMap<String, u32>,
    job: JobState,
}

impl Screen {
    pub(crate) fn new() -> Self {
        let began = Instant::now();
        Self { label: String::new(), began, rows: 0, widths: BTreeMap::new(), job: JobState::Unknown }
    }

    /// Returns the same terminal with a run's label.
    pub(crate) fn labelled(&self, label: &str) -> Self {
        let label = if label.is_empty() { String::new() } else { format!("{label:<12} ") };
        Self { label, began: self.began, ..Self::new() }
    }

    /// Prints a line with the time.
    pub(crate) fn print_line(&self, text: &str) {
        let seconds = self.began.elapsed().as_secs();
        print(&format!("{:>3}:{:02}  {}{text}", seconds / 60, seconds % 60, self.label));
    }

    /// Prints the column headers of [`Screen::show`], and forgets an earlier run.
    pub(crate) fn begin_rows(&mut self) {
        (self.rows, self.widths, self.job) = (0, BTreeMap::new(), JobState::Unknown);
        self.print_line("   at s  offered/s  processed/s   backlog  event latency  slots used");
    }

    /// Prints changes and, every few seconds, the values.
    pub(crate) fn show(&mut self, row: &Row) {
        if row.job == JobState::Running && !self.widths.is_empty() && row.parallelism != self.widths {
            self.print_line(&format!("▶ parallelism {}", changes(&self.widths, &row.parallelism)));
        }
        if row.job != self.job {
            match row.job {
                JobState::Running if self.rows > 0 => self.print_line("▶ the job runs"),
                JobState::Running => {}
                JobState::Down | JobState::Unknown => self.print_line(&format!("▶ {}", row.problem)),
            }
        }
        if row.job == JobState::Running {
            self.widths.clone_from(&row.parallelism);
        }
        self.job = row.job;
        if self.rows.is_multiple_of(EVERY) {
            self.print_line(&format!(
                "{:>7.0}  {:>9}  {:>11}  {:>8}  {:>13}  {:>10}",
                row.at_s,
                number(row.get(Column::OfferedPerS)),
                number(row.get(Column::ProcessedPerS)),
                number(row.get(Column::BacklogRecords)),
                row.get(Column::EventLatencyMeanMs).map_or("–".to_owned(), |ms| format!("{ms:.0} ms")),
                number(row.get(Column::SlotsUsed)),
            ));
        }
        self.rows += 1;
    }
}

/// Prints a line on standard output.
pub(crate) fn print(text: &str) {
    // A closed terminal must not end a run before its children are stopped.
    drop(writeln!(std::io::stdout(), "{text}"));
}

fn changes(before: &BTreeMap<String, u32>, after: &BTreeMap<String, u32>) -> String {
    let changed = after.iter().filter(|(name, p)| before.get(*name).is_some_and(|before| before != *p));
    let words =
        changed.map(|(name, p)| format!("{name} {} → {p}", before.get(name).copied().unwrap_or_default()));
    words.collect::<Vec<_>>().join(", ")
}

fn number(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:.0}"))
}
