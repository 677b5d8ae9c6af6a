//! The cycle of one job: observe, decide, realize, once per epoch. This is the live environment of [`control::ControlLoop`], which
//! decides and orders the effects.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use control::{
    ControlLoop, Current, Effect, Environment, FollowUp, LoopOptions, OperatorNames, PutOutcome, Record,
    ResumedState, Switches,
};
use decision_journal::Journal;
use drop_client::{Precondition, Published};
use flink::Obstacle;
use jiff::Timestamp;
use job_config::{EntityTag, JobDocument, Report};
use policies::PolicyRunner;
use scaling::quota::Bound;
use scaling::{Policy, Snapshot};
use service::with_causes;
use telemetry::FlinkCluster;
use tracing::{error, info, warn};

use crate::config::Config;
use crate::freshness::{FreshnessRenewal, NewestGeneration};
use crate::observe::Observer;
use crate::placement::{DocumentStore, EmbeddedServices};
use crate::quota::Member;
use crate::state_size::StateReader;
use crate::status::{JobStatus, SwitchPositions};
use crate::{drift, placement, publish};

/// Runs until an error. A resubmitted job (another id, maybe another graph) is adopted as a new one. `cluster` is shared with other jobs,
/// if there is one.
///
/// # Errors
/// The journal cannot be used, a URL is invalid, or an embedded service has ended.
pub(crate) async fn run(
    config: Config,
    cluster: Option<FlinkCluster>,
    status: Arc<JobStatus>,
    slots: Option<Arc<Member>>,
) -> anyhow::Result<()> {
    let cluster = match cluster {
        Some(cluster) => cluster,
        None => FlinkCluster::new(flink_client(&config)?, Duration::ZERO),
    };
    let mut names = None;
    loop {
        names = Some(run_until_replaced(config.clone(), &cluster, &status, slots.clone(), names).await?);
        info!(job = %config.job, "the job was resubmitted; its present parallelism is adopted");
    }
}

/// Runs until another job replaces the watched one. Returns the names of its operators.
async fn run_until_replaced(
    mut config: Config,
    cluster: &FlinkCluster,
    status: &Arc<JobStatus>,
    slots: Option<Arc<Member>>,
    before: Option<OperatorNames>,
) -> anyhow::Result<OperatorNames> {
    let flink = cluster.client();
    let mut services = placement::start(&mut config, flink, status.switches.is_dry_run_forced()).await?;
    let (names, job) = (services.names(), services.job());
    let is_other_graph = before.is_some_and(|before| !before.has_same_operators(&names));
    let (mut rescaler, mut control) =
        Rescaler::new(config, Arc::clone(status), cluster, &services, is_other_graph)?;
    rescaler.slots = slots;
    let renewal = match &rescaler.place {
        DocumentStore::Drop(_) if !status.switches.is_dry_run_forced() => {
            FreshnessRenewal::new(&rescaler.config, rescaler.newest.clone())?
        }
        _ => None,
    };
    let renewing = async {
        match renewal {
            Some(renewal) => renewal.run().await,
            None => std::future::pending().await,
        }
    };
    status.set_obstacle(services.obstacle());
    let cycle = async {
        loop {
            rescaler.observer.epoch().await;
            if let Some(job) = &job
                && placement::is_replaced(flink, &rescaler.config, job).await
            {
                return Ok(());
            }
            control.turn(&mut rescaler).await?;
            // A recorded epoch ends a failure.
            status.watched();
        }
    };
    let ended = tokio::select! {
        ended = cycle => ended,
        error = services.ended() => Err(error),
        never = renewing => match never {},
    };
    services.end().await;
    ended.map(|()| names)
}

/// The live environment of the control loop.
struct Rescaler {
    config: Config,
    status: Arc<JobStatus>,
    place: DocumentStore,
    observer: Observer,
    state_size: StateReader,
    journal: Journal,
    runner: PolicyRunner,
    /// The slots shared with other jobs, with a quota.
    slots: Option<Arc<Member>>,
    /// Why plans cannot be carried out and are only recommendations, if so.
    obstacle: Option<String>,
    /// The newest document, for the freshness statement.
    newest: NewestGeneration,
    flink: flink::Client,
}

/// Returns a client with the configured limits.
pub(crate) fn flink_client(config: &Config) -> anyhow::Result<flink::Client> {
    let settings = flink::ClientSettings {
        timeout: Duration::from_millis(config.flink.timeout_ms),
        max_body_bytes: config.flink.max_body_bytes,
        max_requests: config.flink.max_requests,
        ..flink::ClientSettings::default()
    };
    flink::Client::with_access(config.flink.url.reveal(), settings, &config.flink.access).context("flink.url")
}

