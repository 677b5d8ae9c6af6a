//! The handlers, as thin as possible around [`crate::status`].

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_server::{ApiError, Path, Query, read_body};
use serde::{Deserialize, Serialize};

use super::api_error::no_such_job;
use super::responses::{self, History};
use super::{HandlerState, now};
use crate::status::{JobStatus, Switch};

/// Size limit of a request body, in bytes: `{"enabled":false}` with white space.
const BODY_BYTES: usize = 1024;
/// Default number of decisions in a response.
const DECISIONS: usize = 50;

type Answer = Result<Response, ApiError>;

fn json(value: &impl Serialize) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(value)).into_response()
}

fn find(shared: &HandlerState, name: &str) -> Result<Arc<JobStatus>, ApiError> {
    shared.status.job(name).ok_or_else(no_such_job)
}

#[derive(Deserialize)]
pub(super) struct SinceQuery {
    since_ms: Option<i64>,
}

pub(super) async fn jobs(State(shared): State<HandlerState>, Query(query): Query<SinceQuery>) -> Answer {
    Ok(json(&responses::jobs(&shared.status, query.since_ms, now())))
}

pub(super) async fn job(State(shared): State<HandlerState>, Path(job): Path<String>) -> Answer {
    let job = find(&shared, &job)?;
    Ok(json(&responses::job(&job, &shared.guard, now())))
}

#[derive(Deserialize)]
pub(super) struct Limit {
    limit: Option<usize>,
}

pub(super) async fn history(
    State(shared): State<HandlerState>,
    Path(job): Path<String>,
    Query(query): Query<Limit>,
) -> Answer {
    let points = find(&shared, &job)?.points(query.limit.unwrap_or(usize::MAX));
    Ok(json(&History::from_points(&points)))
}

pub(super) async fn decisions(
    State(shared): State<HandlerState>,
    Path(job): Path<String>,
    Query(query): Query<Limit>,
) -> Answer {
    let decisions = find(&shared, &job)?.decisions(query.limit.unwrap_or(DECISIONS));
    Ok(json(&responses::Decisions { decisions }))
}

pub(super) async fn decision(
    State(shared): State<HandlerState>,
    Path((job, epoch)): Path<(String, String)>,
) -> Answer {
    let decisions = find(&shared, &job)?.decisions(usize::MAX);
    let decision = decisions.into_iter().find(|decision| Ok(decision.epoch) == epoch.parse());
    let message = "epoch not in memory; the journal may still have it";
    decision.map(|decision| json(&*decision)).ok_or_else(|| ApiError::not_found(message))
}

pub(super) async fn pause(State(shared): State<HandlerState>, Path(job): Path<String>) -> Answer {
    set(&shared, &job, Switch::Pause, true).await
}

pub(super) async fn resume(State(shared): State<HandlerState>, Path(job): Path<String>) -> Answer {
    set(&shared, &job, Switch::Pause, false).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Enabled {
    enabled: bool,
}

pub(super) async fn dry_run(
    State(shared): State<HandlerState>,
    Path(job): Path<String>,
    body: Body,
) -> Answer {
    let timeout = Duration::from_millis(shared.settings.request_timeout_ms);
    let body = read_body(body, BODY_BYTES, timeout).await?;
    let wrong = |e| ApiError::bad_request(format!("write {{\"enabled\":true}} or false: {e}"));
    let Enabled { enabled } = serde_json::from_slice(&body).map_err(wrong)?;
    set(&shared, &job, Switch::DryRun, enabled).await
}

async fn set(shared: &HandlerState, job: &str, switch: Switch, on: bool) -> Answer {
    let job = find(shared, job)?;
    let name = job.info.name.clone();
    // A switch is written to disk.
    let changed = tokio::task::spawn_blocking(move || job.switches.set(switch, on)).await;
    let interrupted = |_| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "the change was interrupted");
    let switches = changed.map_err(interrupted)??;
    tracing::info!(job = name, paused = switches.paused, dry_run = switches.dry_run, "switched over HTTP");
    Ok(json(&switches))
}

pub(super) async fn healthz(State(shared): State<HandlerState>) -> Response {
    let problems = responses::health(&shared.status, shared.settings.unhealthy_after_epochs, now());
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    if problems.is_empty() {
        return (no_store, "ok\n").into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, no_store, problems.join("\n") + "\n").into_response()
}
