//! Reads Whisper files, the round-robin files in which Graphite's carbon stores one series each.
//!
//! ```no_run
//! use whisper::{Range, fetch};
//! let range = Range { from: 1_524_565_200, until: 1_524_565_320, now: 1_524_565_330 };
//! if let Some(series) = fetch("numRecordsIn/count.wsp".as_ref(), range)? {
//!     println!("{} points, {} s apart", series.values.len(), series.step);
//! }
//! # Ok::<(), whisper::FetchError>(())
//! ```
//!
//! Results equal those of `whisper.fetch` of the reference implementation in Python, bit for bit, for every file
//! written by it; a test compares the two. Two things are stricter. A file whose header contradicts itself or the
//! file's length is rejected with the reason, where Python returns a shorter list. A read during a write is repeated
//! until two readings agree.
//!
//! Only the header and the points of the range are read, never the whole file. Not supported: writing, a granularity
//! chosen by the caller, and compressed files of other implementations.

mod error;
mod fetch;
mod header;
mod settle;

pub use error::{Corruption, FetchError};
pub use fetch::{MAX_POINTS, Range, Series, fetch};
pub use header::{Aggregation, Archive, Header};
