//! A local testbed without containers: real Kafka (KRaft, one node) and real Flink (JobManager, task managers,
//! adaptive scheduler) as plain child processes, in one work folder, on free loopback ports.
//!
//! As a command:
//!
//! ```text
//! testbed up --detach --task-managers 2     # prints the addresses when all is ready; without --detach: until Ctrl-C
//! testbed status --output json              # kafka_bootstrap, flink_url, pids
//! testbed topic create bidEvents --partitions 4
//! testbed logs tm-1 --follow
//! testbed add-task-manager tm-3             # and stop-task-manager; both are idempotent
//! testbed down
//! ```
//!
//! As a library, for tests and demos (all processes end with the value, and with the calling process):
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use testbed::{TestbedSettings, Testbed};
//! let settings = TestbedSettings { work_dir: "run/example".into(), ..TestbedSettings::default() };
//! let testbed = Testbed::start(settings.check()?, &|line| println!("{line}")).await?;
//! testbed.create_topic("bidEvents", 4).await?;
//! println!("{} {}", testbed.kafka_bootstrap(), testbed.flink_url());
//! let id = testbed.start_task_manager().await?;
//! testbed.kill_task_manager(&id).await?;
//! testbed.stop().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Further programs are run with [`process::Launcher`], available as [`Testbed::launcher`].
//!
//! # The work folder
//!
//! | path | what |
//! |---|---|
//! | `state.json` | phase, addresses, pids with start times ([`state`]); exists only while a testbed is up, or after a crash |
//! | `lock` | held by the testbed's process |
//! | `settings.toml` | effective settings of a detached supervisor |
//! | `conf/` | the services' configuration as rendered at the last start |
//! | `logs/NAME.log` | `supervisor`, `kafka-format`, `kafka`, `namenode`, `jobmanager`, `tm-1` …; emptied at each start |
//! | `kafka-data/` | topics; kept across runs unless `fresh` |
//! | `hdfs-data/`, `bin/hdfs` | with HDFS: its files, kept likewise, and a client command |
//! | `checkpoints/`, `savepoints/` | without HDFS: Flink's state; kept likewise |
//! | `tmp/` | scratch space, emptied at each start |
//!
//! # Shutdown
//!
//! Services stop in order: task managers, JobManager, Kafka, HDFS. When the value is dropped, or its process dies for
//! any reason, all children are killed ([`process`]). `testbed down` trusts a recorded pid only together with its
//! start time.
//!
//! To add a service, write a file like `kafka.rs` (its jars or packages, its configuration, its readiness) and a line
//! in `testbed.rs`. There is no framework for services, and ended services are not restarted.

pub mod cli;
mod config;
pub mod control;
mod flink;
mod folder;
mod graphite;
mod hdfs;
pub mod identity;
mod jars;
mod java;
mod kafka;
pub mod logs;
mod ports;
pub mod process;
mod progress;
mod prometheus;
mod python;
pub mod requests;
mod service;
mod start;
pub mod state;
pub mod supervisor;
mod testbed;
mod topics;

pub use ::service::ConfigError;
pub use config::{Config, FlinkSettings, KafkaSettings, StoreSettings, TestbedSettings};
pub use hdfs::HdfsSettings;
pub use jars::FetchError;
pub use java::MissingProgram;
pub use kafka::{KafkaProgram, provide_kafka};
pub use progress::Progress;
pub use python::{PythonSet, provide_python};
pub use service::ServiceError;
pub use start::{StartError, fetch};
pub use testbed::{Testbed, TestbedError};
pub use topics::{TopicError, create_topic, delete_topic};
