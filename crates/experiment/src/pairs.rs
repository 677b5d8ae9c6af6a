//! Paired differences between variants under the same disturbance: runs of one repetition, side by side or
//! consecutive. They are more significant than a comparison of two ranges.

use crate::summary::Summary;

/// Two-sided 95 % quantiles of Student's t distribution by degrees of freedom, from 1.
const T_95: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];
/// The same for more degrees of freedom.
const T_95_MANY: f64 = 1.96;

/// A run with the repetition that it belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PairedRun<'a> {
    /// Runs of the same round are pairs.
    pub(crate) round: &'a str,
    pub(crate) summary: &'a Summary,
}

/// Mean paired difference of a value between two variants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Difference {
    pub(crate) pairs: usize,
    pub(crate) mean: f64,
    /// Half width of the 95 % interval; unknown for a single pair.
    pub(crate) half_width: Option<f64>,
}

/// Returns the difference of a value, `one` minus `other`, over the counted runs of the same rounds; `None` without a
/// pair.
pub(crate) fn difference(
    runs: &[PairedRun<'_>],
    (one, other): (&str, &str),
    figure: fn(&Summary) -> Option<f64>,
    counts: impl Fn(&Summary) -> bool,
) -> Option<Difference> {
    let of = |variant: &str, round: &str| {
        let run = runs.iter().find(|run| run.round == round && run.summary.variant == variant)?;
        figure(run.summary).filter(|_| counts(run.summary))
    };
    let pairs = runs.iter().filter(|run| run.summary.variant == one);
    let differences: Vec<f64> =
        pairs.filter_map(|run| Some(of(one, run.round)? - of(other, run.round)?)).collect();
    interval(&differences)
}

/// Returns mean and 95 % interval of differences, assuming a normal distribution.
fn interval(differences: &[f64]) -> Option<Difference> {
    #[expect(clippy::cast_precision_loss, reason = "repetitions")]
    let count = differences.len() as f64;
    if differences.is_empty() {
        return None;
    }
    let mean = differences.iter().sum::<f64>() / count;
    let freedom = differences.len() - 1;
    let half_width = (freedom > 0).then(|| {
        let squares: f64 = differences.iter().map(|difference| (difference - mean).powi(2)).sum();
        let t = T_95.get(freedom - 1).copied().unwrap_or(T_95_MANY);
        t * (squares / (count - 1.0) / count).sqrt()
    });
    Some(Difference { pairs: differences.len(), mean, half_width })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(variant: &str, slots: f64, is_valid: bool) -> Summary {
        let slot_seconds = Some(slots);
        Summary { variant: variant.to_owned(), slot_seconds, is_valid, ..Summary::default() }
    }

    /// Goal: only counted runs of the same round are compared, and a disturbance of both is not a difference.
    #[test]
    fn pairs_are_of_one_round() {
        let all = [
            ("1", run("a", 10.0, true)),
            ("1", run("b", 14.0, true)),
            ("2", run("a", 110.0, true)),
            ("2", run("b", 112.0, true)),
            ("3", run("a", 0.0, true)),
            ("3", run("b", 900.0, false)),
            ("4", run("b", 900.0, true)),
        ];
        let runs: Vec<PairedRun<'_>> =
            all.iter().map(|(round, summary)| PairedRun { round, summary }).collect();
        let slots = |summary: &Summary| summary.slot_seconds;
        let difference = |counts: fn(&Summary) -> bool| difference(&runs, ("a", "b"), slots, counts).unwrap();
        assert_eq!(difference(|_| true).pairs, 3);
        let difference = difference(|summary| summary.is_valid);
        assert_eq!((difference.pairs, difference.mean), (2, -3.0));
        // The standard deviation is √2; the half width is 12.706 × √2 ÷ √2.
        assert!((difference.half_width.unwrap() - 12.706).abs() < 1e-9, "{difference:?}");
    }

    /// Goal: a single pair has no interval, no pair has no difference, many equal ones have an interval of width 0.
    #[test]
    fn intervals_need_pairs() {
        assert_eq!(interval(&[]), None);
        assert_eq!(interval(&[2.0]), Some(Difference { pairs: 1, mean: 2.0, half_width: None }));
        assert_eq!(interval(&[2.0; 40]).unwrap().half_width, Some(0.0));
    }
}
