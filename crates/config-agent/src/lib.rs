//! The config agent: applies job documents to a Flink cluster, each generation at most once, whatever happens in between.
//!
//! It waits at the config drop for a document with a newer generation than the last one it accepted, and carries out the change:
//!
//! ```text
//! received -> [starting nodes] -> stopping (trigger id) -> stopped (savepoint) -> submitting (job id) -> [stopping nodes] -> running
//!                              \-> rescaling (in place) -> [stopping nodes] -> running
//! where a change fails: rolling back (or rescaling back) -> [stopping nodes] -> rolled back | failed
//! ```
//!
//! * What to do next is decided by a pure function of the journal and of what Flink shows (`machine`).
//! * Every step is in the journal (`ledger`, `book`) before its effect, under ids that the agent chooses (`ids`): killed at any
//!   instruction and started again, it goes on where it was and asks nothing of Flink that has an effect twice.
//! * The drop hears of every step (`reports`), sooner or later, without the change waiting for it.
//!
//! Clock, chance, Flink and drop are reached through one interface (`surroundings`; the real ones are `live`).
//!
//! It never decides a parallelism, and takes nothing but a valid document of its job, signed if a key is pinned, newer and in time (`intake`).

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
pub use config::{Carrier, Config, ConfigError, Overrides};
pub use health::pages;
pub use ids::{restoration_id, stop_id, submission_id};
pub use intake::{IntakeSettings, Refused};
pub use ledger::{Change, Contradiction, Entry, Ledger, Lineage, Resumed};
pub use live::Live;
pub use machine::{
    Attempt, Effect, Ended, Next, Observation, PoolNode, Question, Rules, Submission, next, question, to_run,
};
pub use phase::{NodeFailure, Phase};
pub use pool::{CommandError, Node, Pool};
pub use recall::{Recalled, Turned};
pub use surroundings::Surroundings;
