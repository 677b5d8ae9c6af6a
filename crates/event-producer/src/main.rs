//! Parses the arguments, calls the library, prints what went wrong once.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use event_producer::{Arguments, Failure, execute};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // A reader of the log that went away must not end the run.
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .log_internal_errors(false)
        .init();
    match run(arguments) {
        Ok(code) => code,
        Err(failure) => {
            #[expect(clippy::print_stderr, reason = "the one place that tells a person why the program ends")]
            {
                eprintln!("event-producer: {:#}", failure.error());
            }
            failure.exit_code()
        }
    }
}

fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(
            |error| Failure::Run(anyhow::Error::new(error).context("could not start the runtime")),
        )?;
    runtime.block_on(execute(arguments))
}
