//! Integration tests of the decision journal, in one program.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing loudly")]

mod large_jobs;
