//! Placement of drop and agent: in other processes, or in this one.
//!
//! Protocol and code are the same in all three placements. `drop`: a config drop and an agent run elsewhere, and the rescaler only
//! needs the URL of the drop. `direct`: the agent serves the drop's interface itself, and its URL is configured instead; for the
//! rescaler there is no difference. `in-process`: this process runs both. They listen on a free port of the loopback interface and
//! are used through it like any other drop.
//!
//! Without a configuration of the agent no job can be submitted: the running job, which may be any job, is only rescaled in place.
//! Its document is built from the running job, with vertex ids as names.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context;
use control::OperatorNames;
use flink::{InPlace, JobDetails, JobId, JobOverview};
use jiff::Timestamp;
use job_config::{JobDocument, JobName};
use policies::ExternalProgram;
use serde::{Deserialize, Serialize};
use service::settings::COMMAND_LINE;
use service::{ConfigError, with_causes};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::adopt::{START_DEADLINE, adopt};
use crate::cluster_jobs;
use crate::command_placement::CommandPlacement;
use crate::config::Config;
use crate::cycle::flink_client;
use crate::publisher::Publisher;

/// Flink's own bound of key groups.
const MAX_PARALLELISM_LIMIT: u32 = 32_768;

/// `[placement]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Placement {
    /// Placement of drop and agent.
    pub mode: Mode,
    /// In-process: the folder of documents, reports and the agent's journal.
    pub data: Option<PathBuf>,
    /// In-process: address of the embedded drop; [`None`]: a free port of the loopback interface.
    pub listen: Option<SocketAddr>,
    /// In-process: configuration of the agent; [`None`]: the running job is rescaled in place and never stopped.
    pub agent_config: Option<PathBuf>,
    /// Command: the program that applies plans, with its arguments, without a shell.
    pub command: Vec<String>,
    /// Timeout of that program, and then of the job to run as planned, in milliseconds.
    pub command_timeout_ms: u64,
}

impl Default for Placement {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            data: None,
            listen: None,
            agent_config: None,
            command: Vec::new(),
            command_timeout_ms: 600_000,
        }
    }
}

/// Where drop and agent are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// A config drop, at `drop.url`.
    #[default]
    Drop,
    /// An agent that serves the drop's interface, at `drop.url`.
    Direct,
    /// Both run in this process.
    InProcess,
    /// Neither: a program applies plans.
    Command,
}

/// The services that run in this process beside the cycle.
#[derive(Default)]
pub(crate) struct EmbeddedServices {
    tasks: JoinSet<anyhow::Result<()>>,
    names: OperatorNames,
    /// The running job, if its document is built from it.
    job: Option<JobId>,
    /// Whether there is neither drop nor agent, because Flink is only read.
    reads_only: bool,
    /// Why Flink cannot rescale the job in place, if no agent can restart it.
    obstacle: Option<String>,
}

impl EmbeddedServices {
    /// Waits until a service ends unexpectedly, and returns the error.
    pub(crate) async fn ended(&mut self) -> anyhow::Error {
        match self.tasks.join_next().await {
            None => std::future::pending().await,
            Some(Ok(Ok(()))) => anyhow::anyhow!("the embedded drop or agent ended unexpectedly"),
            Some(Ok(Err(error))) => error,
            Some(Err(error)) => error.into(),
        }
    }

    /// Stops all services, and returns when their folders are unlocked.
    pub(crate) async fn end(mut self) {
        self.tasks.shutdown().await;
    }

    pub(crate) fn names(&self) -> OperatorNames {
        self.names.clone()
    }

    /// The job whose document is made here from what runs, if there is one.
    pub(crate) fn job(&self) -> Option<JobId> {
        self.job.clone()
    }

    /// Returns why plans are only recommendations, if so.
    pub(crate) fn obstacle(&self) -> Option<String> {
        self.obstacle.clone()
    }

