//! Availability of a dependency, logged once per change rather than once per attempt.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use service::with_causes;

/// A service that the agent depends on.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    name: &'static str,
    good: Arc<AtomicBool>,
}

impl Condition {
    /// Starts as available.
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, good: Arc::new(AtomicBool::new(true)) }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn is_healthy(&self) -> bool {
        self.good.load(Ordering::Relaxed)
    }

    pub(crate) fn succeeded(&self) {
        if !self.good.swap(true, Ordering::Relaxed) {
            tracing::info!("{} works again", self.name);
        }
    }

    pub(crate) fn bad(&self, error: &(dyn std::error::Error + 'static)) {
        if self.good.swap(false, Ordering::Relaxed) {
            tracing::warn!("{} fails, retrying: {}", self.name, with_causes(error));
        }
    }
}
