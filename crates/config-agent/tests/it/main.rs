//! Integration tests of the agent, in one binary: the real agent and the real config drop over a scripted Flink.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "a test says what it expects by failing loudly"
)]

mod answers;
mod before_two;
mod campaign;
mod changes;
mod crashes;
mod direct;
mod freshness;
mod in_place;
mod in_place_failures;
mod latency;
mod long_reports;
mod lost_journal;
mod rollback;
mod savepoints;
mod static_places;
mod support;
mod trust;
