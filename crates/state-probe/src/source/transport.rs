//! One GET and its size-limited response, over HTTP or HTTPS.

use std::time::Duration;

use http_client::{Access, ClientSettings, Failure, SetupError, StatusCode};
use secrets::Secret;
use url::Url;

/// A complete response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// Values of `WWW-Authenticate`: the login methods that the server accepts.
    pub(crate) challenges: String,
    pub(crate) body: Vec<u8>,
}

/// An HTTP client; connections are kept open between samples.
#[derive(Debug)]
pub(crate) struct Transport {
    client: http_client::Client,
}

impl Transport {
    pub(crate) fn new(
        access: &Access,
        is_encrypted: bool,
        timeout: Duration,
        max_body_bytes: usize,
    ) -> Result<Self, SetupError> {
        let settings = ClientSettings { connect_timeout: timeout, timeout, max_body_bytes };
        Ok(Self { client: http_client::Client::new(settings, access, is_encrypted)? })
    }

    /// Sends a GET with the URL's credentials, if any, and reads the whole response.
    pub(crate) async fn get(&self, url: &Url, credentials: Option<&Secret>) -> Result<Answer, Failure> {
        let mut request = http_client::get(url)?;
        http_client::authorize(&mut request, credentials);
        let answer = self.client.send(request).await?;
        let challenges = answer.headers.get_all("www-authenticate").iter();
        let challenges = challenges.filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(", ");
        Ok(Answer { status: answer.status, challenges, body: answer.body })
    }
}
