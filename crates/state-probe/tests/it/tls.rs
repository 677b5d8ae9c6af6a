//! WebHDFS over TLS: only a server with the right certificate is trusted.

use std::sync::Arc;

use crate::support::{SUMMARY, figures, refused};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

async fn serve(listener: TcpListener, acceptor: TlsAcceptor) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        // A client that does not trust the certificate disconnects during the handshake.
        let Ok(mut stream) = acceptor.accept(stream).await else { continue };
        let _request = stream.read(&mut [0; 4096]).await;
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{SUMMARY}",
            SUMMARY.len()
        );
        let _sent = stream.write_all(answer.as_bytes()).await;
        let _closed = stream.shutdown().await;
    }
}

/// Goal: with the right authorities file the NameNode is trusted; with another one it is not, and the line says why.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn only_a_trusted_namenode_is_believed() {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config))));

    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("own.pem"), own.cert.pem()).unwrap();
    std::fs::write(path("other.pem"), other.cert.pem()).unwrap();
    std::fs::write(path("empty.pem"), "nothing").unwrap();
    let with = |file: &str| {
        ["--source", "webhdfs", "--path", "/flink", "--url", &url, "--ca-file", &path(file)]
            .map(str::to_owned)
    };
    let checks = || {
        let words = |file: &str| with(file).to_vec();
        let own = words("own.pem");
        assert_eq!(figures(&own.iter().map(String::as_str).collect::<Vec<_>>())["size_bytes"], 1000);
        for (file, reason) in
            [("other.pem", "certificate"), ("empty.pem", "empty.pem"), ("none.pem", "none.pem")]
        {
            let words = words(file);
            refused(1, &words.iter().map(String::as_str).collect::<Vec<_>>(), &[reason]);
        }
    };
    tokio::task::block_in_place(checks);
}
