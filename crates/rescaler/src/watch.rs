//! Watches all jobs, each in its own task so that failures are isolated, and serves the page.
//!
//! A job whose cycle fails (usually because its journal cannot be written) is shown as failed, also by `/healthz`, and retried after
//! a pause. When the last watched job fails, the program ends with its error. With one job that is at once, as a supervisor expects.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use flink::JobId;
use jiff::Timestamp;
use service::with_causes;
use telemetry::FlinkCluster;
use thiserror::Error;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, error, info, warn};

use crate::cluster_jobs::{self, JobSelection, WatchChanges, WatchedJobs};
use crate::config::Config;
use crate::config_file::ConfigFile;
use crate::cycle::{self, flink_cluster};
use crate::http::{self, Guard, Http};
use crate::notify::{Notifier, Notify};
use crate::quota::{Member, Quota, SharedSlots};
use crate::status::{JobInfo, JobStatus, Retention, Shared, Status, Switches};
use crate::{placement, presence};

/// Longest pause before a failed job is retried.
const TRY_AGAIN_MAX: Duration = Duration::from_secs(60);
/// Maximum time that the program waits for notifications before it exits.
const FLUSH_MAX: Duration = Duration::from_secs(5);

/// The token file does not contain a usable token.
#[derive(Debug, Error)]
#[error(
    "http.token_file: the file must contain one token of at least {} printable characters; write a long random text into it, or remove the key",
    secrets::TOKEN_CHARACTERS_MIN
)]
pub(crate) struct NoToken;

/// Watches all jobs and serves the page until `shutdown` ends.
///
/// # Errors
/// The token cannot be used, or all jobs have failed.
pub async fn run(
    config_file: ConfigFile,
    dry_run: bool,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let http = config_file.http().clone();
    let guard = guard(&http)?;
    let acceptor = acceptor(&http)?;
    let mut deliveries = JoinSet::new();
    let shared = shared(config_file.notify(), config_file.quota(), &mut deliveries)?;
    let status = |config| Arc::new(status_of(config, &http, dry_run, &shared));
    let jobs: Vec<Arc<JobStatus>> = config_file.jobs().iter().map(status).collect();
    let watched = Arc::new(AtomicUsize::new(jobs.len()));
    let mut tasks = JoinSet::new();
    for (config, status) in config_file.jobs().iter().zip(&jobs) {
        let slots = shared.slots.as_ref().map(|slots| slots.join(config, status.recorded_slots()));
        let presence = presence::follow(config.clone(), slots.clone());
        let watching = watch(config.clone(), None, Arc::clone(status), slots, Some(Arc::clone(&watched)));
        tasks.spawn(async move {
            tokio::select! {
                reason = watching => reason,
                () = presence => anyhow!("the look at Flink's jobs ended"),
            }
        });
    }
    let status = Arc::new(Status::with_shared(jobs, shared.clone()));
    tasks.spawn(async move {
        http::run(status, http, guard, acceptor).await;
        std::future::pending().await
    });
    let end = tokio::select! {
        ended = tasks.join_next() => Err(ended.map_or_else(|| anyhow!("no job configured"), |ended| {
            ended.unwrap_or_else(|lost| anyhow!("a task of the rescaler failed: {lost}"))
        })),
        () = shutdown => {
            info!("stopping: received a signal");
            Ok(())
        }
    };
    // Pending notifications are delivered; no further change begins.
    tasks.abort_all();
    shared.notifier.flush(FLUSH_MAX).await;
    end
}

fn shared(notify: &Notify, quota: &Quota, deliveries: &mut JoinSet<()>) -> anyhow::Result<Shared> {
    let notifier = Notifier::start(notify, deliveries)?;
    Ok(Shared { notifier, slots: SharedSlots::new(quota) })
}

/// Watches all selected jobs of a cluster as they start and end, and serves the page until `shutdown` ends. `template` is the configuration
/// of each job without its name and its folder, which is created in `data`.
///
/// # Errors
/// The token or the address of Flink cannot be used.
pub(crate) async fn run_all(
    template: Config,
    data: &Path,
    selection: JobSelection,
    dry_run: bool,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let http = template.http.clone();
    let guard = guard(&http)?;
    let acceptor = acceptor(&http)?;
    let flink = flink_cluster(&template)?;
    let mut deliveries = JoinSet::new();
    let shared = shared(&template.notify, &template.quota, &mut deliveries)?;
    let status = Arc::new(Status::with_shared(Vec::new(), shared.clone()));
    let mut cluster = WatchedCluster {
        template,
        flink: flink.clone(),
        data: data.to_owned(),
        dry_run,
        status: Arc::clone(&status),
        tasks: JoinSet::new(),
        jobs: BTreeMap::new(),
    };
    let page = async {
        http::run(status, http, guard, acceptor).await;
        // Without a page there is nothing to wait for.
        std::future::pending::<()>().await;
    };
    let following = cluster.follow(flink.client(), WatchedJobs::new(selection));
    tokio::select! {
        () = page => {}
        () = following => {}
        () = shutdown => info!("stopping: received a signal"),
    }
    // Pending notifications are delivered; no further change begins.
    drop(cluster);
    shared.notifier.flush(FLUSH_MAX).await;
    Ok(())
}

