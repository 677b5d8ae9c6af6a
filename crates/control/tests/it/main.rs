//! Closed-loop tests: every policy through the control loop, over many epochs of a simulated clock.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing loudly")]

mod asking_a_program;
mod keeping_a_bound;
mod limits;
mod narrowing;
mod publishing;
mod putting_back;
mod rising_latency;
mod rollback;
mod rounds;
mod sharing;
mod world;
