//! Reads Whisper files, the round-robin files in which Graphite's carbon keeps one series each.
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
//! What is answered is what `whisper.fetch` of the reference implementation in Python answers, bit for bit, for every file
//! that it wrote itself; a test compares the two. Two things are stricter here. A file whose header contradicts itself or
//! the file's length is refused with the reason, where Python answers with a shorter list. And what was read while somebody
//! wrote is read again, until two readings agree.
//!
//! Only the header and the points of the range are read, never the whole file. Left out: writing, the choice of a
//! granularity by the caller, and the compressed files of other implementations.

mod error;
mod fetch;
mod header;
mod settle;

pub use error::{Corruption, FetchError};
pub use fetch::{MAX_POINTS, Range, Series, fetch};
pub use header::{Aggregation, Archive, Header};
