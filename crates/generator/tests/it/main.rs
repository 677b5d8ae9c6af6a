//! Integration tests of the event streams and load profiles, in one binary.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing loudly")]

mod nexmark;
mod psm;
mod schedule;
