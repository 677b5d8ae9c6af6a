//! The `/healthz` and `/metrics` pages, for people and Prometheus.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use http_server::MetricsPage;

use crate::agent::Agent;

/// Routes the pages of this agent.
pub(crate) fn router(agent: Arc<Agent>) -> Router {
    Router::new().route("/healthz", get(healthz)).route("/metrics", get(metrics)).with_state(agent)
}

/// Returns "ok", followed by the reason if the source's current document is rejected.
async fn healthz(State(agent): State<Arc<Agent>>) -> String {
    health(&agent)
}

/// Returns the text of this agent's `/healthz` and `/metrics`.
pub fn pages(agent: &Agent) -> (String, String) {
    (health(agent), page(agent).into_text())
}

fn health(agent: &Agent) -> String {
    match agent.rejections().now {
        Some((reason, sentence)) => format!("ok\nrefused ({reason}): {sentence}\n"),
        None => "ok\n".to_owned(),
    }
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
