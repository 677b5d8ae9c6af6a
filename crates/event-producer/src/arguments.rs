//! The command line. What stands here overrides the configuration file.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Parser, Subcommand, ValueEnum};
use generator::profile::{ProfileConfig, Step};

use crate::config::{Config, ConfigFile, StartTime};
use crate::failure::Failure;

/// Events of the NexMark benchmark into Kafka, at the times a load profile says.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunOptions,
}

impl Arguments {
    /// The command; `run` if none is named.
    pub(crate) fn command(self) -> Command {
        self.command.unwrap_or(Command::Run(self.run))
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write events to Kafka (also what happens without a command)
    Run(RunOptions),
}

/// How the totals are printed to standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Output {
    /// A line for people
    #[default]
    Text,
    /// One JSON object
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct RunOptions {
    /// Configuration file (TOML); absent: the defaults
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Check the configuration and end
    #[arg(long)]
    pub(crate) check_config: bool,
    /// Kafka brokers to connect to first, host:port, with commas between
    #[arg(long, value_name = "LIST")]
    pub(crate) bootstrap_servers: Option<String>,
    /// End after event number N - 1
    #[arg(long, value_name = "N")]
    pub(crate) events: Option<u64>,
    /// Begin with event number N, to continue an earlier run
    #[arg(long, value_name = "N")]
    pub(crate) from: Option<u64>,
    /// Seed of the stream
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Event time of event 0: "now" or milliseconds since the epoch
    #[arg(long, value_name = "now|MS")]
    pub(crate) start_time: Option<StartTime>,
    /// Write only these streams; numbers and times stay the same
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    pub(crate) streams: Option<Vec<String>>,
    /// Instead of the configured profile: this rate, events per second
    #[arg(long, value_name = "RATE", conflicts_with = "steps")]
    pub(crate) rate: Option<f64>,
    /// Instead of the configured profile: steps, as RATE:SECONDS with commas between
    #[arg(long, value_name = "RATE:SECONDS", value_delimiter = ',', value_parser = parse_step)]
    pub(crate) steps: Option<Vec<Step>>,
    /// End the profile after so many seconds
    #[arg(long, value_name = "SECONDS", requires = "rate")]
    pub(crate) duration: Option<f64>,
    /// Do not wait for the schedule: as fast as possible, with the schedule's timestamps
    #[arg(long)]
    pub(crate) max: bool,
    /// Serve /metrics and /healthz here, host:port
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// How the totals are printed at the end
    #[arg(long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

fn parse_step(text: &str) -> Result<Step, String> {
    let parsed = text.split_once(':').and_then(|(rate, seconds)| {
        Some(Step { rate: rate.trim().parse().ok()?, duration_s: seconds.trim().parse().ok()? })
    });
    parsed.ok_or_else(|| format!("{text:?} is not RATE:SECONDS, for example 1000:30"))
}

impl RunOptions {
    /// The file, overridden by the flags, and checked.
    pub(crate) fn config(&self) -> Result<Config, Failure> {
        let name =
            self.config.as_deref().map_or("the command line".into(), |path| path.display().to_string());
        let mut file = self.config.as_deref().map_or_else(|| Ok(ConfigFile::default()), ConfigFile::load)?;
        self.override_file(&mut file);
        file.check().with_context(|| format!("configuration from {name}")).map_err(Failure::Config)
    }

    fn override_file(&self, file: &mut ConfigFile) {
        fn set<T: Clone>(value: &mut T, flag: &Option<T>) {
            if let Some(flag) = flag {
                value.clone_from(flag);
            }
        }
        set(&mut file.kafka.bootstrap_servers, &self.bootstrap_servers);
        set(&mut file.seed, &self.seed);
        set(&mut file.from_event, &self.from);
        set(&mut file.start_time, &self.start_time);
        if self.events.is_some() {
            file.events = self.events;
        }
        if self.streams.is_some() {
            file.streams.clone_from(&self.streams);
        }
        if self.listen.is_some() {
            file.report.listen.clone_from(&self.listen);
        }
        if let Some(rate) = self.rate {
            file.profile = ProfileConfig::Constant { rate, duration_s: self.duration };
        }
        if let Some(steps) = &self.steps {
            file.profile = ProfileConfig::Steps { steps: steps.clone(), repeat: false, duration_s: None };
        }
        file.as_fast_as_possible |= self.max;
    }
}
