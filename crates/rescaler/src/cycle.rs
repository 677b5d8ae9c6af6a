//! The cycle of one job: observe, decide, realize, once an epoch. The effects around [`control::ControlLoop`], which decides.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use control::{
    ControlLoop, Current, Deciding, DocumentStatus, FollowUp, LoopOptions, OperatorNames, PutEnd, Record,
    RunningDocument, Step, Switches,
};
use drop_client::{Precondition, Published};
use jiff::Timestamp;
use job_config::{EntityTag, JobDocument, Report};
use tracing::{error, info, warn};

use crate::config::Config;
use crate::journal::Journal;
use crate::observe::Observer;
use crate::outlet::Outlet;
use crate::policies::PolicyRunner;
use crate::state::StateReader;
use crate::status::JobStatus;
use crate::{placement, publish};

/// Runs until it fails.
///
/// # Errors
/// The journal cannot be used, an address is no address, or what this process carries has ended.
pub(crate) async fn run(mut config: Config, status: Arc<JobStatus>) -> anyhow::Result<()> {
    let flink = flink_client(&config)?;
    let mut carried = placement::start(&mut config, &flink).await?;
    let mut rescaler = Rescaler::new(config, Arc::clone(&status), carried.names())?;
    status.watched();
    let cycle = async {
        loop {
            rescaler.observer.epoch().await;
            if let Err(error) = rescaler.decide_and_realize().await {
                return error;
            }
        }
    };
    tokio::select! {
        error = cycle => Err(error),
        error = carried.ended() => Err(error),
    }
}

struct Rescaler {
    config: Config,
    status: Arc<JobStatus>,
    drop: Outlet,
    observer: Observer,
    weight: StateReader,
    journal: Journal,
    runner: PolicyRunner,
    control: ControlLoop,
}

/// A client with the configured bounds.
pub(crate) fn flink_client(config: &Config) -> anyhow::Result<flink::Client> {
    let settings = flink::Settings {
        timeout: Duration::from_millis(config.flink.timeout_ms),
        max_body_bytes: config.flink.max_body_bytes,
        ..flink::Settings::default()
    };
    flink::Client::new(config.flink.url.reveal(), settings).context("flink.url")
}

impl Rescaler {
    fn new(config: Config, status: Arc<JobStatus>, names: OperatorNames) -> anyhow::Result<Self> {
        let flink = flink_client(&config)?;
        let drop = Outlet::new(&config.drop, config.job.clone())?;
        let runner = PolicyRunner::new(config.policy.name, &config.policy, &config.limits, &config.cluster)?;
        let (journal, resumed) = Journal::open(&config.journal.path, config.journal_bounds())?;
        let (epoch, switches) = (resumed.epoch, status.switches.now());
        info!(config = serde_json::to_string(&config)?, ?switches, epoch, "starting");
        let observer = Observer::new(&config, flink, Arc::clone(&status))?;
        let weight = StateReader::new(&config.state, &config.job).context("state.probe_url")?;
        let options = LoopOptions {
            job: config.job.to_string(),
            constraints: runner.constraints().clone(),
            document_ttl: Duration::from_secs(config.drop.document_ttl_s),
            time_zone: runner.time_zone().clone(),
        };
        let control = ControlLoop::new(options, names, resumed);
        Ok(Self { config, status, drop, observer, weight, journal, runner, control })
    }

    async fn decide_and_realize(&mut self) -> anyhow::Result<()> {
        let deciding = self.look().await?;
        let switches = self.status.switches.now();
        let switches = Switches { paused: switches.paused, dry_run: switches.dry_run };
        let ready = match &deciding {
            Deciding::Ready { snapshot, .. } if !switches.paused => Some(snapshot),
            _ => None,
        };
        let policy = self.runner.policy(ready).await;
        match self.control.epoch(&*policy, deciding, switches, Timestamp::now()) {
            Step::Record(record) => self.append(&record),
            Step::Publish { record, document, replaces } => {
                self.append(&record)?;
                let end = self.put(&document, replaces).await;
                match &end {
                    PutEnd::Stored => info!(generation = document.generation(), "published"),
                    PutEnd::Refused(reason) => {
                        error!(generation = document.generation(), "not published: {reason}");
                    }
                    PutEnd::Unknown(reason) => {
                        warn!(generation = document.generation(), "perhaps not published: {reason}");
                    }
                }
                let follow_up = self.control.put_ended(&*policy, end, Timestamp::now());
                self.follow_up(follow_up.as_ref())
            }
        }
    }

