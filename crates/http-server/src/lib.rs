//! Connections, one by one: how many there are, how long one may be silent, and how they end.
//!
//! `axum::serve` bounds neither the number of connections nor the time a request head takes; this loop does both. What is
//! answered is the router's business. Encryption goes between the accepted stream and the connection.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

/// How long to wait after an accept that failed (too many open files, mostly) before the next one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a stranger can make grow, and how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Open connections. Further ones wait in the system's own queue.
    pub connections: usize,
    /// How long a connection may be open without a whole request head arriving.
    pub idle_timeout: Duration,
    /// How long requests that are being answered at the end may take before they are cut.
    pub drain_timeout: Duration,
}

/// Serves until `shutdown` completes, then lets running requests end. With an acceptor, connections must be encrypted; a
/// handshake has as much time as a request head.
///
/// Whoever holds requests back on purpose answers them at the end of `shutdown`.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    acceptor: Option<TlsAcceptor>,
    bounds: Bounds,
    shutdown: impl Future<Output = ()>,
) {
    let graceful = GracefulShutdown::new();
    let server = Server { router, acceptor, idle_timeout: bounds.idle_timeout };
    tokio::select! {
        () = accept(&listener, &server, bounds.connections, &graceful) => {}
        () = shutdown => {}
    }
    drop(listener);
    if tokio::time::timeout(bounds.drain_timeout, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not end in time and were cut");
    }
}

async fn accept(listener: &TcpListener, server: &Server, connections: usize, graceful: &GracefulShutdown) {
    let places = Arc::new(Semaphore::new(connections));
    loop {
        // The semaphore is never closed. While there is no place, new connections wait in the system's own queue.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (server, watcher) = (server.clone(), graceful.watcher());
                tokio::spawn(async move {
                    server.serve(stream, watcher).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// What every connection needs.
#[derive(Clone)]
struct Server {
    router: Router,
    acceptor: Option<TlsAcceptor>,
    idle_timeout: Duration,
}

impl Server {
    async fn serve(self, stream: TcpStream, watcher: Watcher) {
        // An answer is often one small packet that somebody waits for.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot send small packets at once");
        }
        let Some(acceptor) = &self.acceptor else { return self.speak(stream, watcher).await };
        match tokio::time::timeout(self.idle_timeout, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => self.speak(stream, watcher).await,
            Ok(Err(error)) => tracing::debug!(%error, "a connection was not encrypted as required"),
            Err(_) => tracing::debug!("a connection took too long to be encrypted"),
        }
    }

    async fn speak(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, watcher: Watcher) {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.idle_timeout)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(self.router.clone()));
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(%error, "a connection ended with an error");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::AsyncReadExt as _;
    use tokio::sync::oneshot;

    fn bounds(connections: usize, idle: Duration) -> Bounds {
        Bounds { connections, idle_timeout: idle, drain_timeout: Duration::from_secs(60) }
    }

    /// Goal: a request that is being answered when the end comes is answered, and then the server is gone.
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

    /// Goal: who connects and says nothing loses the connection, so that the only place is free for the next.
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
}
