//! The log of a program: to standard error, as much of it as `RUST_LOG` asks for, in colours only where a person reads it.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// Begins the log; to be called once, first of all. `level` is what is told without `RUST_LOG`: `info`, or `warn` for programs
/// that talk to a person themselves.
///
/// # Panics
/// If there is a log already.
pub fn begin(level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}
