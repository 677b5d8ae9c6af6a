//! The cycle of one job: observe, decide, realize, once an epoch.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use drop_client::{Current, Precondition, Published};
use jiff::Timestamp;
use scaling::{Action, Decision, Snapshot, State, Step};
use tracing::{error, info};

use crate::base::{self, Standing};
use crate::config::Config;
use crate::journal::{Effect, FollowUp, Journal, Record};
use crate::observe::Observer;
use crate::outlet::Outlet;
use crate::placement::{self, Names};
use crate::policies::Decider;
use crate::state::StateReader;
use crate::status::JobStatus;
use crate::{outcome, publish};

/// Runs for ever.
///
/// # Errors
/// The journal cannot be used, an address is no address, or what this process carries has ended.
pub(crate) async fn run(mut config: Config, status: Arc<JobStatus>) -> anyhow::Result<()> {
    let flink = flink_client(&config)?;
    let mut carried = placement::start(&mut config, &flink).await?;
    let mut rescaler = Rescaler::new(config, Arc::clone(&status))?;
    rescaler.names = carried.names();
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
    decider: Decider,
    epoch: u64,
    state: State,
    /// The newest plan whose outcome is not known: its epoch and generation.
    pending: Option<(u64, u64)>,
    names: Names,
}

/// A client with the configured bounds.
pub(crate) fn flink_client(config: &Config) -> anyhow::Result<flink::Client> {
    let settings = flink::Settings {
        timeout: Duration::from_millis(config.flink.timeout_ms),
        max_body_bytes: config.flink.max_body_bytes,
        ..flink::Settings::default()
    };
    flink::Client::new(&config.flink.url, settings).context("flink.url")
}

impl Rescaler {
    fn new(config: Config, status: Arc<JobStatus>) -> anyhow::Result<Self> {
        let flink = flink_client(&config)?;
        let drop = Outlet::new(&config.drop, config.job.clone())?;
        let decider = Decider::new(config.policy.name, &config.policy, &config.limits, &config.cluster)?;
        let (journal, legacy) = Journal::open(&config.journal.path, config.journal_bounds())?;
        let (epoch, switches) = (legacy.epoch, status.switches.now());
        info!(config = serde_json::to_string(&config)?, ?switches, epoch, "starting");
        let observer = Observer::new(&config, flink, Arc::clone(&status))?;
        let weight = StateReader::new(&config.state, &config.job).context("state.probe_url")?;
        let (state, pending) = (legacy.state, legacy.pending);
        let names = Names::default();
        Ok(Self { config, status, drop, observer, weight, journal, decider, epoch, state, pending, names })
    }

    async fn decide_and_realize(&mut self) -> anyhow::Result<()> {
        self.note_outcome().await?;
        self.epoch += 1;
        let (document, snapshot) = self.look().await;
        let switches = self.status.switches.now();
        let step = match (&document, &snapshot) {
            _ if switches.paused => {
                let reason = "paused: nothing is decided until somebody resumes";
                Step::nothing(Decision::nothing(self.decider.name(), reason), self.state.clone())
            }
            (Ok(_), Ok(snapshot)) => self.decider.decide(&self.state, snapshot, Timestamp::now()).await,
            (Err(reason), _) | (_, Err(reason)) => {
                Step::nothing(Decision::nothing(self.decider.name(), reason.clone()), self.state.clone())
            }
        };
        info!(job = %self.config.job, epoch = self.epoch, "{}", step.decision);
        let snapshot = snapshot.ok();
        match (step.decision.action, document) {
            (Action::Rescale, Ok(current)) if !switches.dry_run => {
                self.realize(&current, step, snapshot).await
            }
            // What would have been published is remembered as if it had been: a dry run shows the same waits.
            (Action::Rescale, _) => self.record(Effect::DryRun, step.decision, snapshot, step.after),
            (Action::None, _) => self.record(Effect::Nothing, step.decision, snapshot, step.after),
        }
    }

    /// Asks what became of the newest plan, and records it once it is over.
    async fn note_outcome(&mut self) -> anyhow::Result<()> {
        let Some((of_epoch, generation)) = self.pending else { return Ok(()) };
        // A drop that cannot be reached is told when the document is read; the reports stay where they are.
        let Ok(Some(reports)) = self.drop.reports().await else { return Ok(()) };
        let Some(outcome) = outcome::of(&reports, generation) else { return Ok(()) };
        info!(epoch = of_epoch, generation, "{outcome}");
        self.pending = None;
        let (at, outcome) = (Timestamp::now(), Some(outcome));
        self.follow_up(&FollowUp { of_epoch, at, then: None, state: None, outcome })
    }

