//! The `/healthz` and `/metrics` pages, for people and Prometheus.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;

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
    (health(agent), page(agent))
}

fn health(agent: &Agent) -> String {
    match agent.refused().now {
        Some((reason, sentence)) => format!("ok\nrefused ({reason}): {sentence}\n"),
        None => "ok\n".to_owned(),
    }
}

async fn metrics(State(agent): State<Arc<Agent>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], page(&agent))
}

fn page(agent: &Agent) -> String {
    let ledger = agent.book().ledger();
    let mut page = String::new();
    let mut gauge = |name: &str, help: &str, lines: &[(String, u64)]| {
        let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (labels, value) in lines {
            let _ = writeln!(page, "{name}{labels} {value}");
        }
    };
    if let Some(change) = ledger.change() {
        let job = change.document.job();
        let generation = change.document.generation();
        gauge(
            "config_agent_generation",
            "Generation accepted last.",
            &[(format!("{{job=\"{job}\"}}"), generation)],
        );
        let state = serde_name(change.phase.state());
        gauge(
            "config_agent_state",
            "How far that generation has come.",
            &[(format!("{{job=\"{job}\",state=\"{state}\"}}"), 1)],
        );
        let since = u64::try_from(change.since.as_second()).unwrap_or_default();
        gauge(
            "config_agent_state_since_seconds",
            "When, in seconds since the Unix epoch.",
            &[(String::new(), since)],
        );
    }
    let undelivered = ledger.undelivered() as u64;
    gauge(
        "config_agent_undelivered_reports",
        "Reports that the drop does not have yet.",
        &[(String::new(), undelivered)],
    );
    let conditions = agent
        .conditions()
        .map(|condition| (format!("{{party=\"{}\"}}", condition.name()), u64::from(condition.is_good())));
    gauge("config_agent_party_up", "Whether the last call was answered.", &conditions);
    page.push_str("# HELP config_agent_refused_answers_total Documents that were refused, each time they were offered.\n");
    page.push_str("# TYPE config_agent_refused_answers_total counter\n");
    for (reason, count) in agent.refused().counts {
        let _ = writeln!(page, "config_agent_refused_answers_total{{reason=\"{reason}\"}} {count}");
    }
    page
}

fn serde_name(state: job_config::State) -> String {
    format!("{state:?}").to_lowercase()
}
