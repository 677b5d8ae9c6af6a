//! One GET and its bounded answer, over HTTP or HTTPS.
//!
//! The library that the other clients use is built without TLS here, because switching it on would make each of them read the
//! system's certificates at its start; so this one stands on the same parts (hyper, rustls) directly.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Request, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use secrets::Secret;
use thiserror::Error;
use tokio::time::timeout;
use url::Url;

/// The largest file of certificates that is read, in bytes: the authorities of a whole system take some 250 KiB.
const CERTIFICATES_BYTES: u64 = 4 << 20;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why no client could be made.
#[derive(Debug, Error)]
pub enum SetupError {
    /// The file of certificates cannot be used.
    #[error("ca_file {}: cannot be used as PEM certificates", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: BoxError,
    },
    /// The system has no certificates, and none were configured.
    #[error("the system has no certificates to trust for https; name some with ca_file")]
    NoCertificates,
    /// TLS cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub(crate) enum GetError {
    #[error("does not answer within {0:?}")]
    Late(Duration),
    #[error("answers more than {0} bytes")]
    TooLarge(usize),
    #[error("{0}")]
    Transport(String),
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// The values of `WWW-Authenticate`: with which schemes the server wants to be convinced.
    pub(crate) challenges: String,
    pub(crate) body: Bytes,
}

/// A client; connections are kept open from one look to the next.
#[derive(Debug)]
pub(crate) struct Transport {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    timeout: Duration,
    body_bytes_max: usize,
}

impl Transport {
    /// `ca_file`: the only certificates to trust. The system's are read only if there is no file and `wants_tls`.
    pub(crate) fn new(
        ca_file: Option<&Path>,
        wants_tls: bool,
        timeout: Duration,
        body_bytes_max: usize,
    ) -> Result<Self, SetupError> {
        let roots = match ca_file {
            Some(path) => from_file(path)
                .map_err(|source| SetupError::Certificates { path: path.to_owned(), source })?,
            None if wants_tls => from_system()?,
            None => RootCertStore::empty(),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_connect_timeout(Some(timeout));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1).build(connector);
        Ok(Self { client, timeout, body_bytes_max })
    }

    /// Asks with these credentials, if there are any, and reads the whole answer.
    pub(crate) async fn get(&self, url: &Url, authorization: Option<&Secret>) -> Result<Answer, GetError> {
        let late = GetError::Late(self.timeout);
        timeout(self.timeout, self.exchange(url, authorization)).await.map_err(|_| late)?
    }

    async fn exchange(&self, url: &Url, authorization: Option<&Secret>) -> Result<Answer, GetError> {
        let transport = |error: BoxError| GetError::Transport(in_one_line(error.as_ref()));
        let mut request = Request::get(url.as_str())
            .header("user-agent", concat!("state-probe/", env!("CARGO_PKG_VERSION")))
            .body(Empty::new())
            .map_err(|error| transport(error.into()))?;
        if let Some(credentials) = authorization {
            let mut value =
                HeaderValue::from_str(credentials.reveal()).map_err(|error| transport(error.into()))?;
            value.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        let answer = self.client.request(request).await.map_err(|error| transport(error.into()))?;
        let status = answer.status();
        let challenges = answer.headers().get_all(WWW_AUTHENTICATE).iter();
        let challenges = challenges.filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(", ");
        let body =
            Limited::new(answer.into_body(), self.body_bytes_max).collect().await.map_err(|error| {
                let too_large = error.is::<http_body_util::LengthLimitError>();
                if too_large { GetError::TooLarge(self.body_bytes_max) } else { transport(error) }
            })?;
        Ok(Answer { status, challenges, body: body.to_bytes() })
    }
}

fn from_file(path: &Path) -> Result<RootCertStore, BoxError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&files::read(path, CERTIFICATES_BYTES)?) {
        roots.add(certificate?)?;
    }
    if roots.is_empty() { Err("no certificate is in it".into()) } else { Ok(roots) }
}

fn from_system() -> Result<RootCertStore, SetupError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(SetupError::NoCertificates) } else { Ok(roots) }
}

/// An error with its reasons.
fn in_one_line(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let said = source.to_string();
        if !words.contains(&said) {
            words = format!("{words}: {said}");
        }
        next = source.source();
    }
    words
}
