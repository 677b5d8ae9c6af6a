//! The server's clock: the system's, or a virtual one that the test advances.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A clock, and the meaning of a delayed response.
#[derive(Debug, Clone, Default)]
pub enum Pace {
    /// The system's clock; a delayed response takes its time.
    #[default]
    Real,
    /// Milliseconds since the Unix epoch, advanced by the test; a delayed response advances it, too.
    Virtual(Arc<AtomicI64>),
}

impl Pace {
    /// Returns the milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> i64 {
        match self {
            Self::Real => {
                let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
            }
            Self::Virtual(now_ms) => now_ms.load(Ordering::SeqCst),
        }
    }

    pub(crate) async fn pass(&self, delay: Duration) {
        if delay.is_zero() {
            return;
        }
        match self {
            Self::Real => tokio::time::sleep(delay).await,
            Self::Virtual(now_ms) => {
                let delay_ms = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
                now_ms.fetch_add(delay_ms, Ordering::SeqCst);
            }
        }
    }
}
