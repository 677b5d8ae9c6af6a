//! Authorization: bearer tokens (RFC 6750) of three roles, each read from its own file.
//!
//! A publisher puts documents, an agent posts reports, and every token may read. Only digests of tokens are kept, and
//! each request is compared with all of them in constant time, so that neither memory nor timing reveals a token.
//! Without tokens every client may do everything, so the drop then listens only on loopback (see `config`).

use std::path::Path;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http_server::ApiError;
use secrets::SecretError;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};
use thiserror::Error;

use crate::api_error::unauthorized;

/// A larger number is a mistake: each request is compared with all tokens.
const MAX_PER_ROLE: usize = 100;

/// The one path that needs no token.
const HEALTH: &str = "/healthz";

/// Permissions of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Put documents, and read.
    Publisher,
    /// Post reports, and read.
    Agent,
    /// Read.
    Reader,
}

/// An invalid file of tokens.
#[derive(Debug, Error)]
pub enum TokenError {
    /// The file cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A line is not a token.
    #[error(
        "{file}, line {line}: not a token; write one per line, at least {min} printable characters without spaces",
        min = secrets::TOKEN_CHARACTERS_MIN
    )]
    Line {
        /// Path of the file.
        file: String,
        /// Line number, from 1.
        line: usize,
    },
    /// No tokens, or too many.
    #[error("{file} has {found} tokens; allowed are 1 to {MAX_PER_ROLE}")]
    Number {
        /// Path of the file.
        file: String,
        /// Number of tokens found.
        found: usize,
    },
    /// One token has two roles.
    #[error("{file}, line {line}: this token already has another role; use different tokens per role")]
    TwoRoles {
        /// Path of the file.
        file: String,
        /// Line number, from 1.
        line: usize,
    },
}

/// The holder of a token: a role, and a name if the file gives one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) role: Role,
    pub(crate) name: Option<Arc<str>>,
}

/// All tokens, as digests.
#[derive(Clone, Default)]
pub struct Tokens {
    known: Vec<(Holder, [u8; 32])>,
}

impl Tokens {
    /// Adds the tokens of a file that only its owner may read: one per line, optionally after its holder's name.
    /// Ignores empty lines and lines that begin with `#`.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn add_file(&mut self, role: Role, path: &Path) -> Result<(), TokenError> {
        let secret = secrets::read(path)?;
        let file = || path.display().to_string();
        let mut found = 0;
        for (index, line) in secret.reveal().lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, token) = match line.split_once(char::is_whitespace) {
                Some((name, token)) => (Some(name), token.trim_start()),
                None => (None, line),
            };
            let line = index + 1;
            if !secrets::is_token(token) || !name.is_none_or(is_name) {
                return Err(TokenError::Line { file: file(), line });
            }
            if self.holder_of(token).is_some_and(|known| known.role != role) {
                return Err(TokenError::TwoRoles { file: file(), line });
            }
            self.known.push((Holder { role, name: name.map(Arc::from) }, Sha256::digest(token).into()));
            found += 1;
        }
        if (1..=MAX_PER_ROLE).contains(&found) {
            Ok(())
        } else {
            Err(TokenError::Number { file: file(), found })
        }
    }

    /// Whether there are no tokens, which disables authentication.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    fn holder_of(&self, token: &str) -> Option<&Holder> {
        let presented: [u8; 32] = Sha256::digest(token).into();
        let mut holder = None;
        // No early exit: the duration must not depend on the guess.
        for (of, digest) in &self.known {
            let same: Choice = digest.ct_eq(&presented);
            if bool::from(same) {
                holder = Some(of);
            }
        }
        holder
    }

    /// Returns the authenticated holder, where a token is needed.
    fn check(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<Option<Holder>, ApiError> {
        if self.is_empty() || path == HEALTH {
            return Ok(None);
        }
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = shown.and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        let holder = token.and_then(|token| self.holder_of(token)).ok_or_else(unauthorized)?;
        let role = holder.role;
        match (method, role) {
            (&Method::GET | &Method::HEAD, _)
            | (&Method::PUT, Role::Publisher)
            | (&Method::POST, Role::Agent) => Ok(Some(holder.clone())),
            _ => Err(ApiError::forbidden(format!("a token of the role {role:?} does not allow {method}"))),
        }
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.known.iter().map(|(holder, _)| holder)).finish()
    }
}

