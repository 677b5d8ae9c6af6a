//! The demo's output: one line per second, a marked line per event, a table at the end. Plain text, so that it reads
//! the same in a terminal, a file and a bug report.

use std::io::Write;
use std::time::Instant;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};

use crate::watch::WatchSample;

/// One value of a sample, as text.
type Field = fn(&WatchSample) -> String;

/// The terminal, and the start time.
pub(crate) struct Screen {
    began: Instant,
}

impl Screen {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now() }
    }

    /// Prints a line with the time.
    pub(crate) fn print_line(&self, text: &str) {
        let seconds = self.began.elapsed().as_secs();
        // A closed terminal must not end the demo before its children are ended in order.
        drop(writeln!(std::io::stdout(), "{:>3}:{:02}  {text}", seconds / 60, seconds % 60));
    }

    /// Prints a highlighted line.
    pub(crate) fn announce(&self, what: &str, text: &str) {
        self.print_line(&format!("▶ {what:<9} {text}"));
    }

    /// Prints the column headers of [`Screen::show`].
    pub(crate) fn print_headers(&self) {
        self.print_line("  input/s  processed/s   backlog  event latency  parallelism");
    }

    pub(crate) fn show(&self, sample: &WatchSample) {
        if let Some(problem) = &sample.problem {
            return self.print_line(&format!(
                "        –            –         –              –            –  {problem}"
            ));
        }
        self.print_line(&format!(
            "{:>9}  {:>11}  {:>8}  {:>13}  {:>11}",
            number(sample.input_per_s),
            number(sample.processed_per_s),
            number(sample.backlog_records),
            latency(sample.event_latency_ms),
            sample.parallelism.map_or("–".to_owned(), |p| p.to_string()),
        ));
    }

    /// Prints a table with the values of several samples side by side.
    pub(crate) fn table(&self, columns: &[(&str, &WatchSample)]) {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header(std::iter::once("").chain(columns.iter().map(|(head, _)| *head)));
        let rows: [(&str, Field); 5] = [
            ("input (records/s)", |m| number(m.input_per_s)),
            ("processed (records/s)", |m| number(m.processed_per_s)),
            ("backlog (records)", |m| number(m.backlog_records)),
            ("event latency", |m| latency(m.event_latency_ms)),
            ("parallelism", |m| m.parallelism.map_or("–".to_owned(), |p| p.to_string())),
        ];
        for (name, figure) in rows {
            table.add_row(
                std::iter::once(name.to_owned()).chain(columns.iter().map(|(_, sample)| figure(sample))),
            );
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        drop(writeln!(std::io::stdout(), "\n{table}\n"));
    }
}

fn number(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:.0}"))
}

fn latency(ms: Option<f64>) -> String {
    ms.map_or("–".to_owned(), |ms| format!("{ms:.0} ms"))
}
