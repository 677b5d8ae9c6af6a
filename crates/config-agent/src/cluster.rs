//! Runs the machine's questions and effects against a real Flink cluster.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use flink::{
    Client, InPlace, JobDetails, JobId, JobOverview, JobState, Obstacle, Requirement, RunRequest,
    StopRequest, TriggerId, Vertex, VertexId,
};
use jiff::Timestamp;
use job_config::{JobDocument, Observed};
use service::with_causes;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::config::Config;
use crate::fresh;
use crate::machine::{Effect, EndedJob, Observation, Query, Submission};
use crate::observed;
use crate::pool::{CommandError, Pool};

/// How many failures of a job are read; Flink keeps 16 by default.
const FAILURES_MOST: u32 = 16;

/// What to submit and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobProgram {
    /// Path of the job's jar.
    pub jar: PathBuf,
    /// The class with `main`; `None`: the main class in the jar's manifest.
    pub entry_class: Option<String>,
    /// Further arguments of `main`, after the document.
    pub extra_arguments: Vec<String>,
    /// Target of savepoints; `None`: the cluster's configured directory.
    pub savepoint_directory: Option<String>,
    /// Whether Flink builds the job graph as a dry run before the running job is stopped.
    pub check_before_stop: bool,
}

impl JobProgram {
    fn arguments(&self, document: &JobDocument) -> Vec<String> {
        let document = ["--document-text".to_owned(), document.text().to_owned()];
        document.into_iter().chain(self.extra_arguments.iter().cloned()).collect()
    }
}

/// A Flink cluster, its nodes, and the program to run on it.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    client: Client,
    /// The job's name in Flink.
    job_name: String,
    /// `None`: nothing can be submitted.
    program: Option<JobProgram>,
    pool: Pool,
    /// Timeout of the preparations for a change in place.
    prepared_within: Duration,
}