/// Whether the text is a valid name of a holder: a short word.
fn is_name(text: &str) -> bool {
    text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte))
}

/// Passes a request on if its token permits it.
pub(crate) async fn authorize(State(tokens): State<Tokens>, mut request: Request, next: Next) -> Response {
    match tokens.check(request.method(), request.uri().path(), request.headers()) {
        Ok(holder) => {
            holder.map(|holder| request.extensions_mut().insert(holder));
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLISHER: &str = "publisher-0123456789";
    const AGENT: &str = "agent-0123456789abc";
    const READER: &str = "reader-0123456789ab";

    fn tokens() -> Tokens {
        let folder = tempfile::tempdir().unwrap();
        let mut tokens = Tokens::default();
        for (role, text) in [(Role::Publisher, PUBLISHER), (Role::Agent, AGENT), (Role::Reader, READER)] {
            let path = folder.path().join(format!("{role:?}"));
            secrets::write_new(&path, &format!("# since May\n\n{text}\n")).unwrap();
            tokens.add_file(role, &path).unwrap();
        }
        tokens
    }

    /// Goal: every role has its permissions and no more; without a token only the health check works.
    #[test]
    fn each_role_has_its_rights() {
        let tokens = tokens();
        let document = "/v1/jobs/nexmark/document";
        let status = |method: Method, path: &str, value: Option<String>| {
            let headers = value.map(|value| (header::AUTHORIZATION, value.parse().unwrap()));
            let checked = tokens.check(&method, path, &headers.into_iter().collect());
            checked.map_or_else(|refusal| refusal.status().as_u16(), |_role| 200)
        };
        let bearer = |token: &str| Some(format!("Bearer {token}"));
        let (get, put, post) = (Method::GET, Method::PUT, Method::POST);
        let cases = [
            (&get, bearer(READER), 200),
            (&get, bearer(AGENT), 200),
            (&get, bearer(PUBLISHER), 200),
            (&put, bearer(PUBLISHER), 200),
            (&put, bearer(AGENT), 403),
            (&put, bearer(READER), 403),
            (&post, bearer(AGENT), 200),
            (&post, bearer(PUBLISHER), 403),
            (&post, bearer(READER), 403),
            (&Method::DELETE, bearer(PUBLISHER), 403),
            (&get, None, 401),
            (&get, bearer("unknown-0123456789"), 401),
            (&get, bearer(&READER[1..]), 401),
            (&get, Some(format!("Basic {READER}")), 401),
            (&get, Some(format!("bearer  {READER}")), 200),
            (&get, Some(READER.to_owned()), 401),
        ];
        for (method, value, expected) in cases {
            assert_eq!(status(method.clone(), document, value.clone()), expected, "{method} {value:?}");
        }
        assert_eq!(status(get.clone(), "/metrics", None), 401);
        assert_eq!(status(get, HEALTH, None), 200);
        assert!(!format!("{tokens:?}").contains("0123456789"));
    }

    /// Goal: a token may be preceded by its holder's name, which is known after authentication.
    #[test]
    fn holders_have_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("publishers");
        secrets::write_new(&path, &format!("alice\t{PUBLISHER}\n{AGENT}\n")).unwrap();
        let mut tokens = Tokens::default();
        tokens.add_file(Role::Publisher, &path).unwrap();
        let name = |token: &str| tokens.holder_of(token).and_then(|holder| holder.name.as_deref());
        assert_eq!((name(PUBLISHER), name(AGENT)), (Some("alice"), None));
        assert!(tokens.holder_of(&format!("alice\t{PUBLISHER}")).is_none());
    }

    /// Goal: a file that protects nothing is rejected with its name and line, and the token is not repeated.
    #[test]
    fn useless_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let cases = [
            ("short", "# a comment\nabc\n", "line 2"),
            ("blank", "one two three four five\n", "line 1"),
            ("named", "a/b 0123456789abcdef\n", "line 1"),
            ("empty", "# nothing yet\n", "0 tokens"),
            ("shared", &format!("{AGENT}\n"), "another role"),
        ];
        for (name, text, expected) in cases {
            let path = folder.path().join(name);
            secrets::write_new(&path, text).unwrap();
            let message = tokens().add_file(Role::Reader, &path).unwrap_err().to_string();
            assert!(message.contains(expected) && message.contains(name), "{message}");
            assert!(!message.contains("0123456789"), "{message}");
        }
    }
}
