//! The transport: one request, one bounded answer.

use std::time::Duration;

use futures_util::StreamExt;
use reqwest::{Method, RequestBuilder, Response, Url};
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
    base: Url,
    http: reqwest::Client,
    settings: Settings,
}

impl Client {
    /// A client of the cluster at this address, for example `http://127.0.0.1:8081`. Connects on the first call.
    ///
    /// # Errors
    /// [`Error::Address`] if the address is no HTTP URL.
    pub fn new(base_url: &str, settings: Settings) -> Result<Self, Error> {
        let address = || Error::Address { url: base_url.to_owned() };
        let mut base: Url = base_url.parse().map_err(|_| address())?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(address());
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let http = reqwest::Client::builder()
            .timeout(settings.timeout)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(Error::Setup)?;
        Ok(Self { base, http, settings })
    }

    /// The address of the cluster.
    pub fn base_url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
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
        let url = self.base.join(path).map_err(|_| Error::Address { url: format!("{}{path}", self.base) })?;
        Ok(self.http.request(method, url))
    }

    async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Error> {
        let response = request.send().await.map_err(|source| Error::NoAnswer {
            url: source.url().unwrap_or(&self.base).to_string(),
            source: source.without_url(),
        })?;
        let (url, status) = (response.url().to_string(), response.status());
        let body = self.read(&url, response).await?;
        if !status.is_success() {
            return Err(Error::Status { url, status: status.as_u16(), message: flink_message(&body) });
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

/// The text of Flink's `{"errors": […]}`, or of whatever else was answered.
fn flink_message(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Errors {
        errors: Vec<String>,
    }
    let text = match serde_json::from_slice::<Errors>(body) {
        Ok(answer) => {
            answer.errors.iter().map(|error| first_and_root_cause(error)).collect::<Vec<_>>().join(" ")
        }
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    text.trim().chars().take(MESSAGE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: an address that cannot be Flink's is refused at once, with the form that is right.
    #[test]
    fn addresses_are_checked() {
        for wrong in ["", "localhost:8081", "ftp://localhost", "http://"] {
            assert!(
                matches!(Client::new(wrong, Settings::default()), Err(Error::Address { .. })),
                "{wrong:?}"
            );
        }
        let client = Client::new("http://127.0.0.1:8081/proxy", Settings::default()).unwrap();
        assert_eq!(client.base_url(), "http://127.0.0.1:8081/proxy");
    }

    /// Goal: Flink's message is shown without its JSON around it, and never at full length.
    #[test]
    fn messages_are_unwrapped_and_bounded() {
        assert_eq!(flink_message(br#"{"errors":["Not found: /x","again"]}"#), "Not found: /x again");
        assert_eq!(flink_message(b"<html>"), "<html>");
        assert_eq!(flink_message(&[b'x'; 5_000]).len(), MESSAGE_CHARS);
    }
}
