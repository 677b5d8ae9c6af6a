//! Tests of the repository's rules, in one binary.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by failing loudly")]

mod builds;
mod compose;
mod documents;
mod edges;
mod install;
mod observability;
mod sources;
mod tree;
mod upgrade;
mod versions;
mod waits;