/// The watched jobs of a cluster, each in its own task.
struct WatchedCluster {
    template: Config,
    /// Shared by the jobs.
    flink: FlinkCluster,
    data: PathBuf,
    dry_run: bool,
    status: Arc<Status>,
    tasks: JoinSet<anyhow::Error>,
    /// Name and task of each job, by its name or id in Flink.
    jobs: BTreeMap<String, (String, AbortHandle)>,
}

impl WatchedCluster {
    /// Polls the cluster's jobs, and watches the selected ones.
    async fn follow(&mut self, flink: &flink::Client, mut watched_jobs: WatchedJobs) {
        let begin = Instant::now();
        let mut looks = interval(cluster_jobs::POLL_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut problem = None;
        loop {
            looks.tick().await;
            // Ended tasks belong to jobs that are no longer watched.
            while self.tasks.try_join_next().is_some() {}
            match update(flink, &mut watched_jobs, begin.elapsed()).await {
                Ok(changes) => {
                    if problem.take().is_some() {
                        info!("Flink answers again");
                    }
                    self.change(changes);
                }
                // Without a response the watched jobs stay the same.
                Err(error) => {
                    let message = with_causes(&error);
                    if problem.as_ref() != Some(&message) {
                        warn!("cannot list Flink's jobs: {message}; retrying every few seconds");
                    }
                    problem = Some(message);
                }
            }
        }
    }

    fn change(&mut self, changes: WatchChanges) {
        for called in changes.end {
            if let Some((name, task)) = self.jobs.remove(&called) {
                info!(job = %name, "no longer watching: the job has ended");
                task.abort();
                self.status.remove(&name);
            }
        }
        for found in changes.begin {
            let mut config = self.template.clone();
            placement::embed_as(&mut config, &self.data, &found.folder, &found.called);
            let shared = self.status.shared();
            let status = Arc::new(status_of(&config, &config.http, self.dry_run, shared));
            self.status.add(Arc::clone(&status));
            let name = config.job.to_string();
            let slots = shared.slots.as_ref().map(|slots| slots.join(&config, status.recorded_slots()));
            let task = self.tasks.spawn(watch(config, Some(self.flink.clone()), status, slots, None));
            self.jobs.insert(found.called, (name, task));
        }
        if let Some(number) = changes.too_many {
            error!(
                "{number} jobs above the limit are not watched; select jobs with --job, or run a second rescaler"
            );
        }
    }
}

/// Reads the cluster's jobs, and the configuration of new ones.
async fn update(
    flink: &flink::Client,
    watched_jobs: &mut WatchedJobs,
    now: Duration,
) -> Result<WatchChanges, flink::Error> {
    let jobs = flink.jobs().await?;
    for id in watched_jobs.unchecked(&jobs) {
        let takes_part = match takes_part(flink, &id).await {
            Ok(takes_part) => takes_part,
            Err(error) => {
                // The others go on.
                debug!(job = %id, "cannot read its parameters: {}", with_causes(&error));
                None
            }
        };
        let is_news = watched_jobs.set_enabled(id.clone(), takes_part);
        match takes_part {
            Some(true) => {}
            Some(false) => {
                info!(job = %id, "not watching: it has the parameter {} = false", cluster_jobs::ENABLED_KEY)
            }
            None if is_news => {
                info!(job = %id, "not watching yet: Flink does not show its parameters; it may wait for slots")
            }
            None => {}
        }
    }
    Ok(watched_jobs.update(&jobs, now))
}

/// Whether a job takes part: unless its own parameters or, where the cluster runs only this job, the cluster's configuration say
/// otherwise. [`None`]: Flink does not know it yet.
async fn takes_part(flink: &flink::Client, job: &JobId) -> Result<Option<bool>, flink::Error> {
    let is_out = |keys: &BTreeMap<String, String>| {
        keys.get(cluster_jobs::ENABLED_KEY).is_some_and(|value| value.trim() == "false")
    };
    let Some(parameters) = flink.job_parameters(job).await? else { return Ok(None) };
    let keys = flink.configuration(Some(job)).await?.unwrap_or_default();
    Ok(Some(!is_out(&parameters) && !is_out(&keys)))
}

/// Reads the files that `[http]` names.
///
/// # Errors
/// The token or the certificate cannot be used.
pub(crate) fn check_http(http: &Http) -> anyhow::Result<()> {
    guard(http)?;
    acceptor(http).map(drop)
}

fn guard(http: &Http) -> anyhow::Result<Guard> {
    let token = match &http.token_file {
        Some(path) => Some(secrets::read(path).context("http.token_file")?),
        None => None,
    };
    let token = token.as_ref().map(|token| token.reveal().trim());
    if token.is_some_and(|token| !secrets::is_token(token)) {
        return Err(NoToken.into());
    }
    let anywhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let guard = Guard::new(http.listen.address().unwrap_or(anywhere), &http.hosts, token);
    if http.listen.address().is_some() && !guard.has_switches() {
        warn!(
            "http.listen is reachable from other machines and http.token_file is not set: the page is read-only"
        );
    }
    Ok(guard)
}

/// Returns the TLS acceptor of the page, if one is configured.
fn acceptor(http: &Http) -> anyhow::Result<Option<TlsAcceptor>> {
    let (Some(certificate), Some(key)) = (&http.certificate_file, &http.key_file) else { return Ok(None) };
    let config =
        http_server::tls(certificate, key).context("cannot use http.certificate_file and http.key_file")?;
    Ok(Some(TlsAcceptor::from(config)))
}

fn status_of(config: &Config, http: &Http, dry_run: bool, shared: &Shared) -> JobStatus {
    let path = switches_path(&config.journal.path);
    let switches = Switches::open(Some(path.clone()), dry_run).unwrap_or_else(|reason| {
        let reason = with_causes(&reason);
        error!(job = %config.job, "paused, because the state of the switches is unknown: {reason}");
        Switches::paused(path, dry_run)
    });
    let info = JobInfo {
        name: config.job.to_string(),
        // The page links to the first JobManager; all of them serve the same interface.
        flink_url: config.flink.url.to_string().split(',').next().unwrap_or_default().to_owned(),
        policy: config.policy.name.as_str().to_owned(),
        latency_max_ms: config.latency_max_ms(),
        epoch_length: config.epoch_length(),
        sample_interval: config.sample_interval(),
        started_at: Timestamp::now(),
    };
    let kept = Retention { points: http.history_points, decisions: http.decisions_kept };
    let notified = config.journal.path.with_extension("notified.json");
    let status = JobStatus::new(info, switches, kept).notifying(shared.notifier.clone(), notified);
    match decision_journal::read_with_newest_subtasks(&config.journal.path) {
        Ok(records) => status.remember(&records),
        Err(reason) => {
            warn!(job = %config.job, "the time line starts empty: {}", with_causes(&reason))
        }
    }
    status
}

/// `decisions.jsonl` → `decisions.switches.json`, in the same folder.
fn switches_path(journal: &Path) -> PathBuf {
    journal.with_extension("switches.json")
}

/// Watches one job forever. With `watched`, the number of jobs that have not failed, it ends when the last of them fails.
async fn watch(
    config: Config,
    cluster: Option<FlinkCluster>,
    status: Arc<JobStatus>,
    slots: Option<Arc<Member>>,
    watched: Option<Arc<AtomicUsize>>,
) -> anyhow::Error {
    let pause = config.epoch_length().min(TRY_AGAIN_MAX);
    loop {
        // A separate task, so that a panic in one job's cycle ends only that cycle.
        let mut cycle = JoinSet::new();
        cycle.spawn(cycle::run(config.clone(), cluster.clone(), Arc::clone(&status), slots.clone()));
        let reason = match cycle.join_next().await {
            Some(Ok(Err(reason))) => reason,
            Some(Err(lost)) => anyhow!("its control loop failed: {lost}"),
            Some(Ok(Ok(()))) | None => anyhow!("its control loop ended"),
        };
        status.failed(format!("{reason:#}"));
        if watched.as_ref().is_some_and(|watched| watched.fetch_sub(1, Ordering::SeqCst) == 1) {
            return reason;
        }
        error!(job = %config.job, "not watching the job; retry in {} s: {reason:#}", pause.as_secs());
        tokio::time::sleep(pause).await;
        if let Some(watched) = &watched {
            watched.fetch_add(1, Ordering::SeqCst);
        }
    }
}
