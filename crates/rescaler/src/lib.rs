//! The rescaler: observe, decide, realize, once an epoch.
//!
//! This crate has the effects around [`scaling`], which decides, and [`telemetry`], which observes: it reads the clock, writes the
//! journal, publishes the next job document at the config drop, and serves a page. It never changes the job or its state; that is
//! the task of the config agent.

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
mod freshness;
pub mod http;
mod import;
mod inspect;
mod keygen;
mod notify;
mod observe;
mod offline;
mod overrides;
mod placement;
mod presence;
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
pub use notify::{Kind as EventKind, Notify};
pub use placement::{Mode, Placement};
pub use quota::{JobSlots, Quota};
pub use state_size::StateProbe;
pub use watch::run;
