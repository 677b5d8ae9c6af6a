//! Integration tests of the metric sources, in one program.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing loudly")]

mod faults;
mod summary;
