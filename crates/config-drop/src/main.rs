//! The `config-drop` command: serves documents and reports over HTTP.

use std::process::ExitCode;

use clap::Parser as _;
use config_drop::Args;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    service::logging::begin("info");
    config_drop::start(args)
        .await
        .map_or_else(|error| service::fail("config-drop", &error), |()| ExitCode::SUCCESS)
}
