//! Shutdown request by Ctrl-C or SIGTERM, for tasks that wait for something else.

use service::{Shutdown, ShutdownError};
use tokio::sync::watch;

/// Whether a shutdown was requested.
#[derive(Debug, Clone)]
pub(crate) struct ShutdownSignal(watch::Receiver<bool>);

impl ShutdownSignal {
    /// Installs handlers of both signals.
    ///
    /// # Errors
    /// The handlers cannot be installed.
    pub(crate) fn on_signals() -> Result<Self, ShutdownError> {
        let (ask, asked) = watch::channel(false);
        let mut shutdown = Shutdown::listen()?;
        tokio::spawn(async move {
            shutdown.requested().await;
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
