//! HTTP handlers of the protocol, a thin layer around the [`DocumentRegistry`].

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use http_server::{ApiError, MetricsPage, Path, Query, read_body};
use job_config::{
    JobDocument, JobName, KeyError, MEDIA_TYPE, PublicKey, Report, SIGNATURE_HEADER, Signature, verify,
};
use serde::Deserialize;

use crate::api_error::{no_document, too_many_readers};
use crate::metrics::Metrics;
use crate::protection::Protection;
use crate::registry::{DocumentRegistry, StoredDocument, TooManyReaders};
use crate::tokens::{Holder, Role};
use crate::{conditions, freshness, history, tokens};

const JSON: &str = "application/json";

#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) registry: DocumentRegistry,
    metrics: Metrics,
    pub(crate) public_keys: Vec<PublicKey>,
}

/// Routes the protocol over this registry, with `/healthz` and `/metrics`, without authentication.
pub fn router(registry: DocumentRegistry) -> Router {
    protected_router(registry, &Protection::default())
}

/// Routes the same with tokens and signature checks. (TLS is handled by the connection.)
pub fn protected_router(registry: DocumentRegistry, protection: &Protection) -> Router {
    let public_keys = protection.public_keys.clone();
    let service = Service { registry, metrics: Metrics::default(), public_keys };
    Router::new()
        .route("/v1/jobs/{job}/history", get(history::list))
        .route("/v1/jobs/{job}/history/{generation}", get(history::document))
        .route("/v1/jobs/{job}/document", get(get_document).put(put_document))
        .route("/v1/jobs/{job}/freshness", put(freshness::put))
        .route("/v1/jobs/{job}/reports", get(get_reports).post(post_report))
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics))
        .fallback(|| async { ApiError::not_found("no such path; see docs/protocol.md") })
        .method_not_allowed_fallback(|| async {
            ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed; see docs/protocol.md")
        })
        .layer(middleware::from_fn_with_state(protection.tokens.clone(), tokens::authorize))
        .layer(middleware::from_fn_with_state(protection.clone(), is_asked))
        .layer(middleware::from_fn_with_state(service.metrics.clone(), count))
        .with_state(service)
}

#[derive(Deserialize)]
struct GetDocument {
    wait: Option<String>,
}

async fn get_document(
    State(service): State<Service>,
    Path(job): Path<String>,
    Query(query): Query<GetDocument>,
    holder: Option<Extension<Holder>>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let job = job_name(&job)?;
    let is_reader = holder.is_some_and(|Extension(holder)| holder.role == Role::Reader);
    let known = conditions::known(&headers)?;
    let found = match query.wait.as_deref().map(duration).transpose()? {
        None => service.registry.current(&job),
        Some(wait) => service
            .registry
            .await_other(&job, &known, wait, is_reader)
            .await
            .map_err(|TooManyReaders| too_many_readers())?,
    };
    let stored = found.ok_or_else(no_document)?;
    let mut answer = if known.contains(&stored.entity_tag) {
        (StatusCode::NOT_MODIFIED, [(header::ETAG, stored.entity_tag.to_string())]).into_response()
    } else {
        answer_with(&stored)
    };
    let statement = service.registry.freshness(&stored);
    answer.headers_mut().extend(statement.as_ref().and_then(freshness::header));
    Ok(answer)
}

/// Builds the response of a document: its bytes, its entity tag and, if any, its signature.
pub(crate) fn answer_with(stored: &StoredDocument) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    let tag = HeaderValue::from_str(stored.entity_tag.as_str());
    let signature = stored.signature.map(|signature| HeaderValue::from_str(&signature.to_string()));
    // Tags and signatures are printable ASCII: neither can fail.
    headers.extend(tag.ok().map(|tag| (header::ETAG, tag)));
    let signature = signature.and_then(Result::ok);
    headers.extend(signature.map(|value| (HeaderName::from_static(SIGNATURE_HEADER), value)));
    (headers, stored.document.text().to_owned()).into_response()
}

async fn put_document(
    State(service): State<Service>,
    Path(job): Path<String>,
    holder: Option<Extension<Holder>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let job = job_name(&job)?;
    require_type(&headers, MEDIA_TYPE)?;
    let expected = conditions::expected(&headers)?;
    let limits = service.registry.limits();
    let body = read_body(body, limits.document_bytes, limits.request_timeout).await?;
    let signature = signature(&headers, &body, &service.public_keys)?;
    let text =
        std::str::from_utf8(&body).map_err(|e| ApiError::bad_request(format!("not a job document: {e}")))?;
    let document = JobDocument::parse(text).map_err(|e| ApiError::bad_request(service::with_causes(&e)))?;
    if document.job() != &job {
        let message = format!("the document is of job {}, the path of {job}", document.job());
        return Err(ApiError::new(StatusCode::CONFLICT, message));
    }
    let (generation, reason) = (document.generation(), document.reason().to_owned());
    let tag = document.entity_tag();
    let is_first = service.registry.publish_signed(document, signature, expected).await?;
    let by = name_of(holder.as_deref());
    tracing::info!(%job, generation, by, signed = signature.is_some(), %reason, "published");
    let status = if is_first { StatusCode::CREATED } else { StatusCode::NO_CONTENT };
    Ok((status, [(header::ETAG, tag.to_string())]).into_response())
}

