//! The command line of `config-drop`, and the command itself.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use service::Shutdown;
use tokio::net::TcpListener;

use crate::config::Config;

/// Serves job documents from the rescaler to the agent, over HTTP.
#[derive(Debug, clap::Parser)]
#[command(version = version::VERSION)]
pub struct Args {
    /// Configuration file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address to listen on, instead of the configured one.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Folder of documents and reports, instead of the configured one.
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Check the configuration and exit.
    #[arg(long)]
    check_config: bool,
}

/// Runs the command until SIGINT or SIGTERM.
///
/// # Errors
/// A [`service::ConfigError`] for a bad configuration; otherwise the address is in use, or the folder cannot be used.
pub async fn start(args: Args) -> anyhow::Result<()> {
    let config = Config::load(args.config.as_deref(), args.listen, args.data)?;
    if args.check_config {
        tracing::info!(?config, "the configuration is valid");
        return Ok(());
    }
    tracing::debug!(?config, "effective configuration");
    tracing::info!("storing documents in {}", config.data.display());
    let mut shutdown = Shutdown::listen()?;
    let listen = config.listen;
    let listener = TcpListener::bind(listen).await.with_context(|| {
        format!("cannot listen on {listen}; stop the process that uses it, or set listen or --listen")
    })?;
    crate::run(listener, config, async move { shutdown.requested().await }).await?;
    Ok(())
}
