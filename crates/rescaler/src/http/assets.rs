//! The page's files, which are part of the program, and their security headers.

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;

use super::HandlerState;

/// Content security policy: only the page's own files and server; nothing inline, nothing from elsewhere, no frames around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

/// Path, content type, content.
const FILES: [(&str, &str, &str); 19] = [
    ("/", HTML, include_str!("assets/index.html")),
    ("/assets/page.css", STYLE, include_str!("assets/page.css")),
    ("/assets/icon.svg", IMAGE, include_str!("assets/icon.svg")),
    ("/assets/page.js", SCRIPT, include_str!("assets/page.js")),
    ("/assets/address.js", SCRIPT, include_str!("assets/address.js")),
    ("/assets/attention.js", SCRIPT, include_str!("assets/attention.js")),
    ("/assets/looked.js", SCRIPT, include_str!("assets/looked.js")),
    ("/assets/overview.js", SCRIPT, include_str!("assets/overview.js")),
    ("/assets/pinned.js", SCRIPT, include_str!("assets/pinned.js")),
    ("/assets/since.js", SCRIPT, include_str!("assets/since.js")),
    ("/assets/store.js", SCRIPT, include_str!("assets/store.js")),
    ("/assets/switches.js", SCRIPT, include_str!("assets/switches.js")),
    ("/assets/tiles.js", SCRIPT, include_str!("assets/tiles.js")),
    ("/assets/server.js", SCRIPT, include_str!("assets/server.js")),
    ("/assets/text.js", SCRIPT, include_str!("assets/text.js")),
    ("/assets/graph.js", SCRIPT, include_str!("assets/graph.js")),
    ("/assets/operators.js", SCRIPT, include_str!("assets/operators.js")),
    ("/assets/timeline.js", SCRIPT, include_str!("assets/timeline.js")),
    ("/assets/decisions.js", SCRIPT, include_str!("assets/decisions.js")),
];

pub(super) fn router() -> Router<HandlerState> {
    FILES.iter().fold(Router::new(), |router, (path, kind, content)| {
        router.route(path, get(|| async { file(kind, content) }))
    })
}

fn file(kind: &'static str, content: &'static str) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Another version of the program has other files with the same names.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, content)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the page's policy forbids inline code, so none may be in it, and every file it names is one of ours.
    #[test]
    fn the_page_keeps_its_own_policy() {
        let html = FILES[0].2;
        for forbidden in ["onclick", "onload", "style=", "<style", "javascript:", "http://", "https://"] {
            assert!(!html.contains(forbidden), "the page contains {forbidden}");
        }
        for (_, kind, content) in FILES.iter().filter(|(_, kind, _)| *kind == SCRIPT) {
            for forbidden in ["innerHTML", "insertAdjacentHTML", "eval(", "document.write"] {
                assert!(!content.contains(forbidden), "a {kind} contains {forbidden}");
            }
        }
        for quoted in FILES.iter().flat_map(|(_, _, content)| content.split('"').skip(1).step_by(2)) {
            // Behind a path prefix an absolute path would lead to another program.
            assert!(!quoted.starts_with("/assets/") && !quoted.starts_with("/api/"), "{quoted} is absolute");
            let name = quoted.strip_prefix("./").or(quoted.strip_prefix("assets/"));
            if let Some(name) = name {
                let is_served = FILES.iter().any(|(path, ..)| path.strip_prefix("/assets/") == Some(name));
                assert!(is_served, "{quoted} is named but not served");
            }
        }
    }
}
