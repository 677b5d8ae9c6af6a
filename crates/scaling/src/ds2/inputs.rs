//! Inputs of the decision about one operator: its load, its capacity, and how its work is distributed.

use super::Options;
use super::memory::Memory;
use super::spread::Spread;
use crate::key_groups::InputUnits;
use crate::{Kind, Operator, Snapshot, Target, windows};

/// A busy share below this cannot be told from none (engines count whole milliseconds per second): the true rate is then at least what
/// it would be with this share, and how much more is unknown.
pub(super) const LEAST_BUSY: f64 = 0.001;
/// Fewer records than this in an epoch tell no rate: by chance alone their number varies by a tenth and more.
const LEAST_RECORDS: f64 = 100.0;
/// A source that is held back for a smaller share of its time is not held back by the operators behind it.
pub(super) const HELD_BACK: f64 = 0.1;
/// A backlog that grows by more than this share of what is read grows for certain.
const GROWTH: f64 = 0.02;

/// What the formulas rest on, all known.
#[derive(Debug, Clone)]
pub(super) struct OperatorInputs {
    pub(super) target: Target,
    /// Records per second of one subtask that is always busy.
    pub(super) true_rate_per_s: f64,
    /// Records per second that today's parallelism could carry.
    pub(super) capacity_per_s: f64,
    pub(super) spread: Spread,
    pub(super) busy: f64,
    pub(super) firing_ms: Option<f64>,
    /// Whether it is hardly busy, so that it may carry any amount more.
    pub(super) is_least: bool,
    /// Whether a source is limited by its fetchers, not by its task.
    pub(super) is_fetcher_bound: bool,
    pub(super) restart_s: f64,
}

/// What the figures are taken from.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) options: &'a Options,
    pub(super) snapshot: &'a Snapshot,
    pub(super) memory: &'a Memory,
    pub(super) restart_s: f64,
}

impl View<'_> {
    /// The figures of an operator, or which one is missing.
    pub(super) fn figures(
        &self,
        operator: &Operator,
        target: Option<&Target>,
    ) -> Result<OperatorInputs, String> {
        let rate = operator.throughput_per_s.ok_or("its rate is unknown")?;
        let busy = busy(operator).ok_or("its busy time is unknown")?;
        let target = *target.ok_or("its required rate is unknown")?;
        let input_units = self.input_units(operator);
        let spread = Spread::new(operator, self.snapshot, input_units, self.options);
        if rate <= 0.0 && (busy >= LEAST_BUSY || target.rate_per_s + target.drain_per_s > 0.0) {
            return Err("it processed no records, so its rate is unknown".to_owned());
        }
        if let Some(records) = self.too_few_records(rate) {
            return Err(format!(
                "it processed {records:.0} records in the epoch, too few to estimate its rate"
            ));
        }
        let p = operator.parallelism.max(1);
        let is_fetcher_bound = is_fetcher_bound(operator, busy);
        let read_per_s = rate / spread.even_shares(p);
        // Fetchers that were the limit once are the limit of what busy time promises.
        let fetched_per_s = self.memory.fetched(&operator.name).filter(|_| operator.kind == Kind::Source);
        let measured = match (is_fetcher_bound, fetched_per_s) {
            (true, _) => read_per_s,
            (false, fetched_per_s) => {
                let promised = rate / (f64::from(p) * busy.max(LEAST_BUSY));
                fetched_per_s.map_or(promised, |fetched| promised.min(fetched.max(read_per_s)))
            }
        };
        let is_capped = is_fetcher_bound || fetched_per_s.is_some();
        let true_rate_per_s = self.memory.damped(operator, measured);
        Ok(OperatorInputs {
            target,
            true_rate_per_s,
            capacity_per_s: true_rate_per_s * spread.even_shares(p),
            spread,
            busy,
            firing_ms: windows::firing_ms(operator),
            is_least: busy < LEAST_BUSY && !is_capped,
            is_fetcher_bound,
            restart_s: self.restart_s,
        })
    }

    /// The records of the epoch, if they are some and too few.
    fn too_few_records(&self, rate_per_s: f64) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of an epoch")]
        let interval_s = self.snapshot.interval_ms? as f64 / 1000.0;
        let records = rate_per_s * interval_s;
        (records > 0.0 && records < LEAST_RECORDS).then_some(records)
    }

    fn input_units(&self, operator: &Operator) -> InputUnits {
        if !self.options.key_group_alignment {
            return InputUnits::None;
        }
        match operator.source_partitions {
            Some(partitions) if operator.kind == Kind::Source => InputUnits::Of(partitions.max(1)),
            _ if operator.is_keyed() => {
                let own = operator.max_parallelism.unwrap_or(self.snapshot.job.max_parallelism);
                InputUnits::Of(own.min(self.snapshot.job.max_parallelism).max(1))
            }
            _ => InputUnits::None,
        }
    }

    /// The widest parallelism that the operator may have, 1 or more.
    pub(super) fn max(&self, operator: &Operator) -> u32 {
        let own = operator.max_parallelism.unwrap_or(u32::MAX);
        let partitions =
            operator.source_partitions.filter(|_| operator.kind == Kind::Source).unwrap_or(u32::MAX);
        self.options
            .vertex_max_parallelism
            .min(self.snapshot.job.max_parallelism)
            .min(own)
            .min(partitions)
            .max(1)
    }
}

/// Mean busy share over the subtasks, 0 to 1.
pub(super) fn busy(operator: &Operator) -> Option<f64> {
    let shares: Option<Vec<f64>> = operator.subtasks.iter().map(|subtask| subtask.busy_ratio).collect();
    let of_subtasks = shares.filter(|shares| !shares.is_empty()).map(|shares| {
        shares.iter().sum::<f64>() / f64::from(u32::try_from(shares.len()).unwrap_or(u32::MAX))
    });
    Some(of_subtasks.or(operator.busy_ratio)?.clamp(0.0, 1.0))
}

/// Whether a source's backlog grows although its task has time left and no operator behind it holds it back: what it reads is then all
/// that its fetchers can.
fn is_fetcher_bound(operator: &Operator, busy: f64) -> bool {
    let has_time = busy < 1.0 - HELD_BACK;
    let is_free = operator.backpressured_ratio.is_some_and(|held| held < HELD_BACK);
    operator.kind == Kind::Source && has_time && is_free && backlog_grows(operator)
}

/// Whether more arrives at a source than it reads, and a second's worth of records waits already or it is held back.
pub(super) fn backlog_grows(source: &Operator) -> bool {
    let is_held_back = source.backpressured_ratio.is_some_and(|held| held >= HELD_BACK);
    match (source.arrival_rate_per_s, source.throughput_per_s, source.backlog_records) {
        (Some(arrival), Some(read), Some(backlog)) => {
            arrival > read * (1.0 + GROWTH) && (backlog > arrival.max(1.0) || (is_held_back && backlog > 0.0))
        }
        _ => false,
    }
}
