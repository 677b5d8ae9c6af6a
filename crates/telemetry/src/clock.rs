//! The clock of samples: set once from the system clock and then monotonic, or virtual and moved by its owner.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A monotonic clock, in milliseconds since the Unix epoch.
#[derive(Debug, Clone)]
pub struct Clock(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Steady { started: Instant, started_at_ms: i64 },
    Virtual(Arc<AtomicI64>),
}

impl Clock {
    /// The system's clock, read now; later changes of it do not count.
    pub fn steady() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let started_at_ms = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
        Self(Kind::Steady { started: Instant::now(), started_at_ms })
    }

    /// A clock that shows what is stored here, in milliseconds since the Unix epoch. Waiting moves it.
    pub fn virtual_time(now_ms: Arc<AtomicI64>) -> Self {
        Self(Kind::Virtual(now_ms))
    }

    /// Milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> i64 {
        match &self.0 {
            Kind::Steady { started, started_at_ms } => {
                let elapsed_ms = i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX);
                started_at_ms.saturating_add(elapsed_ms)
            }
            Kind::Virtual(now_ms) => now_ms.load(Ordering::SeqCst),
        }
    }

    /// Waits until this time, in milliseconds since the Unix epoch; returns at once if it is over.
    pub async fn wait_until_ms(&self, at_ms: i64) {
        match &self.0 {
            Kind::Steady { .. } => {
                let left_ms = u64::try_from(at_ms.saturating_sub(self.now_ms())).unwrap_or(0);
                tokio::time::sleep(Duration::from_millis(left_ms)).await;
            }
            Kind::Virtual(now_ms) => {
                now_ms.fetch_max(at_ms, Ordering::SeqCst);
            }
        }
    }
}
