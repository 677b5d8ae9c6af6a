//! Integration tests of the Whisper reader, in one binary.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test says what it expects by failing loudly"
)]

mod python;
mod semantics;
mod support;
