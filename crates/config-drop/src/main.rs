//! The `config-drop` command: serves documents and reports over HTTP.

use std::process::ExitCode;

use clap::Parser as _;
use config_drop::{Args, ConfigError};

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    logging::begin("info");
    match config_drop::start(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::from(if error.is::<ConfigError>() { 2 } else { 1 })
        }
    }
}
