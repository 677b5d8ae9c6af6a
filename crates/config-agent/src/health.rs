//! The `/healthz` and `/metrics` pages, for people and Prometheus.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use http_server::MetricsPage;

use crate::agent::Agent;

/// Routes the pages of this agent.
pub(crate) fn router(agent: Arc<Agent>) -> Router {
    Router::new().route("/healthz", get(healthz)).route("/metrics", get(metrics)).with_state(agent)
}

/// Returns "ok", or 503 with the reason if nothing fresh is heard; then the reason if the source's current document is
/// rejected.
async fn healthz(State(agent): State<Arc<Agent>>) -> (StatusCode, String) {
    health(&agent)
}

/// Returns this agent's `/healthz`, with its status, and the text of `/metrics`.
pub fn pages(agent: &Agent) -> ((StatusCode, String), String) {
    (health(agent), page(agent).into_text())
}

fn health(agent: &Agent) -> (StatusCode, String) {
    let (status, first) = match agent.freshness_problem() {
        None => (StatusCode::OK, "ok".to_owned()),
        Some(problem) => (StatusCode::SERVICE_UNAVAILABLE, problem),
    };
    let rejected = agent.rejections().now;
    let second = rejected.map(|(reason, sentence)| format!("refused ({reason}): {sentence}\n"));
    (status, format!("{first}\n{}", second.unwrap_or_default()))
}

async fn metrics(State(agent): State<Arc<Agent>>) -> MetricsPage {
    page(&agent)
}

fn page(agent: &Agent) -> MetricsPage {
    let ledger = agent.journal().ledger();
    let mut page = MetricsPage::default();
    if let Some(change) = ledger.change() {
        let job = change.document.job().as_str();
        page.gauge("config_agent_generation", "Generation accepted last.")
            .add(&[("job", job)], change.document.generation());
        let state = serde_name(change.phase.state());
        page.gauge("config_agent_state", "How far that generation has come.")
            .add(&[("job", job), ("state", &state)], true);
        let since = u64::try_from(change.since.as_second()).unwrap_or_default();
        page.gauge("config_agent_state_since_seconds", "When, in seconds since the Unix epoch.")
            .add(&[], since);
    }
    page.gauge("config_agent_undelivered_reports", "Reports that the drop does not have yet.")
        .add(&[], ledger.undelivered());
    let mut up = page.gauge("config_agent_dependency_up", "Whether the last call was answered.");
    for condition in agent.conditions() {
        up.add(&[("dependency", condition.name())], condition.is_healthy());
    }
    if agent.expects_freshness() {
        page.gauge("config_agent_fresh", "Whether the publisher was heard of recently enough.")
            .add(&[], agent.freshness_problem().is_none());
        let mut age = page.gauge(
            "config_agent_freshness_age_seconds",
            "Age of the newest signed document or freshness statement.",
        );
        if let Some(age_s) = agent.freshness_age_s() {
            age.add(&[], u64::try_from(age_s).unwrap_or_default());
        }
    }
    let mut refused = page.counter(
        "config_agent_refused_documents_total",
        "Documents that were refused, each time they were offered.",
    );
    for (reason, count) in agent.rejections().counts {
        refused.add(&[("reason", reason)], count);
    }
    page
}

fn serde_name(state: job_config::ChangeState) -> String {
    format!("{state:?}").to_lowercase()
}