    /// Returns the source and destination of documents. `generation` is that of the newest plan of an earlier run.
    ///
    /// # Errors
    /// The drop's settings cannot be used.
    pub(crate) fn place(
        &self,
        config: &Config,
        flink: &flink::Client,
        generation: u64,
    ) -> anyhow::Result<DocumentStore> {
        let job = || RunningJob {
            flink: flink.clone(),
            name: config.job.clone(),
            job: config.flink_job().to_owned(),
        };
        if self.reads_only {
            return Ok(DocumentStore::Nowhere(Box::new(job())));
        }
        if config.placement.mode == Mode::Command {
            let (command, timeout_ms) =
                (config.placement.command.clone(), config.placement.command_timeout_ms);
            let program = ExternalProgram { command, timeout_ms, ..ExternalProgram::default() };
            return Ok(DocumentStore::Command(Box::new(CommandPlacement::new(job(), program, generation))));
        }
        Ok(DocumentStore::Drop(Box::new(Publisher::new(&config.drop, config.job.clone())?)))
    }
}

/// Source and destination of documents.
pub(crate) enum DocumentStore {
    /// A drop, or a folder.
    Drop(Box<Publisher>),
    /// Documents are built from the running job, and given to a program.
    Command(Box<CommandPlacement>),
    /// Documents are built from the running job, and not published.
    Nowhere(Box<RunningJob>),
}

/// Builds the document of the running job, for a run that only reads.
#[derive(Debug)]
pub(crate) struct RunningJob {
    flink: flink::Client,
    name: JobName,
    job: String,
}

impl RunningJob {
    /// Returns the document of the running job.
    ///
    /// # Errors
    /// Flink does not respond, or the job does not run.
    pub(crate) async fn document(&self, generation: u64) -> anyhow::Result<control::Current> {
        let document = derive(&self.name, generation, &self.details().await?)?;
        let entity_tag = document.entity_tag();
        Ok(control::Current { document, entity_tag })
    }

    /// Returns the running job.
    ///
    /// # Errors
    /// As [`RunningJob::document`].
    pub(crate) async fn details(&self) -> anyhow::Result<JobDetails> {
        running_job(&self.flink, &self.job).await
    }

    /// Returns the URL of Flink without credentials.
    pub(crate) fn flink_url(&self) -> &str {
        self.flink.base_url()
    }
}

/// Starts the embedded services, and writes their URL into the configuration. In a dry run, and if Flink cannot rescale the job in
/// place, none is started and Flink is only read.
///
/// # Errors
/// The agent's configuration is invalid, a folder is in use, or there is no job to rescale.
pub(crate) async fn start(
    config: &mut Config,
    flink: &flink::Client,
    is_dry_run: bool,
) -> anyhow::Result<EmbeddedServices> {
    let mut carried = EmbeddedServices::default();
    if !matches!(config.placement.mode, Mode::InProcess | Mode::Command) {
        return Ok(carried);
    }
    let is_in_place = config.placement.mode == Mode::InProcess && config.placement.agent_config.is_none();
    let mut found = None;
    if is_dry_run || config.placement.agent_config.is_none() {
        let details = running_job(flink, config.flink_job()).await?;
        carried.names = names(&details);
        carried.job = Some(details.id.clone());
        carried.obstacle = if is_in_place { obstacle(flink, &details.id).await } else { None };
        carried.reads_only = is_dry_run || carried.obstacle.is_some();
        found = Some(details);
    }
    if carried.reads_only || config.placement.mode == Mode::Command {
        return Ok(carried);
    }
    let data = config.placement.data.clone().context("placement.data is missing")?;
    let listen = config.placement.listen.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 0).into());
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("placement.listen: cannot listen on {listen}"))?;
    let listen = listener.local_addr().context("no address")?;
    config.drop.url = format!("http://{listen}").into();
    let served = config_drop::Config {
        listen,
        data: data.join("drop"),
        limits: config_drop::Limits::default(),
        protection: config_drop::Protection::default(),
    };
    carried.tasks.spawn(async move {
        config_drop::run(listener, served, std::future::pending()).await.context("the embedded drop")
    });
    let agent = config_agent::Agent::new(agent_config(config, data.join("agent"))?)?;
    if let Some(details) = found {
        adopt(config, &details, START_DEADLINE).await?;
    }
    carried.tasks.spawn(async move { agent.run().await.context("the embedded agent") });
    info!(drop = %config.drop.url, data = %data.display(), "running an embedded drop and agent");
    Ok(carried)
}

/// Returns and logs why Flink cannot rescale the job in place, with the remedy.
async fn obstacle(flink: &flink::Client, job: &JobId) -> Option<String> {
    match flink.in_place(job).await {
        Ok(InPlace::Possible(_)) => None,
        Ok(InPlace::Impossible(obstacle)) => {
            warn!("{obstacle}. Until then plans are recorded as recommendations and not applied");
            Some(obstacle.to_string())
        }
        Err(error) => {
            // The agent checks again with the first plan.
            warn!("cannot determine whether the job can be rescaled in place: {}", with_causes(&error));
            None
        }
    }
}

