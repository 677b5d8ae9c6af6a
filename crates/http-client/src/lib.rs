//! The HTTP client that all programs share: one request, one bounded answer, over HTTP or TLS, with or without a login.
//!
//! * Every request has a deadline that covers everything from the connection to the last byte of the answer, and a bound on the
//!   size of the answer.
//! * Redirects are not followed: the answer of a redirect reaches the caller, and credentials go only to the configured server.
//! * No proxy is asked. `HTTP_PROXY` and its relatives have no effect, so a loopback address always means this machine.
//! * A request is sent once. The one exception is a kept connection that the server has closed before the request was written.
//! * [`Access`] holds what a server is shown (password, token, headers, client certificate) and whom the client trusts. Nothing in
//!   it is shown by `Debug` or in an error.

mod access;
mod client;
mod tls;

pub use access::{Access, AccessError, HeaderSource};
pub use client::{Answer, Client, Failure, Request, Settings, authorize, get, with_body, with_json};
pub use hyper::{Method, StatusCode};
pub use secrets::SecretSource;
pub use tls::SetupError;
