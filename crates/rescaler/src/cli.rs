//! The command line: commands, options, and exit codes.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use policies::PolicyName;
use secrets::Address;
use service::settings::COMMAND_LINE;
use service::{ConfigError, Problems, Shutdown};
use telemetry::Clock;

use crate::config;
use crate::config_file::ConfigFile;
use crate::keygen::{self, KeyFileError};
use crate::overrides::{self, Set};
use crate::publisher::PublisherError;
use crate::run::{self, Run};
use crate::{doctor, explain, import, inspect, offline, publish, replay, simulate, watch, whisper_file};

/// Default path of the configuration file.
pub(crate) const DEFAULT_CONFIG: &str = "configs/rescaler.toml";

/// Scales a Flink job to keep its latency bound: observes it, decides once per epoch, publishes the next job document.
#[derive(Debug, Parser)]
#[command(version = version::VERSION, about)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch jobs and rescale them.
    Run(Box<Run>),
    /// Decide once on a recorded snapshot, without a cluster.
    Decide(Decide),
    /// Replay a recorded journal through policies and show their decisions side by side.
    Replay(Replay),
    /// Explain one recorded decision: metrics, plan, reasons, outcome.
    Explain(Explain),
    /// Simulate policies on a model of a job in virtual time, and score them.
    Simulate(simulate::Simulate),
    /// Publish a job document at the drop: the first of a job, or the successor of the current one.
    Publish(Publish),
    /// Print the metrics of the job per operator, and which are missing.
    Inspect(inspect::Inspect),
    /// Check a cluster's settings for scaling and print the lines to change, the most harmful first. Exit code 3 if there are
    /// findings.
    Doctor(doctor::Doctor),
    /// Print a series of a Whisper file.
    #[command(subcommand)]
    Whisper(whisper_file::Command),
    /// Generate a key pair for signing documents.
    Keygen(Keygen),
    /// Convert the configuration of the research prototype that this project follows.
    ImportConfig(import::Import),
    /// Print completions of this command line for a shell.
    Completions {
        /// Shell.
        shell: Shell,
    },
}

#[derive(Debug, Args)]
struct Decide {
    /// Policy.
    #[arg(long, value_enum, default_value_t = PolicyName::Latency)]
    policy: PolicyName,
    #[command(flatten)]
    settings: PolicyArguments,
    /// Snapshot as JSON, or a JSON object with a member `snapshot` (and `policy`). `-`: standard input.
    #[arg(long, value_name = "FILE")]
    snapshot: PathBuf,
    /// Plan as if the policy's trigger had fired.
    #[arg(long)]
    assume_violation: bool,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Debug, Args)]
struct PolicyArguments {
    /// Configuration with the options of the policies and the limits; without it, the defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Job, if the configuration has several.
    #[arg(long, value_name = "NAME", requires = "config")]
    job: Option<String>,
    #[command(flatten)]
    set: Set,
    /// Program of policy `external`; repeat the option for its arguments.
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    program: Vec<String>,
}

impl PolicyArguments {
    fn load(self) -> Result<offline::OfflineSettings, ConfigError> {
        let (job, above) = (self.job.as_deref(), self.set.table());
        let config = match self.config.as_deref() {
            Some(path) => Some(ConfigFile::load_job_over(path, job, &above)?),
            None if above.is_empty() => None,
            None => Some(overrides::over_defaults(above)?.check(Problems::new(COMMAND_LINE))?),
        };
        Ok(offline::OfflineSettings { config, program: self.program, latency: None })
    }
}

#[derive(Debug, Args)]
struct Replay {
    /// Journal: JSON lines, plain or gzip.
    #[arg(long, value_name = "FILE")]
    journal: PathBuf,
    /// Policy to run; repeatable.
    #[arg(long, value_enum, required = true)]
    policy: Vec<PolicyName>,
    #[command(flatten)]
    settings: PolicyArguments,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Debug, Args)]
struct Explain {
    /// Number of the epoch; by default the newest.
    #[arg(long, value_name = "N")]
    epoch: Option<u64>,
    /// Journal; by default the one that the configuration names.
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Configuration file.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
    /// Job, if the configuration has several.
    #[arg(long, value_name = "NAME")]
    job: Option<String>,
}

#[derive(Debug, Args)]
struct Publish {
    /// Job document.
    #[arg(long, value_name = "FILE")]
    document: PathBuf,
    /// URL of the drop.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8460")]
    drop: Address,
    /// Folder to publish into instead of a drop; a plain web server can serve it to the agent.
    #[arg(long, value_name = "FOLDER", conflicts_with = "drop")]
    folder: Option<PathBuf>,
    /// Private key that signs the document.
    #[arg(long, value_name = "FILE")]
    signing_key_file: Option<PathBuf>,
    /// File with the publisher token of the drop.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Certificates (PEM) to trust instead of the system's.
    #[arg(long, value_name = "FILE")]
    authorities_file: Option<PathBuf>,
    /// Set issued_at to now and expires_at to this time later; the file itself is not changed.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    expires_in_s: Option<u64>,
    /// Publish only if the job has no document yet; otherwise publish nothing, which is not an error.
    #[arg(long)]
    first: bool,
    /// Wait until the agent has applied the document; exit code 1 if it fails or takes longer than this.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    wait_s: Option<u64>,
    /// Check the document and print what would be published.
    #[arg(long)]
    dry_run: bool,
}

impl Publish {
    fn options(&self) -> publish::PublishOptions {
        publish::PublishOptions {
            expires_in: self.expires_in_s.map(Duration::from_secs),
            only_first: self.first,
            wait: self.wait_s.map(Duration::from_secs),
            dry_run: self.dry_run,
        }
    }

