//! Capacity of an operator at another parallelism, if its input has a fixed number of units.
//!
//! A keyed operator's records come in M key groups (the maximum parallelism), a source's in as many partitions. A subtask gets
//! whole units only, so the fullest of p subtasks has ceil(M/p), and the operator has the capacity of M/ceil(M/p) evenly loaded
//! subtasks:
//!
//! ```text
//! effective(p) = M ÷ ceil(M/p)      with M = 128: effective(64) = effective(100) = 64, effective(128) = 128
//! ```
//!
//! Of all p with the same ceil(M/p) the smallest is therefore as good as the largest. For an operator without such units,
//! effective(p) = p.

/// How an operator's input is divided into units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputUnits {
    /// Not at all: each record can go to any subtask.
    None,
    /// Into this many: key groups, or partitions of a source. At least 1.
    Of(u32),
}

impl InputUnits {
    /// How many evenly loaded subtasks carry as much as `parallelism` subtasks do.
    pub fn effective(self, parallelism: u32) -> f64 {
        let p = parallelism.max(1);
        match self {
            Self::None => f64::from(p),
            Self::Of(input_units) => {
                let input_units = input_units.max(1);
                f64::from(input_units) / f64::from(input_units.div_ceil(p))
            }
        }
    }

    /// The smallest parallelism up to `max` that carries as much as `effective` evenly loaded subtasks; if there is none, the
    /// smallest that carries as much as `max` does.
    pub fn smallest(self, effective: f64, max: u32) -> u32 {
        let max = max.max(1);
        let enough = match self {
            Self::None => whole(effective.ceil()),
            Self::Of(input_units) => {
                let input_units = input_units.max(1);
                let fullest =
                    whole((f64::from(input_units) / effective.max(1.0)).floor()).clamp(1, input_units);
                input_units.div_ceil(fullest)
            }
        };
        self.aligned(enough.clamp(1, max))
    }

    /// The smallest parallelism that carries as much as this one.
    pub fn aligned(self, parallelism: u32) -> u32 {
        match self {
            Self::None => parallelism.max(1),
            Self::Of(input_units) => {
                input_units.max(1).div_ceil(input_units.max(1).div_ceil(parallelism.max(1)))
            }
        }
    }
}

/// Rounding noise of a quotient must not cost a subtask: what is this close to a whole number is that number.
pub(crate) fn without_noise(value: f64) -> f64 {
    let nearest = value.round();
    if (value - nearest).abs() <= 1e-9 * nearest.abs().max(1.0) { nearest } else { value }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range of u32 first"
)]
pub(crate) fn whole(value: f64) -> u32 {
    if value.is_nan() { 1 } else { value.clamp(0.0, f64::from(u32::MAX)) as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: with 128 key groups 100 subtasks carry no more than 64, and what is found is the smallest that suffices.
    #[test]
    fn the_smallest_sufficient_parallelism_is_found() {
        let groups = InputUnits::Of(128);
        assert!((groups.effective(100) - 64.0).abs() < 1e-9);
        assert_eq!(groups.aligned(100), 64);
        for (effective, expected) in
            [(1.0, 1), (2.1, 3), (33.0, 43), (50.0, 64), (64.0, 64), (65.0, 128), (500.0, 128)]
        {
            let found = groups.smallest(effective, 128);
            assert_eq!(found, expected, "{effective}");
            let suffices = |p: u32| groups.effective(p) >= effective;
            assert!(suffices(found) || effective > 128.0);
            assert!((1..found).all(|p| !suffices(p)), "{effective}");
        }
        assert_eq!(groups.smallest(65.0, 100), 64);
        assert_eq!(InputUnits::None.smallest(2.1, 128), 3);
        assert_eq!(InputUnits::None.smallest(0.0, 128), 1);
    }
}
