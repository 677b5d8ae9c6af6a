//! The end of a program that failed: its last line on standard error, and its exit code.

use std::io::Write as _;
use std::process::ExitCode;

use crate::settings::ConfigError;

/// Exit code for bad usage or configuration; the argument parser uses the same. Any other failure is 1.
pub const BAD_USAGE: u8 = 2;

/// Prints the error and returns the exit code: [`BAD_USAGE`] for a [`ConfigError`], else 1.
pub fn fail(program: &str, error: &anyhow::Error) -> ExitCode {
    fail_with(program, error, if error.is::<ConfigError>() { BAD_USAGE } else { 1 })
}

/// Prints `program: error: causes` on standard error, and returns this exit code.
pub fn fail_with(program: &str, error: &anyhow::Error, code: u8) -> ExitCode {
    // A closed standard error leaves nothing to do.
    drop(writeln!(std::io::stderr(), "{}", harmless(&format!("{program}: {error:#}"))));
    ExitCode::from(code)
}

/// Escapes control characters: errors quote other programs and servers, which must not control a terminal. Line ends and tabs
/// remain, because the end of a log may be quoted.
fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() && !matches!(c, '\n' | '\t') {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: an error cannot clear a screen or move a cursor, and the end of a log in it stays readable.
    #[test]
    fn errors_do_not_control_the_terminal() {
        assert_eq!(harmless("x: \u{1b}[2Jä\r\n\tat a.b\u{9b}1m"), "x: \\u{1b}[2Jä\\r\n\tat a.b\\u{9b}1m");
    }
}
