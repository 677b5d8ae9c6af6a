//! Integration tests of the config drop, in one binary.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by failing loudly")]

mod any_request;
mod durability;
mod freshness;
mod protection;
mod protocol;
mod soak;
mod stuck_clients;