    /// Reads the newest document, its reports and the metrics, and records what became of earlier plans.
    async fn look(&mut self) -> anyhow::Result<Deciding> {
        let not_yet =
            |reason: anyhow::Error| Deciding::NotYet { reason: format!("{reason:#}"), snapshot: None };
        let current = match publish::current(&self.drop).await {
            Ok(current) => Current { document: current.document, entity_tag: current.entity_tag },
            Err(reason) => return Ok(not_yet(reason)),
        };
        let policy = self.runner.policy(None).await;
        let (generation, now) = (current.document.generation(), Timestamp::now());
        let confirmed = self.control.confirm(&*policy, generation, &current.entity_tag, now);
        self.follow_up(confirmed.as_ref())?;
        self.observer.know(&current.document);
        let mut snapshot = self.observer.snapshot(&current.document);
        if let Ok(snapshot) = &mut snapshot {
            self.weight.complete(snapshot).await;
        }
        let reports = self.drop.reports().await.context("the drop's reports cannot be read");
        let reports = match reports {
            Ok(reports) => reports,
            Err(reason) => {
                return Ok(Deciding::NotYet { reason: format!("{reason:#}"), snapshot: snapshot.ok() });
            }
        };
        let ended = self.control.note_reports(&*policy, reports.as_deref().unwrap_or_default(), now);
        if let Some(outcome) = ended.as_ref().and_then(|ended| ended.outcome.as_ref()) {
            info!(generation = outcome.generation, "{outcome}");
        }
        self.follow_up(ended.as_ref())?;
        let running = self.running(current, reports.as_deref(), now).await;
        Ok(match (running, snapshot) {
            (Ok(running), Ok(snapshot)) => Deciding::Ready { running, snapshot },
            (Err(reason), snapshot) => Deciding::NotYet { reason, snapshot: snapshot.ok() },
            (Ok(_), Err(reason)) => Deciding::NotYet { reason, snapshot: None },
        })
    }

    /// The document that runs, or why there cannot be a successor now.
    async fn running(
        &self,
        current: Current,
        reports: Option<&[Report]>,
        now: Timestamp,
    ) -> Result<RunningDocument, String> {
        match control::status(current, reports, now) {
            DocumentStatus::Runs(running) => Ok(running),
            DocumentStatus::NotYet(reason) => Err(reason),
            DocumentStatus::Earlier(earlier) => match self.drop.generation(earlier.generation()).await {
                Ok(document) => earlier.found(document),
                Err(error) => Err(format!(
                    "the drop's history cannot be read for the document that runs: {:#}",
                    anyhow::Error::from(error)
                )),
            },
        }
    }

    async fn put(&self, document: &JobDocument, replaces: EntityTag) -> PutEnd {
        match self.drop.put(document, &Precondition::Replaces(replaces)).await {
            Ok(Published::Stored(_)) => PutEnd::Stored,
            Ok(Published::Superseded) => {
                PutEnd::Refused("another document was published in the meantime".to_owned())
            }
            Err(error) => {
                let is_refused = error.is_refusal();
                let reason = format!("{:#}", anyhow::Error::from(error));
                if is_refused { PutEnd::Refused(reason) } else { PutEnd::Unknown(reason) }
            }
        }
    }

    fn append(&mut self, record: &Record) -> anyhow::Result<()> {
        info!(job = %self.config.job, epoch = record.epoch, "{}", record.decision);
        self.journal.append(record)?;
        self.status.decided(record);
        Ok(())
    }

    fn follow_up(&mut self, follow_up: Option<&FollowUp>) -> anyhow::Result<()> {
        if let Some(follow_up) = follow_up {
            self.journal.follow_up(follow_up)?;
            self.status.followed_up(follow_up);
        }
        Ok(())
    }
}
