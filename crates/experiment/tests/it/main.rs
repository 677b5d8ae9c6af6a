//! Integration tests of the experiments, in one binary.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by failing loudly")]

mod configurations;
mod end_to_end;
mod summary;
