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
mod capacity;
mod changes;
mod chart;
mod cli;
mod compare;
mod contender;
mod csv;
mod decisions;
mod evaluate;
mod experiment;
mod folder;
mod list;
mod model;
mod needed;
mod observe;
mod other_processes;
mod page;
mod pairs;
mod plots;
mod raw;
mod reaction;
mod record;
mod row;
mod run;
mod scoreboard;
mod screen;
mod snapshots;
mod spread;
mod stop;
mod summary;
mod time;
mod timetable;
mod totals;
mod watch;

pub use changes::{JobSample, ParallelismChange, changes};
pub use cli::{Arguments, main_with};
pub use contender::{Contender, Variant};
pub use decisions::DecisionLine;
pub use experiment::{Experiment, Overrides};
pub use needed::{Capacity, Sweep};
pub use raw::{Cluster, SideBySide, Timetable};
pub use reaction::{LoadNeeds, StepFigures};
pub use row::{Column, JobState, Row, read_series};
pub use snapshots::TimedSnapshot;
pub use summary::{ProducerTotals, Quantiles, Summary, SummarySettings, summarise};
