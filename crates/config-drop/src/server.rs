//! Connections, one by one: how many there are, how long one may be silent, and how they end.
//!
//! `axum::serve` bounds neither the number of connections nor the time a request head takes; this loop does both.
//! Encryption, when it comes, goes between the accepted stream and the connection.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::board::Board;
use crate::config::{Config, Limits};
use crate::http::router;
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
    let router = router(board.clone());
    let graceful = GracefulShutdown::new();
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, jobs = board.generations().len(), "listening");
    }
    tokio::select! {
        () = accept(&listener, &router, &config.limits, &graceful) => {}
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

async fn accept(listener: &TcpListener, router: &Router, limits: &Limits, graceful: &GracefulShutdown) {
    let places = Arc::new(Semaphore::new(limits.connections));
    loop {
        // The semaphore is never closed. While there is no place, new connections wait in the system's own queue.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => serve(stream, router, limits, graceful, place),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn serve(
    stream: TcpStream,
    router: &Router,
    limits: &Limits,
    graceful: &GracefulShutdown,
    place: OwnedSemaphorePermit,
) {
    // A change is one small packet that somebody waits for.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot send small packets at once");
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle_timeout)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection ended with an error");
        }
        drop(place);
    });
}
