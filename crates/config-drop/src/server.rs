//! Serves the protocol on a socket until shutdown.

use http_server::Bounds;
use tokio::net::TcpListener;

use crate::config::Config;
use crate::http::protected_router;
use crate::registry::DocumentRegistry;
use crate::store::StoreError;

/// Serves the protocol until `shutdown` completes; waiting readers are then answered immediately.
///
/// # Errors
/// The data folder is in use, cannot be read, or holds an invalid document.
pub async fn run(
    listener: TcpListener,
    config: Config,
    shutdown: impl Future<Output = ()>,
) -> Result<(), StoreError> {
    let registry = DocumentRegistry::open(&config.data, &config.limits)?;
    let router = protected_router(registry.clone(), &config.protection);
    let acceptor = config.protection.acceptor();
    if let Ok(address) = listener.local_addr() {
        let encrypted = acceptor.is_some();
        tracing::info!(%address, encrypted, jobs = registry.generations().len(), "listening");
    }
    let bounds = Bounds {
        connections: config.limits.connections,
        connections_per_peer: config.limits.connections_per_peer.min(config.limits.connections),
        spare_connections: config.limits.spare_connections,
        idle_timeout: config.limits.idle_timeout,
        write_timeout: config.limits.write_timeout,
        drain_timeout: config.limits.request_timeout,
    };
    let closing = async {
        shutdown.await;
        registry.close();
    };
    http_server::serve(listener, router, acceptor, bounds, closing).await;
    tracing::info!("stopped");
    Ok(())
}
