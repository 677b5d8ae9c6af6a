//! The command `testbed`: real Kafka and Flink on this machine.

use std::process::ExitCode;

use clap::Parser;
use testbed::cli::Arguments;

#[tokio::main]
async fn main() -> ExitCode {
    service::logging::begin("info");
    Arguments::parse().run().await.unwrap_or_else(|error| service::fail("testbed", &error))
}
