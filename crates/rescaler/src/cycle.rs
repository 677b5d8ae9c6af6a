//! The cycle of one job: observe, decide, realize, once an epoch. The effects around [`control::ControlLoop`], which decides.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use control::{
    ControlLoop, Current, Deciding, DocumentStatus, FollowUp, LoopOptions, OperatorNames, PutEnd, Record,
    Resumed, RunningDocument, Step, Switches,
};
use drop_client::{Precondition, Published};
use flink::Obstacle;
use jiff::Timestamp;
use job_config::{EntityTag, JobDocument, Report};
use tracing::{error, info, warn};

use crate::config::Config;
use crate::journal::Journal;
use crate::observe::Observer;
use crate::outlet::Outlet;
use crate::placement::RunningJob;
use crate::policies::PolicyRunner;
use crate::state::StateReader;
use crate::status::JobStatus;
use crate::{placement, publish};

/// Runs until it fails. A job that has been submitted again (another id, perhaps another graph) is taken over anew.
///
/// # Errors
/// The journal cannot be used, an address is no address, or what this process carries has ended.
pub(crate) async fn run(config: Config, status: Arc<JobStatus>) -> anyhow::Result<()> {
    let mut names = None;
    loop {
        names = Some(one_life(config.clone(), &status, names).await?);
        info!(job = %config.job, "the job has been submitted again; it is taken over as it runs now");
    }
}

/// Runs until another job has taken the place of the one that is watched. The answer is how its operators were named.
async fn one_life(
    mut config: Config,
    status: &Arc<JobStatus>,
    before: Option<OperatorNames>,
) -> anyhow::Result<OperatorNames> {
    let flink = flink_client(&config)?;
    let mut carried = placement::start(&mut config, &flink, status.switches.is_dry_run_forced()).await?;
    let running_job = carried.running_job(&config, &flink);
    let (names, job) = (carried.names(), carried.job());
    let is_other_graph = before.is_some_and(|before| !before.has_same_operators(&names));
    let mut rescaler = Rescaler::new(config, Arc::clone(status), names.clone(), running_job, is_other_graph)?;
    status.watched();
    let cycle = async {
        loop {
            rescaler.observer.epoch().await;
            if let Some(job) = &job
                && placement::is_replaced(&flink, &rescaler.config, job).await
            {
                return Ok(());
            }
            rescaler.decide_and_realize().await?;
        }
    };
    let ended = tokio::select! {
        ended = cycle => ended,
        error = carried.ended() => Err(error),
    };
    carried.end().await;
    ended.map(|()| names)
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
    /// Where documents come from in a run that asks nothing of Flink.
    running_job: Option<RunningJob>,
    /// Whether Flink has refused to rescale the job in a way that asking again does not change.
    is_refused: bool,
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
    fn new(
        config: Config,
        status: Arc<JobStatus>,
        names: OperatorNames,
        running_job: Option<RunningJob>,
        is_other_graph: bool,
    ) -> anyhow::Result<Self> {
        let flink = flink_client(&config)?;
        let drop = Outlet::new(&config.drop, config.job.clone())?;
        let runner = PolicyRunner::new(config.policy.name, &config.policy, &config.limits, &config.cluster)?;
        let (journal, mut resumed) = Journal::open(&config.journal.path, config.journal_bounds())?;
        if is_other_graph {
            resumed = Resumed { epoch: resumed.epoch, ..Resumed::default() };
        }
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
        let is_refused = false;
        Ok(Self { config, status, drop, observer, weight, journal, runner, control, running_job, is_refused })
    }

    async fn decide_and_realize(&mut self) -> anyhow::Result<()> {
        let deciding = self.look().await?;
        let switches = self.status.switches.now();
        let dry_run = switches.dry_run || self.running_job.is_some() || self.is_refused;
        let switches = Switches { paused: switches.paused, dry_run };
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
        let current = match self.current().await {
            Ok(current) => current,
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
        let reports = match &self.running_job {
            Some(_) => Ok(None),
            None => self.drop.reports().await.context("the drop's reports cannot be read"),
        };
        let reports = match reports {
            Ok(reports) => reports,
            Err(reason) => {
                return Ok(Deciding::NotYet { reason: format!("{reason:#}"), snapshot: snapshot.ok() });
            }
        };
        let ended = self.control.note_reports(&*policy, reports.as_deref().unwrap_or_default(), now);
        if let Some(outcome) = ended.as_ref().and_then(|ended| ended.outcome.as_ref()) {
            info!(generation = outcome.generation, "{outcome}");
            self.is_refused |= outcome.message.as_deref().is_some_and(Obstacle::is_named_in);
        }
        self.follow_up(ended.as_ref())?;
        let running = self.running(current, reports.as_deref(), now).await;
        Ok(match (running, snapshot) {
            (Ok(running), Ok(snapshot)) => Deciding::Ready { running, snapshot },
            (Err(reason), snapshot) => Deciding::NotYet { reason, snapshot: snapshot.ok() },
            (Ok(_), Err(reason)) => Deciding::NotYet { reason, snapshot: None },
        })
    }

    /// The newest document.
    async fn current(&self) -> anyhow::Result<Current> {
        if let Some(running_job) = &self.running_job {
            return running_job.document().await;
        }
        let current = publish::current(&self.drop).await?;
        Ok(Current { document: current.document, entity_tag: current.entity_tag })
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
