//! Clients that never read their responses do not hide the health of the rescaler.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rescaler::http::{Guard, Http, serve};
use rescaler::status::Status;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use crate::support::recorded;

/// For answers that must come, on a loaded machine; far below [`STUCK_MS`].
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the page waits for clients that do not read: an answer in time does not come from that.
const STUCK_MS: u64 = 600_000;
const CLIENTS: usize = 64;

/// Asks for more than the system buffers, waits until answers begin, and reads nothing.
async fn never_reading(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = "GET /assets/page.css HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(request.repeat(1_000).as_bytes()).await.unwrap();
    tokio::time::timeout(PATIENCE, stream.readable()).await.unwrap().unwrap();
    stream
}

/// Goal: while 64 sockets ask for the page and never read, `/healthz` answers, with the bounds that are the default.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_that_never_read_do_not_hide_the_page() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let guard = Guard::new("127.0.0.1:0".parse().unwrap(), &[], None);
    let settings = Http { write_timeout_ms: STUCK_MS, idle_timeout_ms: STUCK_MS, ..Http::default() };
    let status = Arc::new(Status::new(vec![recorded("nexmark")]));
    let server = tokio::spawn(serve(listener, status, settings, guard, None, std::future::pending()));
    let mut stuck = Vec::new();
    for _ in 0..CLIENTS {
        stuck.push(never_reading(address).await);
    }
    for _ in 0..5 {
        let health = tokio::time::timeout(PATIENCE, reqwest::get(format!("http://{address}/healthz")));
        let answer = health.await.unwrap().unwrap();
        // What the recorded job is worth does not matter here.
        assert!([200, 503].contains(&answer.status().as_u16()), "{}", answer.status());
        assert!(!answer.text().await.unwrap().contains("too many open connections"));
    }
    assert_eq!(stuck.len(), CLIENTS);
    server.abort();
}
