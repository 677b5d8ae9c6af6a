//! Who may do what: bearer tokens (RFC 6750) of three roles, each read from a file of its own.
//!
//! A publisher puts documents, an agent posts reports, everybody with a token may read. Of a token only its digest is kept,
//! and every request is compared with all of them in the same time, so that neither memory nor the clock gives one away. Without any
//! token everybody may do everything, which is why the drop then listens on loopback only (see `config`).

use std::path::Path;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use secrets::SecretError;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};
use thiserror::Error;

use crate::refusal::Refusal;

/// More tokens than this are a mistake: each request is compared with all of them.
const MAX_PER_ROLE: usize = 100;

/// The one path that needs no token: whether the process lives is no secret.
const HEALTH: &str = "/healthz";

/// What the holder of a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Put documents, and read.
    Publisher,
    /// Post reports, and read.
    Agent,
    /// Read.
    Reader,
}

/// Why a file of tokens cannot be used.
#[derive(Debug, Error)]
pub enum TokenError {
    /// The file is refused.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A line is not a token.
    #[error(
        "{file}, line {line}: not a token; write one a line, at least {min} printable characters without blanks",
        min = secrets::TOKEN_CHARACTERS_MIN
    )]
    Line {
        /// The file.
        file: String,
        /// Counted from 1.
        line: usize,
    },
    /// None, or more than anybody needs.
    #[error("{file} has {found} tokens; it must have 1 to {MAX_PER_ROLE}")]
    Number {
        /// The file.
        file: String,
        /// How many.
        found: usize,
    },
    /// One token with two roles.
    #[error("{file}, line {line}: this token has another role already; give each role its own")]
    TwoRoles {
        /// The file.
        file: String,
        /// Counted from 1.
        line: usize,
    },
}

/// Who holds a token: a role, and a name where the file gives one.
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
    /// Adds the tokens of a file that only its owner may read: one a line, with the name of its holder before it if it has one; empty lines
    /// and lines that begin with `#` are left out.
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

    /// Whether there are no tokens, so that everybody may do everything.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    fn holder_of(&self, token: &str) -> Option<&Holder> {
        let presented: [u8; 32] = Sha256::digest(token).into();
        let mut holder = None;
        // No early end: the time must not tell how far a guess has come.
        for (of, digest) in &self.known {
            let same: Choice = digest.ct_eq(&presented);
            if bool::from(same) {
                holder = Some(of);
            }
        }
        holder
    }

    /// Who asks, where a token is needed.
    fn check(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<Option<Holder>, Refusal> {
        if self.is_empty() || path == HEALTH {
            return Ok(None);
        }
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = shown.and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        let holder = token.and_then(|token| self.holder_of(token)).ok_or_else(Refusal::unauthorized)?;
        let role = holder.role;
        match (method, role) {
            (&Method::GET | &Method::HEAD, _)
            | (&Method::PUT, Role::Publisher)
            | (&Method::POST, Role::Agent) => Ok(Some(holder.clone())),
            _ => Err(Refusal::forbidden(format!("a token of the role {role:?} does not allow {method}"))),
        }
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.known.iter().map(|(holder, _)| holder)).finish()
    }
}

/// What a holder may be called: a short word.
fn is_name(text: &str) -> bool {
    text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte))
}

/// Lets a request through if its token allows it.
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

    /// Goal: every role may do what it is for, and no more; a stranger may do nothing but see that the process lives.
    #[test]
    fn each_role_has_its_rights() {
        let tokens = tokens();
        let document = "/v1/jobs/nexmark/document";
        let status = |method: Method, path: &str, value: Option<String>| {
            let headers = value.map(|value| (header::AUTHORIZATION, value.parse().unwrap()));
            let checked = tokens.check(&method, path, &headers.into_iter().collect());
            checked.map_or_else(|refusal| refusal.status(), |_role| 200)
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

    /// Goal: a token may have the name of its holder before it, which is told of whoever shows it.
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

    /// Goal: a file that could not protect anything is refused by name and line, and the token is not repeated.
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
