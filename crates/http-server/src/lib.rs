//! The HTTP server of the services: the connection loop, with limits on the number of connections, idle and write timeouts
//! and graceful shutdown; paths, queries and bodies of requests ([`Path`], [`Query`], [`read_body`]), error responses ([`ApiError`]) and
//! the page `/metrics` ([`MetricsPage`]).
//!
//! `axum::serve` limits neither the number of connections nor the time of a request head, nor how long a response may
//! wait for its client; this loop does. The connections of one peer are limited. Spare connections are reserved for
//! `/healthz` and writers. Responses are the router's task. TLS is inserted between the accepted stream and the
//! connection.

mod api_error;
mod body;
mod connection_slots;
mod extract;
mod hosts;
mod metrics;
mod progress;
mod tls;

use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

pub use api_error::ApiError;
pub use body::read_body;
pub use extract::{Path, Query};
pub use hosts::{Hosts, host_of, is_name};
pub use metrics::{MetricsPage, Samples, Type, Value};
pub use tls::{TlsError, tls};

use connection_slots::{ConnectionSlot, ConnectionSlots};
use progress::WriteTimeout;

/// Pause after a failed accept (usually too many open files).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Timeout of the request head on a spare connection, which the next request needs.
const SPARE_IDLE: Duration = Duration::from_secs(2);

/// Path that is served on every connection, including spare ones.
const HEALTH: &str = "/healthz";

/// Resource limits for untrusted clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Maximum number of open connections.
    pub connections: usize,
    /// Maximum number of open connections per peer (an IPv4 address, or an IPv6 network), besides spare ones.
    pub connections_per_peer: usize,
    /// Number of spare connections, each for one request to `/healthz` or one write. Further ones wait in the
    /// kernel's queue.
    pub spare_connections: usize,
    /// Timeout of a connection without a complete request head.
    pub idle_timeout: Duration,
    /// Timeout of a response whose client reads nothing.
    pub write_timeout: Duration,
    /// Timeout at shutdown for requests in progress, which are then aborted.
    pub drain_timeout: Duration,
}

