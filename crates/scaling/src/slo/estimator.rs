//! Load, capacity and forecast of a job under another policy, measured as policy `slo` measures them. Nothing is decided here.

use std::collections::BTreeMap;

use super::{Options, Slo};
use crate::{Memory, Snapshot};

/// A latency bound, which the measured figures do not depend on, in milliseconds.
const BOUND_MS: f64 = 1000.0;

/// Measures one job from epoch to epoch.
#[derive(Debug)]
pub struct Estimator {
    policy: Slo,
    memory: Memory,
}

impl Default for Estimator {
    fn default() -> Self {
        Self { policy: Slo(Options::with_bound(BOUND_MS)), memory: Memory::default() }
    }
}

impl Estimator {
    /// Remembers this epoch's snapshot, and returns the figures of the whole job: `arrival_per_s`, `capacity_per_s`, `forecast_per_s`
    /// and `backlog_records`, where known. `now_ms` is in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// The reason why the figures are unknown.
    pub fn figures(&mut self, snapshot: &Snapshot, now_ms: i64) -> Result<BTreeMap<String, f64>, String> {
        if let Some(reason) = crate::incomplete(snapshot) {
            return Err(reason);
        }
        let snapshot = &*snapshot.without_impossible_figures();
        let (view, _closed) = self.policy.observed(&mut self.memory.slo, snapshot, now_ms);
        Ok(view?.figures())
    }
}
