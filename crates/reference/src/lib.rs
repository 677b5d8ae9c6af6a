//! The queries of both benchmarks once more, in memory and for clarity: what the Flink jobs must have written in the end.
//!
//! Each query is a function from a bounded stream of events to its result rows. It may read the stream as often as it
//! likes, keeps everything, knows no watermark and no state timeout but those that belong to the query's meaning, and
//! closes every window and every auction at the end, as a job does that is drained with the highest watermark. Nothing here
//! is shared with the jobs, so that a misunderstanding would have to happen twice to stay unseen.
//!
//! Times are milliseconds since the epoch, money is integer cents. Rows serialize to the JSON objects that the jobs write;
//! numbers that need not be whole are compared as [`Quotient`]s. Rows come sorted by the order of their fields; those of
//! the two queries over a number of records ([`nexmark::q6`], [`psm::q2`]) by key, and for each key in the order in which
//! they are to be written.
//!
//! Left out: how long the jobs keep a key without news (`state_ttl_ms`). The streams compared are shorter than that.

pub mod nexmark;
pub mod psm;
mod quotient;
mod windows;

pub use quotient::Quotient;
