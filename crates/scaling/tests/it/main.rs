//! Integration tests of the scaling policies, in one program.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing loudly")]
#![recursion_limit = "256"]

mod ds2;
mod latency;
mod policies;
mod slo;
mod snapshot;
mod world;
