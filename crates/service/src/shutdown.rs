//! The request to end: SIGINT (Ctrl-C) or SIGTERM.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals cannot be received.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for signals to end")]
pub struct ShutdownError(#[from] std::io::Error);

/// Receives SIGINT and SIGTERM, which no longer end the process by themselves.
#[derive(Debug)]
pub struct Shutdown {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

impl Shutdown {
    /// Starts to receive the signals. Must be called within a runtime.
    ///
    /// # Errors
    /// The operating system refuses the handlers.
    pub fn listen() -> Result<Self, ShutdownError> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: None,
        })
    }

    /// Receives SIGHUP too: the end of the terminal ends a program that starts other processes.
    ///
    /// # Errors
    /// As [`Shutdown::listen`].
    pub fn with_hangup(self) -> Result<Self, ShutdownError> {
        Ok(Self { hangup: Some(signal(SignalKind::hangup())?), ..self })
    }

    /// Waits for the next signal since the previous call, or since [`Shutdown::listen`].
    pub async fn requested(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hangup => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nix::sys::signal::{Signal, raise};
    use tokio::time::timeout;

    use super::*;

    /// Goal: each of the signals is a request, one that comes before it is awaited is kept, and there is none without a
    /// signal.
    #[tokio::test]
    async fn each_signal_is_a_request() {
        let mut shutdown = Shutdown::listen().unwrap().with_hangup().unwrap();
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            raise(signal).unwrap();
            timeout(Duration::from_secs(10), shutdown.requested()).await.unwrap();
            assert!(timeout(Duration::from_millis(20), shutdown.requested()).await.is_err());
        }
    }
}
