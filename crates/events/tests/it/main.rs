//! Integration tests of the wire format, in one binary.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing loudly")]

mod golden;
mod properties;
