//! The programs' HTTP requests and the environment's proxies.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use crate::support::program;

/// Variables by which programs are told to use a proxy.
const VARIABLES: [&str; 6] =
    ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// A server on loopback that answers everything with 404, and reports each request.
fn server() -> (SocketAddr, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (seen, requests) = channel();
    thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let mut head = [0; 1024];
            if connection.read(&mut head).is_ok_and(|bytes| bytes > 0) && seen.send(()).is_err() {
                return;
            }
            let answer = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _ = connection.write_all(answer);
        }
    });
    (address, requests)
}

/// Goal: no program asks the environment's proxy for a loopback address. A proxy usually runs elsewhere, where that address is
/// another machine.
#[test]
fn loopback_is_never_asked_of_a_proxy() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/jobs/nexmark.toml");
    let ((address, requests), (proxy, asked)) = (server(), server());
    let url = &format!("http://{address}");
    for (name, arguments) in [
        ("rescaler", &["inspect", "--flink", url, "--seconds", "1"][..]),
        ("rescaler", &["doctor", "--flink", url]),
        ("rescaler", &["publish", "--document", document, "--drop", url]),
        ("state-probe", &["once", "--source", "flink", "--url", url]),
        ("state-probe", &["once", "--source", "webhdfs", "--path", "/x", "--url", url]),
        (
            "config-agent",
            &["--once", "--job", "a", "--data", data, "--drop", url, "--flink", url, "--jar", document],
        ),
    ] {
        let mut command = Command::new(program(name));
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.env_remove("NO_PROXY").env_remove("no_proxy");
        command.envs(VARIABLES.map(|variable| (variable, format!("http://{proxy}"))));
        let mut child = command.spawn().unwrap();
        let request = requests.recv_timeout(Duration::from_secs(30));
        child.kill().unwrap();
        child.wait().unwrap();
        request.unwrap_or_else(|_| panic!("{name} {arguments:?} sent no request to {address}"));
        assert!(asked.try_recv().is_err(), "{name} {arguments:?} asked the proxy");
        while requests.try_recv().is_ok() {}
    }
}
