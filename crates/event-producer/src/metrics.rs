//! The pages `/metrics` (Prometheus text format) and `/healthz`, on a listener of their own.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use tokio::net::TcpListener;
use tracing::{error, info};

use crate::report::Figures;

/// The newest figures, replaced by the report and read by the page.
pub(crate) type Shown = Arc<Mutex<Figures>>;

/// Serves until the runtime ends.
///
/// # Errors
/// If the address cannot be listened on.
pub(crate) async fn serve(address: SocketAddr, shown: Shown) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("report.listen: could not listen on {address}"))?;
    info!(address = %listener.local_addr()?, "metrics page");
    let page = move || async move {
        let text = shown.lock().unwrap_or_else(PoisonError::into_inner).prometheus();
        ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text)
    };
    let router = Router::new().route("/metrics", get(page)).route("/healthz", get(|| async { "ok\n" }));
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            error!(%error, "the metrics page ended");
        }
    });
    Ok(())
}
