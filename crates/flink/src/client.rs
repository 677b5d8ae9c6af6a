//! The transport: one request to the leading JobManager, one size-limited response.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http_client::{
    Access, Answer, Failure, Method, Request, StatusCode, authorize, get, with_body, with_json,
};
use secrets::{Address, AddressError, HttpUrl};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use url::Url;

use crate::Error;
use crate::failure::first_and_root_cause;

/// Number of characters kept of Flink's error message: its stack traces have tens of kilobytes.
const MESSAGE_CHARS: usize = 2_000;

/// Timeouts and size limit of every request, and their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientSettings {
    /// Timeout from the request to the end of the response.
    pub timeout: Duration,
    /// The same for requests that upload a jar or make Flink build a job graph.
    pub submit_timeout: Duration,
    /// Size limit of a response, in bytes.
    pub max_body_bytes: usize,
    /// Largest number of requests at the same time, of all clones together; others wait. At least 1.
    pub max_requests: usize,
}

impl Default for ClientSettings {
    /// 10 s (60 s for submissions), 16 MiB (the response for a job of 100 vertices with 32 subtasks each has less than
    /// 2 MiB), and 8 requests: a JobManager answers requests for metrics from memory, with few threads.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            submit_timeout: Duration::from_secs(60),
            max_body_bytes: 16 << 20,
            max_requests: 8,
        }
    }
}

/// A client of one Flink cluster. Cheap to clone: clones share connections.
///
/// A cluster with several JobManagers (high availability) has several URLs. A JobManager that is unreachable, that
/// responds with 503 because it knows no leader, or that redirects to another of the URLs is skipped, and later
/// requests begin with the one that responded.
#[derive(Debug, Clone)]
pub struct Client {
    /// At least one.
    servers: Arc<[HttpUrl]>,
    /// Index of the server that is tried first.
    first: Arc<AtomicUsize>,
    http: http_client::Client,
    settings: ClientSettings,
    permits: Arc<Semaphore>,
}

impl Client {
    /// Creates a client without credentials of the cluster at this URL, for example `http://127.0.0.1:8081`; see
    /// [`Client::with_access`].
    ///
    /// # Errors
    /// See [`Client::with_access`].
    pub fn new(base_url: &str, settings: ClientSettings) -> Result<Self, Error> {
        Self::with_access(base_url, settings, &Access::default())
    }

    /// Creates a client of the cluster at this URL, or at the comma-separated URLs of its JobManagers. Connects on
    /// the first request. A user name and a password in a URL are sent as HTTP Basic, and never appear in a message.
    ///
    /// # Errors
    /// [`Error::Address`] if a URL is invalid, and [`Error::Setup`] if `access` is invalid.
    pub fn with_access(base_url: &str, settings: ClientSettings, access: &Access) -> Result<Self, Error> {
        let url = Address::from(base_url);
        let servers = url.http_list().map_err(|reason| Error::Address { url, reason })?;
        let bounds = http_client::ClientSettings {
            connect_timeout: settings.timeout,
            timeout: settings.timeout,
            max_body_bytes: settings.max_body_bytes,
        };
        let is_encrypted = servers.iter().any(HttpUrl::is_encrypted);
        let http = http_client::Client::new(bounds, access, is_encrypted).map_err(Error::Setup)?;
        let permits = Arc::new(Semaphore::new(settings.max_requests.max(1)));
        Ok(Self { servers: servers.into(), first: Arc::default(), http, settings, permits })
    }

    /// Returns how many requests it makes at the same time at most: more in preparation are of no use.
    pub fn max_requests(&self) -> usize {
        self.settings.max_requests.max(1)
    }

    /// Returns the URL of the last JobManager that responded, without credentials.
    pub fn base_url(&self) -> &str {
        let server = &self.servers[self.first.load(Ordering::Relaxed) % self.servers.len()];
        server.url().as_str().trim_end_matches('/')
    }

    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, Error> {
        let request = |mut url: Url| {
            if !query.is_empty() {
                url.query_pairs_mut().extend_pairs(query);
            }
            get(&url)
        };
        read(self.exchange(path, self.settings.timeout, &request).await?)
    }

    /// Fetches a response and gives its body to `parse`, which can read texts where they lie.
    pub(crate) async fn get_in_place<T>(
        &self,
        path: &str,
        parse: impl FnOnce(&[u8]) -> Result<T, serde_json::Error> + Send,
    ) -> Result<T, Error> {
        let request = |url: Url| get(&url);
        read_with(self.exchange(path, self.settings.timeout, &request).await?, parse)
    }

    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, Error> {
        let request = |url: Url| with_json(method.clone(), &url, body);
        read(self.exchange(path, self.settings.timeout, &request).await?)
    }

    /// Posts JSON for which Flink may build a job graph.
    pub(crate) async fn submit<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, Error> {
        let request = |url: Url| with_json(Method::POST, &url, body);
        read(self.exchange(path, self.settings.submit_timeout, &request).await?)
    }

