//! Parser of the output of `du`: a pure function of the text. The caller has already checked the exit code.
//!
//! It supports the forms of `hdfs dfs -du` (`size path` in Hadoop 2, `size size-with-replicas path` since Hadoop 3,
//! with `-h` and `-v`) and of the system's own `du -b`. Columns may be padded, a path may contain spaces and may be a
//! URI.
//!
//! Anything else is an error with the line, since a misread row would give a false size. For the same reason a path
//! must look like one (its first word contains a slash, or it begins with a dot): `1 234 567 /x` and `7 octets` are
//! localised numbers and words, not rows.

use std::collections::HashSet;

use thiserror::Error;

/// Number of characters of an invalid line in a message.
const SHOWN_CHARS: usize = 200;
/// The units of `-h`, each 1024 times the previous one.
const UNITS: [&str; 6] = ["K", "M", "G", "T", "P", "E"];

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Size of one copy, in bytes.
    pub size_bytes: u64,
    /// Size of all copies, in bytes; not printed by every command.
    pub size_with_replicas_bytes: Option<u64>,
    /// Whether a unit followed a number (`-h`): the sizes are then rounded to about two digits.
    pub is_rounded: bool,
    /// The path as printed.
    pub path: String,
}

/// All rows together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Total {
    /// Total size of one copy, in bytes.
    pub size_bytes: u64,
    /// Total size of all copies, in bytes; only if every row has it.
    pub size_with_replicas_bytes: Option<u64>,
    /// Whether any row was rounded.
    pub is_rounded: bool,
}

/// Why a text is not an output of `du`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DuError {
    /// No row: `-du` without `-s` on an empty folder, or a command with another output.
    #[error("no row in the output (du prints an empty folder only with -s)")]
    Empty,
    /// A line that is neither a row nor the header.
    #[error("line {line} is not a row of du: {problem}: {text:?}")]
    Line {
        /// Line number, from 1.
        line: usize,
        /// What is wrong with it.
        problem: &'static str,
        /// The line, truncated.
        text: String,
    },
    /// The sum exceeds any file system.
    #[error("the sizes add up to more than 2^64 bytes")]
    Sum,
}

/// Parses all rows.
///
/// # Errors
/// [`DuError::Empty`] and [`DuError::Line`].
pub fn rows(output: &str) -> Result<Vec<Row>, DuError> {
    let mut rows = Vec::new();
    let mut paths = HashSet::new();
    let lines = output.lines().enumerate().filter(|(_, text)| !text.trim().is_empty());
    for (place, (index, text)) in lines.enumerate() {
        if place == 0 && is_header(text) {
            continue;
        }
        let wrong = |problem| DuError::Line { line: index + 1, problem, text: shortened(text) };
        let row = row(text).map_err(wrong)?;
        paths.insert(row.path.trim_end_matches('/').to_owned());
        if paths.len() == rows.len() {
            return Err(wrong("duplicate path, which would count twice"));
        }
        rows.push((row, index + 1));
    }
    if let Some((row, line)) = rows.iter().find(|(row, _)| lies_within(&row.path, &paths)) {
        let problem = "inside the path of another row, would count twice";
        return Err(DuError::Line { line: *line, problem, text: shortened(&row.path) });
    }
    if rows.is_empty() { Err(DuError::Empty) } else { Ok(rows.into_iter().map(|(row, _)| row).collect()) }
}

/// Sums the rows of an output.
///
/// # Errors
/// See [`DuError`].
pub fn total(output: &str) -> Result<Total, DuError> {
    let none = Total { size_bytes: 0, size_with_replicas_bytes: Some(0), is_rounded: false };
    rows(output)?.iter().try_fold(none, |sum, row| {
        let all = match (sum.size_with_replicas_bytes, row.size_with_replicas_bytes) {
            (Some(sum), Some(size)) => Some(sum.checked_add(size).ok_or(DuError::Sum)?),
            _ => None,
        };
        Ok(Total {
            size_bytes: sum.size_bytes.checked_add(row.size_bytes).ok_or(DuError::Sum)?,
            size_with_replicas_bytes: all,
            is_rounded: sum.is_rounded || row.is_rounded,
        })
    })
}

/// Whether this is the header line of `-v`.
fn is_header(text: &str) -> bool {
    let mut words = text.split_ascii_whitespace();
    words.next() == Some("SIZE") && words.next_back() == Some("FULL_PATH_NAME")
}

fn row(text: &str) -> Result<Row, &'static str> {
    let (size, rest) = size(text).ok_or("does not start with a size")?;
    let size = size?;
    let (replicas, rest) = match self::size(rest) {
        Some((replicas, rest)) => (Some(replicas?), rest),
        None => (None, rest),
    };
    let path = rest.trim_ascii();
    if path.is_empty() {
        return Err("no path");
    }
    let first_word = path.split_ascii_whitespace().next().unwrap_or_default();
    if !first_word.contains('/') && !first_word.starts_with('.') {
        return Err("the text after the sizes is not a path; give the command an absolute path");
    }
    Ok(Row {
        size_bytes: size.bytes,
        size_with_replicas_bytes: replicas.map(|replicas| replicas.bytes),
        is_rounded: size.is_rounded || replicas.is_some_and(|replicas| replicas.is_rounded),
        path: path.to_owned(),
    })
}

#[derive(Clone, Copy)]
struct Size {
    bytes: u64,
    is_rounded: bool,
}

/// Parses the size at the beginning of a text and returns the rest; `None` if the first word is not a number.
fn size(text: &str) -> Option<(Result<Size, &'static str>, &str)> {
    let (word, rest) = first_word(text);
    let unit_begin = word.find(|c: char| c.is_ascii_uppercase()).unwrap_or(word.len());
    let (number, attached) = word.split_at(unit_begin);
    let is_number = number.starts_with(|c: char| c.is_ascii_digit())
        && number.chars().all(|c| c.is_ascii_digit() || c == '.');
    if !is_number {
        return None;
    }
    let (next, after_next) = first_word(rest);
    if !attached.is_empty() {
        return UNITS.contains(&attached).then(|| (scaled(number, attached), rest));
    }
    if UNITS.contains(&next) {
        return Some((scaled(number, next), after_next));
    }
    let exact = number.parse().map(|bytes| Size { bytes, is_rounded: false });
    Some((exact.map_err(|_| "a size is not a whole number below 2^64"), rest))
}

fn scaled(number: &str, unit: &str) -> Result<Size, &'static str> {
    let power = UNITS.iter().position(|known| *known == unit).unwrap_or(0) + 1;
    let number: f64 = number.parse().map_err(|_| "a size is not a number")?;
    let bytes = (0..power).fold(number, |bytes, _| bytes * 1024.0).round();
    if bytes >= 18_446_744_073_709_551_616.0 {
        return Err("a size is 2^64 or more");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 0 to 2^64, checked above"
    )]
    Ok(Size { bytes: bytes as u64, is_rounded: true })
}

fn first_word(text: &str) -> (&str, &str) {
    let text = text.trim_ascii_start();
    text.split_at(text.find(|c: char| c.is_ascii_whitespace()).unwrap_or(text.len()))
}

/// Whether a parent folder of this path is in the set.
fn lies_within(path: &str, paths: &HashSet<String>) -> bool {
    let path = path.trim_end_matches('/');
    path.match_indices('/').any(|(end, _)| paths.contains(&path[..end]))
}

fn shortened(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}
