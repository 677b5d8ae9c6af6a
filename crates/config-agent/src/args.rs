//! The command line of `config-agent`, and the command itself.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use secrets::Address;
use service::Shutdown;
use tokio::net::TcpListener;

use crate::agent::{Agent, RunOutcome};
use crate::config::{Config, Overrides};
use crate::health;

/// Applies job documents from the config drop to a Flink cluster.
#[derive(Debug, clap::Parser)]
#[command(version = version::VERSION)]
pub struct Args {
    /// Configuration file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Job, instead of the configured one.
    #[arg(long, value_name = "NAME")]
    job: Option<String>,
    /// Folder of the journal, instead of the configured one.
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// URL of the config drop, instead of the configured one.
    #[arg(long, value_name = "URL")]
    drop: Option<Address>,
    /// URL of Flink, instead of the configured one.
    #[arg(long, value_name = "URL")]
    flink: Option<Address>,
    /// Jar of the job, instead of the configured one.
    #[arg(long, value_name = "FILE")]
    jar: Option<PathBuf>,
    /// Address to serve /healthz and /metrics at, instead of the configured one.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<std::net::SocketAddr>,
    /// Apply the current document, then exit: 0 if the job runs, 1 if not.
    #[arg(long)]
    once: bool,
    /// Print the next step without taking it.
    #[arg(long, conflicts_with = "once")]
    dry_run: bool,
    /// Close the circuit breaker that failed changes opened.
    #[arg(long, alias = "forgive-failures", conflicts_with = "dry_run")]
    close_circuit_breaker: bool,
    /// Check the configuration and exit.
    #[arg(long)]
    check_config: bool,
}

/// Runs the command until it completes or receives SIGINT or SIGTERM.
///
/// # Errors
/// A [`service::ConfigError`] for a bad configuration; otherwise the agent's fatal error.
pub async fn start(args: Args) -> anyhow::Result<RunOutcome> {
    let Args { once, dry_run, check_config, close_circuit_breaker, .. } = args;
    let path = args.config.clone();
    let config = Config::load(path.as_deref(), args.into())?;
    if check_config {
        tracing::info!(?config, "the configuration is valid");
        return Ok(RunOutcome::Good);
    }
    tracing::debug!(?config, "effective configuration");
    tracing::info!("{}", beginning(&config));
    let (listen, direct) = (config.listen, config.direct.clone());
    let agent = Arc::new(Agent::new(config)?);
    if close_circuit_breaker {
        agent.close_circuit_breaker().await?;
    }
    let mut shutdown = Shutdown::listen()?;
    let work = async {
        match (once, dry_run) {
            (true, _) => agent.once().await,
            (_, true) => agent.dry_run().await,
            _ => agent.run().await.map(|()| RunOutcome::Good),
        }
    };
    tokio::select! {
        outcome = work => Ok(outcome?),
        served = serve(listen, &agent) => served.map(|()| RunOutcome::Good),
        served = serve_drop(direct) => served.map(|()| RunOutcome::Good),
        () = shutdown.requested() => stopped(&agent),
    }
}

/// Describes the start-up in one line; the `debug` level logs the whole configuration.
fn beginning(config: &Config) -> String {
    let documents = match &config.document_source.document_url {
        Some(url) => url,
        None => &config.drop_url,
    };
    let how = match &config.program {
        Some(program) => format!("in place or with jar {}", program.jar.display()),
        None => "in place".to_owned(),
    };
    let (job, flink, data) = (&config.flink_job, &config.flink_url, config.data.display());
    format!("applying documents from {documents} to job {job:?} of {flink} {how}; journal in {data}")
}

/// Serves `/healthz` and `/metrics` if an address is configured; otherwise never returns.
async fn serve(listen: Option<std::net::SocketAddr>, agent: &Arc<Agent>) -> anyhow::Result<()> {
    let Some(address) = listen else { return std::future::pending().await };
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}; stop the process that uses it, or set another address")
    })?;
    tracing::info!(address = %listener.local_addr()?, "serving /healthz and /metrics");
    let router = health::router(Arc::clone(agent));
    http_server::serve(listener, router, None, http_server::Bounds::default(), std::future::pending()).await;
    Ok(())
}

/// Serves the drop's HTTP interface in this process if configured; otherwise never returns.
async fn serve_drop(direct: Option<config_drop::Config>) -> anyhow::Result<()> {
    let Some(config) = direct else { return std::future::pending().await };
    let listen = config.listen;
    let listener = TcpListener::bind(listen).await.with_context(|| {
        format!("cannot listen on {listen}; stop the process that uses it, or set another address")
    })?;
    Ok(config_drop::run(listener, config, std::future::pending()).await?)
}

/// Ends the process without cleanup: the next start resumes from the journal.
fn stopped(agent: &Agent) -> anyhow::Result<RunOutcome> {
    let ledger = agent.journal().ledger();
    match ledger.change().filter(|change| !change.phase.is_final()) {
        Some(change) => {
            let generation = change.document.generation();
            let phase = &change.phase;
            tracing::warn!(generation, "stopped during a change ({phase}); the next start resumes it");
        }
        None => tracing::info!("stopped"),
    }
    Ok(RunOutcome::Good)
}

impl From<Args> for Overrides {
    fn from(args: Args) -> Self {
        let Args { job, data, drop, flink, jar, listen, .. } = args;
        Self { job, data, drop, flink, jar, listen }
    }
}