/// Returns a cluster whose jobs are watched side by side, with the configured limits. What belongs to no job is read once for all of them,
/// twice in an interval between samples.
pub(crate) fn flink_cluster(config: &Config) -> anyhow::Result<FlinkCluster> {
    Ok(FlinkCluster::new(flink_client(config)?, config.sample_interval() / 2))
}

/// Describes the start in one line; `--check-config` prints the whole configuration.
fn starting(config: &Config, epoch: u64, switches: SwitchPositions) -> String {
    let then = if epoch == 0 { String::new() } else { format!(", resuming after epoch {epoch}") };
    let only = match (switches.paused, switches.dry_run) {
        (true, _) => ", paused",
        (false, true) => ", dry run (publishes nothing)",
        (false, false) => "",
    };
    format!(
        "watching job {:?} of {} with policy {} every {} s, metrics from {}, journal {}{then}{only}",
        config.flink_job(),
        config.flink.url,
        config.policy.name.as_str(),
        config.epoch_length().as_secs_f64(),
        config.source.kind.as_str(),
        config.journal.path.display(),
    )
}

impl Rescaler {
    fn new(
        config: Config,
        status: Arc<JobStatus>,
        cluster: &FlinkCluster,
        services: &EmbeddedServices,
        is_other_graph: bool,
    ) -> anyhow::Result<(Self, ControlLoop)> {
        let runner = PolicyRunner::new(config.policy.name, &config.policy, &config.limits, &config.cluster)?;
        let (journal, mut resumed) = Journal::open(&config.journal.path, config.journal_bounds())?;
        if is_other_graph {
            let ResumedState { epoch, generation, .. } = resumed;
            resumed = ResumedState { epoch, generation, ..ResumedState::default() };
        }
        let newest = NewestGeneration::default();
        newest.note(resumed.generation);
        let (epoch, switches) = (resumed.epoch, status.switches.now());
        info!("{}", starting(&config, epoch, switches));
        // A pending plan counts as carried out, because the job is adopted as it runs.
        let generation = resumed.pending.as_ref().map_or(epoch + 1, |pending| pending.generation);
        let place = services.place(&config, cluster.client(), generation)?;
        let observer = Observer::new(&config, cluster.clone(), Arc::clone(&status))?;
        let state_size = StateReader::new(&config.state, &config.job).context("state.probe_url")?;
        let options = LoopOptions {
            job: config.job.to_string(),
            constraints: runner.constraints().clone(),
            document_ttl: Duration::from_secs(config.drop.document_ttl_s),
            applied_within: Duration::from_secs(config.drop.applied_within_s),
            time_zone: runner.time_zone().clone(),
            restore: config.drift.restore(),
        };
        let control = ControlLoop::new(options, services.names(), resumed);
        let obstacle = services.obstacle();
        let rescaler = Self {
            config,
            status,
            place,
            observer,
            state_size,
            journal,
            runner,
            slots: None,
            obstacle,
            newest,
            flink: cluster.client().clone(),
        };
        Ok((rescaler, control))
    }

    /// Returns the record of a plan that cannot be carried out as a recommendation; [`None`] for other records.
    fn recommended(&self, record: &Record) -> Option<Record> {
        let is_wanted = record.effect == Effect::DryRun && !self.status.switches.now().dry_run;
        let message = self.obstacle.clone().filter(|_| is_wanted)?;
        Some(Record { effect: Effect::Recommended { message }, ..record.clone() })
    }

    async fn try_put(&mut self, document: &JobDocument, replaces: EntityTag) -> PutOutcome {
        let drop = match &mut self.place {
            DocumentStore::Drop(drop) => drop,
            DocumentStore::Command(command) => return command.put(document).await,
            DocumentStore::Nowhere(_) => return PutOutcome::Refused("this run publishes nothing".to_owned()),
        };
        match drop.put(document, &Precondition::Replaces(replaces)).await {
            Ok(Published::Stored(_)) => PutOutcome::Stored,
            Ok(Published::Superseded) => {
                PutOutcome::Refused("another document was published concurrently".to_owned())
            }
            Err(error) => {
                let is_refused = error.is_refusal();
                let reason = with_causes(&error);
                if is_refused { PutOutcome::Refused(reason) } else { PutOutcome::Unknown(reason) }
            }
        }
    }
}

impl Environment for Rescaler {
    type Error = anyhow::Error;

    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn switches(&self) -> Switches {
        let switches = self.status.switches.now();
        let reads_only = matches!(self.place, DocumentStore::Nowhere(_));
        let dry_run = switches.dry_run || reads_only || self.obstacle.is_some();
        Switches { paused: switches.paused, dry_run }
    }

