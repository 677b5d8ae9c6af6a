//! The pages: `/metrics` for Prometheus, `/samples` as JSON for the rescaler, `/healthz`.
//!
//! Connections are bounded in number and in how long they may be silent. There is nothing to ask for but three small pages,
//! and nothing secret in them.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::board::Board;
use crate::page;

/// How long a connection may be silent.
const SILENCE: Duration = Duration::from_secs(30);
/// How long one connection may live altogether: a reader that takes nothing must not keep its place.
const LIFETIME: Duration = Duration::from_secs(600);
/// Pause after a connection that could not be accepted (too many open files, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[derive(Clone)]
struct Pages {
    board: Arc<Board>,
    prefix: Arc<str>,
}

async fn metrics(State(pages): State<Pages>) -> impl IntoResponse {
    let kind = [("content-type", "text/plain; version=0.0.4; charset=utf-8")];
    (kind, page::page(&pages.prefix, &pages.board))
}

async fn samples(State(pages): State<Pages>) -> impl IntoResponse {
    Json(pages.board.shown())
}

/// Serves the pages for ever.
pub(crate) async fn serve(listener: TcpListener, connections_max: usize, prefix: &str, board: Arc<Board>) {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/samples", get(samples))
        .route("/healthz", get(async || "ok\n"))
        .with_state(Pages { board, prefix: prefix.into() });
    let places = Arc::new(Semaphore::new(connections_max));
    loop {
        // The semaphore is never closed. Who finds no place waits in the system's own queue.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(SILENCE)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
        tokio::spawn(async move {
            let ended = tokio::time::timeout(LIFETIME, connection).await;
            tracing::trace!(?ended, "a connection ended");
            drop(place);
        });
    }
}
