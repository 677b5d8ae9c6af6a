//! Telling a person how far a start is.

/// Takes one line of progress, without a line break: `&|line| eprintln!("{line}")`.
pub type Progress<'a> = dyn Fn(&str) + Send + Sync + 'a;
