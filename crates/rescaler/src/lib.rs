//! The rescaler: observe, decide, realize, once an epoch.
//!
//! This crate is effects around [`scaling`], which decides, and [`telemetry`], which sees: it reads the clock, keeps the
//! journal, publishes the next job document at the config drop, and shows what it does on a page. It never talks to Flink's
//! tasks and never moves state; that is the config agent's work.

mod adopt;
mod brokers;
mod cli;
mod cluster_jobs;
mod command_placement;
mod config;
mod config_file;
mod cycle;
mod doctor;
mod drift;
mod explain;
mod external_program;
mod freshness;
pub mod http;
mod import;
mod inspect;
mod journal;
mod keygen;
mod notify;
mod observe;
mod offline;
mod overrides;
mod placement;
mod policies;
mod publish;
mod publisher;
mod quota;
mod replay;
mod run;
mod simulate;
mod source;
mod state_size;
pub mod status;
mod watch;
mod whisper_file;

pub use cli::{Arguments, execute, exit_code, main_with};
pub use config::Config;
pub use config_file::ConfigFile;
pub use drift::{Drift, DriftAction};
pub use external_program::ExternalProgram;
pub use journal::{Journal, JournalError, read, read_with_older};
pub use notify::{Kind as EventKind, Notify};
pub use placement::{Mode, Placement};
pub use policies::{Policies, PolicyName};
pub use quota::{JobSlots, Quota};
pub use state_size::StateProbe;
pub use watch::run;