/// The log name of a token's holder.
fn name_of(holder: Option<&Holder>) -> &str {
    holder.map_or("anybody", |holder| holder.name.as_deref().unwrap_or("unnamed"))
}

/// Parses the signature of a body, and verifies it if keys are configured.
fn signature(headers: &HeaderMap, body: &[u8], keys: &[PublicKey]) -> Result<Option<Signature>, ApiError> {
    let text = headers.get(SIGNATURE_HEADER).map(|value| value.to_str().unwrap_or_default());
    if !keys.is_empty() {
        verify(keys, body, text)
            .map_err(|e| ApiError::forbidden(format!("the document is refused ({}): {e}", e.name())))?;
    }
    let malformed = |e: KeyError| ApiError::bad_request(format!("{SIGNATURE_HEADER}: {e}"));
    text.map(|text| text.trim().parse()).transpose().map_err(malformed)
}

async fn get_reports(
    State(service): State<Service>,
    Path(job): Path<String>,
) -> Result<Json<Vec<Report>>, ApiError> {
    let job = job_name(&job)?;
    service.registry.reports(&job).await.map(Json).ok_or_else(no_document)
}

async fn post_report(
    State(service): State<Service>,
    Path(job): Path<String>,
    holder: Option<Extension<Holder>>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let job = job_name(&job)?;
    require_type(&headers, JSON)?;
    let limits = service.registry.limits();
    let body = read_body(body, limits.report_bytes, limits.request_timeout).await?;
    let report: Report =
        serde_json::from_slice(&body).map_err(|e| ApiError::bad_request(format!("not a report: {e}")))?;
    report.check().map_err(|e| ApiError::bad_request(format!("not a report: {e}")))?;
    let (generation, state, message) = (report.generation, report.state, report.message.clone());
    service.registry.report(&job, report).await?;
    let by = name_of(holder.as_deref());
    tracing::info!(%job, generation, by, ?state, message, "reported");
    Ok(StatusCode::NO_CONTENT)
}

/// Rejects requests whose host is not this drop's.
async fn is_asked(State(protection): State<Protection>, request: Request, next: Next) -> Response {
    if protection.is_asked(request.uri(), request.headers()) {
        return next.run(request).await;
    }
    ApiError::unknown_host("access.hosts").into_response()
}

/// Returns "ok", or why the disk cannot be written.
async fn healthz(State(service): State<Service>) -> Response {
    match service.registry.problem().await {
        None => "ok\n".into_response(),
        Some(problem) => (StatusCode::SERVICE_UNAVAILABLE, format!("{problem}\n")).into_response(),
    }
}

async fn metrics(State(service): State<Service>) -> MetricsPage {
    service.metrics.page(&service.registry)
}

async fn count(
    State(metrics): State<Metrics>,
    method: Method,
    route: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let response = next.run(request).await;
    // Only known methods and routes become labels, so that clients cannot create new series.
    let method = match method {
        Method::GET | Method::HEAD | Method::PUT | Method::POST => method.to_string(),
        _ => "other".to_owned(),
    };
    let route = route.map_or_else(|| "other".to_owned(), |route| route.as_str().to_owned());
    metrics.count((method, route, response.status().as_u16()));
    response
}

pub(crate) fn job_name(text: &str) -> Result<JobName, ApiError> {
    text.parse().map_err(|e: job_config::DocumentError| ApiError::bad_request(e.to_string()))
}

/// Parses `30s` or `500ms`.
fn duration(text: &str) -> Result<Duration, ApiError> {
    let parsed = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _) => number.parse().ok().map(Duration::from_millis),
        (None, Some(number)) => number.parse().ok().map(Duration::from_secs),
        (None, None) => None,
    };
    parsed.ok_or_else(|| ApiError::bad_request("wait: write it as 30s or 500ms"))
}

pub(crate) fn require_type(headers: &HeaderMap, expected: &str) -> Result<(), ApiError> {
    let found = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = found.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("the content type must be {expected}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: waiting times are parsed in both units, and anything else is rejected.
    #[test]
    fn waiting_times_are_read() {
        assert_eq!(duration("30s").unwrap(), Duration::from_secs(30));
        assert_eq!(duration("500ms").unwrap(), Duration::from_millis(500));
        for wrong in ["", "s", "ms", "30", "-1s", "1m", "1.5s", "99999999999999999999s"] {
            assert_eq!(duration(wrong).unwrap_err().status(), 400, "{wrong:?}");
        }
    }
}
