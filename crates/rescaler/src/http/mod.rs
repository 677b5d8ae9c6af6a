//! The page, the programming interface and the metrics, over HTTP.
//!
//! All clients that reach the address may read. Only the two switches of a job can be changed, and only by this page or a program
//! (`guard`). All data comes from [`Status`]; nothing here uses Flink, the drop or the journal. All assets are part of the
//! program, so that it works without internet and without a folder of files.
//!
//! The paths and their JSON are described in docs/api.md, the metrics in docs/metrics.md, the page in docs/page.md.

mod api;
mod api_error;
mod assets;
mod config;
mod guard;
mod metrics;
mod responses;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::routing::{get, post};
use axum::{Router, middleware};
use http_server::Bounds;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

pub use config::{Http, Listen};
pub use guard::Guard;

use crate::status::Status;
use metrics::Requests;

/// Pause before retrying an address that is in use.
const LISTEN_AGAIN: Duration = Duration::from_secs(10);

/// State shared by the handlers.
#[derive(Debug, Clone)]
struct HandlerState {
    status: Arc<Status>,
    guard: Arc<Guard>,
    settings: Http,
    requests: Requests,
}

/// Returns the routes for this status.
pub fn router(status: Arc<Status>, settings: Http, guard: Guard) -> Router {
    let shared = HandlerState { status, guard: Arc::new(guard), settings, requests: Requests::default() };
    let switches = Router::new()
        .route("/api/v1/jobs/{job}/pause", post(api::pause))
        .route("/api/v1/jobs/{job}/resume", post(api::resume))
        .route("/api/v1/jobs/{job}/dry-run", post(api::dry_run))
        .route_layer(middleware::from_fn_with_state(shared.clone(), guard::switches));
    Router::new()
        .merge(assets::router())
        .route("/api/v1/jobs", get(api::jobs))
        .route("/api/v1/jobs/{job}", get(api::job))
        .route("/api/v1/jobs/{job}/history", get(api::history))
        .route("/api/v1/jobs/{job}/decisions", get(api::decisions))
        .route("/api/v1/jobs/{job}/decisions/{epoch}", get(api::decision))
        .route("/healthz", get(api::healthz))
        .route("/metrics", get(metrics::page))
        .merge(switches)
        .fallback(api_error::no_such_path)
        .method_not_allowed_fallback(api_error::no_such_method)
        .layer(middleware::from_fn_with_state(shared.clone(), guard::hosts))
        .layer(middleware::from_fn_with_state(shared.requests.clone(), metrics::count))
        .with_state(shared)
}

/// Serves until `shutdown` ends.
pub async fn serve(
    listener: TcpListener,
    status: Arc<Status>,
    settings: Http,
    guard: Guard,
    acceptor: Option<TlsAcceptor>,
    shutdown: impl Future<Output = ()>,
) {
    let bounds = Bounds {
        connections: settings.connections,
        connections_per_peer: settings.connections_per_peer.min(settings.connections),
        spare_connections: settings.spare_connections,
        idle_timeout: Duration::from_millis(settings.idle_timeout_ms),
        write_timeout: Duration::from_millis(settings.write_timeout_ms),
        drain_timeout: Duration::from_millis(settings.request_timeout_ms),
    };
    http_server::serve(listener, router(status, settings, guard), acceptor, bounds, shutdown).await;
}

/// Serves forever. Retries while the address is in use, because scaling must continue without the page.
pub(crate) async fn run(status: Arc<Status>, settings: Http, guard: Guard, acceptor: Option<TlsAcceptor>) {
    let Some(address) = settings.listen.address() else { return };
    let listener = listen(address, LISTEN_AGAIN).await;
    if let Ok(address) = listener.local_addr() {
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        tracing::info!(page = format!("{scheme}://{address}/"), "listening");
    }
    serve(listener, status, settings, guard, acceptor, std::future::pending()).await;
}

async fn listen(address: SocketAddr, again: Duration) -> TcpListener {
    let mut is_told = false;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) if !is_told => tracing::error!(
                %address,
                "cannot serve the page and the metrics: {error}; stop the other process, or set http.listen or --listen; retrying"
            ),
            Err(_) => {}
        }
        is_told = true;
        tokio::time::sleep(again).await;
    }
}

fn now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: an address that another process has is waited for, and then listened on.
    #[tokio::test]
    async fn a_taken_address_is_waited_for() {
        let address = test_addresses::unused_address().unwrap();
        let taken = TcpListener::bind(address).await.unwrap();
        let mut waiting = tokio::spawn(listen(address, Duration::from_millis(5)));
        assert!(tokio::time::timeout(Duration::from_millis(50), &mut waiting).await.is_err());
        drop(taken);
        let listener = tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap().unwrap();
        assert_eq!(listener.local_addr().unwrap(), address);
    }
}
