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

/// Whether tests that choose how much they run take it all, as in the gate without `--fast`.
fn is_whole() -> bool {
    std::env::var("RESCALER_TESTS").is_ok_and(|wanted| wanted == "whole")
}
