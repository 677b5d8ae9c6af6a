//! The `config-agent` command: applies job documents to Flink.

use std::process::ExitCode;

use clap::Parser as _;
use config_agent::{Args, RunOutcome};

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    service::logging::begin("info");
    match config_agent::start(args).await {
        Ok(RunOutcome::Good) => ExitCode::SUCCESS,
        Ok(RunOutcome::Bad) => ExitCode::FAILURE,
        Err(error) => service::fail("config-agent", &error),
    }
}
