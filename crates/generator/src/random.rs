//! Counter-based random numbers: one for every (seed, event number, lane), in any order, without state.
//!
//! The mixer is the output function of SplitMix64 (Guy L. Steele Jr., Doug Lea and Christine H. Flood, "Fast
//! splittable pseudorandom number generators", OOPSLA 2014, with the constants of David Stafford's variant 13). Two
//! rounds separate the event numbers, one more the lanes of an event. It is not cryptographically secure.

/// Weyl increment: 2^64 divided by the golden ratio, odd.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Changes about half of the output bits for every input bit.
#[inline]
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The random numbers of one event.
#[derive(Debug, Clone, Copy)]
pub struct EventRandom {
    base: u64,
}

impl EventRandom {
    /// Converts a seed as written to the one that [`EventRandom::new`] expects, so that neighbouring seeds are
    /// unrelated.
    pub const fn spread_seed(seed: u64) -> u64 {
        mix(seed.wrapping_add(GOLDEN))
    }

    /// Creates the random numbers of event `number` under a spread seed.
    #[inline]
    pub const fn new(spread_seed: u64, number: u64) -> Self {
        EventRandom { base: mix(spread_seed.wrapping_add(number.wrapping_mul(GOLDEN))) }
    }

    /// Returns the number of a lane: uniform over all 64 bits.
    #[inline]
    pub const fn lane(self, lane: u64) -> u64 {
        mix(self.base.wrapping_add(lane.wrapping_add(1).wrapping_mul(GOLDEN)))
    }

    /// Returns a number in `0..bound` from a lane; 0 if `bound` is 0.
    ///
    /// Multiply and shift, without rejection: the deviation from uniform is below `bound / 2^64`.
    #[inline]
    pub const fn below(self, lane: u64, bound: u64) -> u64 {
        ((self.lane(lane) as u128 * bound as u128) >> 64) as u64
    }
}

/// Returns two numbers from the halves of a lane: in `0..first` and in `0..second`, each bound at most 2^33. The
/// deviation from uniform is below `bound / 2^32`, which suffices for choices among thousands and saves half of the
/// mixing.
#[inline]
pub(crate) const fn two_below(lane: u64, first: u64, second: u64) -> (u64, u64) {
    let (high, low) = ((lane >> 32) as u128, (lane & 0xffff_ffff) as u128);
    (((high * first as u128) >> 32) as u64, ((low * second as u128) >> 32) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_numbers_lanes_and_seeds_differ_in_about_half_of_the_bits() {
        let of =
            |seed: u64, number, lane| EventRandom::new(EventRandom::spread_seed(seed), number).lane(lane);
        let mut total = [0_u32; 3];
        for n in 0..1000 {
            total[0] += (of(1, n, 0) ^ of(1, n + 1, 0)).count_ones();
            total[1] += (of(1, 7, n) ^ of(1, 7, n + 1)).count_ones();
            total[2] += (of(n, 7, 0) ^ of(n + 1, 7, 0)).count_ones();
        }
        for bits in total {
            assert!((31_000..33_000).contains(&bits), "{bits} of 64000 bits differ");
        }
    }

    #[test]
    fn below_stays_below_and_reaches_everything() {
        let mut seen = [0_u32; 10];
        for n in 0..10_000 {
            seen[EventRandom::new(5, n).below(3, 10) as usize] += 1;
        }
        assert!(seen.iter().all(|count| (850..1150).contains(count)), "{seen:?}");
        assert_eq!(EventRandom::new(5, 1).below(0, 0), 0);
    }
}
