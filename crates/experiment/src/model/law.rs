//! The law that service times follow with the parallelism, fitted to measurements.

use sim::job::slowdown;

/// Universal scalability law: s(p) = (1 + α(p − 1) + βp(p − 1)) ÷ c₁.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Law {
    /// c₁, in records per second.
    pub(crate) rate_per_s: f64,
    /// α
    pub(crate) contention: f64,
    /// β
    pub(crate) coherence: f64,
    /// Largest relative deviation of a measured service time.
    pub(crate) error: f64,
}

impl Law {
    /// Fits the law to service times by parallelism, by least squares of relative deviations with α, β ≥ 0; [`None`] without
    /// any.
    pub(crate) fn fit(points: &[(u32, f64)]) -> Option<Self> {
        // Where a coefficient would be negative, the bounded optimum is without it.
        let choices = [(true, true), (true, false), (false, true), (false, false)];
        let laws = choices.into_iter().filter_map(|(linear, square)| Self::with(linear, square, points));
        laws.min_by(|a, b| a.squares(points).total_cmp(&b.squares(points)))
    }

    /// Fits the law with α, with β, with both or with neither.
    fn with(has_linear: bool, has_square: bool, points: &[(u32, f64)]) -> Option<Self> {
        let count = 1 + usize::from(has_linear) + usize::from(has_square);
        let row = |(width, service_s): &(u32, f64)| {
            let p = f64::from(*width);
            let terms = [(true, 1.0), (has_linear, p - 1.0), (has_square, p * (p - 1.0))];
            terms.into_iter().filter(|(is_used, _)| *is_used).map(|(_, term)| term / service_s).collect()
        };
        let rows: Vec<Vec<f64>> = points.iter().map(row).collect();
        let mut found = least_squares(&rows, count).filter(|_| count <= points.len())?.into_iter();
        let first = found.next().filter(|first| *first > 0.0)?;
        let mut next = |is_used: bool| if is_used { found.next().unwrap_or(0.0) / first } else { 0.0 };
        let (contention, coherence) = (next(has_linear), next(has_square));
        if contention < 0.0 || coherence < 0.0 {
            return None;
        }
        let law = Self { rate_per_s: 1.0 / first, contention, coherence, error: 0.0 };
        let deviation = |(width, service_s): &(u32, f64)| (law.service_s(*width) / service_s - 1.0).abs();
        Some(Self { error: points.iter().map(deviation).fold(0.0, f64::max), ..law })
    }

    /// Returns seconds of a subtask per record.
    pub(crate) fn service_s(&self, width: u32) -> f64 {
        slowdown(width, self.contention, self.coherence) / self.rate_per_s
    }

    fn squares(&self, points: &[(u32, f64)]) -> f64 {
        points.iter().map(|(width, service_s)| (self.service_s(*width) / service_s - 1.0).powi(2)).sum()
    }
}

/// Returns the coefficients whose products with each row come closest to 1, by the normal equations; [`None`] if the rows do not
/// determine them.
fn least_squares(rows: &[Vec<f64>], count: usize) -> Option<Vec<f64>> {
    let equation = |i: usize| {
        let products = (0..count).map(|j| rows.iter().map(|row| row[i] * row[j]).sum());
        products.chain([rows.iter().map(|row| row[i]).sum()]).collect()
    };
    let mut matrix: Vec<Vec<f64>> = (0..count).map(equation).collect();
    for pivot in 0..count {
        let size = |row: &usize| matrix[*row][pivot].abs();
        let largest = (pivot..count).max_by(|a, b| size(a).total_cmp(&size(b)))?;
        matrix.swap(pivot, largest);
        let head = matrix[pivot][pivot];
        let scale = rows.iter().map(|row| row[pivot].powi(2)).sum::<f64>();
        if head.abs() <= 1e-9 * scale {
            return None;
        }
        let scaled: Vec<f64> = matrix[pivot].iter().map(|value| value / head).collect();
        for row in &mut matrix {
            let factor = row[pivot];
            row.iter_mut().zip(&scaled).for_each(|(value, own)| *value -= factor * own);
        }
        matrix[pivot] = scaled;
    }
    matrix.into_iter().map(|row| row.last().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the law is recovered from exact service times, and a coefficient that would be negative is 0.
    #[test]
    fn the_law_is_found() {
        let law = Law { rate_per_s: 1200.0, contention: 0.02, coherence: 0.001, error: 0.0 };
        let exact: Vec<(u32, f64)> = [1, 2, 4, 8].map(|p| (p, law.service_s(p))).to_vec();
        let found = Law::fit(&exact).unwrap();
        assert!((found.rate_per_s / 1200.0 - 1.0).abs() < 1e-6, "{found:?}");
        assert!(
            (found.contention - 0.02).abs() < 1e-6 && (found.coherence - 0.001).abs() < 1e-6,
            "{found:?}"
        );
        assert!(found.error < 1e-6);
        let faster = [(1, 0.001), (2, 0.000_99), (4, 0.000_98)];
        let found = Law::fit(&faster).unwrap();
        assert_eq!((found.contention, found.coherence), (0.0, 0.0));
        assert!((0.005..0.02).contains(&found.error), "{found:?}");
        assert!((Law::fit(&[(3, 0.5)]).unwrap().rate_per_s - 2.0).abs() < 1e-9);
        assert_eq!(Law::fit(&[]), None);
    }
}
