//! The queries of both benchmarks once more, in memory and for clarity: what the Flink jobs must have written in the end.
//!
//! Each query is a function from a bounded stream of events to its result rows. It may read the stream as often as it
//! likes, keeps everything, knows no watermark and no state timeout but those that belong to the query's meaning, and
//! closes every window at the end. Nothing here is shared with the jobs, so that a misunderstanding would have to happen
//! twice to stay unseen.
//!
//! Times are milliseconds since the epoch. Rows serialize to the JSON objects that the jobs write, and come sorted.

mod auctions;
mod nexmark_q5;
mod nexmark_q7;

pub use auctions::{AcceptedBid, accepted_bids};
pub use nexmark_q5::{Q5Row, Q5Settings, q5};
pub use nexmark_q7::{Q7Row, Q7Settings, q7};
