//! The command line: what can be asked, and how failures are told.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser, Subcommand, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::config::{self, Config, ConfigError};
use crate::keygen::{self, KeyFileError};
use crate::outlet::OutletError;
use crate::{cycle, offline, publish, whisper_file};

/// Keeps a Flink job's latency bound: observes, decides once an epoch, publishes the next job document.
#[derive(Debug, Parser)]
#[command(version = version::VERSION, about)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch a job and rescale it.
    Run(Run),
    /// Decide once on a recorded snapshot, without any cluster.
    Decide(Decide),
    /// Put a job document into the drop: the first one of a job, or the successor of the current one.
    Publish(Publish),
    /// Read a Whisper file.
    #[command(subcommand)]
    Whisper(whisper_file::Command),
    /// Make the key pair that documents are signed and checked with.
    Keygen(Keygen),
}

#[derive(Debug, Args)]
struct Run {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "configs/rescaler.toml")]
    config: PathBuf,
    /// Decide and record, but publish nothing.
    #[arg(long)]
    dry_run: bool,
    /// Check the configuration, print it as it takes effect, and exit.
    #[arg(long)]
    check_config: bool,
}

#[derive(Debug, Args)]
struct Decide {
    /// The policy that decides.
    #[arg(long, value_enum, default_value_t = PolicyName::Latency)]
    policy: PolicyName,
    /// The snapshot, as JSON; a file with a `snapshot` (and a `policy`) member is understood too. `-`: standard input.
    #[arg(long, value_name = "FILE")]
    snapshot: PathBuf,
    /// Plan as if the policy's trigger had been met.
    #[arg(long)]
    assume_violation: bool,
    /// The form of the answer.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Debug, Args)]
struct Publish {
    /// The job document.
    #[arg(long, value_name = "FILE")]
    document: PathBuf,
    /// The drop.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8460")]
    drop: String,
    /// A folder to publish into instead of a drop; a plain web server may show it to the agent.
    #[arg(long, value_name = "FOLDER", conflicts_with = "drop")]
    folder: Option<PathBuf>,
    /// The private key to sign the document with.
    #[arg(long, value_name = "FILE")]
    signing_key_file: Option<PathBuf>,
    /// The token to show the drop.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Certificates (PEM) to trust instead of the system's.
    #[arg(long, value_name = "FILE")]
    authorities_file: Option<PathBuf>,
    /// Publish it as issued now, to be begun within this time (the file itself stays as it is).
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    expires_in_s: Option<u64>,
    /// Check the document and tell what would be done.
    #[arg(long)]
    dry_run: bool,
}

impl Publish {
    fn place(&self) -> config::Drop {
        config::Drop {
            url: self.drop.clone(),
            folder: self.folder.clone(),
            token_file: self.token_file.clone(),
            authorities_file: self.authorities_file.clone(),
            signing_key_file: self.signing_key_file.clone(),
            ..config::Drop::default()
        }
    }
}

#[derive(Debug, Args)]
struct Keygen {
    /// Where to write the private key; the public key is written beside it, with `.pub` at the end. Nothing is overwritten.
    #[arg(long, value_name = "FILE", default_value = "rescaler.key")]
    key: PathBuf,
}

/// The policies that can be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PolicyName {
    /// Waits for rising latency, widens the slowest operators.
    Latency,
}

/// For people or for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Sentences.
    Text,
    /// One JSON object.
    Json,
}

/// Runs a command and turns its failure into a message and an exit code: 2 for bad usage or configuration, 1 otherwise.
pub fn main_with(arguments: Arguments) -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing can be done if standard error is closed.
            drop(writeln!(std::io::stderr(), "rescaler: {error:#}"));
            let is_usage = error.is::<ConfigError>()
                || error.is::<offline::InputError>()
                || error.is::<publish::BadDocument>()
                || error.downcast_ref().is_some_and(whisper_file::is_usage)
                || error.is::<OutletError>()
                || error.is::<KeyFileError>();
            if is_usage { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        Command::Run(run) if run.check_config => {
            let config = Config::load(&run.config)?;
            print(&serde_json::to_string_pretty(&config)?)
        }
        Command::Run(run) => {
            let config = Config::load(&run.config)?;
            block_on(cycle::run(config, run.dry_run, terminated()))
        }
        Command::Decide(decide) => {
            let decision = offline::decide(&decide.snapshot, decide.policy, decide.assume_violation)?;
            match decide.output {
                Output::Json => print(&serde_json::to_string_pretty(&decision)?),
                Output::Text => print(&offline::in_words(&decision)),
            }
        }
        Command::Whisper(command) => print(&whisper_file::run(&command)?),
        Command::Publish(publish) => {
            let expires_in = publish.expires_in_s.map(Duration::from_secs);
            let (document, place) = (Path::new(&publish.document), publish.place());
            print(&block_on(publish::from_file(document, &place, expires_in, publish.dry_run))?)
        }
        Command::Keygen(keygen) => print(&keygen::generate(&keygen.key)?),
    }
}

fn print(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{text}").context("cannot write to standard output")
}

fn block_on<T>(task: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    runtime.block_on(task)
}

/// Ends when the process is asked to end.
async fn terminated() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