    async fn policy(&self, ready: Option<&Snapshot>) -> Box<dyn Policy> {
        self.runner.policy(ready).await
    }

    fn slots(&mut self, held: u32) -> Option<Bound> {
        self.slots.as_ref()?.bound(held)
    }

    async fn current(&mut self) -> Result<Current, String> {
        let current = match &self.place {
            // A document without a successor may have any generation.
            DocumentStore::Nowhere(job) => job.document(1).await,
            DocumentStore::Command(command) => command.document().await,
            DocumentStore::Drop(drop) => publish::current(drop).await.map(|current| {
                self.newest.note(current.document.generation());
                Current { document: current.document, entity_tag: current.entity_tag }
            }),
        };
        current.map_err(|reason| format!("{reason:#}"))
    }

    async fn snapshot(&mut self, document: &JobDocument) -> Result<Snapshot, String> {
        self.observer.know(document);
        let mut snapshot = self.observer.snapshot(document)?;
        self.state_size.complete(&mut snapshot).await;
        Ok(snapshot)
    }

    async fn reports(&mut self) -> Result<Option<Vec<Report>>, String> {
        match &mut self.place {
            DocumentStore::Nowhere(_) => Ok(None),
            DocumentStore::Command(command) => Ok(Some(command.reports().await)),
            DocumentStore::Drop(drop) => {
                let reports = drop.reports().await.context("cannot read the drop's reports");
                reports.map_err(|reason| format!("{reason:#}"))
            }
        }
    }

    async fn revision(&mut self, generation: u64) -> Result<Option<JobDocument>, String> {
        let DocumentStore::Drop(drop) = &self.place else { return Ok(None) };
        let found = drop.generation(generation).await;
        found.map_err(|error| with_causes(&error))
    }

    fn append(&mut self, record: &Record) -> anyhow::Result<()> {
        if let Some(slots) = &self.slots {
            // A job whose plans are not carried out cannot use what others would give back; with --dry-run nothing is changed at all.
            let may_use = self.status.switches.is_dry_run_forced() || !self.switches().dry_run;
            slots.decided(record, may_use);
        }
        let only = if record.effect == Effect::DryRun && self.obstacle.is_none() {
            " (dry run: nothing is changed; later epochs assume that the plan was applied)"
        } else {
            ""
        };
        info!(job = %self.config.job, epoch = record.epoch, "{}{only}", record.decision);
        let recommended = self.recommended(record);
        let record = recommended.as_ref().unwrap_or(record);
        self.journal.append(record)?;
        self.status.decided(record);
        Ok(())
    }

    fn follow_up(&mut self, follow_up: &FollowUp) -> anyhow::Result<()> {
        if let Some(outcome) = &follow_up.outcome {
            info!(generation = outcome.generation, "{outcome}");
            if let Some(message) = outcome.message.as_ref().filter(|message| Obstacle::is_named_in(message)) {
                self.obstacle = Some(message.clone());
                self.status.set_obstacle(self.obstacle.clone());
            }
        }
        if let (Some(slots), Some(Effect::NotPublished { .. })) = (&self.slots, &follow_up.then) {
            slots.not_published();
        }
        self.journal.follow_up(follow_up)?;
        self.status.followed_up(follow_up);
        Ok(())
    }

    fn alarm(&mut self, sentence: Option<&str>) {
        if self.status.alarm(sentence.map(str::to_owned)) {
            match sentence {
                Some(sentence) => error!(job = %self.config.job, "operator action required: {sentence}"),
                None => info!(job = %self.config.job, "operator action is no longer required"),
            }
        }
    }

    fn drift(&mut self, sentence: Option<&str>) {
        if self.status.drift(sentence.is_some()) {
            match sentence {
                Some(sentence) => {
                    warn!(job = %self.config.job, "{sentence}; it was rescaled by hand, or slots were lost")
                }
                None => info!(job = %self.config.job, "the job matches its document again"),
            }
        }
    }

    async fn required(&mut self) -> Option<BTreeMap<String, u32>> {
        drift::required(&self.flink, self.config.flink_job()).await
    }

    async fn put(&mut self, document: &JobDocument, replaces: EntityTag) -> PutOutcome {
        let generation = document.generation();
        let end = self.try_put(document, replaces).await;
        match &end {
            PutOutcome::Stored => {
                self.newest.note(generation);
                info!(generation, "published");
            }
            PutOutcome::Refused(reason) => error!(generation, "not published: {reason}"),
            PutOutcome::Unknown(reason) => warn!(generation, "unknown whether it was published: {reason}"),
        }
        end
    }
}
