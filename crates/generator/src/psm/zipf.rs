//! Sampling by Zipf's law in constant time: rank i (from 1) has the weight 1/i^s.
//!
//! Uses the alias method (Alastair J. Walker 1977, in the construction of Michael D. Vose 1991): each entry has a
//! threshold and one alias, so that a sample takes a uniform draw and one comparison. Weights are rounded to integers
//! and the table is built in integers.

/// Weight of the first rank. With the largest catalogue all sums fit in 64 bits.
const FIRST_WEIGHT: f64 = (1_u64 << 39) as f64;

/// The alias table.
#[derive(Debug, Clone)]
pub(super) struct Zipf {
    /// Threshold and alias of each entry: a draw up to the threshold selects the entry itself.
    places: Vec<(u64, u32)>,
}

impl Zipf {
    /// Builds a table for `count` ranks, 1 to 2^24.
    pub(super) fn new(count: usize, exponent: f64) -> Self {
        let weight =
            |place: usize| ((FIRST_WEIGHT / (place as f64 + 1.0).powf(exponent)).round() as u128).max(1);
        let weights: Vec<u128> = (0..count).map(weight).collect();
        let total: u128 = weights.iter().sum();
        let mut shares: Vec<u128> = weights.iter().map(|weight| weight * count as u128).collect();
        let mut places: Vec<(u64, u32)> = (0..count).map(|place| (u64::MAX, place as u32)).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) =
            (0..count).partition(|place| shares[*place] < total);
        while let (Some(&poor), Some(&rich)) = (small.last(), large.last()) {
            small.pop();
            places[poor] = (((shares[poor] << 64) / total) as u64, rich as u32);
            shares[rich] -= total - shares[poor];
            if shares[rich] < total {
                large.pop();
                small.push(rich);
            }
        }
        Zipf { places }
    }

    /// Returns the rank for a uniformly drawn entry and a random number.
    #[inline]
    pub(super) fn choose(&self, place: usize, random: u64) -> usize {
        let (threshold, alias) = self.places[place];
        if random <= threshold { place } else { alias as usize }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EventRandom;

    #[test]
    fn places_are_chosen_by_their_weight() {
        for (count, exponent) in [(1, 1.0), (2, 0.5), (100, 1.0), (1000, 1.2)] {
            let zipf = Zipf::new(count, exponent);
            let mut chosen = vec![0_u32; count];
            let draws = 400_000;
            for number in 0..draws {
                let random = EventRandom::new(3, number);
                chosen[zipf.choose(random.below(0, count as u64) as usize, random.lane(1))] += 1;
            }
            let total: f64 = (1..=count).map(|place| (place as f64).powf(-exponent)).sum();
            for (place, chosen) in chosen.iter().enumerate().take(10) {
                let expected = draws as f64 * (place as f64 + 1.0).powf(-exponent) / total;
                let deviation = (f64::from(*chosen) - expected).abs();
                assert!(
                    deviation < 5.0 * expected.sqrt() + 1.0,
                    "place {place} of {count}: {chosen}, not {expected}"
                );
            }
        }
    }
}
