//! The pages: `/metrics` for Prometheus, `/samples` as JSON for the rescaler, `/healthz`.
//!
//! The pages are small and contain no secrets.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use http_server::{Bounds, MetricsPage};
use tokio::net::TcpListener;

use crate::page;
use crate::probe_state::ProbeState;

#[derive(Clone)]
struct PageState {
    state: Arc<ProbeState>,
    prefix: Arc<str>,
}

async fn metrics(State(pages): State<PageState>) -> MetricsPage {
    page::page(&pages.prefix, &pages.state)
}

async fn samples(State(pages): State<PageState>) -> impl IntoResponse {
    Json(pages.state.source_views())
}

/// Serves the pages forever.
pub(crate) async fn serve(
    listener: TcpListener,
    connections_max: usize,
    prefix: &str,
    state: Arc<ProbeState>,
) {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/samples", get(samples))
        .route("/healthz", get(async || "ok\n"))
        .with_state(PageState { state, prefix: prefix.into() });
    let bounds = Bounds {
        connections: connections_max,
        connections_per_peer: connections_max.div_ceil(4) * 3,
        ..Bounds::default()
    };
    http_server::serve(listener, router, None, bounds, std::future::pending()).await;
}
