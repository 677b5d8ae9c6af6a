//! The page behind a reverse proxy that serves it under a path of its own.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use rescaler::status::SwitchPositions;
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::recorded_server;

const PREFIX: &str = "/tools/rescaler";
const BODY_BYTES: usize = 1 << 20;

/// Hands on what is below the prefix, with the host that the browser asked for; 404 for everything else.
async fn hand_on(State(upstream): State<String>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let Some(below) = path.strip_prefix(PREFIX).filter(|below| below.starts_with('/')) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let body = to_bytes(body, BODY_BYTES).await.unwrap();
    let request = reqwest::Client::new().request(parts.method, format!("{upstream}{below}"));
    let answer = request.headers(parts.headers).body(body).send().await.unwrap();
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        response = response.header(name, value);
    }
    response.body(Body::from(answer.bytes().await.unwrap())).unwrap()
}

/// Goal: below a path prefix the page shows the job and its buttons work; nothing is asked for outside of the prefix.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "only the test talks to it")]
async fn the_page_works_below_a_path() {
    let browser = browser_or_leave_out!();
    let (job, server) = recorded_server("nexmark").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = format!("http://{}{PREFIX}/", listener.local_addr().unwrap());
    let proxy = Router::new().fallback(hand_on).with_state(server.url.clone());
    tokio::spawn(async move { axum::serve(listener, proxy).await });
    browser.open(&own).await;
    browser.until("document.getElementById('job').textContent", &json!("nexmark")).await;
    browser.until("document.querySelectorAll('#timeline figure').length > 3", &json!(true)).await;
    browser.click("#pause").await;
    browser.until("document.getElementById('state').textContent", &json!("paused")).await;
    assert_eq!(job.switches.now(), SwitchPositions { paused: true, dry_run: false });
    let links = "[...document.querySelectorAll('footer a, .brand')].map((link) => link.href)";
    let links = browser.run(&format!("return {links}")).await;
    let links = links.as_array().unwrap().iter().map(|link| link.as_str().unwrap().to_owned());
    let requests = browser.requests().await;
    assert!(requests.len() > 10, "{requests:?}");
    for address in requests.into_iter().chain(links) {
        let is_own =
            address.starts_with(&own) || address.starts_with("data:") || address.starts_with("chrome");
        assert!(is_own, "the page asks for {address}");
    }
    assert_eq!(browser.log("browser").await, Vec::<String>::new());
}
