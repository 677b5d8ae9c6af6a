//! The pages `/metrics` (Prometheus text format) and `/healthz`, on a listener of their own.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use axum::Router;
use axum::routing::get;
use http_server::Bounds;
use tokio::net::TcpListener;
use tracing::info;

use crate::report::ReportValues;

/// The newest figures, replaced by the report and read by the page.
pub(crate) type SharedReport = Arc<Mutex<ReportValues>>;

/// Serves until the runtime ends.
///
/// # Errors
/// If the address cannot be listened on.
pub(crate) async fn serve(address: SocketAddr, shown: SharedReport) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("report.listen: could not listen on {address}"))?;
    info!(address = %listener.local_addr()?, "metrics page");
    tokio::spawn(answer(listener, shown, Bounds::default()));
    Ok(())
}

async fn answer(listener: TcpListener, shown: SharedReport, bounds: Bounds) {
    let page = move || async move { shown.lock().unwrap_or_else(PoisonError::into_inner).metrics() };
    let router = Router::new().route("/metrics", get(page)).route("/healthz", get(|| async { "ok\n" }));
    http_server::serve(listener, router, None, bounds, std::future::pending()).await;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);
    const REQUEST: &[u8] = b"GET /metrics HTTP/1.1\r\nhost: producer\r\nconnection: keep-alive\r\n\r\n";

    /// Sends requests without reading a response, until the server closes the connection.
    async fn read_nothing(mut stream: TcpStream) {
        while stream.write_all(REQUEST).await.is_ok() {}
    }

    /// Sends the beginning of a request, and waits until the server closes the connection.
    async fn send_half(mut stream: TcpStream) {
        stream.write_all(&REQUEST[..20]).await.unwrap();
        let _closed = stream.read_to_end(&mut Vec::new()).await;
    }

    async fn page(mut stream: TcpStream) -> String {
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nhost: producer\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// Goal: clients that never read a response or never end their request are disconnected, and the page answers
    /// although they had taken every connection.
    #[tokio::test]
    async fn stuck_clients_do_not_keep_the_page_from_answering() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let bounds = Bounds {
            connections: 2,
            connections_per_peer: 2,
            spare_connections: 0,
            idle_timeout: Duration::from_millis(200),
            write_timeout: Duration::from_millis(200),
            ..Bounds::default()
        };
        let server = tokio::spawn(answer(listener, SharedReport::default(), bounds));
        // They are accepted in this order.
        let unread = tokio::spawn(read_nothing(TcpStream::connect(address).await.unwrap()));
        let half = tokio::spawn(send_half(TcpStream::connect(address).await.unwrap()));
        let page = timeout(PATIENCE, page(TcpStream::connect(address).await.unwrap())).await;
        let page = page.expect("the page does not answer");
        assert!(
            page.starts_with("HTTP/1.1 200 ") && page.contains("\nevent_producer_due_total 0\n"),
            "{page}"
        );
        timeout(PATIENCE, unread).await.expect("who does not read is still connected").unwrap();
        timeout(PATIENCE, half).await.expect("half a request is still waited for").unwrap();
        server.abort();
    }
}
