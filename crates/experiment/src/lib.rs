//! Experiments: one job under one load, scaled by a policy or not at all, measured from outside once per second.
//!
//! They compare scaling policies. A file in `configs/experiments` defines what runs ([`Experiment`]). Each run has
//! its own Kafka and Flink ([`test_cluster`]), and leaves a folder with the series, the decisions, the effective
//! configuration, a summary and plots. Folders are compared side by side. `docs/experiments.md` describes how each
//! value is computed.
//!
//! Results are computed by pure functions over rows ([`summarise`]). `observe` only reads, and works the same whether
//! or not the job is scaled. Nothing here makes scaling decisions.

mod about;
mod board;
mod changes;
mod chart;
mod cli;
mod compare;
mod contender;
mod csv;
mod decisions;
mod experiment;
mod folder;
mod kept;
mod list;
mod needed;
mod observe;
mod others;
mod page;
mod pairs;
mod plots;
mod reaction;
mod record;
mod row;
mod run;
mod screen;
mod spread;
mod stop;
mod summary;
mod time;
mod totals;
mod watch;
mod widths;
mod written;

pub use changes::{Glance, WidthChange, changes};
pub use cli::{Arguments, main_with};
pub use contender::{Contender, Variant};
pub use decisions::DecisionLine;
pub use experiment::{Experiment, Overrides};
pub use needed::{Capacity, Sweep};
pub use reaction::{Needs, StepFigures};
pub use row::{Figure, JobState, Row, read_series};
pub use summary::{ProducerTotals, Quantiles, Settings, Summary, summarise};
pub use written::{Cluster, SideBySide};
