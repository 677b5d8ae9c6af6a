//! Distribution of an operator's work over its subtasks, which determines its capacity at another parallelism.
//!
//! The operator is as fast as its fullest subtask. The share of all work in the fullest of p subtasks is
//!
//! ```text
//! w(p) = fixed + rest ÷ effective(p)        effective(p): see key_groups
//! ```
//!
//! `rest` is what more subtasks divide among them, `fixed` what they cannot divide:
//!
//! * *Skew.* With w₀ the measured share of the fullest subtask and c₀ = 1 ÷ effective(p₀) the share that its portions explain, the
//!   excess e = (w₀ − c₀) ÷ (1 − c₀) is taken to be indivisible (one hot key, few keys): fixed = e, rest = 1 − e.
//! * *Broadcast.* Each subtask gets every record of a broadcast input. With b of those and m of all others reaching the operator, of
//!   p₀·b + m records that it counts: fixed = b ÷ (p₀·b + m), rest = m ÷ (p₀·b + m).
//! * *Global.* One subtask gets all records: fixed = 1.

use super::{BusyTime, Options};
use crate::key_groups::{InputUnits, without_noise};
use crate::{Kind, Operator, Partitioning, Snapshot, Subtask};

/// Shares below this are rounding noise of rates, not work that cannot be divided.
const LEAST_FIXED_SHARE: f64 = 1e-6;

/// Why a part of the work cannot be divided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Indivisible {
    /// Nothing is.
    Nothing,
    /// One subtask gets more than its portions explain.
    Skew {
        /// The index of the fullest subtask.
        subtask: usize,
        /// Its share of all records, 0 to 1.
        share: f64,
    },
    /// Every subtask gets the records of a broadcast input.
    Broadcast,
    /// All records go to one subtask.
    Global,
}

impl Indivisible {
    /// What it is, for people; [`None`] if there is nothing.
    pub(super) fn describe(self) -> Option<String> {
        match self {
            Self::Skew { subtask, share } => Some(format!(
                "subtask {subtask} gets {:.0} % of all records (hot or few keys), which more subtasks do not change",
                share * 100.0
            )),
            Self::Broadcast => Some("every subtask gets every record of a broadcast input".to_owned()),
            Self::Global => Some("all its records go to one subtask".to_owned()),
            Self::Nothing => None,
        }
    }
}

/// How the work is spread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    input_units: InputUnits,
    fixed: f64,
    rest: f64,
    pub(super) indivisible: Indivisible,
}

impl Spread {
    /// Returns the spread of an operator, by its inputs and the records of its subtasks; the options say how skew counts.
    pub(super) fn new(
        operator: &Operator,
        snapshot: &Snapshot,
        input_units: InputUnits,
        options: &Options,
    ) -> Self {
        let even = Self { input_units, fixed: 0.0, rest: 1.0, indivisible: Indivisible::Nothing };
        let kinds = || operator.edges.iter().map(|edge| edge.partitioning);
        if operator.edges.len() == operator.inputs.len()
            && !operator.edges.is_empty()
            && kinds().all(|partitioning| partitioning == Partitioning::Global)
        {
            return Self { fixed: 1.0, rest: 0.0, indivisible: Indivisible::Global, ..even };
        }
        if kinds().any(|partitioning| partitioning == Partitioning::Broadcast) {
            return broadcast(operator, snapshot, even);
        }
        let counts_skew = options.busy_time_aggregator == BusyTime::Max;
        match excess(operator, input_units).filter(|_| counts_skew) {
            Some((indivisible, excess)) if excess > LEAST_FIXED_SHARE => {
                Self { fixed: excess, rest: 1.0 - excess, indivisible, ..even }
            }
            _ => even,
        }
    }

    /// How many evenly loaded subtasks carry as much as this many do.
    pub(super) fn even_shares(&self, parallelism: u32) -> f64 {
        1.0 / (self.fixed + self.rest / self.input_units.effective(parallelism))
    }

    /// The smallest parallelism up to `max` that carries as much as `shares` evenly loaded subtasks; [`None`] if none does.
    pub(super) fn smallest(&self, shares: f64, max: u32) -> Option<u32> {
        let for_rest = 1.0 / shares.max(f64::MIN_POSITIVE) - self.fixed;
        let needed = if shares <= 1.0 {
            1.0
        } else if for_rest > 0.0 {
            without_noise(self.rest / for_rest)
        } else {
            return None;
        };
        let found = self.input_units.smallest(needed, max);
        (self.even_shares(found) >= shares * (1.0 - 1e-9) || shares <= 1.0).then_some(found)
    }

    /// The widest parallelism up to `max` of which each further subtask adds at least `least_yield` of what a present one carries.
    pub(super) fn most_useful(&self, today: u32, max: u32, least_yield: f64) -> u32 {
        let (today, max) = (today.max(1), max.max(1));
        let present = self.even_shares(today);
        let each = present / f64::from(today);
        let yields = |p: u32| {
            self.even_shares(p) - present >= least_yield * each * f64::from(p - today) * (1.0 - 1e-9)
        };
        let useful = (today.saturating_add(1)..=max).rev().find(|p| yields(*p));
        self.input_units.aligned(useful.unwrap_or(today)).max(today.min(max))
    }

    pub(super) fn input_units(&self) -> InputUnits {
        self.input_units
    }
}

