//! Notifications: events about jobs, sent to a web hook and a program without delaying the control loop.
//!
//! A control cycle puts an event into a bounded queue without waiting. Each receiver has its own queue and task, so a slow receiver does not
//! delay the other. Attempts have a timeout and a maximum number. An event that cannot be delivered, or finds its queue full, is
//! counted and logged. Delivery is at least once: after a lost response an event arrives again with the same `id`.

mod config;
mod deliver;
mod event;
mod lasting;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::{Notify as Signal, mpsc};
use tokio::task::JoinSet;
use tracing::{info, warn};

pub use config::Notify;
pub(crate) use deliver::Receiver;
pub use event::Kind;
pub(crate) use event::{Event, EventDetector};
pub(crate) use lasting::Lasting;

/// Version of the notification format.
const SCHEMA: u32 = 1;

/// A notification as it is sent.
#[derive(Debug, Serialize)]
struct Notification<'a> {
    schema: u32,
    id: String,
    job: &'a str,
    flink_url: &'a str,
    rescaler: &'static str,
    #[serde(flatten)]
    event: &'a Event,
}

/// Counts of the events for one receiver, by result.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    sent: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    waiting: AtomicU64,
    is_empty: Signal,
}

impl Counts {
    /// Returns the counters by name.
    pub(crate) fn results(&self) -> [(&'static str, u64); 3] {
        [("sent", &self.sent), ("failed", &self.failed), ("dropped", &self.dropped)]
            .map(|(name, count)| (name, count.load(Ordering::Relaxed)))
    }

    fn ended(&self, is_sent: bool) {
        let count = if is_sent { &self.sent } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        self.is_empty.notify_waiters();
    }

    /// Waits until the queue is empty.
    async fn emptied(&self) {
        loop {
            let changed = self.is_empty.notified();
            if self.waiting.load(Ordering::SeqCst) == 0 {
                return;
            }
            changed.await;
        }
    }
}

/// The queue of one receiver.
#[derive(Debug)]
struct Queue {
    /// Name of the receiver in metrics.
    name: &'static str,
    sender: mpsc::Sender<Arc<str>>,
    counts: Arc<Counts>,
}

/// Sends events to all receivers. Without receivers it discards them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notifier(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    events: Vec<Kind>,
    queues: Vec<Queue>,
    /// Distinguishes the events of this run from those of others.
    began_ms: i64,
    number: AtomicU64,
}

impl Notifier {
    /// Starts the tasks that deliver events; they end with `tasks`.
    ///
    /// # Errors
    /// A receiver's settings cannot be used.
    pub(crate) fn start(config: &Notify, tasks: &mut JoinSet<()>) -> anyhow::Result<Self> {
        let mut queues = Vec::new();
        for receiver in Receiver::all(config)? {
            let (sender, events) = mpsc::channel(config.queue_events);
            let counts = Arc::new(Counts::default());
            queues.push(Queue { name: receiver.name(), sender, counts: Arc::clone(&counts) });
            info!("notifications go to {receiver}");
            tasks.spawn(deliver::run(receiver, config.clone(), events, counts));
        }
        let began_ms = Timestamp::now().as_millisecond();
        let inner = Inner { events: config.events.clone(), queues, began_ms, number: AtomicU64::new(0) };
        Ok(Self(Arc::new(inner)))
    }

    /// Whether anything gets events.
    pub(crate) fn has_receivers(&self) -> bool {
        !self.0.queues.is_empty()
    }

    /// Sends an event about a job, without waiting. In a dry run it is only logged.
    pub(crate) fn send(&self, job: &str, flink_url: &str, event: &Event, is_dry_run: bool) {
        if self.0.queues.is_empty() || !self.0.events.contains(&event.event) {
            return;
        }
        let number = self.0.number.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}-{number}", self.0.began_ms);
        let rescaler = version::VERSION;
        let notification = Notification { schema: SCHEMA, id, job, flink_url, rescaler, event };
        // Texts, numbers and names can always be serialized.
        let Ok(text) = serde_json::to_string(&notification) else { return };
        if is_dry_run {
            info!(job, "not sent, because this is a dry run: {text}");
            return;
        }
        let text: Arc<str> = text.into();
        for queue in &self.0.queues {
            queue.counts.waiting.fetch_add(1, Ordering::SeqCst);
            if queue.sender.try_send(Arc::clone(&text)).is_err() {
                queue.counts.waiting.fetch_sub(1, Ordering::SeqCst);
                queue.counts.dropped.fetch_add(1, Ordering::Relaxed);
                warn!(
                    job,
                    "a notification was dropped, because {} already wait for the {}: {text}",
                    queue.sender.max_capacity(),
                    queue.name
                );
            }
        }
    }

    /// Returns the counts by receiver.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&'static str, &Counts)> {
        self.0.queues.iter().map(|queue| (queue.name, &*queue.counts))
    }

    /// Waits until all events are delivered, at most this long.
    pub(crate) async fn flush(&self, within: Duration) {
        let emptied = async {
            for queue in &self.0.queues {
                queue.counts.emptied().await;
            }
        };
        if tokio::time::timeout(within, emptied).await.is_err() {
            warn!("notifications are left that could not be delivered before the end");
        }
    }
}

#[cfg(test)]
mod tests;
