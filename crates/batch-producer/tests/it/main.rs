//! Tests of the producer against scripted brokers, over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test says what it expects by failing loudly"
)]

mod broker;
mod faults;
mod refusals;
