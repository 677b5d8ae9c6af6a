//! Retry delays: exponential up to a bound, with jitter.

use std::time::Duration;

/// Delays that double up to a bound, each shortened by a random part of up to a half.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first }
    }

    /// Returns the next delay and doubles the one after it.
    ///
    /// `chance` is a random number in `0..=1`.
    pub(crate) fn wait(&mut self, chance: f64) -> Duration {
        let wait = self.next;
        self.next = (self.next * 2).min(self.longest);
        wait.mul_f64(0.5 + 0.5 * chance)
    }

    /// Restarts from the shortest delay, after a success.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: delays grow, stay between half of the bound and the bound, and restart after a success.
    #[test]
    fn waits_grow_up_to_a_bound() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(100), ms(1_000));
        for expected in [100, 200, 400, 800, 1_000, 1_000] {
            let (low, high) = (backoff.clone().wait(0.0), backoff.wait(1.0));
            assert_eq!((low, high), (ms(expected / 2), ms(expected)));
        }
        backoff.reset();
        assert_eq!(backoff.wait(1.0), ms(100));
    }
}
