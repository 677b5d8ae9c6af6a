//! Integration tests of the simulator, in one binary.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing loudly")]

mod closed_loop;
mod contenders;
mod flip_windows;
mod flow;
mod reproducible;
mod scoreboard;
mod whole_loop;
mod world;
