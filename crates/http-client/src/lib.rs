//! The HTTP client of all programs: one request, one size-limited response, over HTTP or TLS, with or without
//! credentials.
//!
//! * Every request has a timeout from the connection to the last byte of the response, and a limit on the response's
//!   size.
//! * Redirects are not followed: the caller gets the redirect's response, and credentials go only to the configured
//!   server.
//! * Proxies are not used. `HTTP_PROXY` and similar variables have no effect, so a loopback address always means this
//!   machine.
//! * A request is sent once, unless the server has closed an idle connection before the request was written.
//! * [`Access`] holds the credentials (password, token, headers, client certificate) and the trusted authorities.
//!   Neither `Debug` nor errors show its content.

mod access;
mod client;
mod tls;

pub use access::{Access, AccessError, HeaderSource};
pub use client::{Answer, Client, ClientSettings, Failure, Request, authorize, get, with_body, with_json};
pub use hyper::{Method, StatusCode};
pub use secrets::SecretSource;
pub use tls::SetupError;