impl Default for Bounds {
    /// For a few small pages.
    fn default() -> Self {
        Self {
            connections: 64,
            connections_per_peer: 48,
            spare_connections: 8,
            idle_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// Serves until `shutdown` completes, then waits for requests in progress. With an acceptor, connections must be
/// encrypted; a handshake has the timeout of a request head.
///
/// Long-poll handlers must respond when `shutdown` resolves.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    acceptor: Option<TlsAcceptor>,
    bounds: Bounds,
    shutdown: impl Future<Output = ()>,
) {
    let graceful = GracefulShutdown::new();
    let spare_router = router.clone().layer(middleware::from_fn(what_must_get_through));
    let server = Server { router, spare_router, acceptor, bounds };
    tokio::select! {
        () = accept(&listener, &server, &graceful) => {}
        () = shutdown => {}
    }
    drop(listener);
    if tokio::time::timeout(bounds.drain_timeout, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish in time and were aborted");
    }
}

async fn accept(listener: &TcpListener, server: &Server, graceful: &GracefulShutdown) {
    let Bounds { connections, connections_per_peer, spare_connections, .. } = server.bounds;
    let connection_slots = ConnectionSlots::new(connections, spare_connections, connections_per_peer);
    loop {
        // Without a free slot, new connections wait in the kernel's queue.
        connection_slots.any().await;
        match listener.accept().await {
            Ok((stream, peer)) => {
                let Some(slot) = connection_slots.take(peer.ip()) else {
                    tracing::debug!(%peer, "closed a connection above the limit of its peer");
                    continue;
                };
                let (server, watcher) = (server.clone(), graceful.watcher());
                tokio::spawn(async move {
                    server.serve(stream, &slot, watcher).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// State shared by all connections.
#[derive(Clone)]
struct Server {
    router: Router,
    spare_router: Router,
    acceptor: Option<TlsAcceptor>,
    bounds: Bounds,
}

impl Server {
    async fn serve(self, stream: TcpStream, slot: &ConnectionSlot, watcher: Watcher) {
        // A response is often one small packet that a client waits for.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let stream = WriteTimeout::new(stream, self.bounds.write_timeout);
        let Some(acceptor) = &self.acceptor else { return self.serve_http(stream, slot, watcher).await };
        match tokio::time::timeout(self.idle_timeout(slot), acceptor.accept(stream)).await {
            Ok(Ok(stream)) => self.serve_http(stream, slot, watcher).await,
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
            Err(_) => tracing::debug!("TLS handshake timed out"),
        }
    }

    async fn serve_http(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        slot: &ConnectionSlot,
        watcher: Watcher,
    ) {
        let router = if slot.is_spare { &self.spare_router } else { &self.router };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.idle_timeout(slot))
            .keep_alive(!slot.is_spare)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(%error, "connection error");
        }
    }

    fn idle_timeout(&self, slot: &ConnectionSlot) -> Duration {
        let longest = self.bounds.idle_timeout;
        if slot.is_spare { longest.min(SPARE_IDLE) } else { longest }
    }
}

/// Restricts a spare connection to `/healthz` and writes.
async fn what_must_get_through(request: Request, next: Next) -> Response {
    let is_write = matches!(*request.method(), Method::PUT | Method::POST);
    if is_write || request.uri().path() == HEALTH {
        return next.run(request).await;
    }
    (StatusCode::SERVICE_UNAVAILABLE, "too many open connections; retry later\n").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::oneshot;

    fn bounds(connections: usize, idle: Duration) -> Bounds {
        Bounds {
            connections,
            connections_per_peer: connections,
            spare_connections: 0,
            idle_timeout: idle,
            write_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(60),
        }
    }

    /// Goal: a request in progress at shutdown is answered, and then the server ends.
    #[tokio::test]
    async fn running_requests_end_before_the_server() {
        let address = test_addresses::unused_address().unwrap();
        let listener = TcpListener::bind(address).await.unwrap();
        let (arrived, seen) = tokio::sync::mpsc::channel::<()>(1);
        let (release, released) = tokio::sync::watch::channel(false);
        let slow = get(move || {
            let (arrived, mut released) = (arrived.clone(), released.clone());
            async move {
                arrived.send(()).await.unwrap();
                released.wait_for(|yes| *yes).await.unwrap();
                "done"
            }
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let router = Router::new().route("/", slow);
        let server =
            tokio::spawn(serve(listener, router, None, bounds(4, Duration::from_secs(60)), async move {
                stopped.await.unwrap();
            }));
        let answer = tokio::spawn(reqwest::get(format!("http://{address}/")));
        let mut seen = seen;
        seen.recv().await.unwrap();
        stop.send(()).unwrap();
        release.send(true).unwrap();
        assert_eq!(answer.await.unwrap().unwrap().text().await.unwrap(), "done");
        server.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }

    /// Goal: a silent connection is closed, which frees the only slot.
    #[tokio::test]
    async fn silent_connections_are_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(|| async { "here" }));
        let bounds = bounds(1, Duration::from_millis(100));
        let server = tokio::spawn(serve(listener, router, None, bounds, std::future::pending()));
        let mut silent = TcpStream::connect(address).await.unwrap();
        let answer = reqwest::get(format!("http://{address}/")).await.unwrap();
        assert_eq!(answer.text().await.unwrap(), "here");
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(60), silent.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "the silent connection is still open");
        server.abort();
    }

    /// Requests more than the system buffers, and reads nothing.
    async fn never_reading(address: std::net::SocketAddr) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(20).as_slice()).await.unwrap();
        stream
    }

    /// A page of 4 MB, and notifications of its requests.
    fn long_pages() -> (Router, tokio::sync::mpsc::UnboundedReceiver<()>) {
        let (asked, seen) = tokio::sync::mpsc::unbounded_channel::<()>();
        let page = get(move || {
            asked.send(()).unwrap();
            async { "x".repeat(4 << 20) }
        });
        (Router::new().route("/", page).route("/healthz", get(|| async { "ok" })), seen)
    }

    /// Goal: a client that does not read its response is disconnected, which frees the only slot.
    #[tokio::test]
    async fn who_does_not_read_is_let_go_of() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let bounds =
            Bounds { write_timeout: Duration::from_millis(100), ..bounds(1, Duration::from_secs(600)) };
        let (router, mut seen) = long_pages();
        let server = tokio::spawn(serve(listener, router, None, bounds, std::future::pending()));
        let _stuck = never_reading(address).await;
        seen.recv().await.unwrap();
        let next =
            tokio::time::timeout(Duration::from_secs(60), reqwest::get(format!("http://{address}/healthz")));
        assert_eq!(next.await.unwrap().unwrap().text().await.unwrap(), "ok");
        server.abort();
    }

    /// Goal: while one peer holds its share, health checks and writers are still served, and other requests get a
    /// retry error.
    #[tokio::test]
    async fn health_and_writers_always_get_through() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let bounds = Bounds {
            connections_per_peer: 8,
            spare_connections: 2,
            write_timeout: Duration::from_secs(600),
            ..bounds(16, Duration::from_secs(600))
        };
        let (router, mut seen) = long_pages();
        let router = router.route("/document", axum::routing::put(|| async { "stored" }));
        let server = tokio::spawn(serve(listener, router, None, bounds, std::future::pending()));
        let mut stuck = Vec::new();
        for _ in 0..8 {
            stuck.push(never_reading(address).await);
            seen.recv().await.unwrap();
        }
        let client = reqwest::Client::new();
        for _ in 0..5 {
            let health = client.get(format!("http://{address}/healthz")).send().await.unwrap();
            assert_eq!(health.text().await.unwrap(), "ok");
            let written = client.put(format!("http://{address}/document")).send().await.unwrap();
            assert_eq!(written.text().await.unwrap(), "stored");
            let other = client.get(format!("http://{address}/")).send().await.unwrap();
            assert_eq!(other.status(), 503);
        }
        assert_eq!(stuck.len(), 8);
        server.abort();
    }
}
