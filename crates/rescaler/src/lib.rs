//! The rescaler: observe, decide, realize, once an epoch.
//!
//! This crate is effects around [`scaling`], which decides, and [`telemetry`], which sees: it reads the clock, keeps the
//! journal, publishes the next job document at the config drop, and shows what it does on a page. It never talks to Flink's
//! tasks and never moves state; that is the config agent's work.

mod brokers;
mod by_command;
mod cli;
mod config;
mod cycle;
mod doctor;
mod explain;
mod fleet;
pub mod http;
mod import;
mod inspect;
mod journal;
mod keygen;
mod notify;
mod observe;
mod offline;
mod outlet;
mod overrides;
mod placement;
mod policies;
mod program;
mod publish;
mod quota;
mod replay;
mod run;
mod simulate;
mod site;
mod source;
mod state;
pub mod status;
mod watch;
mod whisper_file;

pub use cli::{Arguments, execute, exit_code, main_with};
pub use config::Config;
pub use journal::{Journal, JournalError, read, read_with_older};
pub use notify::{Kind as EventKind, Notify};
pub use placement::{Mode, Placement};
pub use policies::{Name, Policies};
pub use program::Program;
pub use quota::{JobSlots, Quota};
pub use site::Site;
pub use state::StateProbe;
pub use watch::run;
