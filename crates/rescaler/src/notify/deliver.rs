//! Delivery of notifications to one receiver: a web hook or a program.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use http_client::{Client, ClientSettings, Failure, Method, StatusCode};
use policies::ExternalProgram;
use service::with_causes;
use tokio::sync::mpsc;
use tracing::warn;
use url::Url;

use super::{Counts, Notify};

/// The longest answer of a web hook that is read, in bytes; what it says does not matter.
const ANSWER_MAX_BYTES: usize = 1 << 20;
/// The longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What gets notifications.
pub(crate) enum Receiver {
    /// A web hook.
    Hook {
        /// Its address; the path may be a secret.
        url: Url,
        /// Connections to it.
        client: Box<Client>,
    },
    /// A program.
    Command(ExternalProgram),
}

/// Why an attempt failed.
struct Failed {
    reason: String,
    /// Whether another attempt may succeed.
    is_worth_another: bool,
}

impl fmt::Display for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hook { url, .. } => write!(f, "the web hook at {}", url.host_str().unwrap_or_default()),
            Self::Command(program) => write!(f, "{}", program.name()),
        }
    }
}

impl Receiver {
    /// The configured receivers.
    ///
    /// # Errors
    /// An address or a secret cannot be used.
    pub(crate) fn all(config: &Notify) -> anyhow::Result<Vec<Self>> {
        let mut receivers = Vec::new();
        if let Some(url) = config.address().map_err(anyhow::Error::msg).context("notify.url")? {
            let timeout = Duration::from_millis(config.timeout_ms);
            let settings =
                ClientSettings { connect_timeout: timeout, timeout, max_body_bytes: ANSWER_MAX_BYTES };
            let client = Client::new(settings, &config.access, url.scheme() == "https");
            receivers.push(Self::Hook { url, client: Box::new(client.context("notify.access")?) });
        }
        if !config.command.is_empty() {
            let (command, timeout_ms) = (config.command.clone(), config.timeout_ms);
            receivers.push(Self::Command(ExternalProgram {
                command,
                timeout_ms,
                ..ExternalProgram::default()
            }));
        }
        Ok(receivers)
    }

    /// What it is called in metrics.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Hook { .. } => "web-hook",
            Self::Command(_) => "command",
        }
    }

    /// One attempt.
    async fn attempt(&self, text: &str) -> Result<(), Failed> {
        match self {
            Self::Hook { url, client } => post(url, client, text).await,
            Self::Command(program) => program
                .give(text.as_bytes().to_vec())
                .await
                .map_err(|reason| Failed { reason, is_worth_another: true }),
        }
    }
}

async fn post(url: &Url, client: &Client, text: &str) -> Result<(), Failed> {
    let failed =
        |failure: Failure, is_worth_another| Failed { reason: with_causes(&failure), is_worth_another };
    let request = http_client::with_body(Method::POST, url, "application/json", text.to_owned())
        .map_err(|failure| failed(failure, false))?;
    let answer = client.send(request).await.map_err(|failure| failed(failure, true))?;
    let status = answer.status;
    let is_worth_another = status.is_server_error()
        || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status);
    let reason = format!("it answers {status}");
    if status.is_success() { Ok(()) } else { Err(Failed { reason, is_worth_another }) }
}

/// Delivers one event after the other until their senders are gone.
pub(super) async fn run(
    receiver: Receiver,
    config: Notify,
    mut events: mpsc::Receiver<Arc<str>>,
    counts: Arc<Counts>,
) {
    while let Some(text) = events.recv().await {
        let end = deliver(&receiver, &config, &text).await;
        if let Err(reason) = &end {
            warn!("a notification could not be delivered to {receiver}: {reason}: {text}");
        }
        counts.ended(end.is_ok());
    }
}

/// Tries to deliver an event, as often as configured.
///
/// # Errors
/// Why the last attempt failed.
async fn deliver(receiver: &Receiver, config: &Notify, text: &str) -> Result<(), String> {
    let mut pause = Duration::from_millis(config.retry_pause_ms);
    let mut attempt = 1;
    loop {
        let Err(failed) = receiver.attempt(text).await else { return Ok(()) };
        if attempt >= config.attempts || !failed.is_worth_another {
            return Err(format!("{} (attempt {attempt} of {})", failed.reason, config.attempts));
        }
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2).min(PAUSE_MAX);
        attempt += 1;
    }
}
