//! Integration tests of the config drop's client, in one binary.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by failing loudly")]

mod answers;
