//! Integration tests of the event producer, in one program.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by failing loudly")]

mod config;
mod generate;
mod kafka;
mod wire_sample;
