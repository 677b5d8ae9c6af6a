//! V: the violation seconds of past widenings, by the load that caught the job.
//!
//! ```text
//! V(c) = most violation seconds of those of the last five widenings whose load was above c; 5 s before any was counted
//! ```
//!
//! c: the capacity after a narrowing. A load that it carries will not catch the job when it comes back, so the slots above such a load are
//! given up for the price of the change alone. One that it does not carry will probably cost what it cost last time, and the most costly one
//! decides: a mean over widenings along a slow rise, which cost nothing, would hide the jumps.

use serde::{Deserialize, Serialize};

use super::super::memory::short;

/// Past widenings that count.
const PAST: usize = 5;
/// The violation seconds of a widening of a job that has not been widened yet.
const USUAL_S: f64 = 5.0;

/// The newest widenings whose violations were counted, oldest first: the highest load, in records per second, and the violation seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(in super::super) struct Caught(Vec<(f64, f64)>);

impl Caught {
    /// Adds a widening: the highest load that it answered, in records per second, and its violation seconds.
    pub(super) fn add(&mut self, load_per_s: f64, violated_s: f64) {
        self.0.push((short(load_per_s), short(violated_s)));
        let surplus = self.0.len().saturating_sub(PAST);
        self.0.drain(..surplus);
    }

    /// The violation seconds to expect of a job of this capacity, in records per second, when a load of the past comes back.
    pub(in super::super) fn violated_s(&self, capacity_per_s: f64) -> f64 {
        if self.0.is_empty() {
            return USUAL_S;
        }
        let above = self.0.iter().filter(|(load_per_s, _)| *load_per_s > capacity_per_s);
        above.map(|(_, violated_s)| *violated_s).fold(0.0, f64::max)
    }

    /// The load that caught the job last, in records per second.
    pub(in super::super) fn last_per_s(&self) -> Option<f64> {
        self.0.last().map(|(load_per_s, _)| *load_per_s)
    }

    /// The most violation seconds of a past widening.
    pub(in super::super) fn most_s(&self) -> f64 {
        self.violated_s(f64::NEG_INFINITY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) -> bool {
        (found - expected).abs() < 1e-9
    }

    /// Goal: the violations of a load that the job would still carry do not count, and of the others the most do, also after slow rises
    /// without any.
    #[test]
    fn loads_above_the_capacity_count() {
        let mut caught = Caught::default();
        assert!(near(caught.violated_s(1e9), USUAL_S) && near(caught.most_s(), USUAL_S));
        for (load_per_s, violated_s) in [(2000.0, 10.0), (4000.0, 100.0), (2500.0, 0.0), (3000.0, 0.0)] {
            caught.add(load_per_s, violated_s);
        }
        for (capacity_per_s, expected) in [(4500.0, 0.0), (3500.0, 100.0), (1000.0, 100.0)] {
            assert!(near(caught.violated_s(capacity_per_s), expected), "{capacity_per_s}");
        }
    }

    /// Goal: what was long ago is forgotten.
    #[test]
    fn the_last_five_count() {
        let mut caught = Caught::default();
        caught.add(4000.0, 100.0);
        (0..PAST).for_each(|_| caught.add(2000.0, 3.0));
        assert!(near(caught.violated_s(3000.0), 0.0) && near(caught.violated_s(1000.0), 3.0));
    }
}
