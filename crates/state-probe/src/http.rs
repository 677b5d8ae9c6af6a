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

use crate::board::Board;
use crate::page;

#[derive(Clone)]
struct Pages {
    board: Arc<Board>,
    prefix: Arc<str>,
}

async fn metrics(State(pages): State<Pages>) -> MetricsPage {
    page::page(&pages.prefix, &pages.board)
}

async fn samples(State(pages): State<Pages>) -> impl IntoResponse {
    Json(pages.board.shown())
}

/// Serves the pages forever.
pub(crate) async fn serve(listener: TcpListener, connections_max: usize, prefix: &str, board: Arc<Board>) {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/samples", get(samples))
        .route("/healthz", get(async || "ok\n"))
        .with_state(Pages { board, prefix: prefix.into() });
    let bounds = Bounds {
        connections: connections_max,
        connections_per_peer: connections_max.div_ceil(4) * 3,
        ..Bounds::default()
    };
    http_server::serve(listener, router, None, bounds, std::future::pending()).await;
}
