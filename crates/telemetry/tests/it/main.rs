//! Integration tests of the metric sources, in one program.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing loudly")]

mod any_job;
mod between;
mod cluster;
mod faults;
mod properties;
mod scripted;
mod summary;
mod whisper_gaps;
