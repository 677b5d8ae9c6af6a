//! Needed parallelism since the last change, which shows for how long slots were idle.
//!
//! The elementwise maximum over the last τ seconds changes only at needs that are larger than all later ones. Only those are stored per
//! operator: decreasing values, each with the time at which it was last needed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::solve::Plan;

/// A pause of more than this makes the past unknown, in milliseconds.
const PAUSE_MS: i64 = 60_000;

/// The needs since the last change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct NeededParallelism {
    /// The beginning of the record, in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    since_ms: Option<i64>,
    newest_ms: i64,
    /// By operator: when a parallelism was needed last, and which; oldest and largest first.
    needed: BTreeMap<String, Vec<(i64, u32)>>,
}

/// The largest needs over the last part of the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PeakNeed<'a> {
    /// Its length, in milliseconds.
    pub(super) length_ms: i64,
    /// The largest need of each operator in it.
    pub(super) needed: Plan<'a>,
}

impl NeededParallelism {
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Adds the need of an epoch that ends now.
    pub(super) fn add<'a>(
        &mut self,
        needed: impl Iterator<Item = (&'a str, u32)>,
        now_ms: i64,
        epoch_ms: i64,
    ) {
        let is_paused = self.since_ms.is_some() && now_ms - self.newest_ms > PAUSE_MS.max(3 * epoch_ms);
        if is_paused || now_ms < self.newest_ms {
            self.clear();
        }
        self.since_ms.get_or_insert(now_ms - epoch_ms);
        self.newest_ms = now_ms;
        let mut next = BTreeMap::new();
        for (name, parallelism) in needed {
            let known = self.needed.remove_entry(name);
            let (name, mut own) = known.unwrap_or_else(|| (name.to_owned(), Vec::new()));
            while own.last().is_some_and(|(_, smaller)| *smaller <= parallelism) {
                own.pop();
            }
            own.push((now_ms, parallelism));
            next.insert(name, own);
        }
        self.needed = next;
    }

    /// Returns the largest needs over the past, the shortest period first: one per distinct value, with the longest period that has it.
    pub(super) fn peaks(&self, now_ms: i64) -> impl Iterator<Item = PeakNeed<'_>> {
        let mut times: Vec<i64> = self.needed.values().flatten().map(|(at_ms, _)| *at_ms).collect();
        times.sort_unstable_by_key(|at_ms| std::cmp::Reverse(*at_ms));
        times.dedup();
        let begins = times.clone().into_iter().skip(1).chain(self.since_ms);
        times.into_iter().zip(begins).map(move |(at_ms, begin_ms)| {
            let widest =
                |own: &Vec<(i64, u32)>| own.iter().find(|(time_ms, _)| *time_ms >= at_ms).map(|(_, p)| *p);
            let own = self.needed.iter();
            let needed = own.filter_map(|(name, own)| Some((name.as_str(), widest(own)?))).collect();
            PeakNeed { length_ms: now_ms - begin_ms, needed }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the maximum over any period is the same as that of all needs, although only a few are kept.
    #[test]
    fn the_maximum_of_every_stretch_is_kept() {
        let series = |k: i64, salt: i64| u32::try_from((k * 7919 + salt * 104_729) % 13 + 1).unwrap();
        let (mut needs, mut all) = (NeededParallelism::default(), Vec::new());
        for k in 0..200 {
            let (a, b) = (series(k, 1), series(k, 2));
            all.push((a, b));
            needs.add([("a", a), ("b", b)].into_iter(), k * 5000, 5000);
            for peak in needs.peaks(k * 5000) {
                let count = usize::try_from(peak.length_ms / 5000).unwrap();
                let last = &all[all.len() - count..];
                let widest = (last.iter().map(|(a, _)| *a).max(), last.iter().map(|(_, b)| *b).max());
                assert_eq!((peak.needed["a"], peak.needed["b"]), (widest.0.unwrap(), widest.1.unwrap()));
            }
        }
        assert_eq!(needs.peaks(199 * 5000).last().unwrap().length_ms, 200 * 5000);
        assert!(needs.needed["a"].len() <= 13);
    }

    /// Goal: after a pause nothing of the past counts.
    #[test]
    fn a_pause_is_unknown() {
        let mut needs = NeededParallelism::default();
        let one = |p: u32| [("a", p)].into_iter();
        needs.add(one(5), 0, 5000);
        needs.add(one(1), 40_000, 5000);
        assert_eq!(needs.peaks(40_000).count(), 2);
        needs.add(one(1), 110_000, 5000);
        assert_eq!(needs.peaks(110_000).last().unwrap().length_ms, 5000);
    }
}
