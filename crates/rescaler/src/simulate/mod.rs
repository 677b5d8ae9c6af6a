//! `rescaler simulate`: policies against the model of a job, in virtual time.

mod batch;
mod external;
mod output;
mod plot;
mod scoreboard;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use policies::simulated_options;
use sim::contender::{Contender, OwnPolicyOptions, UnknownContender};
use sim::scenario::{Scenario, ScenarioError, ScenarioFileError, Variation};
use thiserror::Error;
use toml::Table;

use crate::config_file::ConfigFile;

/// Seeds of a command line that names none.
const SEEDS: &str = "1";
/// At most so many seeds are run at once.
const SEEDS_MAX: usize = 10_000;

/// `rescaler simulate`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Simulate {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Run,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the built-in scenarios and policies.
    List,
    /// Run every scenario with every policy and ten seeds, and write the table of scores.
    Scoreboard(scoreboard::Scoreboard),
}

#[derive(Debug, Args)]
struct Run {
    /// Scenarios, separated by commas: names, `all`, or files that end in `.toml`.
    #[arg(long, value_name = "NAME", value_delimiter = ',', default_value = "all")]
    scenario: Vec<String>,
    /// Policies, separated by commas: names, `all`, or `external` (the program in --config).
    #[arg(long, value_name = "NAME", value_delimiter = ',', default_value = "ds2")]
    policy: Vec<String>,
    /// Configuration with epoch, limits and options of the policies; without it, the defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Seeds, one run each: numbers and ranges, separated by commas, for example `1,2,5-10`.
    #[arg(long, value_name = "N", default_value = SEEDS)]
    seeds: String,
    /// Change a condition of every scenario, for example `metric_age_s=10` or `change.outage_s=x3` (three times as long). Keys
    /// are those of a scenario file; several with commas.
    #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',')]
    vary: Vec<Variation>,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// Folder for a plot of each run: load, capacity, latency and slots.
    #[arg(long, value_name = "FOLDER")]
    plot: Option<PathBuf>,
}

/// Output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A table of means over the seeds.
    Text,
    /// A JSON array with an object for each run.
    Json,
    /// A line for each run.
    Csv,
}

/// Why a simulation cannot be begun.
#[derive(Debug, Error)]
pub(crate) enum SimulateError {
    /// No scenario has this name.
    #[error("unknown scenario {name:?}; known: {list}")]
    Scenario {
        /// The name.
        name: String,
        /// Those that there are.
        list: String,
    },
    /// No policy has this name.
    #[error(transparent)]
    Policy(#[from] UnknownContender),
    /// No program is configured.
    #[error(
        "--policy external needs a program: set policy.external.command in a file and pass it with --config"
    )]
    NoProgram,
    /// The seeds are no numbers.
    #[error(
        "--seeds {0:?}: write numbers and ranges separated by commas, for example 1,2,5-10; at most {SEEDS_MAX} seeds"
    )]
    Seeds(String),
    /// A scenario file is not valid.
    #[error(transparent)]
    File(#[from] ScenarioFileError),
    /// A scenario that cannot be run.
    #[error("cannot run scenario {name}")]
    Impossible {
        /// The scenario.
        name: String,
        /// Why.
        #[source]
        source: ScenarioError,
    },
}

/// Runs the command; what it prints.
///
/// # Errors
/// See [`SimulateError`]; the configuration cannot be used; or a file cannot be written.
pub(crate) fn run(arguments: &Simulate) -> anyhow::Result<String> {
    match &arguments.command {
        Some(Command::List) => Ok(output::list()),
        Some(Command::Scoreboard(scoreboard)) => scoreboard::run(scoreboard),
        None => arguments.run.run(),
    }
}

impl Run {
    fn run(&self) -> anyhow::Result<String> {
        let mut scenarios = scenarios(&self.scenario)?;
        for variation in &self.vary {
            scenarios.iter_mut().for_each(|scenario| variation.apply(scenario));
        }
        let (contenders, seeds) = (contenders(&self.policy)?, seeds(&self.seeds)?);
        // The job is simulated, so the file need not name one.
        let unnamed = Table::from_iter([("job".to_owned(), "simulated".into())]);
        let config =
            self.config.as_deref().map(|path| ConfigFile::load_job_over(path, None, &unnamed)).transpose()?;
        let mut options = config.as_ref().map_or_else(OwnPolicyOptions::default, |config| {
            simulated_options(&config.epoch, &config.policy, &config.limits)
        });
        let mut program = None;
        if contenders.contains(&Contender::External) {
            let own = config.map(|config| config.policy.external).filter(|own| !own.command.is_empty());
            let asked = external::CountedProgram::new(own.ok_or(SimulateError::NoProgram)?);
            options.external = Some(asked.callback());
            program = Some(asked);
        }
        let batch = batch::Batch { scenarios, contenders, seeds, options };
        let results = batch.run(self.plot.as_deref())?;
        if let Some(program) = program {
            program.log_failures();
        }
        match self.output {
            Output::Text => Ok(output::table(&batch, &results)),
            Output::Json => Ok(serde_json::to_string_pretty(&results)?),
            Output::Csv => Ok(output::csv(&results)),
        }
    }
}

fn scenarios(names: &[String]) -> Result<Vec<Scenario>, SimulateError> {
    let all = Scenario::all();
    let mut chosen: Vec<Scenario> = Vec::new();
    for name in names {
        if name == "all" {
            chosen.extend(all.iter().cloned());
        } else if name.ends_with(".toml") {
            chosen.push(Scenario::from_file(Path::new(name), files::read_text)?);
        } else if let Some(scenario) = all.iter().find(|scenario| scenario.name == *name) {
            chosen.push(scenario.clone());
        } else {
            let list = all.iter().map(|scenario| scenario.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(SimulateError::Scenario { name: name.clone(), list });
        }
    }
    Ok(chosen)
}

fn contenders(names: &[String]) -> Result<Vec<Contender>, SimulateError> {
    let mut chosen = BTreeSet::new();
    for name in names {
        match name.as_str() {
            "all" => chosen.extend(Contender::ALL),
            name => drop(chosen.insert(name.parse()?)),
        }
    }
    Ok(chosen.into_iter().collect())
}

fn seeds(text: &str) -> Result<Vec<u64>, SimulateError> {
    let wrong = || SimulateError::Seeds(text.to_owned());
    let mut seeds = BTreeSet::new();
    for part in text.split(',') {
        let (from, until) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<u64>().map_err(|_| wrong());
        let (from, until) = (number(from)?, number(until)?);
        if until < from || until - from >= SEEDS_MAX as u64 {
            return Err(wrong());
        }
        seeds.extend(from..=until);
    }
    if seeds.len() > SEEDS_MAX { Err(wrong()) } else { Ok(seeds.into_iter().collect()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: seeds are numbers and ranges, each once, and nothing else.
    #[test]
    fn seeds_are_numbers_and_ranges() {
        assert_eq!(seeds("3,1,5-7,6").unwrap(), [1, 3, 5, 6, 7]);
        for wrong in ["", "a", "3-1", "1-", "0-99999999999"] {
            assert!(seeds(wrong).is_err(), "{wrong}");
        }
    }

    /// Goal: an unknown name is answered with those that there are.
    #[test]
    fn unknown_names_are_answered_with_the_known() {
        let error = scenarios(&["stepp".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("stepp") && error.contains("step-savepoint"), "{error}");
        let error = contenders(&["hp".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("hpa"), "{error}");
        assert_eq!(contenders(&["hpa".to_owned(), "all".to_owned()]).unwrap(), Contender::ALL);
    }
}
