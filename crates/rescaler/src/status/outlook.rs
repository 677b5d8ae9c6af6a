//! What a job carries, what is to be expected, and how long records wait: measured as policy `slo` does, for a job under any policy.

use std::collections::BTreeMap;

use control::Record;
use scaling::Memory;
use scaling::slo::{self, Slo};
use serde::Serialize;

/// A bound for jobs without one, in milliseconds. It has no influence on the figures.
const ANY_BOUND_MS: f64 = 1000.0;

/// Wanted and present capacity at the end of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Outlook {
    /// Records of all sources that arrive, per second.
    pub arrival_per_s: f64,
    /// Records of all sources that the job carries with today's parallelism, per second.
    pub capacity_per_s: f64,
    /// The arrival rate that is not exceeded before a change could help, by the forecast and its past errors, in records per second.
    pub forecast_per_s: f64,
    /// How long a record waits: backlog ÷ capacity, in milliseconds; [`None`] where the sources report no backlog.
    pub delay_ms: Option<f64>,
}

impl Outlook {
    fn of(figures: &BTreeMap<String, f64>) -> Option<Self> {
        let figure = |name: &str| figures.get(name).copied();
        let capacity_per_s = figure("capacity_per_s")?;
        let backlog = figure("backlog_records").filter(|_| capacity_per_s > 0.0);
        Some(Self {
            arrival_per_s: figure("arrival_per_s")?,
            capacity_per_s,
            forecast_per_s: figure("forecast_per_s")?,
            delay_ms: backlog.map(|records| records / capacity_per_s * 1000.0),
        })
    }
}

/// Computes the outlook of one job, epoch by epoch.
#[derive(Debug)]
pub(super) struct Estimator {
    policy: Slo,
    memory: Memory,
}

impl Estimator {
    pub(super) fn new(latency_max_ms: Option<f64>) -> Self {
        let bound_ms = latency_max_ms.unwrap_or(ANY_BOUND_MS);
        Self { policy: Slo(slo::Options::with_bound(bound_ms)), memory: Memory::default() }
    }

    /// Returns the outlook at the end of this epoch, or why it is not known: from the decision where the policy measures it itself,
    /// else from the snapshot.
    pub(super) fn estimate(&mut self, record: &Record) -> Result<Outlook, String> {
        if record.decision.policy == slo::NAME {
            let reason = record.decision.reasons.first().cloned().unwrap_or_default();
            return Outlook::of(&record.decision.figures).ok_or(reason);
        }
        let snapshot = record.snapshot.as_ref().ok_or("the job could not be observed")?;
        let figures = self.policy.watch(&mut self.memory, snapshot, record.at.as_millisecond())?;
        Outlook::of(&figures).ok_or_else(|| "its figures are not numbers".to_owned())
    }
}
