//! How well a variant followed its load: pure functions over observed changes, the load, and the measured capacities,
//! independent of what scaled the job.

use serde::{Deserialize, Serialize};

use crate::changes::ParallelismChange;
use crate::needed::{Sweep, is_right};

/// Minimum time at one needed parallelism for a step, in seconds: a ramp passes through many shorter ones.
const LEVEL_MIN_S: f64 = 15.0;

/// A load's needed parallelism over time, and the end of the run.
#[derive(Debug)]
pub struct LoadNeeds<'a> {
    /// Measured capacity by parallelism.
    pub sweep: &'a Sweep,
    /// The load in records per second, one value per second.
    pub records_per_s: &'a [f64],
    /// Initial part that is not evaluated, in seconds.
    pub warm_up_s: f64,
}

/// An interval in which the load needs a constant parallelism.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Level {
    from_s: f64,
    until_s: f64,
    least: u32,
    /// Needed parallelism of the previous interval.
    before: Option<u32>,
}

/// The response to a step of the load.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StepFigures {
    /// Time of the step, in seconds.
    pub at_s: f64,
    /// Length of the interval until the next step, in seconds.
    pub length_s: f64,
    /// Smallest parallelism that sustains it.
    pub least: u32,
    /// Whether the load rose.
    pub is_up: bool,
    /// Parallelism at the time of the step.
    pub width: u32,
    /// Time from the step to the first change in its direction; absent: there was none.
    pub first_decision_s: Option<f64>,
    /// Time from the step until the parallelism was right and stayed so; absent: never.
    pub right_after_s: Option<f64>,
    /// Number of changes until then, or until the next step.
    pub changes: u32,
    /// Highest parallelism after a change, relative to the needed one.
    pub widest_over_least: Option<f64>,
}

/// How well a run followed its load.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Reaction {
    pub(crate) steps: Vec<StepFigures>,
    pub(crate) reversals: u32,
    /// Slot-seconds with the needed parallelism at all times.
    pub(crate) least_slot_seconds: f64,
    /// Measured time in which the parallelism was too low for the load, in seconds.
    pub(crate) too_narrow_s: f64,
}

/// Parallelism of one operator over time.
struct ParallelismSeries {
    first: u32,
    /// End and start of each change, and the resulting parallelism.
    turns: Vec<(f64, f64, u32)>,
}

impl ParallelismSeries {
    fn new(changes: &[ParallelismChange], operator: &str, begins_with: u32) -> Self {
        let turns: Vec<(f64, f64, (u32, u32))> = changes
            .iter()
            .filter_map(|change| Some((change.ended_s, change.began_s, *change.widths.get(operator)?)))
            .collect();
        let first = turns.first().map_or(begins_with, |(.., (before, _))| *before);
        let turns = turns.into_iter().map(|(ended, began, (_, after))| (ended, began, after)).collect();
        Self { first, turns }
    }

    fn at(&self, second: f64) -> u32 {
        let past = self.turns.iter().take_while(|(ended_s, ..)| *ended_s <= second);
        past.last().map_or(self.first, |(.., width)| *width)
    }

    /// Iterates over the changes, each with the parallelism before.
    fn with_before(&self) -> impl Iterator<Item = (u32, &(f64, f64, u32))> {
        let before = std::iter::once(self.first).chain(self.turns.iter().map(|(.., width)| *width));
        before.zip(&self.turns)
    }
}

/// Evaluates every step of the load; `begins_with` is the operator's initial parallelism.
pub(crate) fn reaction(changes: &[ParallelismChange], needs: &LoadNeeds<'_>, begins_with: u32) -> Reaction {
    let path = ParallelismSeries::new(changes, &needs.sweep.operator, begins_with);
    let levels = levels(needs);
    let is_step = |level: &&Level| level.before.is_some() && level.until_s - level.from_s >= LEVEL_MIN_S;
    let measured = levels.iter().filter(|level| level.until_s > needs.warm_up_s);
    let from = |level: &Level| level.from_s.max(needs.warm_up_s);
    let least_slot_seconds =
        measured.clone().fold(0.0, |sum, level| sum + f64::from(level.least) * (level.until_s - from(level)));
    let too_narrow_s = measured.fold(0.0, |sum, level| sum + too_narrow_s(&path, level, from(level)));
    Reaction {
        steps: levels.iter().filter(is_step).map(|level| step(&path, level)).collect(),
        reversals: reversals(&path, &levels),
        least_slot_seconds,
        too_narrow_s,
    }
}

