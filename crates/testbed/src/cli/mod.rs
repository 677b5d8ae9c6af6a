//! The commands of `testbed`: what each one reads, calls and prints.

mod logs;

use std::io::{self, Write};
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::config::{Config, TestbedSettings};
use crate::control::{self, Down, Status};
use crate::requests::{Answer, Request};
use crate::state::TestbedState;
use crate::{requests, start, supervisor, topics};

/// Runs real Kafka and Flink on this machine, as plain processes in a work folder.
#[derive(Debug, Parser)]
#[command(version = version::VERSION)]
pub struct Arguments {
    /// Configuration file (TOML); flags override it.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Work folder; by default ./run/testbed.
    #[arg(long, global = true, value_name = "DIR")]
    work: Option<PathBuf>,
    /// Check the configuration and exit.
    #[arg(long, global = true)]
    check_config: bool,
    #[command(subcommand)]
    command: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Start all services and stop them at Ctrl-C; with --detach, run them under a supervisor in the background.
    Up(Up),
    /// Stop all services.
    Down,
    /// Show the services. Exit code 0 only if all are ready.
    Status {
        /// Output format.
        #[arg(long, value_enum, default_value = "text")]
        output: Output,
    },
    /// Print the logs of all services, or of one service.
    Logs {
        /// Service: kafka, jobmanager, tm-1, supervisor …
        service: Option<String>,
        /// Follow the logs.
        #[arg(long, short)]
        follow: bool,
        /// Number of last lines of each log to print.
        #[arg(long, value_name = "LINES")]
        tail: Option<usize>,
    },
    /// Start a task manager in the running testbed. No-op if it runs already.
    AddTaskManager {
        /// Id of the task manager, for example tm-3; by default the next number.
        id: Option<String>,
        /// Return before it has registered at the JobManager.
        #[arg(long, requires = "id")]
        no_wait: bool,
    },
    /// Stop a task manager in the running testbed. No-op if it does not run.
    StopTaskManager {
        /// Id of the task manager, for example tm-3.
        id: String,
    },
    /// Download the jars and exit.
    Fetch,
    /// Create and delete topics in the running testbed.
    #[command(subcommand)]
    Topic(Topic),
    /// Print completions of this command line for a shell.
    Completions {
        /// Shell.
        shell: Shell,
    },
}

#[derive(Debug, clap::Args)]
struct Up {
    /// Number of task managers.
    #[arg(long, value_name = "N")]
    task_managers: Option<u32>,
    /// Slots of each task manager.
    #[arg(long, value_name = "N")]
    task_slots: Option<u32>,
    /// Version of Flink, 1.18 or newer.
    #[arg(long, value_name = "VERSION")]
    flink_version: Option<String>,
    /// Port of the Kafka broker; 0: a free one.
    #[arg(long, value_name = "PORT")]
    kafka_port: Option<u16>,
    /// Port of Flink's REST interface and web page; 0: a free one.
    #[arg(long, value_name = "PORT")]
    flink_port: Option<u16>,
    /// Run HDFS, too, and store Flink's state there.
    #[arg(long)]
    hdfs: bool,
    /// Delete topics and checkpoints of an earlier run in the same work folder.
    #[arg(long)]
    fresh: bool,
    /// Return when all services are ready; `testbed down` stops them.
    #[arg(long)]
    detach: bool,
    /// Internal: the supervisor that --detach starts.
    #[arg(long, hide = true)]
    new_session: bool,
}

