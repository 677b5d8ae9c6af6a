//! The decisions of a run, one line per epoch, from the rescaler's journal.

use std::path::Path;

use anyhow::Context;
use control::{Effect, Record};
use decision_journal::KEEP_MAX;
use scaling::Action;

use crate::csv;

/// The decision of one epoch and its outcome.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DecisionLine {
    /// Seconds since the load began.
    pub at_s: f64,
    /// Number of the epoch.
    pub epoch: u64,
    /// `nothing`, `dry-run`, `publishing`, `published` or `not-published`.
    pub effect: String,
    /// The generation of the document, if one was written.
    pub generation: Option<u64>,
    /// New parallelism by operator, as `name=parallelism` separated by blanks.
    pub plan: String,
    /// Final state of the change: `running`, `rolled-back` or `failed`; empty: unknown, or no change.
    pub result: String,
    /// Duration of the change, from its first report to its last, in seconds.
    pub duration_s: Option<f64>,
    /// Reason, in one sentence.
    pub reason: String,
}

impl DecisionLine {
    /// Whether a document was published.
    pub fn is_published(&self) -> bool {
        self.effect == "published"
    }

    fn from_record(record: &Record, began_ms: i64) -> Self {
        let (effect, generation) = match &record.effect {
            Effect::Nothing => ("nothing", None),
            Effect::DryRun => ("dry-run", None),
            Effect::Recommended { .. } => ("recommended", None),
            Effect::Publishing { generation } => ("publishing", Some(*generation)),
            Effect::Published { generation } => ("published", Some(*generation)),
            Effect::NotPublished { .. } => ("not-published", None),
        };
        let plan = || record.decision.parallelism.iter().map(|(name, p)| format!("{name}={p}"));
        let outcome = record.outcome.as_ref();
        let result = outcome.and_then(|outcome| serde_json::to_value(outcome.state).ok());
        Self {
            at_s: seconds(record.at.as_millisecond() - began_ms),
            epoch: record.epoch,
            effect: effect.to_owned(),
            generation,
            plan: if record.decision.action == Action::None {
                String::new()
            } else {
                plan().collect::<Vec<_>>().join(" ")
            },
            result: result.and_then(|state| state.as_str().map(str::to_owned)).unwrap_or_default(),
            duration_s: outcome
                .and_then(|outcome| outcome.duration_ms)
                .and_then(|ms| i64::try_from(ms).ok())
                .map(seconds),
            reason: record.decision.reasons.first().cloned().unwrap_or_default(),
        }
    }

    fn line(&self) -> String {
        csv::line([
            format!("{:.3}", self.at_s),
            self.epoch.to_string(),
            self.effect.clone(),
            self.generation.map(|generation| generation.to_string()).unwrap_or_default(),
            self.plan.clone(),
            self.result.clone(),
            csv::number(self.duration_s),
            self.reason.clone(),
        ])
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of a run")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

const HEADER: &str = "time_s,epoch,effect,generation,plan,result,duration_s,reason";

/// Reads the decisions of a journal; `began_ms` is the start of the load, in milliseconds since the Unix epoch.
/// Returns none if the journal does not exist.
///
/// # Errors
/// The journal exists but cannot be read.
pub(crate) fn of_journal(path: &Path, began_ms: i64) -> anyhow::Result<Vec<DecisionLine>> {
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let records =
        decision_journal::read_with_older(path, KEEP_MAX).context("cannot read the rescaler's journal")?;
    Ok(records.iter().map(|record| DecisionLine::from_record(record, began_ms)).collect())
}

/// Formats the decisions as CSV.
pub(crate) fn text(decisions: &[DecisionLine]) -> String {
    let lines = decisions.iter().map(DecisionLine::line);
    std::iter::once(HEADER.to_owned()).chain(lines).map(|line| line + "\n").collect()
}

/// Reads decisions from CSV.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<DecisionLine>> {
    let text = files::read_text(path, crate::folder::RESULT_BYTES)
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.lines().skip(1).filter_map(|line| parse(&csv::fields(line))).collect())
}

fn parse(fields: &[String]) -> Option<DecisionLine> {
    let [at_s, epoch, effect, generation, plan, result, duration_s, reason] = fields else { return None };
    Some(DecisionLine {
        at_s: at_s.parse().ok()?,
        epoch: epoch.parse().ok()?,
        effect: effect.clone(),
        generation: generation.parse().ok(),
        plan: plan.clone(),
        result: result.clone(),
        duration_s: duration_s.parse().ok(),
        reason: reason.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: decisions survive a round trip, commas and unknown fields included; without a journal there are none.
    #[test]
    fn decisions_survive() {
        let nothing =
            DecisionLine { at_s: 4.0, epoch: 1, effect: "nothing".to_owned(), ..DecisionLine::default() };
        let rescale = DecisionLine {
            at_s: 8.25,
            epoch: 2,
            effect: "published".to_owned(),
            generation: Some(2),
            plan: "q7-bid-item=3 sink-q7=2".to_owned(),
            result: "running".to_owned(),
            duration_s: Some(5.5),
            reason: "q7 at 7716 ms, which \"counts\"".to_owned(),
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("decisions.csv");
        std::fs::write(&path, text(&[nothing.clone(), rescale.clone()])).unwrap();
        assert_eq!(read(&path).unwrap(), [nothing, rescale]);
        assert_eq!(of_journal(&folder.path().join("none.jsonl"), 0).unwrap(), []);
    }
}
