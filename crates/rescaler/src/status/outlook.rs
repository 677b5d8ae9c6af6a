//! Load, capacity, forecast and delay of a job under any policy, as policy `slo` measures them.

use std::collections::BTreeMap;

use control::Record;
use scaling::slo;
use serde::Serialize;

/// Load and capacity at the end of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Outlook {
    /// Arrival rate of all sources, in records per second.
    pub arrival_per_s: f64,
    /// Capacity at the current parallelism, in records per second of all sources.
    pub capacity_per_s: f64,
    /// Upper bound of the arrival rate before a change could take effect, by the forecast and its past errors, in records per second.
    pub forecast_per_s: f64,
    /// Time that a record waits: backlog ÷ capacity, in milliseconds; [`None`] where the sources report no backlog.
    pub delay_ms: Option<f64>,
}

impl Outlook {
    fn from_figures(figures: &BTreeMap<String, f64>) -> Option<Self> {
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

/// Computes the outlook of one job from epoch to epoch.
#[derive(Debug, Default)]
pub(super) struct OutlookEstimator(slo::Estimator);

impl OutlookEstimator {
    /// Returns the outlook at the end of this epoch, or why it is unknown. Policy `slo` has it in its decision; for other policies it
    /// is measured from the snapshot.
    pub(super) fn estimate(&mut self, record: &Record) -> Result<Outlook, String> {
        if record.decision.policy == slo::NAME {
            let reason = record.decision.reasons.first().cloned().unwrap_or_default();
            return Outlook::from_figures(&record.decision.figures).ok_or(reason);
        }
        let snapshot = record.snapshot.as_ref().ok_or("the job could not be observed")?;
        let figures = self.0.figures(snapshot, record.at.as_millisecond())?;
        Outlook::from_figures(&figures).ok_or_else(|| "its figures are not numbers".to_owned())
    }
}
