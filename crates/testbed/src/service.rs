//! What all services have in common: waiting until one answers, and saying why it does not.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::logs;
use crate::process::{LaunchError, Process};

/// Time between two looks at a service that is starting.
const PROBE_INTERVAL: Duration = Duration::from_millis(100);
/// Lines of a log that an error message carries.
const TAIL_LINES: usize = 20;

/// A service did not become ready.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// It could not be started at all.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// Its folders or configuration files could not be made.
    #[error("cannot write the configuration of {service}")]
    Configure {
        /// The service.
        service: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A client for asking it could not be made.
    #[error("cannot make a client for {service}")]
    Client {
        /// The service.
        service: &'static str,
        /// What the library said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It ended before it was ready.
    #[error("{service} ended while it was starting ({status}); the end of {}:\n{tail}", log.display())]
    Ended {
        /// The service.
        service: String,
        /// How it ended.
        status: ExitStatus,
        /// Its log file.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// It runs, but does not answer as it should.
    #[error("{service} was not ready after {deadline:?}; the end of {}:\n{tail}", log.display())]
    NotReady {
        /// The service.
        service: String,
        /// The time it was given.
        deadline: Duration,
        /// Its log file.
        log: PathBuf,
        /// The log's last lines.
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
        // Kafka and both ports of Flink's JobManager end with this exception, whatever they say around it.
        logs::end_of(log).unwrap_or_default().contains("java.net.BindException")
    }
}

/// Waits until `probe` says yes. The first process to end, or else the deadline, makes it an error that carries the end of
/// the log; `blame` is the process whose log says most about lateness.
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
    use crate::process::{Launcher, Program};

    fn launch(folder: &tempfile::TempDir, script: &str) -> Process {
        let program = Program::new("svc", "/bin/sh", folder.path().join("svc.log")).args(["-c", script]);
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
        assert!(message.starts_with("svc ended while it was starting (exit status: 1)"), "{message}");
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
