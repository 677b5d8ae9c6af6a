//! Watching all jobs: one task per job, so that the failure of one does not touch the others, and the page beside them.
//!
//! A job whose cycle ends (its journal cannot be written, mostly) is tried again after a while, is shown as failed, and
//! makes `/healthz` say so. When no job is left that is being watched, the program ends with the reason of the last one: with
//! one job that is at once, as a supervisor expects.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use thiserror::Error;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tracing::{error, info, warn};

use crate::config::Config;
use crate::cycle;
use crate::http::{self, Guard, Http};
use crate::journal;
use crate::site::Site;
use crate::status::{About, JobStatus, Kept, Status, Switches};

/// The longest time after which a job that failed is tried again.
const TRY_AGAIN_MAX: Duration = Duration::from_secs(60);

/// A file for the token that holds none.
#[derive(Debug, Error)]
#[error(
    "http.token_file: the file does not hold one token of {} or more printable characters; put a long random text into it, or leave the key out",
    secrets::TOKEN_CHARACTERS_MIN
)]
pub(crate) struct NoToken;

/// Watches all jobs and serves the page until `shutdown` ends.
///
/// # Errors
/// The token cannot be used, or no job can be watched any more.
pub async fn run(site: Site, dry_run: bool, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
    let http = site.http().clone();
    let guard = guard(&http)?;
    let acceptor = acceptor(&http)?;
    let jobs: Vec<Arc<JobStatus>> =
        site.jobs().iter().map(|config| Arc::new(status_of(config, &http, dry_run))).collect();
    let watched = Arc::new(AtomicUsize::new(jobs.len()));
    let mut tasks = JoinSet::new();
    for (config, status) in site.jobs().iter().zip(&jobs) {
        tasks.spawn(watch(config.clone(), Arc::clone(status), Arc::clone(&watched)));
    }
    tasks.spawn(async move {
        http::run(Arc::new(Status::new(jobs)), http, guard, acceptor).await;
        std::future::pending().await
    });
    tokio::select! {
        ended = tasks.join_next() => Err(ended.map_or_else(|| anyhow!("no job is configured"), |ended| {
            ended.unwrap_or_else(|lost| anyhow!("a task of the rescaler was lost: {lost}"))
        })),
        () = shutdown => {
            info!("asked to stop");
            Ok(())
        }
    }
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
        warn!("http.listen is not this machine alone and there is no http.token_file: the page only shows");
    }
    Ok(guard)
}

/// How the page is encrypted, if it is.
fn acceptor(http: &Http) -> anyhow::Result<Option<TlsAcceptor>> {
    let (Some(certificate), Some(key)) = (&http.certificate_file, &http.key_file) else { return Ok(None) };
    let config = http_server::tls(certificate, key).context("http.certificate_file and http.key_file")?;
    Ok(Some(TlsAcceptor::from(config)))
}

fn status_of(config: &Config, http: &Http, dry_run: bool) -> JobStatus {
    let path = switches_path(&config.journal.path);
    let switches = Switches::open(Some(path.clone()), dry_run).unwrap_or_else(|reason| {
        let reason = anyhow::Error::from(reason);
        error!(job = %config.job, "paused, because nobody knows whether it shall be: {reason:#}");
        Switches::paused(path, dry_run)
    });
    let about = About {
        job: config.job.to_string(),
        // The page links to the first JobManager; the others answer alike.
        flink_url: config.flink.url.to_string().split(',').next().unwrap_or_default().to_owned(),
        policy: config.policy.name.as_str().to_owned(),
        latency_max_ms: config.latency_max_ms(),
        epoch_length: config.epoch_length(),
        sample_interval: config.sample_interval(),
        started_at: Timestamp::now(),
    };
    let kept = Kept { points: http.history_points, decisions: http.decisions_kept };
    let status = JobStatus::new(about, switches, kept);
    match journal::read_with_older(&config.journal.path, 0) {
        Ok(records) => status.remember(&records),
        Err(reason) => {
            warn!(job = %config.job, "the time line begins empty: {:#}", anyhow::Error::from(reason))
        }
    }
    status
}

/// `decisions.jsonl` → `decisions.switches.json`, in the same folder.
fn switches_path(journal: &Path) -> PathBuf {
    journal.with_extension("switches.json")
}

/// Watches one job for ever, unless it and all others have failed.
async fn watch(config: Config, status: Arc<JobStatus>, watched: Arc<AtomicUsize>) -> anyhow::Error {
    let pause = config.epoch_length().min(TRY_AGAIN_MAX);
    loop {
        // A task of its own, so that a defect in one job's cycle ends that cycle only. It ends with this one.
        let mut cycle = JoinSet::new();
        cycle.spawn(cycle::run(config.clone(), Arc::clone(&status)));
        let reason = match cycle.join_next().await {
            Some(Ok(Err(reason))) => reason,
            Some(Err(lost)) => anyhow!("its cycle was lost: {lost}"),
            Some(Ok(Ok(()))) | None => anyhow!("its cycle has ended"),
        };
        if watched.fetch_sub(1, Ordering::SeqCst) == 1 {
            return reason;
        }
        error!(job = %config.job, "not being watched for {} s: {reason:#}", pause.as_secs());
        status.failed(format!("{reason:#}"));
        tokio::time::sleep(pause).await;
        watched.fetch_add(1, Ordering::SeqCst);
    }
}
