//! The state file: a testbed's services, their pids and addresses. It is written by the testbed's process, and read
//! by `testbed status`, `logs` and `down`, and by programs that need the addresses.
//!
//! It is replaced atomically by rename.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::identity::ProcessIdentity;

/// Version of the file's format.
const FORMAT: u32 = 1;

/// Phase of the testbed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Downloading and starting; addresses and services are not known yet.
    Starting,
    /// All services have answered.
    Ready,
    /// Services are being stopped.
    Stopping,
}

impl fmt::Display for Phase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Stopping => "stopping",
        })
    }
}

/// One service process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// `kafka`, `namenode`, `datanode`, `jobmanager` or the id of a task manager, `tm-1`.
    pub name: String,
    /// Its process.
    pub process: ProcessIdentity,
    /// Its log file.
    pub log: PathBuf,
}

/// Content of the state file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestbedState {
    format: u32,
    /// Current phase.
    pub phase: Phase,
    /// The testbed's process; all services are its children.
    pub supervisor: ProcessIdentity,
    /// `host:port` of the broker, once ready.
    pub kafka_bootstrap: Option<String>,
    /// URL of Flink's REST interface, once ready.
    pub flink_url: Option<String>,
    /// URL of HDFS, `hdfs://127.0.0.1:PORT`, once ready, if there is one.
    #[serde(default)]
    pub hdfs_url: Option<String>,
    /// URL of its NameNode for WebHDFS, once ready, if there is one.
    #[serde(default)]
    pub webhdfs_url: Option<String>,
    /// Flink's checkpoint directory; with HDFS, `hdfs_url` and `/flink/checkpoints` instead.
    pub checkpoint_dir: PathBuf,
    /// Flink's savepoint directory; with HDFS, below `hdfs_url` instead.
    pub savepoint_dir: PathBuf,
    /// The services in start order.
    pub services: Vec<Service>,
}

/// The state file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Reading failed, other than for a missing file.
    #[error("cannot read {}", path.display())]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// The file exists, but is not a state file of this version.
    #[error("{} is not a state file of this testbed version: stop its processes and remove it", path.display())]
    Parse {
        /// Path of the file.
        path: PathBuf,
        /// The parser's error.
        #[source]
        source: serde_json::Error,
    },
    /// Writing failed.
    #[error("cannot write {}", path.display())]
    Write {
        /// Path of the file.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
}

impl TestbedState {
    /// Creates the state of a testbed that is starting.
    pub(crate) fn starting(
        supervisor: ProcessIdentity,
        checkpoint_dir: PathBuf,
        savepoint_dir: PathBuf,
    ) -> Self {
        Self {
            format: FORMAT,
            phase: Phase::Starting,
            supervisor,
            kafka_bootstrap: None,
            flink_url: None,
            hdfs_url: None,
            webhdfs_url: None,
            checkpoint_dir,
            savepoint_dir,
            services: Vec::new(),
        }
    }

    /// Reads a state file; returns `None` if it does not exist.
    ///
    /// # Errors
    /// [`StateError::Read`] and [`StateError::Parse`].
    pub fn read(path: &Path) -> Result<Option<Self>, StateError> {
        let text = match files::read_text(path, files::CONFIGURATION_BYTES) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StateError::Read { path: path.to_owned(), source }),
        };
        let parse_error = |source| StateError::Parse { path: path.to_owned(), source };
        let state: Self = serde_json::from_str(&text).map_err(parse_error)?;
        if state.format == FORMAT {
            Ok(Some(state))
        } else {
            let message = format!("format is {}, not {FORMAT}", state.format);
            Err(parse_error(serde::de::Error::custom(message)))
        }
    }

    /// Whether all services have answered and none is being stopped.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }

    /// Replaces the state file.
    pub(crate) fn write(&self, path: &Path) -> Result<(), StateError> {
        let replace = || -> io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
            serde_json::to_writer_pretty(&mut file, self)?;
            file.write_all(b"\n")?;
            file.persist(path)?;
            Ok(())
        };
        replace().map_err(|source| StateError::Write { path: path.to_owned(), source })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn example() -> TestbedState {
        let process = ProcessIdentity { pid: 12, start_ticks: 3_456 };
        let mut state =
            TestbedState::starting(process, PathBuf::from("/w/checkpoints"), PathBuf::from("/w/savepoints"));
        state.phase = Phase::Ready;
        state.kafka_bootstrap = Some("127.0.0.1:9092".to_owned());
        state.services.push(Service {
            name: "tm-1".to_owned(),
            process,
            log: PathBuf::from("/w/logs/tm-1.log"),
        });
        state
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        assert_eq!(TestbedState::read(&path).unwrap(), None);
        example().write(&path).unwrap();
        assert_eq!(TestbedState::read(&path).unwrap(), Some(example()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn another_format_and_half_a_file_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        TestbedState { format: 2, ..example() }.write(&path).unwrap();
        assert!(matches!(TestbedState::read(&path), Err(StateError::Parse { .. })));
        fs::write(&path, "{\"format\": 1,").unwrap();
        assert!(matches!(TestbedState::read(&path), Err(StateError::Parse { .. })));
    }
}