/// Whether another job has replaced this one.
pub(crate) async fn is_replaced(flink: &flink::Client, config: &Config, job: &JobId) -> bool {
    let Ok(jobs) = flink.jobs().await else { return false };
    let mut alive = alive(&jobs, config.flink_job()).peekable();
    alive.peek().is_some() && alive.all(|other| other.id != *job)
}

/// Whether a job of this name or id has not ended.
pub(crate) fn is_listed(jobs: &[JobOverview], job: &str) -> bool {
    alive(jobs, job).next().is_some()
}

/// The jobs of this name or id that have not ended.
fn alive<'a>(jobs: &'a [JobOverview], job: &'a str) -> impl Iterator<Item = &'a JobOverview> {
    let is_meant = move |other: &&JobOverview| other.name == job || other.id.as_str() == job;
    jobs.iter().filter(|other| !other.state.is_terminal()).filter(is_meant)
}

fn agent_config(config: &Config, data: PathBuf) -> Result<config_agent::Config, ConfigError> {
    let carrier = config_agent::EmbeddingOptions {
        job: config.job.clone(),
        flink_job: config.flink_job().to_owned(),
        data,
        drop_url: config.drop.url.clone(),
        flink_url: config.flink.url.clone(),
        flink_access: config.flink.access.clone(),
    };
    config_agent::Config::embedded(config.placement.agent_config.as_deref(), carrier)
}

/// Completes a configuration that only names a cluster, and maybe a job: the only running job, or the job with this name or id.
///
/// # Errors
/// Flink does not respond, or the job is ambiguous.
pub(crate) async fn embed(config: &mut Config, data: &Path, job: Option<&str>) -> anyhow::Result<()> {
    let jobs = flink_client(config)?.jobs().await.context("cannot list Flink's jobs")?;
    let (_, found) = the_job(&jobs, job)?;
    embed_as(config, data, &found.folder, &found.called);
    Ok(())
}

/// Completes the configuration for a known job.
pub(crate) fn embed_as(config: &mut Config, data: &Path, folder: &str, called: &str) {
    config.job = job_name(folder);
    called.clone_into(&mut config.flink.job);
    let data = data.join(config.job.as_str());
    config.journal.path = data.join("decisions.jsonl");
    let (command, command_timeout_ms) =
        (std::mem::take(&mut config.placement.command), config.placement.command_timeout_ms);
    let mode = if command.is_empty() { Mode::InProcess } else { Mode::Command };
    let data = Some(data).filter(|_| mode == Mode::InProcess);
    config.placement = Placement { mode, data, command, command_timeout_ms, ..Placement::default() };
}

/// A job that was found in Flink.
#[derive(Debug)]
pub(crate) struct FoundJob {
    /// Unique name among the running jobs, for its folder.
    pub(crate) folder: String,
    /// Name, which survives a resubmission, or id if several jobs have the name.
    pub(crate) called: String,
}

/// Returns one of the jobs of a cluster: the only running one, or the one with this name or id.
///
/// # Errors
/// The job is ambiguous, or not found.
pub(crate) fn the_job<'a>(
    jobs: &'a [JobOverview],
    job: Option<&str>,
) -> Result<(&'a JobOverview, FoundJob), ConfigError> {
    let alive: Vec<&JobOverview> = jobs.iter().filter(|other| !other.state.is_terminal()).collect();
    let is_meant = |other: &JobOverview| job.is_none_or(|job| other.name == job || other.id.as_str() == job);
    let found = cluster_jobs::found(&alive, &BTreeMap::new());
    let mut meant = alive.iter().zip(found).filter(|(other, _)| is_meant(other));
    if let (Some((overview, found)), None) = (meant.next(), meant.next()) {
        return Ok((overview, found));
    }
    let which = job.map_or_else(|| "the job".to_owned(), |job| format!("job {job:?}"));
    let names: Vec<String> = alive.iter().map(|job| format!("{} ({})", job.name, job.id)).collect();
    let running = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let problem = format!(
        "{which} is ambiguous or does not run; select one with --job NAME or --job ID; running: {running}"
    );
    Err(ConfigError::new(COMMAND_LINE, problem))
}

