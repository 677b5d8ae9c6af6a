//! What the next document is made from: the one that really runs, which is not always the newest one.
//!
//! A document whose change was rolled back is still the newest at the drop. Its successor must be made from what runs, or the
//! rejected content would come back with the next decision; only its generation goes on from the newest one.

use jiff::Timestamp;
use job_config::{Change, JobDocument, Observed, Report, State};

use crate::publish::is_over;

/// What the reports say about the document that is current at the drop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It runs.
    Runs,
    /// The document of this generation runs (where it is known), as it was seen at the end of the change.
    Other { generation: Option<u64>, observed: Option<Observed> },
    /// It cannot be succeeded now, for this reason.
    Open(String),
}

/// Judges the reports of the current generation.
pub(crate) fn standing(current: &JobDocument, reports: &[Report], now: Timestamp) -> Standing {
    let generation = current.generation();
    let newest = reports.iter().rev().find(|report| report.generation == generation);
    let Some(report) = newest else {
        // Nobody has taken it up, and nobody may any more: what ran before still runs.
        if is_over(current, now) {
            return before(reports);
        }
        return Standing::Open(format!(
            "generation {generation} has not been taken up by a config agent yet"
        ));
    };
    match report.state {
        State::Running => Standing::Runs,
        State::RolledBack => {
            Standing::Other { generation: report.running_generation, observed: report.observed.clone() }
        }
        // Refused before it was accepted: an accepted document has another first report.
        State::Failed if report.sequence == 1 => before(reports),
        State::Failed => Standing::Open(format!(
            "generation {generation} failed, and what runs is not known ({}); look at it, then publish the next document by hand",
            report.message.as_deref().unwrap_or("no reason given")
        )),
        state => Standing::Open(format!("generation {generation} is being applied ({})", name(state))),
    }
}

/// What runs, as the newest final report of any generation says.
fn before(reports: &[Report]) -> Standing {
    match reports.iter().rev().find(|report| report.state.is_final() && report.observed.is_some()) {
        Some(last) => {
            Standing::Other { generation: last.running_generation, observed: last.observed.clone() }
        }
        None => Standing::Runs,
    }
}

fn name(state: State) -> String {
    serde_json::to_value(state).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The document to make the successor from: `running` (the document of the generation that runs) under the newest generation, or,
/// where its text is not to be had, the newest one with the parallelism that was seen.
///
/// # Errors
/// A sentence, if neither is known.
pub(crate) fn base(
    current: &JobDocument,
    running: Option<&JobDocument>,
    observed: Option<&Observed>,
) -> Result<JobDocument, String> {
    let generation = current.generation();
    if let Some(running) = running {
        return running.renumbered(generation).map_err(|e| e.to_string());
    }
    let unknown = || {
        format!(
            "generation {generation} was rolled back, and what runs is not known; publish the next document by hand"
        )
    };
    let observed = observed.ok_or_else(unknown)?;
    let named = current.parallelism().operators.keys();
    let seen = named.filter_map(|uid| Some((uid.clone(), *observed.parallelism.get(uid)?)));
    let change = Change {
        parallelism: seen.collect(),
        default_parallelism: None,
        task_managers: observed.task_managers.filter(|_| current.task_managers().is_some()),
        reason: current.reason().to_owned(),
        issued_at: current.issued_at(),
        expires_at: current.expires_at(),
    };
    let corrected = current.successor(&change).map_err(|e| e.to_string())?;
    corrected.renumbered(generation).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../configs/jobs/nexmark.toml");

    fn report(state: &str, more: &str) -> Report {
        let text = format!(
            r#"{{"generation":2,"sequence":4,"at":"2026-01-01T00:00:00Z","state":"{state}","message":"m"{more}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn second() -> JobDocument {
        let text = EXAMPLE.replacen("generation = 1", "generation = 2", 1);
        JobDocument::parse(&text.replacen("q7-bid-item = 1\n", "q7-bid-item = 9\n", 1)).unwrap()
    }

    /// Goal: only a document that runs is its own base; one under way or failed has no successor.
    #[test]
    fn reports_tell_what_runs() {
        let standing = |reports: &[Report]| standing(&second(), reports, Timestamp::UNIX_EPOCH);
        assert_eq!(standing(&[report("running", "")]), Standing::Runs);
        assert!(matches!(standing(&[]), Standing::Open(reason) if reason.contains("taken up")));
        assert!(
            matches!(standing(&[report("stopping-nodes", "")]), Standing::Open(reason) if reason.contains("stopping-nodes"))
        );
        assert!(
            matches!(standing(&[report("failed", "")]), Standing::Open(reason) if reason.contains("by hand"))
        );
        let rolled_back = report("rolled-back", r#","running_generation":1"#);
        assert_eq!(standing(&[rolled_back]), Standing::Other { generation: Some(1), observed: None });
    }

    /// Goal: a document that was refused does not keep the next one back; what ran before is its base.
    #[test]
    fn a_refused_document_can_be_succeeded() {
        let mut refused = report("failed", "");
        refused.sequence = 1;
        let found = standing(&second(), &[refused.clone()], Timestamp::UNIX_EPOCH);
        assert_eq!(found, Standing::Runs);
        let mut ran =
            report("running", r#","running_generation":1,"observed":{"parallelism":{"q7-bid-item":1}}"#);
        ran.generation = 1;
        let found = standing(&second(), &[ran, refused], Timestamp::UNIX_EPOCH);
        assert!(matches!(found, Standing::Other { generation: Some(1), observed: Some(_) }));
    }

    /// Goal: after a rollback the successor has the parallelism that runs, and the next generation all the same.
    #[test]
    fn a_rolled_back_document_is_not_the_base() {
        let first = JobDocument::parse(EXAMPLE).unwrap();
        let from_text = base(&second(), Some(&first), None).unwrap();
        let mut observed = Observed::default();
        observed.parallelism.insert("q7-bid-item".to_owned(), 1);
        let from_sight = base(&second(), None, Some(&observed)).unwrap();
        for base in [from_text, from_sight] {
            assert_eq!((base.generation(), base.parallelism().of("q7-bid-item")), (2, 1));
        }
        assert!(base(&second(), None, None).unwrap_err().contains("by hand"));
    }
}
