//! The job document and the reports about it: what every party of a change reads and writes.
//!
//! A document says what runs and how wide. The Flink job reads it, the rescaler writes its successor, the config drop
//! carries it, the config agent executes it. This crate parses and checks the part that concerns a change (identity,
//! generation, validity, parallelism) and leaves the job's own sections (`queries`, `source`, `sink` …) to the job, which
//! refuses to start on a bad one: two checkers of the same keys in two languages would drift apart.
//!
//! No IO and no clock: the text comes in as `&str`, times are arguments.

mod admission;
mod document;
mod edit;
mod identity;
mod report;
mod signature;

pub use admission::{Admission, Admitted, FIRST_GENERATION_MAX, GENERATION_JUMP_MAX, Last, Refusal};
pub use document::{DocumentError, FORMAT, JobDocument, JobName, MEDIA_TYPE, Parallelism, RestartMode};
pub use edit::Change;
pub use identity::{EntityTag, EntityTagError};
pub use report::{Observed, ObservedRescale, Report, ReportError, State};
pub use signature::{KeyError, PrivateKey, PublicKey, SIGNATURE_HEADER, SIGNATURE_SUFFIX, Signature, verify};
