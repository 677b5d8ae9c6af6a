//! Integration tests of the wire format, in one program.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing loudly")]

mod golden;
mod properties;
