//! Logging to standard error, filtered by `RUST_LOG`, in colour only on a terminal.
//!
//! One event is one line: operator names, documents and server responses are untrusted text, and must neither start a
//! new line nor control a terminal.

use std::io::{self, IsTerminal as _, Write};

use tracing_subscriber::EnvFilter;

/// Starts the log; must be called once, first of all. A closed standard error ends no program.
///
/// `level` is the default without `RUST_LOG`: `info`, or `warn` for interactive programs.
///
/// # Panics
/// If the log was already started.
pub fn begin(level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let is_terminal = io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || Lines { is_coloured: is_terminal })
        .with_ansi(is_terminal)
        .log_internal_errors(false)
        .init();
}

/// Writes each event as one line to standard error.
struct Lines {
    is_coloured: bool,
}

impl Write for Lines {
    /// The formatter writes an event in one call, with its line end.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        io::stderr().write_all(one_line(&String::from_utf8_lossy(event), self.is_coloured).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Escapes the event's control characters, except its line end and, where coloured, colours.
fn one_line(event: &str, is_coloured: bool) -> String {
    let (event, end) = event.strip_suffix('\n').map_or((event, ""), |event| (event, "\n"));
    let mut line = String::with_capacity(event.len() + 1);
    for (index, c) in event.char_indices() {
        let is_colour = c == '\u{1b}' && is_coloured && begins_with_colour(&event[index + 1..]);
        match c.is_control() && !is_colour {
            true => line.extend(c.escape_default()),
            false => line.push(c),
        }
    }
    line + end
}

/// Whether the text after an escape character is a colour: `[`, digits and semicolons, `m`.
fn begins_with_colour(rest: &str) -> bool {
    let Some(rest) = rest.strip_prefix('[') else { return false };
    rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: an event with any text is one line, and cannot move a cursor or clear a screen.
    #[test]
    fn an_event_is_one_line() {
        let event = "INFO published reason=a\n2026 ERROR forged\r\u{1b}[2J\u{9b}1m\t\u{1b}[31mred\n";
        let plain = "INFO published reason=a\\n2026 ERROR forged\\r\\u{1b}[2J\\u{9b}1m\\t\\u{1b}[31mred\n";
        assert_eq!(one_line(event, false), plain);
        assert_eq!(one_line(event, true), plain.replace("\\u{1b}[31m", "\u{1b}[31m"));
        assert_eq!(one_line("ä: no end", false), "ä: no end");
    }
}
