//! Integration tests of the man pages and of the guides' command lines, in one program.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing loudly")]

mod guides;
mod import;
mod pages;