    /// Posts a body of the given media type, with the timeout of submissions.
    pub(crate) async fn upload<T: DeserializeOwned>(
        &self,
        path: &str,
        media_type: &str,
        body: Vec<u8>,
    ) -> Result<T, Error> {
        let body = bytes::Bytes::from(body);
        let request = |url: Url| with_body(Method::POST, &url, media_type, body.clone());
        read(self.exchange(path, self.settings.submit_timeout, &request).await?)
    }

    /// Tries the servers in turn, until one responds as the leader.
    async fn exchange(
        &self,
        path: &str,
        timeout: Duration,
        request: &(impl Fn(Url) -> Result<Request, Failure> + Sync),
    ) -> Result<(String, Answer), Error> {
        // The semaphore is never closed.
        let _permit = self.permits.acquire().await.ok();
        let count = self.servers.len();
        let mut at = self.first.load(Ordering::Relaxed) % count;
        let mut others = count - 1;
        loop {
            let (url, outcome) = self.ask(&self.servers[at], path, timeout, request).await?;
            let next = match &outcome {
                _ if others == 0 => None,
                Err(failure) if failure.is_connect() => Some((at + 1) % count),
                Ok(answer) if answer.status == StatusCode::SERVICE_UNAVAILABLE => Some((at + 1) % count),
                Ok(answer) => self.redirected_to(answer),
                Err(_) => None,
            };
            if let Some(next) = next {
                (at, others) = (next, others - 1);
                continue;
            }
            // A server that timed out is tried last by the next request.
            let first = if matches!(outcome, Err(Failure::Timeout(_))) { at + 1 } else { at };
            self.first.store(first % count, Ordering::Relaxed);
            return match outcome {
                Ok(answer) => Ok((url, answer)),
                Err(Failure::TooLarge { limit_bytes }) => Err(Error::TooLarge { url, limit_bytes }),
                Err(source) => Err(Error::NoAnswer { url, source }),
            };
        }
    }

    async fn ask(
        &self,
        server: &HttpUrl,
        path: &str,
        timeout: Duration,
        request: &(impl Fn(Url) -> Result<Request, Failure> + Sync),
    ) -> Result<(String, Result<Answer, Failure>), Error> {
        let url = server.url().join(path).map_err(|_| Error::Address {
            url: format!("{server}/{path}").into(),
            reason: AddressError::Form,
        })?;
        let shown = url.to_string();
        let mut request = match request(url) {
            Ok(request) => request,
            Err(failure) => return Ok((shown, Err(failure))),
        };
        authorize(&mut request, server.authorization());
        let limit_bytes = self.settings.max_body_bytes;
        Ok((shown, self.http.send_within(request, timeout, limit_bytes).await))
    }

    /// Returns the configured server to which a response redirects.
    fn redirected_to(&self, answer: &Answer) -> Option<usize> {
        let location = answer.status.is_redirection().then(|| answer.text("location")).flatten()?;
        let location = Url::parse(location).ok()?;
        self.servers.iter().position(|server| server.url().origin() == location.origin())
    }
}

/// Parses the content of a response.
fn read<T: DeserializeOwned>(answer: (String, Answer)) -> Result<T, Error> {
    read_with(answer, |body| serde_json::from_slice(body))
}

fn read_with<T>(
    (url, answer): (String, Answer),
    parse: impl FnOnce(&[u8]) -> Result<T, serde_json::Error>,
) -> Result<T, Error> {
    let Answer { status, body, .. } = &answer;
    if status.is_redirection() {
        let location = answer.text("location").unwrap_or("an unnamed address");
        // The query of a login page may contain tokens.
        let location = location.split(['?', '#']).next().unwrap_or_default();
        let location = location.chars().filter(|c| !c.is_control()).take(MESSAGE_CHARS).collect();
        return Err(Error::Redirect { url, status: status.as_u16(), location });
    }
    if !status.is_success() {
        let message = message(*status, body);
        return Err(Error::Status { url, status: status.as_u16(), message });
    }
    if is_html(body) {
        return Err(Error::Html { url });
    }
    // Some requests return 202 with an empty body.
    let body: &[u8] = if body.is_empty() { b"{}" } else { body };
    parse(body).map_err(|source| Error::Unreadable { url, source })
}

/// Returns the message of an error response: Flink's own, or the meaning of the status if the body is HTML.
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

/// Returns the remedy for a status that Flink itself never returns.
fn hint(status: StatusCode) -> Option<&'static str> {
    match status {
        StatusCode::UNAUTHORIZED => Some(
            "a login is required; set flink.access (user and password, or token), or use http://user:password@host:port",
        ),
        StatusCode::FORBIDDEN => Some("a proxy in front of Flink refuses this request"),
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => Some("a proxy requires a login"),
        _ => None,
    }
}

