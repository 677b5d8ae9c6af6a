//! Capacity of an operator at any parallelism.
//!
//! ```text
//! service  s(p) = a·(1 + α(p−1))                  α from a grid, by the p seen, with a prior at 0.005
//! share    w(p) = e + (1−e)·c(p)                   c(p): share of the fullest of p even subtasks, by key groups or partitions;
//!                                                  e = (w₀−c₀) ÷ (1−c₀): skew is taken to be indivisible
//! capacity C(p) = γ ÷ (s(p)·w(p)) · (1 − min(0.15, variation))
//! ```
//!
//! At a parallelism with three measurements, service time and share are the measured ones. A limit behind the operator, for example a
//! saturated database, needs no special case: the service time then grows with p, and α becomes 1.

use std::sync::LazyLock;

use super::measure::{OperatorMemory, ServiceTime, input_units};
use crate::key_groups::InputUnits;
use crate::{Kind, Operator, Snapshot};

/// What contention may be.
const ALPHAS: [f64; 12] = [0.0, 0.002, 0.005, 0.01, 0.02, 0.035, 0.06, 0.1, 0.2, 0.4, 0.7, 1.0];
/// The contention of an operator that has been seen at one parallelism.
const PRIOR_ALPHA: f64 = 0.005;
/// A service time counts as measured from this weight on.
const MEASURED: f64 = 3.0;
/// The time in which the weight of a measurement halves, in seconds.
const HALF_LIFE_S: f64 = 7200.0;
/// The widest that is looked at.
const MOST: u32 = 2048;

/// One operator with all that its capacity follows from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Capacity<'a> {
    memory: &'a OperatorMemory,
    input_units: InputUnits,
    pub(super) today: u32,
    pub(super) max: u32,
    pub(super) alpha: f64,
    /// e: the share of today's records that no parallelism divides.
    pub(super) excess: f64,
}

/// Returns the largest parallelism that the operator can have.
fn max(snapshot: &Snapshot, operator: &Operator) -> u32 {
    if operator.kind == Kind::AllWindow {
        return 1;
    }
    let partitions = operator.source_partitions.filter(|_| operator.kind == Kind::Source);
    let bounds = [operator.max_parallelism, partitions, Some(snapshot.job.max_parallelism), Some(MOST)];
    bounds.into_iter().flatten().min().unwrap_or(1).max(1)
}

impl<'a> Capacity<'a> {
    /// Returns the capacity of an operator; [`None`] while nothing has been measured.
    pub(super) fn new(
        snapshot: &Snapshot,
        operator: &Operator,
        memory: &'a OperatorMemory,
        now_s: i64,
    ) -> Option<Self> {
        (!memory.seen.is_empty()).then_some(())?;
        let (today, input_units) = (operator.parallelism.max(1), input_units(snapshot, operator));
        Some(Self {
            memory,
            input_units,
            today,
            max: max(snapshot, operator),
            alpha: alpha(&memory.seen, now_s),
            excess: excess(memory.at(today), input_units),
        })
    }

    /// Whether anything at this parallelism was measured.
    pub(super) fn has_seen(&self, parallelism: u32) -> bool {
        self.memory.at(parallelism).is_some()
    }

    pub(super) fn was_saturated(&self) -> bool {
        self.memory.was_saturated
    }

    pub(super) fn gamma(&self) -> f64 {
        self.memory.gamma
    }

    pub(super) fn extrapolation_error(&self) -> f64 {
        self.memory.extrapolation_error.clamp(0.0, 0.9)
    }

    /// Seconds of one subtask per record.
    pub(super) fn service_s(&self, parallelism: u32) -> f64 {
        let measured = |seen: &&ServiceTime| seen.weight >= MEASURED;
        if let Some(seen) = self.memory.at(parallelism).filter(measured) {
            return seen.service_s;
        }
        let distance = |seen: &&ServiceTime| (seen.parallelism.abs_diff(parallelism), seen.parallelism);
        let all = || self.memory.seen.iter();
        let own = self.memory.at(self.today).filter(measured);
        let nearest = own
            .or_else(|| all().filter(measured).min_by_key(distance))
            .or_else(|| all().filter(|seen| seen.weight > 0.0).min_by_key(distance))
            .or_else(|| all().min_by_key(distance));
        let Some(nearest) = nearest else { return 0.0 };
        nearest.service_s * self.growth(parallelism) / self.growth(nearest.parallelism)
    }

    fn growth(&self, parallelism: u32) -> f64 {
        1.0 + self.alpha * f64::from(parallelism.saturating_sub(1))
    }

    /// The share of the records that the fullest subtask gets.
    pub(super) fn share(&self, parallelism: u32) -> f64 {
        match self.memory.at(parallelism) {
            Some(seen) => seen.share,
            None => self.excess + (1.0 - self.excess) * even(self.input_units, parallelism),
        }
    }

    /// Records per second without the margin for varying service times.
    pub(super) fn without_margin(&self, parallelism: u32) -> f64 {
        let busy_s = self.service_s(parallelism) * self.share(parallelism);
        if busy_s > 0.0 { (self.memory.gamma / busy_s).min(1e15) } else { 0.0 }
    }

    /// Records per second.
    pub(super) fn per_s(&self, parallelism: u32) -> f64 {
        self.without_margin(parallelism) * (1.0 - self.memory.variation.clamp(0.0, 0.15))
    }
}

/// The share of the fullest subtask if all portions were alike.
fn even(input_units: InputUnits, parallelism: u32) -> f64 {
    1.0 / input_units.effective(parallelism)
}