/// Why an effect was not applied.
#[derive(Debug, Error)]
pub enum EffectError {
    /// Permanent: a retry cannot help.
    #[error("{reason}")]
    Refused {
        /// Reason, for people.
        reason: String,
    },
    /// Transient: a retry may help.
    #[error("request to Flink failed")]
    Unavailable(#[source] flink::Error),
    /// A node's start or stop command failed.
    #[error("command of a node failed")]
    Node {
        /// Name of the node.
        node: String,
        /// Error of its command.
        #[source]
        source: CommandError,
    },
}

impl Cluster {
    /// Wraps the cluster that this client reaches.
    pub(crate) fn new(client: Client, config: &Config) -> Self {
        Self {
            client,
            job_name: config.flink_job.clone(),
            program: config.program.clone(),
            pool: config.pool.clone(),
            prepared_within: config.rules.running_within,
        }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Returns the unfinished jobs of the configured name.
    pub(crate) async fn alive(&self) -> Result<Vec<JobId>, flink::Error> {
        let jobs = self.client.jobs().await?;
        let alive = jobs.into_iter().filter(|job| self.is_ours(job) && !job.state.is_terminal());
        Ok(alive.map(|job| job.id).collect())
    }

    /// Whether this is the configured job: matched by name, or by id where several jobs share the name.
    fn is_ours(&self, job: &JobOverview) -> bool {
        job.name == self.job_name || job.id.as_str() == self.job_name
    }

    /// Reads the job's vertices and rescales, for the final report of a change accepted at `since`.
    pub(crate) async fn observed(&self, job: &JobId, since: Timestamp) -> Result<Observed, flink::Error> {
        let details = self.client.job(job).await?;
        let task_managers = self.client.overview().await?.taskmanagers;
        let mut rescales = observed::newest(self.client.rescales(job).await?, since);
        for rescale in &mut rescales {
            if let Some(detailed) = self.client.rescale_details(job, &rescale.id).await? {
                *rescale = detailed;
            }
        }
        Ok(observed::from_details(&details, task_managers, rescales))
    }

    /// Answers a query about the job.
    ///
    /// # Errors
    /// Any [`flink::Error`].
    pub(crate) async fn observe(&self, query: &Query) -> Result<Observation, flink::Error> {
        match query {
            Query::Nothing => Ok(Observation::Nothing),
            Query::Jobs { last, with_nodes, with_requirements } => {
                self.jobs(last.as_ref(), *with_nodes, *with_requirements).await
            }
            Query::Nodes { job } => {
                let registered = self.client.task_managers().await?;
                let submission = match job {
                    Some(job) => Some(self.submission(job).await?),
                    None => None,
                };
                Ok(Observation::Nodes { registered, submission })
            }
            Query::Stop { job, trigger } => self.stop(job, trigger).await,
            Query::Submission { job, rival } => {
                let submission = self.submission(job).await?;
                let rival_lives = match rival {
                    Some(rival) => self.state(rival).await?.is_some_and(|state| !state.is_terminal()),
                    None => false,
                };
                Ok(Observation::Submission { submission, rival_lives })
            }
            Query::Vertices { job, since } => self.vertices(job, *since).await,
            Query::FailedJob { job } => self.remains(job).await,
        }
    }

    async fn jobs(
        &self,
        last: Option<&JobId>,
        with_nodes: bool,
        with_requirements: bool,
    ) -> Result<Observation, flink::Error> {
        let jobs = self.client.jobs().await?;
        let state_of = |id: &JobId| jobs.iter().find(|job| job.id == *id).map(|job| job.state);
        let last = match last.map(|id| (id, state_of(id))) {
            None => None,
            Some((_, None)) => Some(EndedJob::Forgotten),
            Some((_, Some(state))) if !state.is_terminal() => None,
            Some((id, Some(state))) => {
                let newest_state = self.client.checkpoints(id).await?.newest_state;
                Some(EndedJob::In { state, newest_state })
            }
        };
        let alive = jobs.into_iter().filter(|job| self.is_ours(job) && !job.state.is_terminal());
        let alive: Vec<_> = alive.map(|job| (job.id, job.state)).collect();
        let registered = if with_nodes { self.client.task_managers().await? } else { Vec::new() };
        let wanted = match &alive[..] {
            [(job, _)] if with_requirements => self.wanted(job).await?,
            _ => None,
        };
        Ok(Observation::Jobs { alive, last, registered, wanted })
    }

    /// Reads the required parallelism of a job's vertices; `None` where Flink keeps no requirements.
    async fn wanted(&self, job: &JobId) -> Result<Option<Vec<Vertex>>, flink::Error> {
        let InPlace::Possible(requirements) = self.client.in_place(job).await? else { return Ok(None) };
        let Some(details) = known(self.client.job(job).await)? else { return Ok(None) };
        let shall = |vertex: Vertex| {
            let parallelism = requirements.get(&vertex.id).map(|requirement| requirement.upper);
            Vertex { parallelism: parallelism.unwrap_or(vertex.parallelism), ..vertex }
        };
        Ok(Some(details.vertices.into_iter().map(shall).collect()))
    }

    async fn stop(&self, job: &JobId, trigger: &TriggerId) -> Result<Observation, flink::Error> {
        // The savepoint operation is read first: a job that ends in between is then seen as ended by the second
        // request.
        let operation = known(self.client.savepoint_status(job, trigger).await)?;
        let state = self.state(job).await?;
        let savepoint = match state {
            Some(state) if state.is_terminal() => known(self.client.checkpoints(job).await)?,
            _ => None,
        };
        let savepoint = savepoint.and_then(|checkpoints| checkpoints.latest_savepoint);
        Ok(Observation::Stop { operation, job: state, savepoint })
    }

    /// Reads the state from the job overview, because Flink caches job details.
    async fn state(&self, job: &JobId) -> Result<Option<JobState>, flink::Error> {
        let jobs = self.client.jobs().await?;
        Ok(jobs.into_iter().find(|other| other.id == *job).map(|job| job.state))
    }

    async fn submission(&self, job: &JobId) -> Result<Submission, flink::Error> {
        match known(self.client.job(job).await)? {
            Some(details) => self.judge(job, &details).await,
            None => Ok(Submission::Unknown),
        }
    }

    async fn vertices(&self, job: &JobId, since: Timestamp) -> Result<Observation, flink::Error> {
        let Some(details) = known(self.client.job(job).await)? else {
            let (submission, vertices, failures) = (Submission::Unknown, Vec::new(), Vec::new());
            return Ok(Observation::Vertices { submission, vertices, failures });
        };
        let submission = self.judge(job, &details).await?;
        let failures = self.failures(&details, since).await;
        Ok(Observation::Vertices { submission, vertices: details.vertices, failures })
    }

    /// Returns the job's failures since then, newest first. Compares ages only, since the JobManager's clock may be
    /// off.
    async fn failures(&self, details: &JobDetails, since: Timestamp) -> Vec<String> {
        let age_ms = Timestamp::now().as_millisecond() - since.as_millisecond();
        let is_of_now = |failure: &flink::JobFailure| {
            details.now.zip(failure.timestamp).is_some_and(|(now, at)| now - at <= age_ms)
        };
        // If the failures cannot be read, the change still ends at its deadline.
        let all = self.client.failures(&details.id, FAILURES_MOST).await.unwrap_or_default();
        let recent = all.iter().filter(|failure| is_of_now(failure));
        recent.map(|failure| flink::first_and_root_cause(&failure.stacktrace)).collect()
    }

    async fn judge(&self, job: &JobId, details: &JobDetails) -> Result<Submission, flink::Error> {
        if details.is_fully_running() {
            return Ok(Submission::Running);
        }
        let failure = self.client.newest_exception(job).await?;
        let failure = failure.map(|trace| flink::first_and_root_cause(&trace));
        let state = details.state;
        Ok(match state.is_terminal() {
            true => Submission::Ended { state, failure },
            false => Submission::Starting { state, failure },
        })
    }

    async fn remains(&self, job: &JobId) -> Result<Observation, flink::Error> {
        let state = self.state(job).await?;
        let checkpoints = match state {
            Some(_) => known(self.client.checkpoints(job).await)?.unwrap_or_default(),
            None => flink::Checkpoints::default(),
        };
        let flink::Checkpoints { completed, newest_state, .. } = checkpoints;
        Ok(Observation::FailedJob { job: state, checkpoints: completed, newest_state })
    }

    /// Applies an effect to Flink or a node, for this document.
    ///
    /// # Errors
    /// See [`EffectError`].
    pub(crate) async fn act(&self, document: &JobDocument, effect: &Effect) -> Result<(), EffectError> {
        match effect {
            Effect::Check => self.check(document).await,
            Effect::Stop { job, trigger } => {
                let target_directory = self.program()?.savepoint_directory.clone();
                let stop = StopRequest { trigger_id: trigger.clone(), target_directory, drain: false };
                self.client.stop_with_savepoint(job, &stop).await.map_err(classify)
            }
            Effect::Rescale { job, parallelism } => self.rescale(job, parallelism).await,
            Effect::Cancel { job } => self.client.cancel(job).await.map_err(classify),
            Effect::Submit { job, savepoint } => self.submit(document, job, savepoint.clone()).await,
            Effect::StartNode { node } => {
                self.pool.start(node).await.map_err(|source| EffectError::Node { node: node.clone(), source })
            }
            Effect::StopNode { node } => {
                self.pool.stop(node).await.map_err(|source| EffectError::Node { node: node.clone(), source })
            }
        }
    }

    /// Returns the program. Defensive: the machine neither submits nor stops without one.
    fn program(&self) -> Result<&JobProgram, EffectError> {
        let refused = || EffectError::Refused { reason: "no jar to submit; set flink.jar".to_owned() };
        self.program.as_ref().ok_or_else(refused)
    }

    /// Sets the upper bounds of these vertices. Other vertices keep their bounds. Lower bounds change only where they
    /// exceed the new upper bound. No-op if the requirements already match.
    async fn rescale(&self, job: &JobId, parallelism: &BTreeMap<VertexId, u32>) -> Result<(), EffectError> {
        let refused = |obstacle: Obstacle| EffectError::Refused { reason: obstacle.to_string() };
        let found = match self.client.in_place(job).await.map_err(EffectError::Unavailable)? {
            InPlace::Possible(found) => found,
            InPlace::Impossible(obstacle) => return Err(refused(obstacle)),
        };
        let mut wanted = found.clone();
        for (id, upper) in parallelism {
            let lower = found.get(id).map_or(1, |requirement| requirement.lower).min(*upper);
            wanted.insert(id.clone(), Requirement { lower, upper: *upper });
        }
        if wanted == found {
            return Ok(());
        }
        let version = match self.client.overview().await {
            Ok(overview) => overview.flink_version,
            Err(error) if error.is_transient() => return Err(EffectError::Unavailable(error)),
            Err(_) => String::new(),
        };
        let waits = fresh::waits_for_a_checkpoint(&version);
        if !waits {
            let prepared = fresh::prepare(&self.client, job, &version, self.prepared_within).await;
            prepared.map_err(EffectError::Unavailable)?;
        }
        let required = self.client.require(job, &wanted).await;
        required.map_err(|error| Obstacle::from_error(&error).map_or_else(|| classify(error), refused))?;
        // The rescale waits for a checkpoint. Without this request it waits for the next periodic one. Older versions
        // have already begun the rescale.
        if waits && let Err(error) = self.client.trigger_checkpoint(job).await {
            tracing::debug!(error = with_causes(&error), "changing without a fresh checkpoint");
        }
        Ok(())
    }

    async fn check(&self, document: &JobDocument) -> Result<(), EffectError> {
        let program = self.program()?;
        let jar = self.jar(program).await?;
        if !program.check_before_stop {
            return Ok(());
        }
        let entry_class = program.entry_class.as_deref();
        self.client.plan_jar(&jar, entry_class, &program.arguments(document)).await.map_err(classify)
    }

    async fn submit(
        &self,
        document: &JobDocument,
        job: &JobId,
        savepoint_path: Option<String>,
    ) -> Result<(), EffectError> {
        let program = self.program()?;
        let jar = self.jar(program).await?;
        let run = RunRequest {
            entry_class: program.entry_class.clone(),
            program_args_list: program.arguments(document),
            job_id: Some(job.clone()),
            savepoint_path,
            ..RunRequest::default()
        };
        match self.client.run_jar(&jar, &run).await {
            Err(error) if is_there_already(&error) => Ok(()),
            result => result.map(drop).map_err(classify),
        }
    }

    /// Returns the jar's id on the JobManager, uploading it if missing. Its name there contains its digest.
    async fn jar(&self, program: &JobProgram) -> Result<String, EffectError> {
        let path = &program.jar;
        let bytes = flink::read_jar(path)
            .await
            .map_err(|error| EffectError::Refused { reason: with_causes(&error) })?;
        let digest = Sha256::digest(&bytes);
        let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let name = format!("{stem}-{digest}.jar");
        let jars = self.client.jars().await.map_err(classify)?;
        if let Some(jar) = jars.into_iter().find(|jar| jar.name == name) {
            return Ok(jar.id);
        }
        tracing::info!(%name, bytes = bytes.len(), "uploading the jar");
        self.client.upload_jar(path, &name).await.map_err(classify)
    }
}

/// Maps Flink's "not found" to `None`.
fn known<T>(answer: Result<T, flink::Error>) -> Result<Option<T>, flink::Error> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether an earlier request for the same submission arrived. Its job may take a moment to appear.
fn is_there_already(error: &flink::Error) -> bool {
    let flink::Error::Status { message, .. } = error else { return false };
    ["DuplicateJobSubmissionException", "DuplicateApplicationSubmissionException"]
        .iter()
        .any(|name| message.contains(name))
}

impl From<flink::Error> for EffectError {
    fn from(error: flink::Error) -> Self {
        classify(error)
    }
}

/// Classifies an error as permanent or transient. Flink answers 500 also for faults of the program, and a proxy may
/// answer 404 for all of Flink.
fn classify(error: flink::Error) -> EffectError {
    match &error {
        flink::Error::Status { status, message, .. } => {
            let program_failed = message.contains("ProgramInvocationException");
            let jar_is_gone = message.contains("Jar file") && message.contains("does not exist");
            let is_final = (400..500).contains(status) && !matches!(status, 404 | 408 | 429);
            match program_failed || (is_final && !jar_is_gone) {
                true => EffectError::Refused { reason: message.clone() },
                false => EffectError::Unavailable(error),
            }
        }
        _ => EffectError::Unavailable(error),
    }
}
