//! Tests of the stand-in through a client: growing counters, changed requirements, overrides, versions, schedulers.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing loudly")]

mod answers;