fn levels(needs: &LoadNeeds<'_>) -> Vec<Level> {
    let mut levels: Vec<Level> = Vec::new();
    let mut second = 0.0;
    for rate in needs.records_per_s {
        let least = needs.sweep.least(*rate);
        match levels.last_mut() {
            Some(level) if level.least == least => level.until_s = second + 1.0,
            last => {
                let before = last.map(|level| level.least);
                levels.push(Level { from_s: second, until_s: second + 1.0, least, before });
            }
        }
        second += 1.0;
    }
    levels
}

fn step(path: &ParallelismSeries, level: &Level) -> StepFigures {
    let width = path.at(level.from_s);
    let is_up = level.before.is_some_and(|before| level.least > before);
    let is_within = |at_s: f64| (level.from_s..level.until_s).contains(&at_s);
    let leads_there = |before: u32, after: u32| if is_up { after > before } else { after < before };
    let decisions = path.with_before().filter(|(before, (_, _, after))| leads_there(*before, *after));
    let first = decisions.map(|(_, (_, began_s, _))| *began_s).find(|began_s| is_within(*began_s));
    let right_s = right_from(path, level);
    let until_s = right_s.unwrap_or(level.until_s);
    let reached = path.turns.iter().filter(|(_, began_s, _)| is_within(*began_s)).map(|(.., width)| *width);
    StepFigures {
        at_s: level.from_s,
        length_s: level.until_s - level.from_s,
        least: level.least,
        is_up,
        width,
        first_decision_s: first.map(|began_s| began_s - level.from_s),
        right_after_s: right_s.map(|right_s| right_s - level.from_s),
        changes: count(path.turns.iter().filter(|(ended_s, ..)| is_within(*ended_s) && *ended_s <= until_s)),
        widest_over_least: reached.max().map(|widest| f64::from(widest) / f64::from(level.least)),
    }
}

/// Returns from when on the parallelism was right until the end of the interval.
fn right_from(path: &ParallelismSeries, level: &Level) -> Option<f64> {
    let mut right_s = is_right(path.at(level.from_s), level.least).then_some(level.from_s);
    for (ended_s, _, width) in &path.turns {
        if *ended_s <= level.from_s || *ended_s >= level.until_s {
            continue;
        }
        right_s = is_right(*width, level.least).then(|| right_s.unwrap_or(*ended_s));
    }
    right_s
}

fn too_narrow_s(path: &ParallelismSeries, level: &Level, from_s: f64) -> f64 {
    let ends = path.turns.iter().map(|(ended_s, ..)| *ended_s);
    let inside = ends.filter(|ended_s| *ended_s > from_s && *ended_s < level.until_s);
    let mut cuts: Vec<f64> = std::iter::once(from_s).chain(inside).collect();
    cuts.push(level.until_s);
    let is_narrow = |pair: &&[f64]| path.at(pair[0]) < level.least;
    cuts.windows(2).filter(is_narrow).map(|pair| pair[1] - pair[0]).sum()
}

/// Counts changes that undo the previous one although the load did not return: a scale-down without a lower need than
/// at the scale-up, or the opposite.
fn reversals(path: &ParallelismSeries, levels: &[Level]) -> u32 {
    let needed =
        |second: f64| levels.iter().find(|level| second < level.until_s).or(levels.last()).map(|l| l.least);
    let turns: Vec<(bool, Option<u32>)> = path
        .with_before()
        .filter(|(before, (.., after))| before != after)
        .map(|(before, (_, began_s, after))| (*after > before, needed(began_s.max(0.0))))
        .collect();
    let is_reversal = |pair: &&[(bool, Option<u32>)]| match (pair[0], pair[1]) {
        ((true, then), (false, now)) => now >= then,
        ((false, then), (true, now)) => now <= then,
        _ => false,
    };
    count(turns.windows(2).filter(is_reversal))
}

