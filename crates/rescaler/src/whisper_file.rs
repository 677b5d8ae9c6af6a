//! `rescaler whisper`: prints one Whisper file, with the reader of the metric source `whisper`.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use whisper::{FetchError, Range, Series};

use crate::cli::Output;

/// Commands on a Whisper file.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print a series over a time range, as Python's whisper.fetch returns it.
    Fetch(Fetch),
}

#[derive(Debug, Args)]
pub(crate) struct Fetch {
    /// .wsp file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Start of the range, in seconds since the Unix epoch; the first value is up to one step later.
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    from: i64,
    /// End of the range, in seconds since the Unix epoch; by default now.
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    until: Option<i64>,
    /// Time to take for now, in seconds since the Unix epoch; retention is counted back from it.
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    now: Option<i64>,
    /// Output format: a line per value, or one JSON object (null if the range is outside the retention).
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Runs the command; returns the text for standard output.
///
/// # Errors
/// Any [`FetchError`].
pub(crate) fn run(command: &Command) -> anyhow::Result<String> {
    let Command::Fetch(fetch) = command;
    let now = fetch.now.unwrap_or_else(|| Timestamp::now().as_second());
    let range = Range { from: fetch.from, until: fetch.until.unwrap_or(now), now };
    let series = whisper::fetch(&fetch.file, range)?;
    match fetch.output {
        Output::Json => serde_json::to_string(&series).context("cannot serialise the series"),
        Output::Text => Ok(series.map_or_else(
            || "no data: the range is in the future, or before the file's retention".to_owned(),
            |series| lines(&series),
        )),
    }
}

fn lines(series: &Series) -> String {
    let mut text = String::new();
    let mut time = series.from;
    for value in &series.values {
        let value = value.map_or_else(|| "unknown".to_owned(), |value| value.to_string());
        let _infallible = writeln!(text, "{time} {value}");
        time = time.saturating_add(series.step);
    }
    text.truncate(text.trim_end().len());
    text
}

/// Whether another command line would fix the error.
pub(crate) fn is_usage(error: &FetchError) -> bool {
    matches!(error, FetchError::Open { .. } | FetchError::Range { .. } | FetchError::TooLong { .. })
}
