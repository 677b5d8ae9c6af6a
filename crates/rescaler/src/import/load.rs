//! The load of the old producer, as a profile of ours.

use super::keys::Benchmark;

/// What a producer's file says of its load.
#[derive(Debug, Default)]
pub(super) struct Load {
    /// Each thread does the same steps.
    pub threads: Option<i64>,
    /// Events in a step at first; of NexMark: bids.
    pub low: Option<i64>,
    /// Events in a step at last.
    pub maximum: Option<i64>,
    /// How long a thread sleeps after a step.
    pub pause_ms: Option<i64>,
    /// After how long a step has more events.
    pub change_interval_ms: Option<i64>,
}

/// A profile `thesis`.
#[derive(Debug, PartialEq)]
pub(super) struct Profile {
    pub low: f64,
    pub maximum: f64,
    pub change_interval_s: f64,
}

impl Load {
    /// Events per second over all streams, if a step took no time: the original waited for its pause after each step, so it
    /// was slower than that, and by how much is in no file.
    ///
    /// # Errors
    /// What is missing, or does not fit.
    pub(super) fn profile(&self, benchmark: Benchmark) -> Result<Profile, String> {
        let (Some(low), Some(maximum)) = (self.low, self.maximum) else {
            return Err("events.perstep.low and events.perstep.max: both are needed for a load".to_owned());
        };
        if low > maximum {
            return Err(format!("events.perstep.low: {low} is above events.perstep.max = {maximum}"));
        }
        let steps_per_s = self.threads.unwrap_or(1) as f64 * 1_000.0 / self.pause_ms.unwrap_or(1) as f64;
        // With ten bids came one person, one item and one auction; with a click or an impression came a search.
        let per_step = |events: i64| match benchmark {
            Benchmark::Nexmark => (events + 3 * (events / 10)) as f64,
            Benchmark::Psm => (2 * events) as f64,
        };
        Ok(Profile {
            low: per_step(low) * steps_per_s,
            maximum: per_step(maximum) * steps_per_s,
            change_interval_s: self.change_interval_ms.unwrap_or(10_000) as f64 / 1_000.0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: steps of several threads are one rate; a load without its bounds is none.
    #[test]
    fn steps_become_a_rate() {
        let mut load = Load {
            threads: Some(4),
            low: Some(100),
            maximum: Some(1_000),
            pause_ms: Some(500),
            change_interval_ms: Some(20_000),
        };
        let expected = Profile { low: 1_040.0, maximum: 10_400.0, change_interval_s: 20.0 };
        assert_eq!(load.profile(Benchmark::Nexmark), Ok(expected));
        assert_eq!(load.profile(Benchmark::Psm).unwrap().maximum, 16_000.0);
        load.low = Some(2_000);
        assert!(load.profile(Benchmark::Psm).unwrap_err().contains("2000 is above"));
        load.maximum = None;
        assert!(load.profile(Benchmark::Psm).unwrap_err().contains("both"));
    }
}
