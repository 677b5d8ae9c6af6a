//! Whatever a client sends, the drop answers in its own form and stores nothing but valid successors. The fuzz target `drop_http`
//! uses the same check.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use config_drop::DocumentRegistry;
use job_config::{JobDocument, JobName};
use tower::Service as _;

/// Largest response that the check reads, in bytes.
const RESPONSE_BYTES: usize = 1 << 20;

/// Parses a request: a line with method and path, a line for each header, an empty line, the body. [`None`] where an HTTP server
/// would refuse it before it is routed.
pub(crate) fn request(text: &[u8]) -> Option<Request<Body>> {
    let end = text.windows(2).position(|pair| pair == b"\n\n")?;
    let mut lines = text[..end].split(|byte| *byte == b'\n');
    let mut words = lines.next()?.splitn(2, |byte| *byte == b' ');
    let method = Method::from_bytes(words.next()?).ok()?;
    let path = words.next().filter(|path| path.starts_with(b"/"))?;
    let uri = Uri::try_from(path).ok()?;
    let mut request = Request::builder().method(method).uri(uri).header(header::HOST, "127.0.0.1");
    for line in lines {
        let at = line.iter().position(|byte| *byte == b':')?;
        let value = HeaderValue::from_bytes(line[at + 1..].trim_ascii()).ok()?;
        request = request.header(HeaderName::from_bytes(&line[..at]).ok()?, value);
    }
    request.body(Body::from(text[end + 2..].to_vec())).ok()
}

/// Sends a request to the drop and checks its response: an error is JSON with its message, no request is an internal error, and only
/// an accepted document becomes the current one, byte for byte.
pub(crate) async fn check(router: &mut Router, registry: &DocumentRegistry, text: &[u8]) {
    let Some(request) = request(text) else { return };
    let before = registry.generations();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = router.call(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), RESPONSE_BYTES).await.unwrap();
    assert!(
        !status.is_server_error()
            || [StatusCode::SERVICE_UNAVAILABLE, StatusCode::INSUFFICIENT_STORAGE].contains(&status),
        "{method} {path}: {status}"
    );
    if status.is_client_error() && method != Method::HEAD {
        let json: serde_json::Value = serde_json::from_slice(&body)
            .unwrap_or_else(|error| panic!("{method} {path}: {status}: {error}: {body:?}"));
        assert!(json["error"].is_string(), "{method} {path}: {status}: {json}");
    }
    let after = registry.generations();
    if after == before {
        return;
    }
    assert!(method == Method::PUT && status.is_success(), "{method} {path}: {status} changed a document");
    let sent = &text[text.windows(2).position(|pair| pair == b"\n\n").unwrap() + 2..];
    let sent = JobDocument::parse(str::from_utf8(sent).unwrap()).unwrap();
    assert_eq!(registry.current(sent.job()).unwrap().document, sent);
    let others = |all: &[(JobName, u64)]| -> Vec<(JobName, u64)> {
        all.iter().filter(|(job, _)| job != sent.job()).cloned().collect()
    };
    assert_eq!(others(&before), others(&after));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use config_drop::Limits;
    use proptest::prelude::*;

    use super::*;

    fn word(words: &'static [&'static str]) -> impl Strategy<Value = String> {
        prop::sample::select(words).prop_map(str::to_owned)
    }

    fn path() -> impl Strategy<Value = String> {
        let job = word(&["nexmark", "psm", "a", "A", "", "%6e", "%ff", "%2e%2e", "nexmark%00"]);
        let part =
            word(&["document", "reports", "history", "history/1", "history/x", "freshness", "", "document/"]);
        let query = word(&["", "?wait=1ms", "?wait=99999999999999999999s", "?wait=", "?wait=%ff", "?x"]);
        prop_oneof![
            6 => (job, part, query).prop_map(|(job, part, query)| format!("/v1/jobs/{job}/{part}{query}")),
            1 => word(&["/", "/healthz", "/metrics", "/v1/jobs", "//", "/%ff"]),
        ]
    }

    fn head() -> impl Strategy<Value = String> {
        let one = word(&[
            "Content-Type: application/toml",
            "content-type: application/json; charset=utf-8",
            "If-None-Match: *",
            "If-Match: \"x\"",
            "If-None-Match: W/\"x\", \"y\"",
            "If-Match: \u{fc}",
            "Authorization: Bearer x",
            "Rescaler-Signature: ed25519=AA",
            "Content-Length: 5",
        ]);
        prop::collection::vec(one, 0..4).prop_map(|lines| lines.join("\n"))
    }

    fn document() -> impl Strategy<Value = String> {
        (word(&["nexmark", "psm", "a"]), 0_u64..4, word(&["", "reason = \"r\"", "x = 1"]))
            .prop_map(|(job, generation, more)| test_documents::document(&job, generation, &more))
    }

    fn body() -> impl Strategy<Value = String> {
        let cut = (document(), any::<prop::sample::Index>())
            .prop_map(|(text, at)| text[..at.index(text.len())].to_owned());
        prop_oneof![3 => document(), 1 => cut, 1 => word(&["", "{}", "[]", "{\"generation\": 1}", "\u{0}"])]
    }

    fn text() -> impl Strategy<Value = String> {
        let method = word(&["PUT", "PUT", "GET", "POST", "HEAD", "DELETE", "PATCH"]);
        let any = (method, path(), head(), body()).prop_map(|(method, path, head, body)| {
            let head = if head.is_empty() { head } else { format!("\n{head}") };
            format!("{method} {path}{head}\n\n{body}")
        });
        let valid = (word(&["nexmark", "psm"]), 1_u64..3).prop_map(|(job, generation)| {
            let document = test_documents::document(&job, generation, "");
            let media_type = job_config::MEDIA_TYPE;
            format!("PUT /v1/jobs/{job}/document\nContent-Type: {media_type}\nIf-None-Match: *\n\n{document}")
        });
        prop_oneof![4 => any, 1 => valid]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Goal: no request gets an answer in another form, or changes what another client published.
        #[test]
        fn every_request_is_answered_in_the_drops_own_form(requests in prop::collection::vec(text(), 1..12)) {
            let folder = tempfile::tempdir().unwrap();
            let limits = Limits { wait: Duration::from_millis(1), ..Limits::default() };
            let registry = DocumentRegistry::open(folder.path(), &limits).unwrap();
            let mut router = config_drop::router(registry.clone());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            for text in &requests {
                runtime.block_on(check(&mut router, &registry, text.as_bytes()));
            }
        }
    }
}
