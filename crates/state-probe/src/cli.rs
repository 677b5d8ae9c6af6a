//! The commands of `state-probe`: flags override the configuration file; also error reporting.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use secrets::Address;
use service::{ConfigError, Problems, Shutdown};
use tokio::net::TcpListener;

use crate::config::{Config, OneOrMore, RawConfig, RawSource};
use crate::once::{self, OutputFormat};
use crate::sample::Kind;

/// Shutdown timeout for threads that hang in the system (a dead network folder, a closed terminal).
const FAREWELL: Duration = Duration::from_secs(1);

/// Measures the size of a job's state by a command, WebHDFS, Flink or in a folder.
#[derive(Debug, Parser)]
#[command(version = version::VERSION)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Measure once, print, and exit: code 0 with figures, 1 without.
    Once(Once),
    /// Measure periodically; samples go to standard output, Graphite and the page /metrics.
    Run(Run),
    /// Print completions of this command line for a shell.
    Completions {
        /// Shell.
        shell: Shell,
    },
}

#[derive(Debug, Args)]
struct Once {
    #[command(flatten)]
    what: Sources,
    /// Output format.
    #[arg(long, value_enum, default_value = "text")]
    output: OutputFormat,
}

#[derive(Debug, Args)]
struct Run {
    #[command(flatten)]
    what: Sources,
    /// Time between measurements, in milliseconds.
    #[arg(long, value_name = "MS")]
    interval_ms: Option<u64>,
    /// Address of the pages; by default 127.0.0.1:8480.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Address of carbon for Graphite's plaintext protocol.
    #[arg(long, value_name = "HOST:PORT")]
    graphite: Option<String>,
}

/// Sources: those of a file, or one from flags.
#[derive(Debug, Args)]
struct Sources {
    /// Configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Check the configuration and exit.
    #[arg(long)]
    check_config: bool,
    /// Measure this source instead of those of the file; the flags below describe it.
    #[arg(long, value_enum, value_name = "KIND")]
    source: Option<Kind>,
    /// command: command line, split as by a shell [default: hdfs dfs -du -s PATH]
    #[arg(long, value_name = "LINE", requires = "source")]
    command: Option<String>,
    /// command, webhdfs, local: the path.
    #[arg(long, value_name = "PATH", requires = "source")]
    path: Option<String>,
    /// webhdfs: a NameNode, repeatable [default: http://127.0.0.1:9870]; flink: the JobManager [default: http://127.0.0.1:8081]
    #[arg(long, value_name = "URL", requires = "source")]
    url: Vec<Address>,
    /// webhdfs: user name.
    #[arg(long, value_name = "NAME", requires = "source")]
    user: Option<String>,
    /// webhdfs: certificates (PEM) to trust instead of the system's.
    #[arg(long, value_name = "FILE", requires = "source")]
    ca_file: Option<PathBuf>,
    /// Job that the state belongs to; flink: its name or id [default: the only job]
    #[arg(long, value_name = "NAME")]
    job: Option<String>,
    /// Timeout of a measurement, in milliseconds.
    #[arg(long, value_name = "MS", requires = "source")]
    timeout_ms: Option<u64>,
}

impl Sources {
    fn written(&self) -> Result<(RawConfig, Problems), ConfigError> {
        let (mut written, problems) = RawConfig::load(self.config.as_deref())?;
        written.job = self.job.clone().unwrap_or(written.job);
        if let Some(kind) = self.source {
            let one_or_more = match self.url.as_slice() {
                [] => None,
                [url] => Some(OneOrMore::One(url.clone())),
                urls => Some(OneOrMore::More(urls.to_vec())),
            };
            written.source = vec![RawSource {
                kind: Some(kind),
                job: self.job.clone(),
                timeout_ms: self.timeout_ms,
                command: self.command.clone().map(OneOrMore::One),
                path: self.path.clone(),
                url: one_or_more,
                user: self.user.clone(),
                ca_file: self.ca_file.clone(),
                ..RawSource::default()
            }];
        }
        Ok((written, problems))
    }
}

impl Run {
    fn config(&self) -> Result<Config, ConfigError> {
        let (mut written, problems) = self.what.written()?;
        written.interval_ms = self.interval_ms.unwrap_or(written.interval_ms);
        written.http.listen = self.listen.unwrap_or(written.http.listen);
        if let Some(address) = &self.graphite {
            written.graphite.enabled = true;
            written.graphite.address.clone_from(address);
        }
        written.check(problems)
    }
}

/// Runs the command and reports errors: exit code 2 for bad usage or configuration, 1 otherwise.
pub fn main_with(arguments: Arguments) -> ExitCode {
    service::logging::begin("info");
    match start(arguments.action) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => service::fail("state-probe", &error),
    }
}

fn start(action: Action) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    let result = runtime.block_on(async {
        match action {
            Action::Once(once) => {
                let (written, problems) = once.what.written()?;
                let config = written.check(problems)?;
                if once.what.check_config { Ok(valid()) } else { once::once(config, once.output).await }
            }
            Action::Completions { shell } => {
                terminal::print(&terminal::completions(Arguments::command(), "state-probe", shell))?;
                Ok(true)
            }
            Action::Run(run) => {
                let config = run.config()?;
                if run.what.check_config { Ok(valid()) } else { run_until_asked(config).await.map(|()| true) }
            }
        }
    });
    runtime.shutdown_timeout(FAREWELL);
    result
}

/// Reports a valid configuration, which is a success.
fn valid() -> bool {
    tracing::info!("the configuration is valid");
    true
}

async fn run_until_asked(config: Config) -> anyhow::Result<()> {
    tracing::debug!(?config, "effective configuration");
    let sources: Vec<&str> = config.sources.iter().map(|source| source.name.as_str()).collect();
    tracing::info!("measuring {}", sources.join(", "));
    let mut shutdown = Shutdown::listen()?;
    let listener = if config.http.enabled {
        let address = config.http.listen;
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("cannot listen on {address}; stop the process that uses it, or set http.listen")
        })?;
        tracing::info!(address = %listener.local_addr()?, "listening");
        Some(listener)
    } else {
        None
    };
    crate::run(config, listener, async move { shutdown.requested().await }).await
}
