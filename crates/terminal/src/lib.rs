//! Terminal output of all programs: pipes that may be closed, tables that fit, and shell completions.
//!
//! There are no colours and no interaction.

mod grid;

use std::io::{self, Write as _};

use clap::Command;
use clap_complete::Shell;

pub use grid::Grid;

/// Prints a line on standard output. A closed pipe (`| head`) is not an error.
///
/// # Errors
/// Standard output cannot be written for another reason, for example a full disk.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    ignore_broken_pipe(writeln!(out, "{text}").and_then(|()| out.flush()))
}

/// Converts the result of a write to standard output: a closed pipe is not an error.
///
/// # Errors
/// Any other error of the write.
pub fn ignore_broken_pipe(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Returns the width of the terminal in columns: from `COLUMNS`, or else of standard output, if it is a terminal.
pub fn width() -> Option<usize> {
    let set = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    set.or_else(|| comfy_table::Table::new().width().map(usize::from)).filter(|width| *width > 0)
}

/// Generates the completions of a program's command line for a shell.
pub fn completions(mut command: Command, program: &str, shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, program, &mut script);
    String::from_utf8_lossy(&script).trim_end().to_owned()
}

/// Shortens a Flink id to its first eight digits, which are practically unique on a cluster. Anything else is
/// unchanged.
pub fn short_id(id: &str) -> &str {
    let is_id = id.len() == 32 && id.bytes().all(|digit| digit.is_ascii_hexdigit());
    if is_id { &id[..8] } else { id }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a closed pipe ends the output without an error; any other error is reported.
    #[test]
    fn a_closed_pipe_is_no_error() {
        let failed = |kind: io::ErrorKind| ignore_broken_pipe(Err(kind.into()));
        assert!(failed(io::ErrorKind::BrokenPipe).is_ok());
        assert!(failed(io::ErrorKind::StorageFull).is_err());
    }

    /// Goal: Flink ids are shortened, names are not.
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
