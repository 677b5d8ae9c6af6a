//! The job document and the reports about it, shared by all programs that take part in a change.
//!
//! A document describes a job and its parallelism. The Flink job reads it, the rescaler writes its successor, the
//! config drop serves it, the config agent applies it. This crate parses and validates the part that concerns a
//! change (identity, generation, validity, parallelism) and leaves the job's own sections (`queries`, `source`,
//! `sink` …) to the job, which rejects bad values at its start: two validators of the same keys in two languages
//! would diverge.
//!
//! No IO and no clock: texts and times are arguments.

mod admission;
#[cfg(test)]
mod any_document;
mod document;
mod edit;
mod freshness;
mod identity;
mod report;
mod signature;

pub use admission::{
    Admission, AdmissionError, Admitted, FIRST_GENERATION_MAX, GENERATION_JUMP_MAX, LastAccepted,
};
pub use document::{DocumentError, FORMAT, JobDocument, JobName, MEDIA_TYPE, Parallelism, RestartMode};
pub use edit::Change;
pub use freshness::{
    FRESHNESS_BYTES_MAX, FRESHNESS_HEADER, FRESHNESS_SUFFIX, Freshness, FreshnessError, SignedFreshness,
};
pub use identity::{EntityTag, EntityTagError};
pub use report::{ChangeState, Observed, ObservedRescale, Report, ReportError};
pub use signature::{KeyError, PrivateKey, PublicKey, SIGNATURE_HEADER, SIGNATURE_SUFFIX, Signature, verify};
