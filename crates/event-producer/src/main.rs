//! Parses the arguments, calls the library, prints what went wrong once.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use event_producer::{Arguments, execute};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    service::logging::begin("info");
    run(arguments).unwrap_or_else(|error| service::fail("event-producer", &error))
}

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.context("could not start the runtime")?.block_on(execute(arguments))
}
