//! Test servers with one kind of response, with or without TLS, and an authority that signs their certificates.

use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use url::Url;

/// Kind of response.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answering {
    /// The request's head as the body.
    Headers,
    /// A body that is shorter than announced, or as long.
    Bytes {
        /// The announced length.
        stated: usize,
        /// The bytes sent.
        sent: usize,
    },
    /// A redirect.
    Redirect,
    /// No response.
    Nothing,
}

/// A server on a free loopback port.
pub(crate) struct Server {
    pub(crate) url: Url,
}

impl Server {
    pub(crate) async fn plain(answering: Answering) -> Self {
        let (listener, url) = listener("http").await;
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, answering));
            }
        });
        Self { url }
    }

    /// `wants_certificate`: serves only clients with a certificate of the same authority.
    pub(crate) async fn encrypted(
        authority: &Authority,
        wants_certificate: bool,
        answering: Answering,
    ) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(authority.server_config(wants_certificate)));
        let (listener, url) = listener("https").await;
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // A client without the right certificate disconnects during the handshake.
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, answering).await;
                    }
                });
            }
        });
        Self { url }
    }
}

async fn listener(scheme: &str) -> (TcpListener, Url) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, Url::parse(&format!("{scheme}://localhost:{port}/")).unwrap())
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, answering: Answering) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            // The first byte of a TLS handshake: other servers respond with 400 to it.
            Ok(0x16) if head.is_empty() => {
                drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await);
                return;
            }
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let answer = match answering {
        Answering::Headers => {
            let length = head.len();
            [format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes(), &head].concat()
        }
        Answering::Bytes { stated, sent } => {
            let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {stated}\r\n\r\n").into_bytes();
            answer.resize(answer.len() + sent, b'x');
            answer
        }
        Answering::Redirect => {
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/login\r\nContent-Length: 0\r\n\r\n".to_vec()
        }
        Answering::Nothing => {
            // Until the client times out.
            drop(stream.read_u8().await);
            return;
        }
    };
    drop(stream.write_all(&answer).await);
    drop(stream.shutdown().await);
}

/// An authority for one test.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self { issuer: CertifiedIssuer::self_signed(params, key).unwrap() }
    }

    /// The authority's certificate.
    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    fn signed(&self) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// Writes a client certificate, its key and the authority's certificate, and returns the settings that name them.
    pub(crate) fn write_client(&self, folder: &Path) -> String {
        let (certificate, key) = self.signed();
        let path = |name: &str| folder.join(name);
        std::fs::write(path("ca.pem"), self.pem()).unwrap();
        std::fs::write(path("client.pem"), certificate.pem()).unwrap();
        secrets::write_new(&path("client.key"), &key.serialize_pem()).unwrap();
        format!(
            "authorities_file = '{}'\nclient_certificate_file = '{}'\nclient_key_file = '{}'",
            path("ca.pem").display(),
            path("client.pem").display(),
            path("client.key").display()
        )
    }

    fn server_config(&self, wants_certificate: bool) -> ServerConfig {
        let (certificate, key) = self.signed();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if wants_certificate {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        builder.with_single_cert(vec![certificate.der().clone()], key).unwrap()
    }
}
