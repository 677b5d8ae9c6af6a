//! Load profiles: which event is due when.
//!
//! A profile as written ([`ProfileConfig`]) is converted to a [`Schedule`]: pieces of linear rate whose integral is
//! the number of events due. It has two functions, which are exact inverses: when event n is due, and how many events
//! are due by time t. The producer uses the second to know what to emit, the generator the first for the event's
//! timestamp. Neither reads a clock.

mod config;
mod pieces;
mod schedule;
mod trace;

pub use config::{ProfileConfig, ProfileStep};
pub use schedule::{Cursor, Schedule};
pub use trace::TraceError;
