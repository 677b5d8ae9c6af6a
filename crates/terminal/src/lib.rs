//! What programs share that speak to a person at a terminal: output into a pipe whose reader may leave, tables that fit, and
//! completions of their own command line.
//!
//! Colours and interaction are left out: no program has them.

mod grid;

use std::io::{self, Write as _};

use clap::Command;
use clap_complete::Shell;

pub use grid::Grid;

/// Prints a text and the end of the line on standard output. A reader that has left (`| head`) is no error.
///
/// # Errors
/// Standard output cannot be written for another reason, for example a full disk.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    forgive_closed(writeln!(out, "{text}").and_then(|()| out.flush()))
}

/// The result of writing to standard output, where a reader that has left is no error.
///
/// # Errors
/// Any other error of the writing.
pub fn forgive_closed(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// The width of the terminal in columns: as `COLUMNS` says, else that of standard output, if it is a terminal.
pub fn width() -> Option<usize> {
    let set = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    set.or_else(|| comfy_table::Table::new().width().map(usize::from)).filter(|width| *width > 0)
}

/// The completions of a program's command line for a shell.
pub fn completions(mut command: Command, program: &str, shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, program, &mut script);
    String::from_utf8_lossy(&script).trim_end().to_owned()
}

/// An id of Flink for people: its first eight digits, which no other one on the same cluster has, mostly. Anything else stays as
/// it is.
pub fn short_id(id: &str) -> &str {
    let is_id = id.len() == 32 && id.bytes().all(|digit| digit.is_ascii_hexdigit());
    if is_id { &id[..8] } else { id }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a reader that has left ends the output without an error, anything else is one.
    #[test]
    fn a_closed_pipe_is_no_error() {
        let failed = |kind: io::ErrorKind| forgive_closed(Err(kind.into()));
        assert!(failed(io::ErrorKind::BrokenPipe).is_ok());
        assert!(failed(io::ErrorKind::StorageFull).is_err());
    }

    /// Goal: ids of Flink are cut, names are not.
    #[test]
    fn only_ids_are_cut() {
        assert_eq!(short_id(&"0123456789abcdef".repeat(2)), "01234567");
        assert_eq!(short_id("127.0.0.1:38123-a1b2c3"), "127.0.0.1:38123-a1b2c3");
    }

    /// Goal: every shell gets a script that names the program's commands.
    #[test]
    fn completions_name_the_commands() {
        let command = Command::new("x").subcommand(Command::new("inspect"));
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = completions(command.clone(), "x", shell);
            assert!(script.contains("inspect"), "{shell}: {script}");
        }
    }
}
