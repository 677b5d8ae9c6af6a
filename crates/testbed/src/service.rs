//! Common parts of all services: waiting for readiness, and errors of the start.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::logs;
use crate::process::{LaunchError, Process};

/// Poll interval of a starting service.
const PROBE_INTERVAL: Duration = Duration::from_millis(100);
/// Number of log lines in an error message.
const TAIL_LINES: usize = 20;

/// A service did not become ready.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// It could not be started.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// Its folders or configuration files could not be written.
    #[error("cannot write the configuration of {service}")]
    Configure {
        /// Name of the service.
        service: &'static str,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// A client for its readiness check could not be created.
    #[error("cannot create an HTTP client for {service}")]
    Client {
        /// Name of the service.
        service: &'static str,
        /// The library's error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It ended before it was ready.
    #[error("{service} exited during its start ({status}); the end of {}:\n{tail}", log.display())]
    Ended {
        /// Name of the service.
        service: String,
        /// Exit status.
        status: ExitStatus,
        /// Path of its log.
        log: PathBuf,
        /// Last lines of the log.
        tail: String,
    },
    /// It runs, but does not answer as expected.
    #[error("{service} was not ready after {deadline:?}; the end of {}:\n{tail}", log.display())]
    NotReady {
        /// Name of the service.
        service: String,
        /// The timeout.
        deadline: Duration,
        /// Path of its log.
        log: PathBuf,
        /// Last lines of the log.
        tail: String,
    },
}

impl ServiceError {
    pub(crate) fn ended(process: &Process, status: ExitStatus) -> Self {
        let log = process.log_file().to_owned();
        Self::Ended { service: process.name().to_owned(), status, tail: logs::tail(&log, TAIL_LINES), log }
    }

    pub(crate) fn not_ready(process: &Process, deadline: Duration) -> Self {
        let log = process.log_file().to_owned();
        Self::NotReady {
            service: process.name().to_owned(),
            deadline,
            tail: logs::tail(&log, TAIL_LINES),
            log,
        }
    }

    /// Whether the service ended because another process took its port between choice and use.
    pub(crate) fn is_port_taken(&self) -> bool {
        let Self::Ended { log, .. } = self else { return false };
        // Kafka and both ports of Flink's JobManager end with this exception, in varying messages.
        logs::end_of(log).unwrap_or_default().contains("java.net.BindException")
    }
}

/// Waits until `probe` returns true. An ended process, or else the deadline, gives an error with the end of the log;
/// `blame` is the process whose log says most about a timeout.
pub(crate) async fn await_ready(
    processes: &[&Process],
    blame: &Process,
    deadline: Duration,
    mut probe: impl AsyncFnMut() -> bool,
) -> Result<(), ServiceError> {
    let end = Instant::now() + deadline;
    loop {
        for process in processes {
            if let Some(status) = process.status() {
                return Err(ServiceError::ended(process, status));
            }
        }
        if probe().await {
            return Ok(());
        }
        if Instant::now() >= end {
            return Err(ServiceError::not_ready(blame, deadline));
        }
        sleep(PROBE_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{Launcher, ProcessSpec};

    fn launch(folder: &tempfile::TempDir, script: &str) -> Process {
        let program = ProcessSpec::new("svc", "/bin/sh", folder.path().join("svc.log")).args(["-c", script]);
        Launcher::new().unwrap().launch(&program).unwrap()
    }

    #[tokio::test]
    async fn an_early_end_is_told_at_once_with_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let process = launch(&folder, "echo java.net.BindException: Address already in use; exit 1");
        let error =
            await_ready(&[&process], &process, Duration::from_secs(60), async || false).await.unwrap_err();
        assert!(error.is_port_taken());
        let message = error.to_string();
        assert!(message.starts_with("svc exited during its start (exit status: 1)"), "{message}");
        assert!(message.ends_with("Address already in use"), "{message}");
    }

    #[tokio::test]
    async fn silence_ends_at_the_deadline() {
        let folder = tempfile::tempdir().unwrap();
        let process = launch(&folder, "echo java.net.BindException: in use; sleep 1000");
        let error =
            await_ready(&[&process], &process, Duration::from_millis(50), async || false).await.unwrap_err();
        assert!(matches!(error, ServiceError::NotReady { .. }) && !error.is_port_taken());
    }
}
