//! Source `webhdfs`: one GETCONTENTSUMMARY to the NameNode, which answers from memory what `hdfs dfs -du -s` starts a
//! JVM for.
//!
//! Several NameNodes are tried in order, the last successful one first. A standby NameNode responds with a specific
//! error, and the next one is tried; an error of an active one (no such path, permission denied) is final. HttpFS has
//! the same protocol. Kerberos is not supported; use the source `command` for it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use http_client::{Access, SetupError, StatusCode};
use secrets::{HttpUrl, Secret};
use serde::Deserialize;
use thiserror::Error;
use url::Url;

use super::transport::{Answer as HttpAnswer, Transport};
use crate::sample::SampleValues;

/// Size limit of a response, in bytes: a content summary has about 300, an error with a Java stack some thousand.
const BODY_BYTES: usize = 64 << 10;
/// Number of characters shown of a NameNode's message: the rest is a stack trace.
const MESSAGE_CHARS: usize = 300;

/// Settings of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhdfsConfig {
    /// URLs of the NameNodes, for example `http://nn1:9870`.
    pub urls: Vec<HttpUrl>,
    /// The path in HDFS, absolute.
    pub path: String,
    /// User name (`user.name`); `None`: HDFS uses its static user, `dr.who`.
    pub user: Option<String>,
    /// Credentials and trusted authorities.
    pub access: Access,
}

/// Why the NameNodes gave no values.
#[derive(Debug, Error)]
pub enum WebhdfsError {
    /// The HTTP client cannot be created.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// An active NameNode returned an error.
    #[error("{namenode} rejected {path:?}: {refusal}")]
    Refused {
        /// URL of the NameNode.
        namenode: String,
        /// The requested path.
        path: String,
        /// The error.
        refusal: HdfsError,
    },
    /// No NameNode answered; each with its reason.
    #[error("no NameNode answers: {}", reasons.join("; "))]
    NoneAnswers {
        /// `url: reason`.
        reasons: Vec<String>,
    },
}

/// An error response of HDFS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HdfsError {
    /// Class of the exception, for example `FileNotFoundException`.
    pub exception: String,
    /// First line of its message.
    pub message: String,
}

impl fmt::Display for HdfsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.exception.as_str() {
            "FileNotFoundException" => write!(formatter, "path missing: {}", self.message),
            // Its message is sufficient.
            "AccessControlException" => formatter.write_str(&self.message),
            other => write!(formatter, "{other}: {}", self.message),
        }
    }
}