    /// The current document and what was seen in the epoch, or why there is nothing to decide on.
    async fn look(&mut self) -> (Result<Current, String>, Result<Snapshot, String>) {
        let current = match publish::current(&self.drop).await {
            Ok(current) => current,
            Err(error) => return (Err(format!("{error:#}")), Err(String::new())),
        };
        self.observer.know(&current.document);
        let mut snapshot = self.observer.snapshot(&current.document);
        if let Ok(snapshot) = &mut snapshot {
            self.weight.complete(snapshot).await;
        }
        (self.base(current).await.map_err(|error| format!("{error:#}")), snapshot)
    }

    /// What the next document is to be made from, under the tag of the current one; or why there cannot be a next one now.
    async fn base(&self, current: Current) -> anyhow::Result<Current> {
        let reports = self.drop.reports().await.context("the drop's reports cannot be read")?;
        let now = Timestamp::now();
        let Some(reports) = reports else {
            return match publish::without_reports(&current.document, now) {
                Some(reason) => Err(anyhow::anyhow!(reason)),
                None => Ok(current),
            };
        };
        match base::standing(&current.document, &reports, now) {
            Standing::Runs => Ok(current),
            Standing::Open(reason) => Err(anyhow::anyhow!(reason)),
            Standing::Other { observed, .. } => {
                let document =
                    base::base(&current.document, None, observed.as_ref()).map_err(anyhow::Error::msg)?;
                Ok(Current { document, ..current })
            }
        }
    }

    async fn realize(
        &mut self,
        current: &Current,
        step: Step<State>,
        snapshot: Option<Snapshot>,
    ) -> anyhow::Result<()> {
        let ttl = Duration::from_secs(self.config.drop.document_ttl_s);
        let plan = self.names.of_the_document(&step.decision);
        let document = match publish::successor(&current.document, &plan, Timestamp::now(), ttl) {
            Ok(document) => document,
            Err(error) => {
                let message = format!("{:#}", anyhow::Error::from(error));
                return self.record(Effect::NotPublished { message }, step.decision, snapshot, step.held);
            }
        };
        let generation = document.generation();
        self.record(Effect::Publishing { generation }, step.decision, snapshot, step.after)?;
        self.pending = Some((self.epoch, generation));
        let precondition = Precondition::Replaces(current.entity_tag.clone());
        let (then, state) = match self.drop.put(&document, &precondition).await {
            Ok(Published::Stored(_)) => (Effect::Published { generation }, None),
            Ok(Published::Superseded) => {
                let message = "another document was published in the meantime".to_owned();
                (Effect::NotPublished { message }, Some(step.held))
            }
            // The answer may have been lost behind a success: the wait after an action is kept, to be safe.
            Err(error) => {
                (Effect::NotPublished { message: format!("{:#}", anyhow::Error::from(error)) }, None)
            }
        };
        match &then {
            Effect::NotPublished { message } => {
                self.pending = None;
                error!(epoch = self.epoch, generation, "not published: {message}");
            }
            _ => info!(epoch = self.epoch, generation, "published"),
        }
        self.state = state.clone().unwrap_or(self.state.clone());
        let (of_epoch, at) = (self.epoch, Timestamp::now());
        self.follow_up(&FollowUp { of_epoch, at, then: Some(then), state, outcome: None })
    }

    fn record(
        &mut self,
        effect: Effect,
        decision: Decision,
        snapshot: Option<Snapshot>,
        state: State,
    ) -> anyhow::Result<()> {
        self.state = state.clone();
        let (epoch, at, job) = (self.epoch, Timestamp::now(), self.config.job.to_string());
        let record = Record { epoch, at, job, effect, decision, snapshot, state, outcome: None };
        self.journal.append(&record)?;
        self.status.decided(&record);
        Ok(())
    }

    fn follow_up(&mut self, follow_up: &FollowUp) -> anyhow::Result<()> {
        self.journal.follow_up(follow_up)?;
        self.status.followed_up(follow_up);
        Ok(())
    }
}
