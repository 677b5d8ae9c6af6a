//! The real config drop on a free port, or a scripted one.

use std::sync::{Arc, Mutex};

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use config_drop::Limits;
use drop_client::{ClientSettings, DropClient, Fetched, Precondition, Published};
use job_config::{JobDocument, Report};
use tokio::net::TcpListener;

use super::JOB;

/// A running config drop; stopped when dropped.
pub(crate) struct TestDrop {
    pub(crate) url: String,
    task: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl TestDrop {
    pub(crate) async fn start() -> Self {
        Self::with(Limits::default()).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listen = listener.local_addr().unwrap();
        let data = folder.path().to_owned();
        let protection = config_drop::Protection::default();
        let config = config_drop::Config { listen, data, limits, protection };
        let task = tokio::spawn(async move {
            config_drop::run(listener, config, std::future::pending()).await.unwrap();
        });
        Self { url: format!("http://{listen}"), task, _folder: folder }
    }

    fn client(&self) -> DropClient {
        DropClient::new(&self.url, JOB.parse().unwrap(), ClientSettings::default()).unwrap()
    }

    pub(crate) async fn publish(&self, document: &JobDocument) {
        let expected = match self.client().get(None, None).await.unwrap() {
            Fetched::Document(current) => Precondition::Replaces(current.entity_tag),
            _ => Precondition::Nothing,
        };
        let published = self.client().put(document, &expected).await.unwrap();
        assert!(matches!(published, Published::Stored(_)));
    }

    /// Waits until this many readers wait.
    pub(crate) async fn waiting(&self, readers: u64) {
        let all = async { while self.metric("config_drop_waiting_readers").await != readers {} };
        tokio::time::timeout(super::PATIENCE, all).await.unwrap();
    }

    /// Number of requests for the document.
    pub(crate) async fn questions(&self) -> u64 {
        self.metric("config_drop_requests_total{method=\"GET\",route=\"/v1/jobs/{job}/document\"").await
    }

    /// Number of requests of any kind.
    pub(crate) async fn requests(&self) -> u64 {
        self.questions().await + self.metric("config_drop_requests_total{method=\"POST\"").await
    }

    /// The sum of all metrics lines with this prefix.
    async fn metric(&self, beginning: &str) -> u64 {
        let page = reqwest::get(format!("{}/metrics", self.url)).await.unwrap().text().await.unwrap();
        let lines = page.lines().filter(|line| line.starts_with(beginning));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }

    pub(crate) async fn reports(&self) -> Vec<Report> {
        self.client().reports().await.unwrap()
    }
}

impl Drop for TestDrop {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An answer as a script gives it.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn document(document: &JobDocument) -> Self {
        let headers = vec![
            ("content-type", "application/toml".to_owned()),
            ("etag", document.entity_tag().to_string()),
        ];
        Self { status: 200, headers, body: document.text().to_owned() }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let headers: HeaderMap = self
            .headers
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap()))
            .collect();
        (StatusCode::from_u16(self.status).unwrap(), headers, self.body).into_response()
    }
}

/// A drop that gives these answers in order, repeating the last one, and answers reports with this status.
#[expect(clippy::disallowed_methods, reason = "only the agent under test talks to it")]
pub(crate) async fn scripted(answers: Vec<Answer>, reports: StatusCode) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answers = Arc::new(Mutex::new(answers));
    let next = move || {
        let mut answers = answers.lock().unwrap();
        let answer = answers[0].clone();
        if answers.len() > 1 {
            answers.remove(0);
        }
        async { answer }
    };
    let router = axum::Router::new()
        .route("/v1/jobs/{job}/document", any(next))
        .route("/v1/jobs/{job}/reports", any(move || async move { reports }));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}
