//! The `config-agent` command: applies job documents to Flink.

use std::process::ExitCode;

use clap::Parser as _;
use config_agent::{Args, Outcome};

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    service::logging::begin("info");
    match config_agent::start(args).await {
        Ok(Outcome::Good) => ExitCode::SUCCESS,
        Ok(Outcome::Bad) => ExitCode::FAILURE,
        Err(error) => service::fail("config-agent", &error),
    }
}
