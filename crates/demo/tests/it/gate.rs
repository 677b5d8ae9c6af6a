//! A proxy in front of a server, as operators put one in front of Flink: TLS, client certificates, a login.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// The login that the proxy requires: `ann` with the password `open sesame`.
const LOGIN: &str = "authorization: basic yw5uom9wzw4gc2vzyw1l";

/// Larger request heads are rejected.
const HEAD_BYTES: usize = 16 << 10;

/// The proxy, running as long as the runtime.
pub(crate) struct Gate {
    pub(crate) url: String,
    refused: Arc<AtomicUsize>,
}

impl Gate {
    /// Starts a proxy to the server at this address. Writes authority, client certificate with key, and password into
    /// the folder.
    pub(crate) async fn open(server: SocketAddr, folder: &Path) -> anyhow::Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let signed = || -> anyhow::Result<_> {
            let key = KeyPair::generate()?;
            Ok((CertificateParams::new(["localhost".to_owned()])?.signed_by(&key, &authority)?, key))
        };
        let (certificate, key) = signed()?;
        std::fs::write(folder.join("gate-ca.pem"), authority.pem())?;
        std::fs::write(folder.join("gate-client.pem"), certificate.pem())?;
        super::guarded::secret(folder, "gate-client.key", &key.serialize_pem())?;
        super::guarded::secret(folder, "gate-password", "open sesame\n")?;
        let (certificate, key) = signed()?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone())?;
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build()?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate.der().clone()], key)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("https://localhost:{}", listener.local_addr()?.port());
        let refused = Arc::new(AtomicUsize::new(0));
        tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config)), server, Arc::clone(&refused)));
        Ok(Self { url, refused })
    }

    /// The settings of an authorised client, as keys of a TOML table.
    pub(crate) fn access(folder: &Path) -> String {
        let path = |name: &str| folder.join(name).display().to_string();
        format!(
            "authorities_file = {:?}\nclient_certificate_file = {:?}\nclient_key_file = {:?}\nuser = \"ann\"\npassword.file = {:?}\n",
            path("gate-ca.pem"),
            path("gate-client.pem"),
            path("gate-client.key"),
            path("gate-password"),
        )
    }

    /// Returns the number of requests without a valid login.
    ///
    /// A connection that ends before its first request is not counted: clients open spare connections, and a killed
    /// client leaves them.
    pub(crate) fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, server: SocketAddr, refused: Arc<AtomicUsize>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, refused) = (acceptor.clone(), Arc::clone(&refused));
        tokio::spawn(async move { pass(stream, &acceptor, server, &refused).await });
    }
}

/// Forwards a connection whose first request has a valid login; later requests on it come from the same client.
async fn pass(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    server: SocketAddr,
    refused: &AtomicUsize,
) -> anyhow::Result<()> {
    let mut client = acceptor.accept(stream).await?;
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = client.read_buf(&mut head).await?;
        anyhow::ensure!(read > 0 && head.len() <= HEAD_BYTES, "not a request");
    }
    if !String::from_utf8_lossy(&head).to_ascii_lowercase().contains(LOGIN) {
        refused.fetch_add(1, Ordering::Relaxed);
        client
            .write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .await?;
        return Ok(client.shutdown().await?);
    }
    let mut flink = TcpStream::connect(server).await.context("Flink does not listen")?;
    flink.write_all(&head).await?;
    // Errors are ignored: clients may close connections at any time.
    drop(copy_bidirectional(&mut client, &mut flink).await);
    Ok(())
}