fn broadcast(operator: &Operator, snapshot: &Snapshot, even: Spread) -> Spread {
    let (mut to_all, mut divided) = (0.0, 0.0);
    for edge in &operator.edges {
        let output = snapshot.operator(&edge.from).and_then(|from| from.output_rate_per_s).unwrap_or(0.0);
        match edge.partitioning {
            Partitioning::Broadcast => to_all += output,
            _ => divided += output,
        }
    }
    let counted = f64::from(operator.parallelism.max(1)) * to_all + divided;
    if counted <= 0.0 || to_all <= 0.0 {
        return even;
    }
    let (fixed, rest) = (to_all / counted, divided / counted);
    Spread { fixed, rest, indivisible: Indivisible::Broadcast, ..even }
}

/// The records of a subtask over the epoch: what it read, where a source tells only what it emitted that.
fn records(operator: &Operator, subtask: &Subtask) -> Option<f64> {
    match operator.kind {
        Kind::Source => subtask.records_in.filter(|records| *records > 0.0).or(subtask.records_out),
        _ => subtask.records_in,
    }
}

/// The share of the work in the fullest subtask beyond what its portions and the noise of counting explain.
///
/// The fullest of p subtasks with n records each on average has about √(2·ln p·n) more than that by chance alone.
fn excess(operator: &Operator, input_units: InputUnits) -> Option<(Indivisible, f64)> {
    let counts: Option<Vec<f64>> =
        operator.subtasks.iter().map(|subtask| records(operator, subtask)).collect();
    let counts = counts.filter(|counts| counts.len() > 1)?;
    let subtasks = f64::from(u32::try_from(counts.len()).unwrap_or(u32::MAX));
    let total = counts.iter().sum::<f64>();
    if total <= 0.0 {
        return None;
    }
    let (subtask, fullest) = counts.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let by_chance = (2.0 * subtasks.ln() * total / subtasks).sqrt();
    let share = ((fullest - by_chance) / total).max(0.0);
    let explained = 1.0 / input_units.effective(operator.parallelism);
    if explained >= 1.0 {
        return None;
    }
    let excess = ((share - explained) / (1.0 - explained)).clamp(0.0, 1.0);
    Some((Indivisible::Skew { subtask, share: fullest / total }, excess))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Edge;

    fn operator(counts: &[f64], partitioning: Partitioning) -> Operator {
        let subtask = |records: &f64| Subtask { records_in: Some(*records), ..Subtask::default() };
        Operator {
            name: "op".to_owned(),
            parallelism: u32::try_from(counts.len()).unwrap(),
            subtasks: counts.iter().map(subtask).collect(),
            inputs: vec!["in".to_owned()],
            edges: vec![Edge { from: "in".to_owned(), partitioning }],
            ..Operator::default()
        }
    }

    fn spread(operator: &Operator, input_units: InputUnits) -> Spread {
        let input = Operator { name: "in".to_owned(), output_rate_per_s: Some(100.0), ..Operator::default() };
        let snapshot = Snapshot { operators: vec![input, operator.clone()], ..Snapshot::default() };
        Spread::new(operator, &snapshot, input_units, &Options::default())
    }

    fn close(found: f64, expected: f64) -> bool {
        (found - expected).abs() < 0.02 * expected
    }

    /// Goal: a key with half of all records bounds what any width carries to that of two subtasks; even records bound nothing.
    #[test]
    fn a_hot_key_bounds_what_any_width_carries() {
        let mut counts = vec![60_000.0; 9];
        counts[4] = 8.0 * 60_000.0;
        let hot = spread(&operator(&counts, Partitioning::Hash), InputUnits::None);
        assert!(matches!(hot.indivisible, Indivisible::Skew { subtask: 4, .. }));
        assert!(close(hot.even_shares(9), 2.0) && close(hot.even_shares(10_000), 2.29));
        assert_eq!((hot.smallest(3.0, 128), hot.most_useful(9, 128, 0.2)), (None, 9));
        let even = spread(&operator(&[60_000.0; 9], Partitioning::Hash), InputUnits::None);
        assert_eq!((even.indivisible, even.smallest(20.0, 128)), (Indivisible::Nothing, Some(20)));
        assert_eq!(even.most_useful(9, 128, 0.2), 128);
    }

    /// Goal: few records are not taken for skew, whatever subtask they fell into; a hot key of few records still is.
    #[test]
    fn the_noise_of_counting_is_no_skew() {
        let few = spread(&operator(&[3.0, 1.0, 0.0, 2.0], Partitioning::Hash), InputUnits::None);
        assert_eq!(few.indivisible, Indivisible::Nothing);
        let hot = spread(&operator(&[600.0, 10.0, 12.0, 9.0], Partitioning::Hash), InputUnits::None);
        assert!(hot.even_shares(128) < 1.4, "{hot:?}");
    }

    /// Goal: a broadcast or global input is not divided by more subtasks.
    #[test]
    fn broadcast_and_global_inputs_are_not_divided() {
        let all = spread(&operator(&[50.0, 50.0], Partitioning::Broadcast), InputUnits::None);
        assert!(close(all.even_shares(2), 2.0) && close(all.even_shares(64), 2.0));
        let one = spread(&operator(&[100.0, 0.0], Partitioning::Global), InputUnits::None);
        assert!(close(one.even_shares(2), 1.0) && close(one.even_shares(64), 1.0));
        assert_eq!((one.indivisible, one.smallest(1.5, 128)), (Indivisible::Global, None));
    }

    /// Goal: without anything indivisible the spread is that of the portions.
    #[test]
    fn even_work_is_spread_by_its_portions() {
        let keyed = spread(&operator(&[1.0, 1.0], Partitioning::Hash), InputUnits::Of(128));
        for p in 1..=128 {
            assert!(close(keyed.even_shares(p), InputUnits::Of(128).effective(p)));
        }
        assert_eq!((keyed.smallest(33.0, 128), keyed.smallest(500.0, 128)), (Some(43), None));
    }
}
