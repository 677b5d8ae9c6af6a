//! The agent's real environment: the system clock, a Flink cluster with its nodes, and a drop, web server or folder.

use std::time::{Duration, Instant};

use drop_client::{DropClient, Reported, SourceAnswer, StaticClient};
use flink::{Disposal, JobId};
use jiff::Timestamp;
use job_config::{EntityTag, JobDocument, Observed, Report};
use secrets::Address;
use service::with_causes;

use crate::agent::AgentError;
use crate::cluster::{Cluster, EffectError};
use crate::config::Config;
use crate::environment::Environment;
use crate::machine::{Effect, Observation, Query};

/// The real environment.
pub struct LiveEnvironment {
    started: Instant,
    cluster: Cluster,
    /// Document source.
    source: DocumentClient,
    /// Receiver of reports; `None` where documents come from a plain web server or a folder.
    drop: Option<DropClient>,
    poll: Duration,
    disposed_within: Duration,
    /// Whether freshness statements are fetched where they do not come with the documents.
    expects_freshness: bool,
}

enum DocumentClient {
    Drop(DropClient),
    Static(StaticClient),
}

impl LiveEnvironment {
    /// Creates the clients without connecting.
    ///
    /// # Errors
    /// A URL is invalid.
    pub(crate) fn new(config: &Config) -> Result<Self, AgentError> {
        let (job, settings) = (config.job.clone(), config.drop_settings);
        let access = config.document_source.access.clone();
        let connect =
            |url: &Address| DropClient::with_access(url.reveal(), job.clone(), settings, access.clone());
        let drop = Some(&config.drop_url).filter(|url| !url.is_empty()).map(connect);
        let drop = drop.transpose().map_err(AgentError::Drop)?;
        let source = match &config.document_source.document_url {
            Some(url) => StaticClient::new(url.reveal(), job.clone(), settings, access.clone())
                .map(DocumentClient::Static)
                .map_err(AgentError::Drop)?,
            None => connect(&config.drop_url).map(DocumentClient::Drop).map_err(AgentError::Drop)?,
        };
        let client = flink::Client::with_access(
            config.flink_url.reveal(),
            config.flink_settings,
            &config.flink_access,
        )
        .map_err(AgentError::Flink)?;
        let cluster = Cluster::new(client, config);
        let (poll, disposed_within) = (config.poll, config.rules.stopped_within);
        let expects_freshness = config.document_source.freshness_max.is_some();
        let started = Instant::now();
        Ok(Self { started, cluster, source, drop, poll, disposed_within, expects_freshness })
    }
}

impl Environment for LiveEnvironment {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn chance(&self) -> f64 {
        rand::random_range(0.0..=1.0)
    }

    async fn observe(&self, query: &Query) -> Result<Observation, flink::Error> {
        self.cluster.observe(query).await
    }

    async fn act(&self, document: &JobDocument, effect: &Effect) -> Result<(), EffectError> {
        self.cluster.act(document, effect).await
    }

    async fn observed(&self, job: &JobId, since: Timestamp) -> Result<Observed, flink::Error> {
        self.cluster.observed(job, since).await
    }

    async fn alive(&self) -> Result<Vec<JobId>, flink::Error> {
        self.cluster.alive().await
    }

    async fn cancel(&self, job: &JobId) -> Result<(), flink::Error> {
        self.cluster.client().cancel(job).await
    }

    /// Asks Flink to delete a savepoint. A missing savepoint is reported like any other Flink error.
    async fn dispose(&self, path: &str) -> Result<(), String> {
        let client = self.cluster.client();
        let trigger = client.dispose_savepoint(path).await.map_err(|error| with_causes(&error))?;
        let deadline = Instant::now() + self.disposed_within;
        loop {
            match client.disposal(&trigger).await.map_err(|error| with_causes(&error))? {
                Disposal::Done => return Ok(()),
                Disposal::Failed { cause } => return Err(cause),
                Disposal::InProgress if Instant::now() >= deadline => {
                    return Err(format!("no answer within {:?}", self.disposed_within));
                }
                Disposal::InProgress => self.sleep(self.poll).await,
            }
        }
    }

    fn holds_back(&self) -> bool {
        matches!(self.source, DocumentClient::Drop(_))
    }

    async fn fetch(
        &self,
        known: Option<&EntityTag>,
        wait: Option<Duration>,
    ) -> Result<SourceAnswer, drop_client::Error> {
        let place = match &self.source {
            DocumentClient::Drop(drop) => return drop.ask(known, wait).await,
            DocumentClient::Static(place) => place,
        };
        let fetched = place.get(known).await?;
        let freshness = match self.expects_freshness {
            true => place.freshness().await.unwrap_or_else(|error| {
                tracing::debug!("cannot fetch the freshness statement: {}", with_causes(&error));
                None
            }),
            false => None,
        };
        Ok(SourceAnswer { fetched, freshness })
    }

    async fn reports(&self) -> Result<Vec<Report>, drop_client::Error> {
        match &self.drop {
            Some(drop) => drop.reports().await,
            None => Ok(Vec::new()),
        }
    }

    async fn revision(&self, generation: u64) -> Result<Option<JobDocument>, drop_client::Error> {
        match &self.drop {
            Some(drop) => Ok(drop.generation(generation).await?.map(|current| current.document)),
            None => Ok(None),
        }
    }

    fn takes_reports(&self) -> bool {
        self.drop.is_some()
    }

    async fn report(&self, report: &Report) -> Result<Reported, drop_client::Error> {
        match &self.drop {
            Some(drop) => drop.report(report).await,
            None => Ok(Reported::Stored),
        }
    }
}