/// Why one NameNode was skipped.
#[derive(Debug, Error)]
enum SkipReason {
    #[error("is in standby")]
    Standby,
    #[error("{0}")]
    Busy(HdfsError),
    #[error("answered {0}, which is not WebHDFS{1}")]
    Foreign(StatusCode, &'static str),
    #[error("request failed: {0}")]
    NoAnswer(#[from] http_client::Failure),
}

/// Failure of one NameNode.
enum NameNodeFailure {
    Skipped(SkipReason),
    Final(HdfsError),
}

/// A client of one file system.
#[derive(Debug)]
pub(crate) struct Webhdfs {
    transport: Transport,
    path: String,
    /// Base URL and request URL.
    namenodes: Vec<(HttpUrl, Url)>,
    /// Index of the last successful one.
    preferred: usize,
}

impl Webhdfs {
    pub(crate) fn new(config: &WebhdfsConfig, timeout: Duration) -> Result<Self, WebhdfsError> {
        let wants_tls = config.urls.iter().any(HttpUrl::is_encrypted);
        let transport = Transport::new(&config.access, wants_tls, timeout, BODY_BYTES)?;
        let namenodes = config.urls.iter().map(|url| (url.clone(), question(url.url(), config))).collect();
        Ok(Self { transport, path: config.path.clone(), namenodes, preferred: 0 })
    }

    pub(crate) async fn sample(&mut self) -> Result<SampleValues, WebhdfsError> {
        let count = self.namenodes.len();
        let mut reasons = Vec::with_capacity(count);
        for index in (self.preferred..self.preferred + count).map(|index| index % count) {
            let (address, question) = &self.namenodes[index];
            let namenode = address.to_string();
            match self.ask(question, address.authorization()).await {
                Ok(summary) => {
                    self.preferred = index;
                    return Ok(summary.into());
                }
                Err(NameNodeFailure::Skipped(reason)) => reasons.push(format!("{namenode} {reason}")),
                Err(NameNodeFailure::Final(refusal)) => {
                    return Err(WebhdfsError::Refused { namenode, path: self.path.clone(), refusal });
                }
            }
        }
        Err(WebhdfsError::NoneAnswers { reasons })
    }

    async fn ask(&self, url: &Url, credentials: Option<&Secret>) -> Result<ContentSummary, NameNodeFailure> {
        let answer = self.transport.get(url, credentials).await;
        let answer = answer.map_err(|error| NameNodeFailure::Skipped(error.into()))?;
        parse_response(&answer, credentials.is_some())
    }
}

/// Builds `BASE/webhdfs/v1/PATH?op=GETCONTENTSUMMARY` with all parts encoded. Accepts a base that already ends in
/// `/webhdfs/v1` (or `/webhdfs`), as for other clients.
fn question(base: &Url, config: &WebhdfsConfig) -> Url {
    let mut url = base.clone();
    let path = base.path().trim_end_matches('/');
    let missing: &[&str] = match path {
        path if path.ends_with("/webhdfs/v1") => &[],
        path if path.ends_with("/webhdfs") => &["v1"],
        _ => &["webhdfs", "v1"],
    };
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(missing);
        segments.extend(config.path.split('/').filter(|part| !part.is_empty()));
    }
    if !url.path().contains("/v1/") {
        url.set_path(&format!("{}/", url.path()));
    }
    url.query_pairs_mut().clear().append_pair("op", "GETCONTENTSUMMARY");
    if let Some(user) = &config.user {
        url.query_pairs_mut().append_pair("user.name", user);
    }
    url
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContentSummary {
    length: u64,
    space_consumed: Option<u64>,
    file_count: Option<u64>,
    directory_count: Option<u64>,
}

impl From<ContentSummary> for SampleValues {
    fn from(summary: ContentSummary) -> Self {
        Self {
            size_bytes: summary.length,
            size_with_replicas_bytes: summary.space_consumed,
            files: summary.file_count,
            folders: summary.directory_count,
            ..Self::default()
        }
    }
}

/// The JSON object of every response, by the name of its only member.
#[derive(Debug, Deserialize)]
enum Answer {
    ContentSummary(ContentSummary),
    RemoteException(RemoteException),
}

#[derive(Debug, Deserialize)]
struct RemoteException {
    exception: String,
    #[serde(default)]
    message: String,
    #[serde(flatten)]
    _rest: BTreeMap<String, serde_json::Value>,
}

/// Interprets a response; a pure function.
fn parse_response(answer: &HttpAnswer, has_credentials: bool) -> Result<ContentSummary, NameNodeFailure> {
    let status = answer.status;
    match serde_json::from_slice(&answer.body) {
        Ok(Answer::ContentSummary(summary)) if status == StatusCode::OK => Ok(summary),
        Ok(Answer::RemoteException(remote)) if !status.is_success() => {
            let message =
                remote.message.lines().next().unwrap_or_default().chars().take(MESSAGE_CHARS).collect();
            let refusal = HdfsError { exception: remote.exception, message };
            Err(match refusal.exception.as_str() {
                "StandbyException" | "ObserverRetryOnActiveException" => {
                    NameNodeFailure::Skipped(SkipReason::Standby)
                }
                // It has just started, or is overloaded: another one may succeed.
                "RetriableException" | "ServerNotActiveException" => {
                    NameNodeFailure::Skipped(SkipReason::Busy(refusal))
                }
                _ => NameNodeFailure::Final(refusal),
            })
        }
        _ => Err(NameNodeFailure::Skipped(SkipReason::Foreign(status, remedy(answer, has_credentials)))),
    }
}

fn remedy(answer: &HttpAnswer, has_credentials: bool) -> &'static str {
    let challenges = answer.challenges.to_ascii_lowercase();
    let wants = |scheme: &str| challenges.split([',', ' ']).any(|word| word == scheme);
    match answer.status.as_u16() {
        401 if has_credentials => " (the user name or the password in url is not accepted)",
        401 if wants("basic") => {
            " (requires a user name and a password: write url as https://user:password@host)"
        }
        401 if wants("negotiate") => " (requires Kerberos: use source command)",
        401 => {
            " (requires a user name and a password, url = https://user:password@host, or Kerberos, for which use source command)"
        }
        400 | 404 => " (is it a NameNode's HTTP address? 9870 is usual, not the 8020 of hdfs://)",
        300..400 => " (it redirects)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str, path: &str, user: Option<&str>) -> WebhdfsConfig {
        let user = user.map(str::to_owned);
        WebhdfsConfig {
            urls: vec![HttpUrl::parse(url).unwrap()],
            path: path.to_owned(),
            user,
            access: Access::default(),
        }
    }

    fn asked(url: &str, path: &str, user: Option<&str>) -> String {
        let config = config(url, path, user);
        question(config.urls[0].url(), &config).to_string()
    }

    #[test]
    fn paths_and_users_are_encoded() {
        let op = "op=GETCONTENTSUMMARY";
        assert_eq!(asked("http://nn:9870", "/flink", None), format!("http://nn:9870/webhdfs/v1/flink?{op}"));
        assert_eq!(asked("http://nn:9870/", "/", None), format!("http://nn:9870/webhdfs/v1/?{op}"));
        assert_eq!(
            asked("https://knox/gateway/x", "/a b/ü?#%2F", Some("me&you")),
            format!("https://knox/gateway/x/webhdfs/v1/a%20b/%C3%BC%3F%23%252F?{op}&user.name=me%26you")
        );
    }

    /// Goal: a base URL that already has the interface's path is completed without duplication.
    #[test]
    fn a_base_with_the_path_of_the_interface_is_completed() {
        let expected = "http://nn:9870/webhdfs/v1/flink?op=GETCONTENTSUMMARY";
        for base in [
            "http://nn:9870",
            "http://nn:9870/webhdfs",
            "http://nn:9870/webhdfs/v1",
            "http://nn:9870/webhdfs/v1/",
        ] {
            assert_eq!(asked(base, "/flink", None), expected, "{base}");
        }
        let knox = asked("https://knox/gateway/default/webhdfs/v1", "/flink", None);
        assert_eq!(knox, "https://knox/gateway/default/webhdfs/v1/flink?op=GETCONTENTSUMMARY");
    }

    /// Goal: the error of a 401 names the accepted login methods and the credentials that were sent.
    #[test]
    fn a_refused_user_is_told_what_is_wanted() {
        let explained = |challenges: &str, has_credentials| {
            let answer = HttpAnswer {
                status: StatusCode::UNAUTHORIZED,
                challenges: challenges.to_owned(),
                body: "<html>".into(),
            };
            match parse_response(&answer, has_credentials) {
                Err(NameNodeFailure::Skipped(passed)) => passed.to_string(),
                _ => panic!("{challenges}"),
            }
        };
        assert!(explained("Basic realm=\"knox\"", false).contains("https://user:password@host"));
        assert!(explained("Basic realm=\"knox\"", true).contains("is not accepted"));
        let kerberos = explained("Negotiate", false);
        assert!(kerberos.contains("Kerberos") && !kerberos.contains("password"), "{kerberos}");
        let unknown = explained("", false);
        assert!(unknown.contains("Kerberos") && unknown.contains("user:password"), "{unknown}");
    }

    /// Goal: each kind of response is distinguished; only a complete content summary with status 200 gives values.
    #[test]
    fn answers_are_figures_refusals_or_passed_over() {
        let exception = |name: &str| {
            format!(
                r#"{{"RemoteException":{{"exception":"{name}","javaClassName":"x.{name}","message":"why\n\tat x"}}}}"#
            )
        };
        let summary = r#"{"ContentSummary":{"directoryCount":2,"ecPolicy":"","fileCount":1,"length":24930,"quota":-1,"spaceConsumed":74790,"spaceQuota":-1}}"#;
        let cases = [
            (200, summary.to_owned(), "figures 24930"),
            (500, summary.to_owned(), "passed"),
            (200, r#"{"ContentSummary":{"length":-1}}"#.to_owned(), "passed"),
            (200, r#"{"ContentSummary":{}}"#.to_owned(), "passed"),
            (200, r#"{"FileStatuses":{}}"#.to_owned(), "passed"),
            (200, "<html>login</html>".to_owned(), "passed"),
            (200, String::new(), "passed"),
            (403, exception("StandbyException"), "passed"),
            (403, exception("RetriableException"), "passed"),
            (404, exception("FileNotFoundException"), "final path missing: why"),
            (403, exception("AccessControlException"), "final why"),
            (400, exception("IllegalArgumentException"), "final IllegalArgumentException: why"),
            (200, exception("FileNotFoundException"), "passed"),
            (500, "<html>NullPointerException</html>".to_owned(), "passed"),
            (401, "<html>Authentication required</html>".to_owned(), "passed"),
            (307, String::new(), "passed"),
        ];
        for (status, body, expected) in cases {
            let answer = HttpAnswer {
                status: StatusCode::from_u16(status).unwrap(),
                challenges: String::new(),
                body: body.clone().into(),
            };
            let found = match parse_response(&answer, false) {
                Ok(summary) => format!("figures {}", summary.length),
                Err(NameNodeFailure::Skipped(_)) => "passed".to_owned(),
                Err(NameNodeFailure::Final(refusal)) => format!("final {refusal}"),
            };
            assert_eq!(found, expected, "{status} {body}");
        }
    }
}
