//! The cycle: observe, decide, realize, once an epoch, until asked to stop.

use std::time::Duration;

use anyhow::Context;
use drop_client::{Current, Precondition, Published};
use jiff::Timestamp;
use scaling::latency::{self, State};
use scaling::{Action, Decision, Snapshot};
use tracing::{error, info};

use crate::config::Config;
use crate::journal::{Effect, Journal, Record};
use crate::observe::Observer;
use crate::outlet::Outlet;
use crate::publish;
use crate::state::StateReader;

/// Runs until `shutdown` ends.
pub(crate) async fn run(
    config: Config,
    dry_run: bool,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let mut rescaler = Rescaler::new(config, dry_run)?;
    let cycle = async {
        loop {
            rescaler.observer.epoch().await;
            rescaler.decide_and_realize().await?;
        }
    };
    tokio::select! {
        ended = cycle => ended,
        () = shutdown => {
            info!("asked to stop");
            Ok(())
        }
    }
}

struct Rescaler {
    config: Config,
    dry_run: bool,
    drop: Outlet,
    observer: Observer,
    weight: StateReader,
    journal: Journal,
    epoch: u64,
    state: State,
}

impl Rescaler {
    fn new(config: Config, dry_run: bool) -> anyhow::Result<Self> {
        let flink_settings = flink::Settings {
            timeout: Duration::from_millis(config.flink.timeout_ms),
            max_body_bytes: config.flink.max_body_bytes,
            ..flink::Settings::default()
        };
        let flink = flink::Client::new(&config.flink.url, flink_settings).context("flink.url")?;
        let drop = Outlet::new(&config.drop, config.job.clone())?;
        let (journal, last) = Journal::open(&config.journal.path, config.journal.max_bytes)?;
        let (epoch, state) = last.map_or_else(Default::default, |record| (record.epoch, record.state));
        info!(config = serde_json::to_string(&config)?, dry_run, epoch, "starting");
        let observer = Observer::new(&config, flink);
        let weight = StateReader::new(&config.state, &config.job).context("state.probe_url")?;
        Ok(Self { config, dry_run, drop, observer, weight, journal, epoch, state })
    }

    async fn decide_and_realize(&mut self) -> anyhow::Result<()> {
        self.epoch += 1;
        let (document, snapshot) = self.look().await;
        let (next, decision) = match (&document, &snapshot) {
            (Ok(_), Ok(snapshot)) => latency::decide(&self.config.policy.latency, &self.state, snapshot),
            (Err(reason), _) | (_, Err(reason)) => {
                (self.state.clone(), Decision::nothing(latency::NAME, reason.clone()))
            }
        };
        info!(epoch = self.epoch, "{decision}");
        let snapshot = snapshot.ok();
        match (decision.action, document) {
            (Action::Rescale, Ok(current)) if !self.dry_run => {
                self.realize(&current, decision, snapshot, next).await
            }
            (action, _) => {
                let effect = if action == Action::Rescale { Effect::DryRun } else { Effect::Nothing };
                self.record(effect, decision, snapshot, next)
            }
        }
    }

    /// The current document and what was seen in the epoch, or why there is nothing to decide on.
    async fn look(&mut self) -> (Result<Current, String>, Result<Snapshot, String>) {
        let current = match publish::current(&self.drop).await {
            Ok(current) => current,
            Err(error) => return (Err(format!("{error:#}")), Err(String::new())),
        };
        let mut snapshot = self.observer.snapshot(&current.document);
        if let Ok(snapshot) = &mut snapshot {
            self.weight.complete(snapshot).await;
        }
        match publish::change_under_way(&self.drop, &current.document).await {
            Ok(None) => (Ok(current), snapshot),
            Ok(Some(reason)) => (Err(reason), snapshot),
            Err(error) => (Err(format!("{error:#}")), snapshot),
        }
    }

    async fn realize(
        &mut self,
        current: &Current,
        decision: Decision,
        snapshot: Option<Snapshot>,
        next: State,
    ) -> anyhow::Result<()> {
        let ttl = Duration::from_secs(self.config.drop.document_ttl_s);
        let before = self.state.clone();
        let document = match publish::successor(&current.document, &decision, Timestamp::now(), ttl) {
            Ok(document) => document,
            Err(error) => {
                let message = format!("{:#}", anyhow::Error::from(error));
                return self.record(Effect::NotPublished { message }, decision, snapshot, before);
            }
        };
        let generation = document.generation();
        self.record(Effect::Publishing { generation }, decision.clone(), snapshot.clone(), next.clone())?;
        let precondition = Precondition::Replaces(current.entity_tag.clone());
        let (effect, state) = match self.drop.put(&document, &precondition).await {
            Ok(Published::Stored(_)) => (Effect::Published { generation }, next),
            Ok(Published::Superseded) => {
                let message = "another document was published in the meantime".to_owned();
                (Effect::NotPublished { message }, before)
            }
            // The answer may have been lost behind a success: the wait after an action is kept, to be safe.
            Err(error) => {
                (Effect::NotPublished { message: format!("{:#}", anyhow::Error::from(error)) }, next)
            }
        };
        match &effect {
            Effect::NotPublished { message } => {
                error!(epoch = self.epoch, generation, "not published: {message}")
            }
            _ => info!(epoch = self.epoch, generation, "published"),
        }
        self.record(effect, decision, snapshot, state)
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
        Ok(self.journal.append(&Record { epoch, at, job, effect, decision, snapshot, state })?)
    }
}