#[derive(Debug, Subcommand)]
enum Topic {
    /// Create a topic.
    Create {
        /// Name of the topic.
        name: String,
        /// Number of partitions.
        #[arg(long, default_value = "4")]
        partitions: NonZeroU16,
    },
    /// Delete a topic with its records.
    Delete {
        /// Name of the topic.
        name: String,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    Text,
    Json,
}

impl Arguments {
    /// Runs the command.
    ///
    /// # Errors
    /// The error of the command; a [`service::ConfigError`] in its chain means a bad configuration.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let config = self.config()?;
        if self.check_config {
            tracing::info!("the configuration is valid");
            return Ok(ExitCode::SUCCESS);
        }
        match self.command {
            None => {
                anyhow::bail!("no command; use up, down, status, logs, fetch, topic … (see --help)")
            }
            Some(Action::Up(up)) => up.run(config).await?,
            Some(Action::Down) => down(&config).await?,
            Some(Action::Status { output }) => return status(&config, output),
            Some(Action::Logs { service, follow, tail }) => {
                logs::print(&config, service, follow, tail).await?
            }
            Some(Action::AddTaskManager { id, no_wait }) => {
                let deadline = config.start_deadline + Duration::from_secs(5);
                ask(&config, &Request::AddTaskManager { id, wait: !no_wait }, deadline).await?;
            }
            Some(Action::StopTaskManager { id }) => {
                // It may still be starting.
                let deadline = config.start_deadline + config.stop_deadline + Duration::from_secs(5);
                ask(&config, &Request::StopTaskManager { id }, deadline).await?;
            }
            Some(Action::Fetch) => start::fetch(&config, &log_progress).await?,
            Some(Action::Topic(topic)) => topic.run(&config).await?,
            Some(Action::Completions { shell }) => {
                terminal::print(&terminal::completions(Self::command(), "testbed", shell))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn config(&self) -> Result<Config, service::ConfigError> {
        let (mut settings, problems) = TestbedSettings::load(self.config.as_deref())?;
        let replace = |target: &mut PathBuf, flag: &Option<PathBuf>| {
            if let Some(path) = flag {
                target.clone_from(path);
            }
        };
        replace(&mut settings.work_dir, &self.work);
        if let Some(Action::Up(up)) = &self.command {
            up.apply(&mut settings);
        }
        settings.check_with(problems)
    }
}

impl Up {
    fn apply(&self, settings: &mut TestbedSettings) {
        let flink = &mut settings.flink;
        flink.task_managers = self.task_managers.unwrap_or(flink.task_managers);
        flink.task_slots = self.task_slots.unwrap_or(flink.task_slots);
        flink.port = self.flink_port.unwrap_or(flink.port);
        if let Some(version) = &self.flink_version {
            flink.version.clone_from(version);
        }
        settings.kafka.port = self.kafka_port.unwrap_or(settings.kafka.port);
        settings.fresh |= self.fresh;
        settings.hdfs.enabled |= self.hdfs;
    }

    async fn run(self, config: Config) -> anyhow::Result<()> {
        if self.detach {
            let executable = std::env::current_exe().context("cannot find the testbed's executable")?;
            // The lines are already formatted log lines of the supervisor.
            let copy = |line: &str| drop(writeln!(io::stderr(), "{line}"));
            let state = supervisor::detach(&config, &executable, &copy).await?;
            let all = [state.kafka_bootstrap, state.flink_url, state.hdfs_url, state.webhdfs_url];
            return Ok(terminal::ignore_broken_pipe(print_addresses(all, &config))?);
        }
        if self.new_session {
            supervisor::new_session().context("cannot create a session")?;
        }
        tracing::debug!(settings = ?config.settings(), "effective configuration");
        tracing::info!("starting the testbed in {}", config.work_dir.display());
        let for_addresses = config.clone();
        supervisor::run(config, &log_progress, |testbed| {
            // A closed standard output is ignored.
            let (kafka, flink) = (Some(testbed.kafka_bootstrap().to_owned()), Some(testbed.flink_url()));
            let all = [kafka, flink, testbed.hdfs_url(), testbed.webhdfs_url()];
            drop(print_addresses(all, &for_addresses));
        })
        .await?;
        Ok(())
    }
}

fn log_progress(line: &str) {
    tracing::info!("{line}");
}

/// Prints the addresses of Kafka, Flink, HDFS and WebHDFS that exist.
fn print_addresses(addresses: [Option<String>; 4], config: &Config) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let names = ["kafka", "flink", "hdfs", "webhdfs"];
    for (name, address) in names.iter().zip(&addresses) {
        if let Some(address) = address {
            writeln!(out, "{name:<6} {address}")?;
        }
    }
    let work = &config.work_dir;
    if config.hdfs.enabled {
        writeln!(out, "command {}", crate::hdfs::command_of(work).display())?;
    }
    writeln!(out, "work   {}", work.display())
}

async fn ask(config: &Config, request: &Request, deadline: Duration) -> anyhow::Result<()> {
    let answer = requests::ask(&config.work_dir, request, deadline).await?;
    let line = match answer {
        Answer::Started(id) => format!("{id} started"),
        Answer::Runs(id) => format!("{id} already runs"),
        Answer::Stopped(id) => format!("{id} stopped"),
        Answer::StoppedAlready(id) => format!("{id} does not run"),
        Answer::Failed(problem) => anyhow::bail!(problem),
    };
    Ok(terminal::print(&line)?)
}

async fn down(config: &Config) -> anyhow::Result<()> {
    // Task managers, JobManager, Kafka, DataNode and NameNode stop one after the other, each within its timeout.
    let outcome = control::down(&config.work_dir, config.stop_deadline * 5 + Duration::from_secs(5)).await?;
    let line = match outcome {
        Down::NotUp => format!("no testbed is up in {}", config.work_dir.display()),
        Down::Stopped => "down".to_owned(),
        Down::Killed(names) => format!("down; killed after the deadline: {}", names.join(", ")),
    };
    Ok(terminal::print(&line)?)
}

fn status(config: &Config, output: Output) -> anyhow::Result<ExitCode> {
    let status = control::status(&config.work_dir)?;
    match output {
        Output::Json => terminal::print(&serde_json::to_string_pretty(&status)?)?,
        Output::Text => {
            terminal::ignore_broken_pipe(print_status(&mut io::stdout().lock(), &status, config))?;
        }
    }
    Ok(if status.healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_status(out: &mut impl Write, status: &Status, config: &Config) -> io::Result<()> {
    let Some(state) = &status.state else {
        return writeln!(out, "no testbed is up in {}", config.work_dir.display());
    };
    let address = |address: &Option<String>| address.clone().unwrap_or_else(|| "not yet".to_owned());
    writeln!(out, "phase  {}", state.phase)?;
    writeln!(out, "kafka  {}", address(&state.kafka_bootstrap))?;
    writeln!(out, "flink  {}", address(&state.flink_url))?;
    for (name, address) in [("hdfs", &state.hdfs_url), ("webhdfs", &state.webhdfs_url)] {
        if let Some(address) = address {
            writeln!(out, "{name:<6} {address}")?;
        }
    }
    writeln!(out, "work   {}", config.work_dir.display())?;
    writeln!(out, "{:<12} {:>8}  running", "supervisor", state.supervisor.pid)?;
    for service in &state.services {
        let is = if status.ended.contains(&service.name) { "ended" } else { "running" };
        writeln!(out, "{:<12} {:>8}  {is}", service.name, service.process.pid)?;
    }
    Ok(())
}

impl Topic {
    async fn run(self, config: &Config) -> anyhow::Result<()> {
        let state = control::status(&config.work_dir)?.state.filter(TestbedState::is_ready);
        let bootstrap = state.and_then(|state| state.kafka_bootstrap);
        let bootstrap =
            bootstrap.with_context(|| format!("no testbed is up in {}", config.work_dir.display()))?;
        match self {
            Self::Create { name, partitions } => {
                topics::create_topic(&bootstrap, &name, partitions.get()).await?
            }
            Self::Delete { name } => topics::delete_topic(&bootstrap, &name).await?,
        }
        Ok(())
    }
}