fn count<T>(all: impl Iterator<Item = T>) -> u32 {
    u32::try_from(all.count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::needed::Capacity;

    fn sweep() -> Sweep {
        let capacity = (1..=8).map(|width| Capacity { width, records_per_s: 1000.0 * f64::from(width) });
        Sweep { operator: "a".to_owned(), seen: String::new(), capacity: capacity.collect() }
    }

    /// Changes of the operator: request, end, parallelism before and after.
    fn changed(all: &[(f64, f64, u32, u32)]) -> Vec<ParallelismChange> {
        let change = |(began_s, ended_s, before, after): &(f64, f64, u32, u32)| ParallelismChange {
            began_s: *began_s,
            ended_s: *ended_s,
            widths: BTreeMap::from([("a".to_owned(), (*before, *after))]),
            ..ParallelismChange::default()
        };
        all.iter().map(change).collect()
    }

    /// 20 s at 800/s, 40 s at 2,500/s, 40 s at 800/s: needed parallelism 1, 3, 1.
    fn up_and_down(all: &[(f64, f64, u32, u32)], begins_with: u32) -> Reaction {
        let loads: Vec<f64> =
            (0..100).map(|second| if (20..60).contains(&second) { 2_500.0 } else { 800.0 }).collect();
        let needs = LoadNeeds { sweep: &sweep(), records_per_s: &loads, warm_up_s: 10.0 };
        reaction(&changed(all), &needs, begins_with)
    }

    /// Goal: the first decision counts from the request, the right parallelism from the end of the change; detours
    /// count as changes.
    #[test]
    fn steps_are_measured_from_the_load() {
        let all = [(25.0, 27.0, 1, 2), (35.0, 38.0, 2, 4), (70.0, 71.0, 4, 1)];
        let reaction = up_and_down(&all, 1);
        let [up, down] = &reaction.steps[..] else { panic!("{reaction:?}") };
        assert_eq!((up.at_s, up.least, up.is_up, up.width), (20.0, 3, true, 1));
        assert_eq!((up.first_decision_s, up.right_after_s, up.changes), (Some(5.0), Some(18.0), 2));
        assert_eq!(up.widest_over_least, Some(4.0 / 3.0));
        assert_eq!((down.first_decision_s, down.right_after_s, down.changes), (Some(10.0), Some(11.0), 1));
        assert_eq!(reaction.reversals, 0);
        // 10 s at 1, 40 s at 3, 40 s at 1; too low from 20 to 38.
        assert_eq!((reaction.least_slot_seconds, reaction.too_narrow_s), (170.0, 18.0));
    }

    /// Goal: a parallelism that changes again was not right for good, too high is not right, and without a change
    /// there is no decision.
    #[test]
    fn right_is_for_good() {
        let left = up_and_down(&[(25.0, 27.0, 1, 3), (40.0, 41.0, 3, 2)], 1);
        assert_eq!((left.steps[0].right_after_s, left.reversals), (None, 1));
        let wide = up_and_down(&[(25.0, 27.0, 1, 8)], 1);
        assert_eq!((wide.steps[0].right_after_s, wide.steps[0].widest_over_least), (None, Some(8.0 / 3.0)));
        let still = up_and_down(&[], 1);
        assert_eq!((still.steps[0].first_decision_s, still.steps[0].right_after_s), (None, None));
        assert_eq!((still.steps[1].right_after_s, still.too_narrow_s), (Some(0.0), 40.0));
        let fixed = up_and_down(&[], 3);
        assert_eq!((fixed.steps[0].right_after_s, fixed.steps[0].first_decision_s), (Some(0.0), None));
    }

    /// Goal: following the load down is not a reversal; undoing a change under the same load is.
    #[test]
    fn only_unasked_turns_are_reversals() {
        let follows = up_and_down(&[(25.0, 26.0, 1, 3), (62.0, 63.0, 3, 1)], 1);
        assert_eq!(follows.reversals, 0);
        let swings = up_and_down(&[(25.0, 26.0, 1, 4), (30.0, 31.0, 4, 3), (40.0, 41.0, 3, 4)], 1);
        assert_eq!(swings.reversals, 2);
    }

    /// Goal: needs that a rising load has only briefly are not steps, but count in the needed slots.
    #[test]
    fn a_ramp_has_no_steps() {
        let loads: Vec<f64> = (0..60).map(|second| 100.0 * f64::from(second)).collect();
        let needs = LoadNeeds { sweep: &sweep(), records_per_s: &loads, warm_up_s: 0.0 };
        let reaction = reaction(&[], &needs, 1);
        assert_eq!(reaction.steps, []);
        assert!(reaction.least_slot_seconds > 150.0, "{reaction:?}");
    }
}
