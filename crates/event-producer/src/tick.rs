//! How often the emitting thread wakes: events that are due within a tick go out together.
//!
//! Each wake-up costs the same, whether one event is due or a thousand, so that at low rates the wake-ups are what a paced run
//! costs. A tick is as short as a batch of events takes, within bounds: at high rates short, so that events go out in small portions
//! and processors are not asked for a lot at once; at low rates long, and still within half of the 5 ms by which a run may be off its
//! schedule.

use std::time::Duration;

use crate::emit::BATCH;

/// The shortest tick.
const SHORTEST: Duration = Duration::from_millis(1);
/// The longest tick.
pub(crate) const LONGEST: Duration = Duration::from_micros(2_500);

/// The tick at a rate of so many events in the longest tick.
pub(crate) fn tick(events_in_longest: u64) -> Duration {
    if events_in_longest <= BATCH {
        return LONGEST;
    }
    LONGEST.mul_f64(BATCH as f64 / events_in_longest as f64).max(SHORTEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_follows_the_rate() {
        let at_rate = |rate: u64| tick(rate * LONGEST.as_micros() as u64 / 1_000_000);
        for rate in [0, 1, 1_000, 10_000, 100_000] {
            assert_eq!(at_rate(rate), LONGEST, "{rate}");
        }
        let between = at_rate(200_000);
        assert!(SHORTEST < between && between < LONGEST, "{between:?}");
        assert_eq!(at_rate(1_000_000), SHORTEST);
        assert_eq!(tick(u64::MAX), SHORTEST);
    }
}
