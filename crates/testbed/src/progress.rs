//! Progress reports of a start, for people.

/// Receives one line of progress, without a line break: `&|line| eprintln!("{line}")`.
pub type Progress<'a> = dyn Fn(&str) + Send + Sync + 'a;
