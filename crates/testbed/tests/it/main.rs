//! Tests of the testbed's command, with and without real services.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by failing loudly")]

mod refusals;
mod supervisor;
