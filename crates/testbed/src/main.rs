//! The command `testbed`: real Kafka and Flink on this machine.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use testbed::ConfigError;
use testbed::cli::Arguments;
use tracing_subscriber::EnvFilter;

/// Exit code for bad usage or configuration.
const BAD_CONFIGURATION: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        .init();
    Arguments::parse().run().await.unwrap_or_else(|error| {
        // A closed standard error leaves nothing to do.
        drop(writeln!(io::stderr(), "testbed: {error:#}"));
        ExitCode::from(if error.is::<ConfigError>() { BAD_CONFIGURATION } else { 1 })
    })
}
