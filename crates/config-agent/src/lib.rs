//! The config agent: applies job documents to a Flink cluster, each generation at most once, across any crash.
//!
//! It waits at the config drop for a document with a newer generation than the last one it accepted, and applies the
//! change:
//!
//! ```text
//! received -> [starting nodes] -> stopping (trigger id) -> stopped (savepoint) -> submitting (job id) -> [stopping nodes] -> running
//!                              \-> rescaling (in place) -> [stopping nodes] -> running
//! where a change fails: rolling back (or rescaling back) -> [stopping nodes] -> rolled back | failed
//! ```
//!
//! * A pure function of the journal and Flink's observed state decides the next step (`machine`).
//! * Every step is journalled (`ledger`, `journal_store`) before its effect, under deterministic ids (`ids`): after a kill at
//!   any instruction, a restart resumes and repeats no effect.
//! * Every step is reported to the drop asynchronously (`reports`).
//!
//! Clock, random numbers, Flink and drop are behind one trait (`environment`; the real implementation is `live`).
//!
//! It never decides a parallelism. It accepts only valid documents of its job that are newer, not expired, and signed
//! if a key is pinned (`document_source`).

mod agent;
mod args;
mod backoff;
mod cluster;
mod condition;
mod config;
mod document_source;
mod environment;
mod fresh;
mod freshness;
mod health;
mod ids;
mod journal_store;
mod ledger;
mod live;
mod machine;
mod observed;
mod phase;
mod phase_state;
mod pool;
mod recovery;
mod reports;
mod retention;

pub use agent::{Agent, AgentError, RunOutcome};
pub use args::{Args, start};
pub use cluster::{EffectError, JobProgram};
pub use config::{Config, EmbeddingOptions, Overrides};
pub use document_source::{DocumentSourceSettings, Rejections};
pub use environment::Environment;
pub use health::pages;
pub use ids::{restoration_id, stop_id, submission_id};
pub use journal_store::{CrashPoint, JournalBackend, JournalStore, JournalStoreError};
pub use ledger::{Change, Contradiction, Entry, JobHistory, Ledger, ResumePoint};
pub use live::LiveEnvironment;
pub use machine::{
    Attempt, BREAKER_IS_OPEN, Effect, EndedJob, NextStep, Observation, PoolNode, Query, Rules, Submission,
    next, query, to_run,
};
pub use phase::{NodeFailure, Phase};
pub use pool::{CommandError, Node, Pool};
pub use recovery::{RecoveredState, RejectedDocument};
pub use retention::{Retention, Savepoints};
