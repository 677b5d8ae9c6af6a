//! Connections, one by one: how many there are, how long one may be silent, and how they end.
//!
//! `axum::serve` bounds neither the number of connections nor the time a request head takes; this loop does both.
//! Encryption goes between the accepted stream and the connection; a handshake has as much time as a request head.

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

use crate::board::Board;
use crate::config::{Config, Limits};
use crate::http::protected_router;
use crate::store::StoreError;

/// How long to wait after an accept that failed (too many open files, mostly) before the next one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the protocol until `shutdown` completes; readers that wait are then answered at once.
///
/// # Errors
/// The data folder is in use, cannot be read, or holds something that is not a document.
pub async fn run(
    listener: TcpListener,
    config: Config,
    shutdown: impl Future<Output = ()>,
) -> Result<(), StoreError> {
    let board = Board::open(&config.data, &config.limits)?;
    let server = Server {
        router: protected_router(board.clone(), &config.protection),
        acceptor: config.protection.acceptor(),
        idle_timeout: config.limits.idle_timeout,
    };
    let graceful = GracefulShutdown::new();
    if let Ok(address) = listener.local_addr() {
        let encrypted = server.acceptor.is_some();
        tracing::info!(%address, encrypted, jobs = board.generations().len(), "listening");
    }
    tokio::select! {
        () = accept(&listener, &server, &config.limits, &graceful) => {}
        () = shutdown => {}
    }
    drop(listener);
    board.close();
    if tokio::time::timeout(config.limits.request_timeout, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not end in time and were cut");
    }
    tracing::info!("stopped");
    Ok(())
}

async fn accept(listener: &TcpListener, server: &Server, limits: &Limits, graceful: &GracefulShutdown) {
    let places = Arc::new(Semaphore::new(limits.connections));
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
        // A change is one small packet that somebody waits for.
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
