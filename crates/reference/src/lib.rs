//! Reference implementation of both benchmarks' queries, in memory and written for clarity: the expected output of
//! the Flink jobs.
//!
//! Each query is a function from a bounded stream of events to its result rows. It keeps the whole stream in memory,
//! has no watermark and no state timeout except those in the query's definition, and closes every window and auction
//! at the end, like a job drained with the highest watermark. It shares no code with the jobs, so that a mistake
//! would have to be made twice to go unnoticed.
//!
//! Times are milliseconds since the epoch, money is integer cents. Rows serialize to the JSON objects that the jobs
//! write; non-integer numbers are [`Quotient`]s. Rows come sorted by the order of their fields; those of the two
//! queries over a number of records ([`nexmark::q6`], [`psm::q2`]) by key, and for each key in the order of output.
//!
//! The jobs' state timeout of idle keys (`state_ttl_ms`) is not modelled: the compared streams are shorter.

pub mod nexmark;
pub mod psm;
mod quotient;
mod windows;

pub use quotient::Quotient;
