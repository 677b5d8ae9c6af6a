//! Integration tests of the scaling policies, in one program.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing loudly")]
#![recursion_limit = "256"]

mod ds2;
mod extremes;
mod latency;
mod policies;
mod quota;
mod slo;
mod snapshot;
mod world;

/// Properties are tried on the same cases in every run, so that a failure shows a change and not chance. Another seed tries others.
fn same_cases(cases: u32) -> proptest::test_runner::Config {
    let rng_seed = proptest::test_runner::RngSeed::Fixed(7);
    proptest::test_runner::Config { rng_seed, ..proptest::test_runner::Config::with_cases(cases) }
}