/// The share of the records that no parallelism divides, by what was seen at today's.
fn excess(today: Option<&ServiceTime>, input_units: InputUnits) -> f64 {
    let Some(seen) = today.filter(|_| input_units != InputUnits::None) else { return 0.0 };
    let even = even(input_units, seen.parallelism);
    if even < 1.0 { ((seen.share - even) / (1.0 - even)).max(0.0) } else { 0.0 }
}

/// The contention that explains the service times best.
fn alpha(seen: &[ServiceTime], now_s: i64) -> f64 {
    let age_s = |seen: &ServiceTime| {
        f64::from(i32::try_from(now_s.saturating_sub(seen.at_s).clamp(0, 1 << 30)).unwrap_or(0))
    };
    let points: Vec<(u32, f64, f64)> = seen
        .iter()
        .filter(|seen| seen.weight > 0.0 && seen.service_s > 0.0)
        .map(|seen| {
            let weight = seen.weight.min(10.0) * 0.5_f64.powf(age_s(seen) / HALF_LIFE_S);
            (seen.parallelism.saturating_sub(1), seen.service_s.ln(), weight)
        })
        .collect();
    if points.len() < 2 {
        return PRIOR_ALPHA;
    }
    let total: f64 = points.iter().map(|(.., weight)| weight).sum();
    if total <= 0.0 {
        return PRIOR_ALPHA;
    }
    let logarithms = &*LOGARITHMS;
    let mut bases = vec![0.0; points.len()];
    let mut loss = |index: usize, alpha: f64| {
        for (base, (others, service, _)) in bases.iter_mut().zip(&points) {
            *base = service - logarithms.growth(*others, index);
        }
        let weighted = || bases.iter().zip(&points).map(|(base, (.., weight))| (base, weight));
        let mean = weighted().map(|(base, weight)| weight * base).sum::<f64>() / total;
        let squares: f64 = weighted().map(|(base, weight)| weight * (base - mean).powi(2)).sum();
        (alpha, squares / 0.03_f64.powi(2) + logarithms.penalties[index])
    };
    let losses = ALPHAS.into_iter().enumerate().map(|(index, alpha)| loss(index, alpha));
    losses.min_by(|one, other| one.1.total_cmp(&other.1)).map_or(PRIOR_ALPHA, |(alpha, _)| alpha)
}

/// The logarithms of the search for contention, which are the same in every epoch.
static LOGARITHMS: LazyLock<Logarithms> = LazyLock::new(|| Logarithms {
    growth: (0..TABLED).map(|others| ALPHAS.map(|alpha| growth_log(alpha, f64::from(others)))).collect(),
    penalties: ALPHAS.map(|alpha| 0.3 * ((alpha + 0.01) / 0.015).ln().powi(2)),
});

/// The logarithms of narrower operators are computed in advance.
const TABLED: u32 = 128;

struct Logarithms {
    /// By the number of other subtasks, then by the index of α.
    growth: Vec<[f64; ALPHAS.len()]>,
    /// By the index of α.
    penalties: [f64; ALPHAS.len()],
}

impl Logarithms {
    /// ln(1 + α·others)
    fn growth(&self, others: u32, index: usize) -> f64 {
        let tabled = usize::try_from(others).ok().and_then(|others| self.growth.get(others));
        tabled.map_or_else(|| growth_log(ALPHAS[index], f64::from(others)), |row| row[index])
    }
}

fn growth_log(alpha: f64, others: f64) -> f64 {
    (1.0 + alpha * others).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(parallelism: u32, service_s: f64) -> ServiceTime {
        ServiceTime { parallelism, service_s, share: 1.0 / f64::from(parallelism), weight: 10.0, at_s: 0 }
    }

    fn remembering(seen: ServiceTime) -> OperatorMemory {
        let mut memory = OperatorMemory::default();
        memory.seen.push(seen);
        memory
    }

    /// Goal: contention is found from two parallelisms; one, or an upper bound, tells none.
    #[test]
    fn contention_is_found() {
        let close = |found: f64, expected: f64| (found - expected).abs() < 1e-12;
        assert!(close(alpha(&[seen(4, 1e-4)], 0), PRIOR_ALPHA));
        assert!(close(alpha(&[seen(4, 1e-4), seen(8, 1e-4)], 0), 0.0));
        assert!(close(alpha(&[seen(1, 1e-4), seen(11, 2e-4)], 0), 0.1));
        assert!(close(alpha(&[seen(4, 1e-4), seen(16, 4e-4)], 0), 1.0));
        let bound = ServiceTime { weight: 0.0, ..seen(16, 4e-4) };
        assert!(close(alpha(&[seen(4, 1e-4), bound], 0), PRIOR_ALPHA));
    }

    /// Goal: a hot key group is not divided: a subtask that has 30 % of the records has at least 25 % at any parallelism.
    #[test]
    fn a_hot_key_is_indivisible() {
        let hot = ServiceTime { share: 0.3, ..seen(4, 1e-4) };
        let memory = remembering(hot);
        let job = crate::Job { max_parallelism: 128, ..crate::Job::default() };
        let snapshot = Snapshot { job, ..Snapshot::default() };
        let operator = Operator { kind: Kind::Window, parallelism: 4, ..Operator::default() };
        let capacity = Capacity::new(&snapshot, &operator, &memory, 0).unwrap();
        assert!((capacity.excess - 0.2 / 3.0).abs() < 1e-9);
        assert!((capacity.share(4) - 0.3).abs() < 1e-12);
        assert!(capacity.share(128) > 0.0666 && capacity.share(2) > 0.5);
        let even = remembering(seen(4, 1e-4));
        let capacity = Capacity::new(&snapshot, &operator, &even, 0).unwrap();
        assert!((capacity.share(100) - 1.0 / 64.0).abs() < 1e-12);
    }
}