/// Whether this is an HTML page.
fn is_html(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'<')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: an invalid URL of Flink is rejected at once, with the right form.
    #[test]
    fn addresses_are_checked() {
        for wrong in
            ["", "localhost:8081", "ftp://localhost", "http://", "http://a b", "http://a:1,,http://b:1"]
        {
            assert!(
                matches!(Client::new(wrong, ClientSettings::default()), Err(Error::Address { .. })),
                "{wrong:?}"
            );
        }
        let client = Client::new("http://127.0.0.1:8081/proxy", ClientSettings::default()).unwrap();
        assert_eq!(client.base_url(), "http://127.0.0.1:8081/proxy");
    }

    /// Goal: a password in the URL appears in no message of the client, and in no format of it.
    #[tokio::test]
    async fn a_password_is_never_shown() {
        let client = Client::new("http://ann:hunter2@127.0.0.1:1", ClientSettings::default()).unwrap();
        let refused = client.jobs().await.unwrap_err();
        let wrong = Client::new("ftp://ann:hunter2@host", ClientSettings::default()).unwrap_err();
        let shown = format!("{client:?} {} {refused} {refused:?} {wrong} {wrong:?}", client.base_url());
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(wrong.to_string().contains("http://host:port"), "{wrong}");
    }

    /// Goal: Flink's message is shown without its JSON and truncated; an HTML page is not shown.
    #[test]
    fn messages_are_unwrapped_and_bounded() {
        let not_found = StatusCode::NOT_FOUND;
        assert_eq!(message(not_found, br#"{"errors":["Not found: /x","again"]}"#), "Not found: /x again");
        assert_eq!(message(not_found, b"<html><script>x</script>"), "not found");
        assert_eq!(message(not_found, &[b'x'; 5_000]).len(), MESSAGE_CHARS);
        let login = message(StatusCode::UNAUTHORIZED, b" <html>401</html>");
        assert!(login.contains("a login is required") && !login.contains("<html>"), "{login}");
    }

    /// Responds to every request in the same way, on its own loopback port.
    async fn server(answer: String) -> String {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        url
    }

    fn answer(head: &str, body: &str) -> String {
        format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
    }

    /// Goal: of several JobManagers the leader is found past one that is down, one that knows no leader and one that
    /// redirects to it, and is tried first from then on; a redirect elsewhere is not followed, and the last error is
    /// reported.
    #[tokio::test]
    async fn the_leading_jobmanager_is_found() {
        let leader = server(answer("200 OK", r#"{"jobs":[]}"#)).await;
        let standby = server(answer("503 Service Unavailable", r#"{"errors":["leader election"]}"#)).await;
        let old = server(answer(&format!("307 Moved\r\nLocation: {leader}/jobs/overview"), "")).await;
        let gone = "http://127.0.0.1:1";
        for servers in [
            vec![gone, &standby, &leader],
            vec![&old, gone, &leader],
            vec![&leader, gone],
            vec![&standby, &old, &leader],
        ] {
            let client = Client::new(&servers.join(","), ClientSettings::default()).unwrap();
            assert_eq!(client.jobs().await.unwrap(), []);
            assert_eq!(client.base_url(), leader);
        }
        let client = Client::new(&format!("{gone},{standby}"), ClientSettings::default()).unwrap();
        assert!(matches!(client.jobs().await, Err(Error::Status { status: 503, .. })));
        let client = Client::new(&format!("{old},{gone}"), ClientSettings::default()).unwrap();
        assert!(matches!(client.jobs().await, Err(Error::Redirect { .. })));
    }

    /// Goal: clones together make no more requests at the same time than allowed, and as many; the others come afterwards.
    #[tokio::test]
    async fn requests_at_the_same_time_are_bounded() {
        use std::sync::Mutex;
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        use tokio::sync::Barrier;
        const AT_A_TIME: usize = 3;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        // (requests without an answer, the most of them)
        let counts = Arc::new(Mutex::new((0, 0)));
        let (counted, barrier) = (Arc::clone(&counts), Arc::new(Barrier::new(AT_A_TIME)));
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (counts, barrier) = (Arc::clone(&counted), Arc::clone(&barrier));
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(stream.read_u8().await.unwrap());
                    }
                    {
                        let mut counts = counts.lock().unwrap();
                        counts.0 += 1;
                        counts.1 = counts.1.max(counts.0);
                    }
                    barrier.wait().await;
                    counts.lock().unwrap().0 -= 1;
                    stream.write_all(answer("200 OK", r#"{"jobs":[]}"#).as_bytes()).await.unwrap();
                });
            }
        });
        let settings = ClientSettings {
            timeout: Duration::from_secs(60),
            max_requests: AT_A_TIME,
            ..ClientSettings::default()
        };
        let client = Client::new(&url, settings).unwrap();
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..AT_A_TIME * 4 {
            let client = client.clone();
            all.spawn(async move { client.jobs().await.unwrap() });
        }
        assert_eq!(all.join_all().await.len(), AT_A_TIME * 4);
        assert_eq!(*counts.lock().unwrap(), (0, AT_A_TIME));
    }
}
