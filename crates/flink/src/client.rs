//! The transport: one request, one bounded answer.

use std::time::Duration;

use futures_util::StreamExt;
use reqwest::header::{AUTHORIZATION, HeaderValue, LOCATION};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use secrets::{Address, AddressError, HttpUrl, Secret};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;
use crate::failure::first_and_root_cause;

/// How many characters of Flink's own error message are kept: its stack traces run to tens of kilobytes.
const MESSAGE_CHARS: usize = 2_000;

/// The bounds of every call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// From the request to the end of the answer.
    pub timeout: Duration,
    /// The same for calls that carry a jar or make Flink build a job graph.
    pub submit_timeout: Duration,
    /// The largest answer that is read.
    pub max_body_bytes: usize,
}

impl Default for Settings {
    /// 10 s (60 s for submissions) and 16 MiB: a job of 100 vertices with 32 subtasks each answers less than 2 MiB.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            submit_timeout: Duration::from_secs(60),
            max_body_bytes: 16 << 20,
        }
    }
}

/// A client of one Flink cluster. Cheap to clone: the connections are shared.
#[derive(Debug, Clone)]
pub struct Client {
    base: HttpUrl,
    http: reqwest::Client,
    settings: Settings,
}

impl Client {
    /// A client of the cluster at this address, for example `http://127.0.0.1:8081`. Connects on the first call. A user name and a
    /// password in the address are sent as HTTP Basic, and are part of no message.
    ///
    /// # Errors
    /// [`Error::Address`] if the address is no HTTP URL, or is https, which this client does not speak.
    pub fn new(base_url: &str, settings: Settings) -> Result<Self, Error> {
        let url = Address::from(base_url);
        let base = url.plain_http().map_err(|reason| Error::Address { url, reason })?;
        let http = reqwest::Client::builder()
            .timeout(settings.timeout)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(Error::Setup)?;
        Ok(Self { base, http, settings })
    }

    /// The address of the cluster, without credentials.
    pub fn base_url(&self) -> &str {
        self.base.url().as_str().trim_end_matches('/')
    }

    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, Error> {
        self.answer(self.request(Method::GET, path)?.query(query)).await
    }

    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, Error> {
        self.answer(self.request(method, path)?.json(body)).await
    }

    pub(crate) async fn submit<T: DeserializeOwned>(
        &self,
        path: &str,
        fill: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<T, Error> {
        let request = self.request(Method::POST, path)?.timeout(self.settings.submit_timeout);
        self.answer(fill(request)).await
    }

    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, Error> {
        let url = self.base.url().join(path).map_err(|_| Error::Address {
            url: format!("{}/{path}", self.base).into(),
            reason: AddressError::Form,
        })?;
        let request = self.http.request(method, url);
        Ok(match self.base.authorization() {
            Some(credentials) => request.header(AUTHORIZATION, sensitive(credentials)),
            None => request,
        })
    }

    async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Error> {
        let response = request.send().await.map_err(|source| Error::NoAnswer {
            url: source.url().unwrap_or(self.base.url()).to_string(),
            source: source.without_url(),
        })?;
        let (url, status) = (response.url().to_string(), response.status());
        if status.is_redirection() {
            let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            let location = location.unwrap_or("an address that it does not name");
            let location = location.chars().filter(|c| !c.is_control()).take(MESSAGE_CHARS).collect();
            return Err(Error::Redirect { url, status: status.as_u16(), location });
        }
        let body = self.read(&url, response).await?;
        if !status.is_success() {
            let message = message(status, &body);
            return Err(Error::Status { url, status: status.as_u16(), message });
        }
        if is_html(&body) {
            return Err(Error::Html { url });
        }
        // Some calls answer 202 with nothing in it.
        let body = if body.is_empty() { b"{}".as_slice() } else { &body };
        serde_json::from_slice(body).map_err(|source| Error::Unreadable { url, source })
    }

    async fn read(&self, url: &str, response: Response) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk
                .map_err(|source| Error::NoAnswer { url: url.to_owned(), source: source.without_url() })?;
            if body.len() + chunk.len() > self.settings.max_body_bytes {
                let limit_bytes = self.settings.max_body_bytes;
                return Err(Error::TooLarge { url: url.to_owned(), limit_bytes });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// A header that Debug does not show. Base64 is always a valid header.
fn sensitive(credentials: &Secret) -> HeaderValue {
    let mut header = HeaderValue::from_str(credentials.reveal()).unwrap_or(HeaderValue::from_static(""));
    header.set_sensitive(true);
    header
}

/// What an answer with an error status says: Flink's own words; of a page for people only what its status means.
fn message(status: StatusCode, body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Errors {
        errors: Vec<String>,
    }
    let said = match serde_json::from_slice::<Errors>(body) {
        Ok(answer) => {
            answer.errors.iter().map(|error| first_and_root_cause(error)).collect::<Vec<_>>().join(" ")
        }
        Err(_) if is_html(body) => String::new(),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let said: String = said.trim().chars().take(MESSAGE_CHARS).collect();
    match (said.as_str(), hint(status)) {
        ("", Some(hint)) => hint.to_owned(),
        ("", None) => status.canonical_reason().unwrap_or("no reason given").to_lowercase(),
        (_, Some(hint)) => format!("{said}; {hint}"),
        (_, None) => said,
    }
}

/// What to do about a status that Flink itself does not answer.
fn hint(status: StatusCode) -> Option<&'static str> {
    match status {
        StatusCode::UNAUTHORIZED => {
            Some("something in front of Flink requires a login; write it as http://user:password@host:port")
        }
        StatusCode::FORBIDDEN => Some("something in front of Flink refuses this request"),
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => Some("a proxy requires a login"),
        _ => None,
    }
}

/// Whether this is a page for people.
fn is_html(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'<')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: an address that cannot be Flink's is refused at once, with the form that is right.
    #[test]
    fn addresses_are_checked() {
        for wrong in ["", "localhost:8081", "ftp://localhost", "http://", "http://a b", "https://localhost"] {
            assert!(
                matches!(Client::new(wrong, Settings::default()), Err(Error::Address { .. })),
                "{wrong:?}"
            );
        }
        let client = Client::new("http://127.0.0.1:8081/proxy", Settings::default()).unwrap();
        assert_eq!(client.base_url(), "http://127.0.0.1:8081/proxy");
    }

    /// Goal: a password in the address is in no message of the client, and in no form in which the client is shown.
    #[tokio::test]
    async fn a_password_is_never_shown() {
        let client = Client::new("http://ann:hunter2@127.0.0.1:1", Settings::default()).unwrap();
        let refused = client.jobs().await.unwrap_err();
        let wrong = Client::new("https://ann:hunter2@host", Settings::default()).unwrap_err();
        let shown = format!("{client:?} {} {refused} {refused:?} {wrong} {wrong:?}", client.base_url());
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(wrong.to_string().contains("https is not built"), "{wrong}");
    }

    /// Goal: Flink's message is shown without its JSON around it and never at full length; a page for people is not shown at all.
    #[test]
    fn messages_are_unwrapped_and_bounded() {
        let not_found = StatusCode::NOT_FOUND;
        assert_eq!(message(not_found, br#"{"errors":["Not found: /x","again"]}"#), "Not found: /x again");
        assert_eq!(message(not_found, b"<html><script>x</script>"), "not found");
        assert_eq!(message(not_found, &[b'x'; 5_000]).len(), MESSAGE_CHARS);
        let login = message(StatusCode::UNAUTHORIZED, b" <html>401</html>");
        assert!(login.contains("requires a login") && !login.contains("<html>"), "{login}");
    }
}
