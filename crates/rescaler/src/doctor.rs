//! `rescaler doctor`: reads settings from Flink, and prints the findings of [`doctor`]. Changes nothing.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use doctor::{Checkpointing, Configuration, Facts, InPlace, JobFacts, Report, VertexFacts};
use flink::{Client, JobDetails, Obstacle};
use secrets::Address;
use serde::Serialize;
use service::settings::COMMAND_LINE;
use service::{ConfigError, Problems};
use thiserror::Error;

use crate::cli::Output;
use crate::config::Config;
use crate::config_file::ConfigFile;
use crate::cycle::flink_client;
use crate::overrides::Set;
use crate::{overrides, placement};

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// URL of Flink; by default the configured one.
    #[arg(long, value_name = "URL", required_unless_present = "config")]
    flink: Option<Address>,
    /// Configuration to take the job and Flink's URL, login and certificates ([flink], [flink.access]) from.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    set: Set,
    /// Name or id of the job, if several run.
    #[arg(long, value_name = "NAME|ID")]
    job: Option<String>,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

impl Doctor {
    /// Returns the configuration with `[flink]`; with several jobs, that of the first.
    fn config(&self) -> Result<Config, ConfigError> {
        let above = self.set.table();
        let (path, mut config) = match &self.config {
            Some(path) => {
                let config_file = ConfigFile::load_over(path, &above)?;
                let problem = || ConfigError::in_file(path, "configures no job; add a [[job]]");
                (path.as_path(), config_file.jobs().first().cloned().ok_or_else(problem)?)
            }
            None => (Path::new(COMMAND_LINE), overrides::over_defaults(above)?),
        };
        config.flink.url = self.flink.clone().unwrap_or(config.flink.url);
        config.check(Problems::new(path.display().to_string()))
    }
}

/// The report of a cluster with findings, for standard output. The exit code is 3.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct Findings(pub(crate) String);

/// The report with its subject, in JSON.
#[derive(Serialize)]
struct DoctorReport<'a> {
    flink_url: &'a str,
    flink_version: &'a str,
    job: Option<&'a str>,
    #[serde(flatten)]
    report: &'a Report,
}

/// Examines a cluster and a job; returns the text for standard output.
///
/// # Errors
/// [`Findings`] if there are any; else Flink does not respond.
pub(crate) async fn run(arguments: &Doctor) -> anyhow::Result<String> {
    let config = arguments.config()?;
    let client = flink_client(&config)?;
    let configured = arguments.config.as_ref().map(|_| config.flink_job());
    let job =
        Wanted { called: arguments.job.as_deref().or(configured), is_demanded: arguments.job.is_some() };
    let facts = facts(&client, job).await?;
    let report = doctor::examine(&facts);
    let job = facts.job.as_ref().map(|job| job.name.as_str());
    let text = match arguments.output {
        Output::Json => serde_json::to_string_pretty(&DoctorReport {
            flink_url: client.base_url(),
            flink_version: &facts.version,
            job,
            report: &report,
        })
        .context("cannot serialise the report")?,
        Output::Text => {
            let job = job.map_or_else(|| "no job".to_owned(), |job| format!("job {job:?}"));
            format!("Flink {} at {}, {job}: {report}", facts.version, client.base_url())
        }
    };
    if report.findings.is_empty() { Ok(text) } else { Err(Findings(text).into()) }
}

/// The job to examine.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    /// Its name or id; [`None`]: the only running job.
    called: Option<&'a str>,
    /// Whether it is an error if no job runs: a configuration names a job that will run, the command line one that runs.
    is_demanded: bool,
}

/// Reads the facts from Flink. Facts that Flink does not show are unknown.
async fn facts(client: &Client, job: Wanted<'_>) -> anyhow::Result<Facts> {
    let overview = client.overview().await.context("request to Flink failed")?;
    let details = the_job(client, job).await?;
    let id = details.as_ref().map(|details| &details.id);
    Ok(Facts {
        version: overview.flink_version,
        configuration: client.configuration(id).await?.map(Configuration),
        slots: Some(overview.slots_total),
        slots_free: Some(overview.slots_available),
        job: match &details {
            Some(details) => Some(job_facts(client, details).await),
            None => None,
        },
    })
}

/// Returns the selected job; [`None`] if no job runs and the command line names none.
async fn the_job(client: &Client, job: Wanted<'_>) -> anyhow::Result<Option<JobDetails>> {
    let jobs = client.jobs().await.context("cannot list Flink's jobs")?;
    if !job.is_demanded && jobs.iter().all(|job| job.state.is_terminal()) {
        return Ok(None);
    }
    let (overview, _) = placement::the_job(&jobs, job.called)?;
    Ok(Some(client.job(&overview.id).await?))
}

async fn job_facts(client: &Client, details: &JobDetails) -> JobFacts {
    let in_place = client.in_place(&details.id).await;
    let requirements = match &in_place {
        Ok(flink::InPlace::Possible(requirements)) => Some(requirements),
        _ => None,
    };
    let vertices = details.vertices.iter().map(|vertex| VertexFacts {
        name: vertex.name.clone(),
        parallelism: vertex.parallelism,
        max_parallelism: vertex.max_parallelism,
        lower_bound: requirements.and_then(|of| of.get(&vertex.id)).map(|bounds| bounds.lower),
    });
    let settings = client.checkpoint_settings(&details.id).await;
    JobFacts {
        name: details.name.clone(),
        vertices: vertices.collect(),
        in_place: match &in_place {
            Ok(flink::InPlace::Possible(_)) => InPlace::Possible,
            Ok(flink::InPlace::Impossible(Obstacle::Scheduler)) => InPlace::OtherScheduler,
            Ok(flink::InPlace::Impossible(Obstacle::Reactive)) => InPlace::Reactive,
            Ok(flink::InPlace::Impossible(Obstacle::Version(_))) | Err(_) => InPlace::Unknown,
        },
        checkpointing: match &settings {
            Ok(settings) => settings.interval.map_or(Checkpointing::Off, Checkpointing::Every),
            Err(_) => Checkpointing::Unknown,
        },
        checkpoint_storage: settings.ok().and_then(|settings| settings.storage),
    }
}
