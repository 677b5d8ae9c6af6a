//! Clients that never read their responses do not hide the health of the drop.

use std::net::SocketAddr;
use std::time::Duration;

use config_drop::{Config, Limits, Protection};
use drop_client::{ClientSettings, DropClient, Precondition};
use job_config::JobDocument;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

/// For answers that must come, on a loaded machine; far below [`STUCK`].
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the drop waits for clients that do not read: an answer in time does not come from that.
const STUCK: Duration = Duration::from_secs(600);
const CLIENTS: usize = 64;

/// Asks for more than the system buffers, waits until answers begin, and reads nothing.
async fn never_reading(address: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let requests = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").repeat(100);
    stream.write_all(requests.as_bytes()).await.unwrap();
    tokio::time::timeout(PATIENCE, stream.readable()).await.unwrap().unwrap();
    stream
}

/// Goal: while 64 sockets ask for documents and never read, `/healthz` answers, and a publisher and an agent get through,
/// whether these sockets have a share of the connections or all of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_that_never_read_do_not_hide_the_health() {
    for connections_per_peer in [448, 32] {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let limits =
            Limits { connections_per_peer, write_timeout: STUCK, idle_timeout: STUCK, ..Limits::default() };
        let (data, protection) = (folder.path().to_owned(), Protection::default());
        let config = Config { listen: address, data, limits, protection };
        let server = tokio::spawn(config_drop::run(listener, config, std::future::pending()));
        let (url, settings) = (format!("http://{address}"), ClientSettings::default());
        let client = DropClient::new(&url, "nexmark".parse().unwrap(), settings).unwrap();
        let first = document(1);
        client.put(&first, &Precondition::Nothing).await.unwrap();
        let mut stuck = Vec::new();
        for _ in 0..CLIENTS {
            stuck.push(never_reading(address, "/v1/jobs/nexmark/document").await);
        }
        for generation in 2..6 {
            let health = tokio::time::timeout(PATIENCE, reqwest::get(format!("{url}/healthz")));
            assert_eq!(health.await.unwrap().unwrap().text().await.unwrap(), "ok\n");
            let replaced = Precondition::Replaces(document(generation - 1).entity_tag());
            let next = document(generation);
            let put = tokio::time::timeout(PATIENCE, client.put(&next, &replaced));
            put.await.unwrap().unwrap();
        }
        assert_eq!(stuck.len(), CLIENTS);
        server.abort();
    }
}

fn document(generation: u64) -> JobDocument {
    let comment = format!("# {}", "x".repeat(200_000));
    JobDocument::parse(&test_documents::document("nexmark", generation, &comment)).unwrap()
}
