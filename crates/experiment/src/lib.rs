//! Experiments: one job under one load, scaled by a policy or by nobody, measured from outside once a second.
//!
//! For those who compare scaling policies. A file in `configs/experiments` says what runs ([`Experiment`]); each run has a
//! Kafka and a Flink of its own ([`stage`]), and leaves a folder with the series, the decisions, the configuration as it was
//! run, a summary and plots; folders are compared side by side. `docs/experiments.md` tells how each figure is computed.
//!
//! What is computed is computed by pure functions over rows ([`summarise`]); what is observed is observed by `observe`, which
//! changes nothing and is the same whether somebody scales or not. Nothing here decides anything.

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
pub use experiment::{Experiment, ExperimentError, Overrides};
pub use needed::{Capacity, Sweep};
pub use reaction::{Needs, StepFigures};
pub use row::{Figure, JobState, Row, read_series};
pub use summary::{ProducerTotals, Quantiles, Settings, Summary, summarise};
pub use written::{Cluster, SideBySide};