    fn place(&self) -> config::DropConfig {
        config::DropConfig {
            url: self.drop.clone(),
            folder: self.folder.clone(),
            token_file: self.token_file.clone(),
            authorities_file: self.authorities_file.clone(),
            signing_key_file: self.signing_key_file.clone(),
            ..config::DropConfig::default()
        }
    }
}

#[derive(Debug, Args)]
struct Keygen {
    /// File for the private key; the public key gets the same name with `.pub` appended. Existing files are not overwritten.
    #[arg(long, value_name = "FILE", default_value = "rescaler.key")]
    key: PathBuf,
}

/// Output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Sentences.
    Text,
    /// One JSON object.
    Json,
}

/// Exit code of `rescaler doctor` with findings.
const FINDINGS: u8 = 3;

/// Runs a command, prints its error, and returns the exit code: 2 for bad usage or configuration, 3 for findings of the doctor,
/// 1 for other errors.
pub fn main_with(arguments: Arguments) -> ExitCode {
    service::logging::begin("info");
    let done = block_on(execute(arguments, &Clock::steady()));
    let (text, code) = match done {
        Ok(text) => (text, 0),
        Err(error) => match error.downcast_ref() {
            Some(doctor::Findings(report)) => (Some(report.clone()), exit_code(&error)),
            None => return failed(&error),
        },
    };
    match text.map_or(Ok(()), |text| terminal::print(&text).context("could not write to standard output")) {
        Ok(()) => ExitCode::from(code),
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    service::fail_with("rescaler", error, exit_code(error))
}

/// Returns the exit code of an error: 2 for bad usage or configuration, 3 for findings of the doctor, else 1.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    if error.is::<doctor::Findings>() {
        return FINDINGS;
    }
    let is_usage = error.is::<ConfigError>()
        || error.is::<offline::InputError>()
        || error.is::<publish::BadDocument>()
        || error.downcast_ref().is_some_and(whisper_file::is_usage)
        || error.is::<PublisherError>()
        || error.is::<simulate::SimulateError>()
        || error.is::<import::ImportError>()
        || error.is::<KeyFileError>()
        || error.is::<secrets::SecretError>()
        || error.is::<watch::NoToken>()
        || error.is::<http_server::TlsError>()
        || matches!(error.downcast_ref(), Some(flink::Error::Address { .. }));
    if is_usage { service::BAD_USAGE } else { 1 }
}

/// Runs a command and returns its standard output. Samples have times of this clock.
///
/// # Errors
/// Any error; [`exit_code`] returns its exit code.
pub async fn execute(arguments: Arguments, clock: &Clock) -> anyhow::Result<Option<String>> {
    Ok(Some(match arguments.command {
        Command::Run(run) => {
            let mut shutdown = Shutdown::listen()?;
            return run::run(*run, async move { shutdown.requested().await }).await;
        }
        Command::Decide(decide) => decided(decide).await?,
        Command::Replay(replay) => replayed(replay).await?,
        Command::Simulate(simulate) => simulate::run(&simulate)?,
        Command::Explain(explain) => explained(explain)?,
        Command::Inspect(inspect) => inspect::run(&inspect, clock).await?,
        Command::Doctor(doctor) => doctor::run(&doctor).await?,
        Command::Whisper(command) => whisper_file::run(&command)?,
        Command::Publish(publish) => {
            let (place, options) = (publish.place(), publish.options());
            publish::from_file(&publish.document, &place, options).await?
        }
        Command::Keygen(keygen) => keygen::generate(&keygen.key)?,
        Command::Completions { shell } => terminal::completions(Arguments::command(), "rescaler", shell),
        Command::ImportConfig(import) => {
            let (files, remarks) = import::run(&import)?;
            writeln!(std::io::stderr(), "{remarks}").context("could not write to standard error")?;
            files
        }
    }))
}

async fn decided(arguments: Decide) -> anyhow::Result<String> {
    let settings = arguments.settings.load()?;
    let decision =
        offline::decide(&arguments.snapshot, arguments.policy, &settings, arguments.assume_violation).await?;
    match arguments.output {
        Output::Json => Ok(serde_json::to_string_pretty(&decision)?),
        Output::Text => Ok(offline::describe_decision(&decision)),
    }
}

async fn replayed(arguments: Replay) -> anyhow::Result<String> {
    let settings = arguments.settings.load()?;
    let runners: Vec<_> =
        arguments.policy.iter().map(|name| settings.runner(*name)).collect::<anyhow::Result<_>>()?;
    let epochs = replay::run(&arguments.journal, &runners).await?;
    match arguments.output {
        Output::Json => Ok(serde_json::to_string_pretty(&epochs)?),
        Output::Text => Ok(replay::table(&epochs, &runners)),
    }
}

fn explained(arguments: Explain) -> anyhow::Result<String> {
    let (path, keep) = match arguments.journal {
        Some(path) => (path, decision_journal::KEEP_MAX),
        None => {
            let config = ConfigFile::load_job(&arguments.config, arguments.job.as_deref())?;
            (config.journal.path.clone(), config.journal.keep_files)
        }
    };
    let records = decision_journal::read_checked(&path, keep)?;
    let record = match arguments.epoch {
        Some(epoch) => records.iter().rev().find(|record| record.epoch == epoch),
        None => records.last(),
    };
    let range = || match (records.first(), records.last()) {
        (Some(first), Some(last)) => format!("it has epochs {} to {}", first.epoch, last.epoch),
        _ => "it has no epoch yet".to_owned(),
    };
    let record =
        record.with_context(|| format!("{} does not have this epoch; {}", path.display(), range()))?;
    Ok(explain::describe_record(record))
}

fn block_on<T>(task: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    runtime.block_on(task)
}
