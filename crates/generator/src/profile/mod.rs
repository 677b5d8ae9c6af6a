//! Load profiles: which event is due when.
//!
//! A profile as written ([`ProfileConfig`]) becomes a [`Schedule`]: pieces of linear rate whose integral is the number of
//! events due. Two questions are answered, and exactly as each other's inverse: when is event n due, and how many events
//! are due by time t. The producer asks the second to know what to emit, the generator asks the first for the event's
//! timestamp. Neither knows the clock.

mod config;
mod pieces;
mod schedule;
mod trace;

pub use config::{ProfileConfig, Step};
pub use schedule::{Cursor, Schedule};
pub use trace::TraceError;
