//! The handlers, as thin as possible around [`crate::status`].

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::forms::{self, History};
use super::refusal::Refusal;
use super::{Site, now};
use crate::status::{JobStatus, Switch};

/// The largest body of a request: `{"enabled":false}` and some white space.
const BODY_BYTES: usize = 1024;
/// Decisions in one answer, unless asked otherwise.
const DECISIONS: usize = 50;

type Answer = Result<Response, Refusal>;

fn json(value: &impl Serialize) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(value)).into_response()
}

fn find(site: &Site, name: &str) -> Result<Arc<JobStatus>, Refusal> {
    site.status.job(name).ok_or_else(Refusal::no_such_job)
}

#[derive(Deserialize)]
pub(super) struct SinceQuery {
    since_ms: Option<i64>,
}

pub(super) async fn jobs(
    State(site): State<Site>,
    query: Result<Query<SinceQuery>, QueryRejection>,
) -> Answer {
    let Query(query) = query.map_err(|e| Refusal::new(StatusCode::BAD_REQUEST, e.body_text()))?;
    Ok(json(&forms::jobs(&site.status, query.since_ms, now())))
}

pub(super) async fn job(State(site): State<Site>, Path(job): Path<String>) -> Answer {
    let job = find(&site, &job)?;
    Ok(json(&forms::job(&job, &site.guard, now())))
}

#[derive(Deserialize)]
pub(super) struct Limit {
    limit: Option<usize>,
}

fn limit(query: Result<Query<Limit>, QueryRejection>, default: usize) -> Result<usize, Refusal> {
    let Query(query) = query.map_err(|e| Refusal::new(StatusCode::BAD_REQUEST, e.body_text()))?;
    Ok(query.limit.unwrap_or(default))
}

pub(super) async fn history(
    State(site): State<Site>,
    Path(job): Path<String>,
    query: Result<Query<Limit>, QueryRejection>,
) -> Answer {
    let points = find(&site, &job)?.points(limit(query, usize::MAX)?);
    Ok(json(&History::of(&points)))
}

pub(super) async fn decisions(
    State(site): State<Site>,
    Path(job): Path<String>,
    query: Result<Query<Limit>, QueryRejection>,
) -> Answer {
    let decisions = find(&site, &job)?.decisions(limit(query, DECISIONS)?);
    Ok(json(&forms::Decisions { decisions }))
}

pub(super) async fn decision(State(site): State<Site>, Path((job, epoch)): Path<(String, String)>) -> Answer {
    let told = find(&site, &job)?.decisions(usize::MAX);
    let told = told.into_iter().find(|told| Ok(told.epoch) == epoch.parse());
    let message = "epoch not in memory; the journal may still have it";
    told.map(|told| json(&*told)).ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, message))
}

pub(super) async fn pause(State(site): State<Site>, Path(job): Path<String>) -> Answer {
    set(&site, &job, Switch::Pause, true).await
}

pub(super) async fn resume(State(site): State<Site>, Path(job): Path<String>) -> Answer {
    set(&site, &job, Switch::Pause, false).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Enabled {
    enabled: bool,
}

pub(super) async fn dry_run(State(site): State<Site>, Path(job): Path<String>, body: Body) -> Answer {
    let timeout = Duration::from_millis(site.settings.request_timeout_ms);
    let late = || Refusal::new(StatusCode::REQUEST_TIMEOUT, format!("the body took longer than {timeout:?}"));
    let body =
        tokio::time::timeout(timeout, axum::body::to_bytes(body, BODY_BYTES)).await.map_err(|_| late())?;
    let too_large = format!("the body is truncated or larger than {BODY_BYTES} bytes");
    let body = body.map_err(|_| Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, too_large))?;
    let wrong =
        |e| Refusal::new(StatusCode::BAD_REQUEST, format!("write {{\"enabled\":true}} or false: {e}"));
    let Enabled { enabled } = serde_json::from_slice(&body).map_err(wrong)?;
    set(&site, &job, Switch::DryRun, enabled).await
}

async fn set(site: &Site, job: &str, switch: Switch, on: bool) -> Answer {
    let job = find(site, job)?;
    let name = job.about.job.clone();
    // A switch is written to the disk.
    let changed = tokio::task::spawn_blocking(move || job.switches.set(switch, on)).await;
    let interrupted = |_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the change was interrupted");
    let switches = changed.map_err(interrupted)??;
    tracing::info!(job = name, paused = switches.paused, dry_run = switches.dry_run, "switched over HTTP");
    Ok(json(&switches))
}

pub(super) async fn healthz(State(site): State<Site>) -> Response {
    let problems = forms::health(&site.status, site.settings.unhealthy_after_epochs, now());
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    if problems.is_empty() {
        return (no_store, "ok\n").into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, no_store, problems.join("\n") + "\n").into_response()
}
