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
//! * Every step is journalled (`ledger`, `book`) before its effect, under deterministic ids (`ids`): after a kill at
//!   any instruction, a restart resumes and repeats no effect.
//! * Every step is reported to the drop asynchronously (`reports`).
//!
//! Clock, random numbers, Flink and drop are behind one trait (`surroundings`; the real implementation is `live`).
//!
//! It never decides a parallelism. It accepts only valid documents of its job that are newer, not expired, and signed
//! if a key is pinned (`intake`).

mod agent;
mod args;
mod backoff;
mod book;
mod cluster;
mod condition;
mod config;
mod fresh;
mod health;
mod idle;
mod ids;
mod intake;
mod ledger;
mod live;
mod machine;
mod observed;
mod phase;
mod pool;
mod recall;
mod reports;
mod round;
mod surroundings;

pub use agent::{Agent, AgentError, Outcome};
pub use args::{Args, start};
pub use book::{Book, BookError, Halt, Paper};
pub use cluster::{EffectError, Program};
pub use config::{Carrier, Config, Overrides};
pub use health::pages;
pub use idle::Retention;
pub use ids::{restoration_id, stop_id, submission_id};
pub use intake::{IntakeSettings, Refused};
pub use ledger::{Change, Contradiction, Entry, Ledger, Lineage, Resumed};
pub use live::Live;
pub use machine::{
    Attempt, BREAKER_IS_OPEN, Effect, Ended, Next, Observation, PoolNode, Question, Rules, Submission, next,
    question, to_run,
};
pub use phase::{NodeFailure, Phase};
pub use pool::{CommandError, Node, Pool};
pub use recall::{Recalled, Turned};
pub use surroundings::Surroundings;
