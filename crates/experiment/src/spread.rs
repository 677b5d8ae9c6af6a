//! Median and range of a few values, as tables show repetitions.

/// Median and range of one or more values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// The number of values.
    pub(crate) count: usize,
}

impl Spread {
    /// Returns the spread of these values, or [`None`] if there are none. The median of an even number of values is the mean of the
    /// two in the middle.
    pub(crate) fn from_values(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len();
        let (low, high) = (*sorted.first()?, *sorted.last()?);
        let median = f64::midpoint(sorted[(count - 1) / 2], sorted[count / 2]);
        Some(Self { median, low, high, count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: median and range do not depend on the order of the values; without values there is none.
    #[test]
    fn median_and_range() {
        let spread = |median, low, high, count| Some(Spread { median, low, high, count });
        assert_eq!(Spread::from_values([3.0]), spread(3.0, 3.0, 3.0, 1));
        assert_eq!(Spread::from_values([9.0, 1.0]), spread(5.0, 1.0, 9.0, 2));
        assert_eq!(Spread::from_values([2.0, 9.0, 1.0]), spread(2.0, 1.0, 9.0, 3));
        assert_eq!(Spread::from_values([]), None);
    }
}