/// Converts a job's name in Flink, which may be any text, to a name for documents and folders.
pub(crate) fn job_name(in_flink: &str) -> JobName {
    let lower = in_flink.to_lowercase();
    let allowed =
        |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '_' { c } else { '-' };
    let name: String = lower.chars().map(allowed).collect();
    let name: String = name.trim_matches(|c| "-._".contains(c)).chars().take(63).collect();
    // It is valid unless it is empty.
    name.parse().or_else(|_| "job".parse()).unwrap_or_else(|_| unreachable!("it is a name"))
}

/// The job of this name or id that runs.
pub(crate) async fn running_job(flink: &flink::Client, job: &str) -> anyhow::Result<JobDetails> {
    let jobs = flink.jobs().await.context("cannot list Flink's jobs")?;
    let found = alive(&jobs, job).next();
    let found = found.with_context(|| format!("no job named {job:?} runs on {}", flink.base_url()))?;
    Ok(flink.job(&found.id).await?)
}

/// Returns the names of the operators in the document: the id of the vertex that each begins.
fn names(details: &JobDetails) -> OperatorNames {
    let vertices = telemetry::operator_vertices(details);
    OperatorNames::new(vertices.into_iter().map(|(name, id)| (name, id.to_string())).collect())
}

/// A document of a job that has none: what runs, by vertex.
pub(crate) fn derive(job: &JobName, generation: u64, details: &JobDetails) -> anyhow::Result<JobDocument> {
    let largest = details.vertices.iter().map(|vertex| vertex.max_parallelism).max().unwrap_or(1);
    let largest = largest.max(details.vertices.iter().map(|vertex| vertex.parallelism).max().unwrap_or(1));
    let mut text = format!(
        "# Generated from the running job; operators are named by vertex id.\nformat = 1\njob = \"{job}\"\n\
         generation = {generation}\nissued_at = \"{}\"\nreason = \"as it was found\"\nrestart_mode = \"in-place\"\n\n\
         [parallelism]\ndefault = 1\nmax = {}\n\n[parallelism.operators]\n",
        Timestamp::now(),
        largest.clamp(1, MAX_PARALLELISM_LIMIT)
    );
    for vertex in &details.vertices {
        let name = vertex.head_operator().replace(char::is_control, " ");
        text.push_str(&format!("{} = {} # {name}\n", vertex.id, vertex.parallelism.max(1)));
    }
    JobDocument::parse(&text).context("cannot describe this job in a document")
}

#[cfg(test)]
mod tests {
    use super::*;
    use scaling::Decision;

    fn details() -> JobDetails {
        let vertex = |digit: &str, name: &str, parallelism: u32, max: u32| {
            serde_json::json!({ "id": digit.repeat(32), "name": name, "parallelism": parallelism,
                "maxParallelism": max, "status": "RUNNING" })
        };
        let vertices = [vertex("a", "Source: in -> map", 2, 128), vertex("1", "window", 3, 1)];
        serde_json::from_value(
            serde_json::json!({ "jid": "0".repeat(32), "name": "My Job (v2)", "state": "RUNNING",
            "vertices": vertices }),
        )
        .unwrap()
    }

    /// Goal: any job has a name that documents may have.
    #[test]
    fn any_name_becomes_a_job_name() {
        for (in_flink, expected) in
            [("My Job (v2)", "my-job--v2"), ("nexmark", "nexmark"), ("Ω!", "job"), ("-.x", "x"), ("", "job")]
        {
            assert_eq!(job_name(in_flink).as_str(), expected);
        }
        assert_eq!(job_name(&"x".repeat(100)).as_str().len(), 63);
    }

    /// Goal: the document of a foreign job says what runs, by vertex id, and a plan finds its way there.
    #[test]
    fn a_foreign_job_has_a_document() {
        let document = derive(&"my-job".parse().unwrap(), 4, &details()).unwrap();
        assert_eq!((document.generation(), document.parallelism().max), (4, 128));
        assert_eq!(document.parallelism().of(&"a".repeat(32)), 2);
        let mut decision = Decision::nothing("latency", "it is slow");
        decision.parallelism = BTreeMap::from([("in".to_owned(), 5)]);
        let named = names(&details()).in_document(&decision);
        assert_eq!(named.parallelism, BTreeMap::from([("a".repeat(32), 5)]));
    }
}
