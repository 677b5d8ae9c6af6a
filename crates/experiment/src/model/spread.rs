//! How unevenly keys are spread over key groups, from the share of the fullest subtask at several widths.

use std::collections::BTreeMap;

use scaling::Kind;
use sim::scenario::{InputSpec, JobSpec, OperatorSpec};

use super::service::Seen;

/// Spreads that are tried, in hundredths.
const SPREADS: std::ops::RangeInclusive<u32> = 0..=50;
/// Seeds over which the model's shares are averaged.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=5;

/// Sets the spread of the key groups' weights with which the model's shares of the fullest subtask come closest to the measured ones.
///
/// # Errors
/// The operator is invalid.
pub(crate) fn fit(
    operator: &mut OperatorSpec,
    seen: &BTreeMap<u32, Seen>,
    notes: &mut Vec<String>,
) -> anyhow::Result<()> {
    let measured: Vec<(u32, f64)> =
        seen.iter().filter(|(p, _)| **p > 1).map(|(p, seen)| (*p, seen.fullest_share)).collect();
    if operator.keys.is_none() || measured.is_empty() {
        return Ok(());
    }
    let mut best: Option<(f64, f64, Vec<f64>)> = None;
    for hundredths in SPREADS {
        let key_spread = f64::from(hundredths) / 100.0;
        let shares = shares(&OperatorSpec { key_spread, ..operator.clone() }, &measured)?;
        let miss = shares.iter().zip(&measured).map(|(own, (_, share))| (own / share - 1.0).powi(2)).sum();
        if best.as_ref().is_none_or(|(least, ..)| miss < *least) {
            best = Some((miss, key_spread, shares));
        }
    }
    if let Some((_, key_spread, shares)) = best {
        operator.key_spread = key_spread;
        let text =
            measured.iter().zip(&shares).map(|((p, share), own)| format!("{p}: {share:.3} ({own:.3})"));
        let text: Vec<String> = text.collect();
        notes.push(format!(
            "{}: share of the fullest subtask by width (model): {}",
            operator.name,
            text.join(", ")
        ));
    }
    Ok(())
}

/// Returns the mean shares of the fullest subtask in the model at these widths.
fn shares(operator: &OperatorSpec, widths: &[(u32, f64)]) -> anyhow::Result<Vec<f64>> {
    let source = OperatorSpec { partitions: Some(1), ..OperatorSpec::new(" source", Kind::Source, 1.0) };
    let inputs = vec![InputSpec { from: source.name.clone(), selectivity: 1.0 }];
    let job = JobSpec {
        template: None,
        operators: vec![source, OperatorSpec { inputs, ..operator.clone() }],
        capacity_spread: 0.0,
    };
    let most = widths.iter().map(|(p, _)| *p).max().unwrap_or(1);
    let mut sums = vec![0.0; widths.len()];
    let mut count = 0.0;
    for seed in SEEDS {
        let built = job.build(most, seed)?;
        let Some(own) = built.operators().iter().find(|other| other.name == operator.name) else { continue };
        for (sum, (width, _)) in sums.iter_mut().zip(widths) {
            *sum += own.shares(*width).into_iter().fold(0.0, f64::max);
        }
        count += 1.0;
    }
    Ok(sums.into_iter().map(|sum| sum / f64::max(count, 1.0)).collect())
}
