//! One GET and its bounded answer, over HTTP or HTTPS.

use std::time::Duration;

use http_client::{Access, Failure, Settings, SetupError, StatusCode};
use secrets::Secret;
use url::Url;

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// The values of `WWW-Authenticate`: which logins the server accepts.
    pub(crate) challenges: String,
    pub(crate) body: Vec<u8>,
}

/// A client; connections are kept open from one look to the next.
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
        let settings = Settings { connect_timeout: timeout, timeout, max_body_bytes };
        Ok(Self { client: http_client::Client::new(settings, access, is_encrypted)? })
    }

    /// Asks with the credentials of the address, if it has some, and reads the whole answer.
    pub(crate) async fn get(&self, url: &Url, credentials: Option<&Secret>) -> Result<Answer, Failure> {
        let mut request = http_client::get(url)?;
        http_client::authorize(&mut request, credentials);
        let answer = self.client.send(request).await?;
        let challenges = answer.headers.get_all("www-authenticate").iter();
        let challenges = challenges.filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(", ");
        Ok(Answer { status: answer.status, challenges, body: answer.body })
    }
}
