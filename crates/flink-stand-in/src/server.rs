//! HTTP server of the stand-in, on a free loopback port.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, Request as HttpRequest, Response as HttpResponse, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::log::LoggedRequest;
use crate::pace::Pace;
use crate::scenario::Scenario;
use crate::stand_in::{FlinkStandIn, Request, Response};

/// Size limit of a request body, in bytes.
const BODY_MAX_BYTES: usize = 1 << 20;
/// Longest request line that Flink's Netty server accepts, in bytes; a longer one gets 414.
const REQUEST_LINE_MAX_BYTES: usize = 4096;

/// A running stand-in; it ends when dropped.
#[derive(Debug)]
pub struct Server {
    url: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    stand_in: Mutex<FlinkStandIn>,
    pace: Pace,
    answered: Notify,
}

impl Shared {
    fn stand_in(&self) -> MutexGuard<'_, FlinkStandIn> {
        self.stand_in.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    /// Starts a scenario on a free port.
    ///
    /// # Errors
    /// No loopback port is free.
    #[expect(clippy::disallowed_methods, reason = "only a test talks to the stand-in")]
    pub async fn start(scenario: Scenario, pace: Pace) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let stand_in = Mutex::new(FlinkStandIn::new(scenario, pace.now_ms()));
        let shared = Arc::new(Shared { stand_in, pace, answered: Notify::new() });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move {
            // Serves until it is aborted.
            let _ended = axum::serve(listener, router).await;
        });
        Ok(Self { url, shared, task })
    }

    /// Returns its URL: `http://127.0.0.1:port`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Gives access to the stand-in's state.
    pub fn with<T>(&self, use_it: impl FnOnce(&mut FlinkStandIn) -> T) -> T {
        use_it(&mut self.shared.stand_in())
    }

    /// Returns the requests so far, oldest first.
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.shared.stand_in().log().to_vec()
    }

    /// Waits until the condition holds; it is checked after every request.
    pub async fn wait_until(&self, mut holds: impl FnMut(&FlinkStandIn) -> bool) {
        loop {
            let answered = self.shared.answered.notified();
            tokio::pin!(answered);
            answered.as_mut().enable();
            if holds(&self.shared.stand_in()) {
                return;
            }
            answered.await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: HttpRequest<Body>) -> HttpResponse<Body> {
    let (head, body) = request.into_parts();
    let request_line_bytes = head.method.as_str().len() + head.uri.to_string().len() + " HTTP/1.1 ".len();
    if request_line_bytes > REQUEST_LINE_MAX_BYTES {
        return plain(StatusCode::URI_TOO_LONG);
    }
    let Ok(body) = to_bytes(body, BODY_MAX_BYTES).await else { return plain(StatusCode::PAYLOAD_TOO_LARGE) };
    let authorization = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let request = Request {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        authorization: authorization.map(str::to_owned),
        body: body.to_vec(),
    };
    let response = shared.stand_in().answer(&request, shared.pace.now_ms());
    shared.pace.pass(response.delay).await;
    shared.answered.notify_waiters();
    sent(response)
}

fn sent(response: Response) -> HttpResponse<Body> {
    let mut sent = HttpResponse::new(Body::from(response.body));
    *sent.status_mut() = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    sent.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=UTF-8"));
    for (name, value) in response.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            sent.headers_mut().insert(name, value);
        }
    }
    sent
}

fn plain(status: StatusCode) -> HttpResponse<Body> {
    let mut response = HttpResponse::new(Body::empty());
    *response.status_mut() = status;
    response
}
