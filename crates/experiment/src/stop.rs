//! Shutdown request by Ctrl-C or SIGTERM, for tasks that wait for something else.

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Whether a shutdown was requested.
#[derive(Debug, Clone)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Installs handlers of both signals.
    ///
    /// # Errors
    /// The handlers cannot be installed.
    pub(crate) fn on_signals() -> anyhow::Result<Self> {
        let (ask, asked) = watch::channel(false);
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for Ctrl-C")?;
        let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            ask.send_replace(true);
            // The channel stays open, so that its end is not taken for a request.
            ask.closed().await;
        });
        Ok(Self(asked))
    }

    /// Waits until a shutdown is requested.
    pub(crate) async fn asked(&self) {
        let mut asked = self.0.clone();
        if asked.wait_for(|asked| *asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether a shutdown was requested.
    pub(crate) fn is_asked(&self) -> bool {
        *self.0.borrow()
    }
}
