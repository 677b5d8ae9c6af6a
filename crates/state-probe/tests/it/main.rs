//! Integration tests of the state probe, in one binary.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by failing loudly")]

mod du;
mod once;
mod run;
mod support;
mod tls;
