//! Determines the running document: the newest at the drop, or an earlier generation whose successors were rolled
//! back or rejected.
//!
//! A document whose change was rolled back is still the newest at the drop. Its successor must be derived from the
//! running document, or the next decision would reintroduce the rejected changes; only the generation follows the
//! newest one. A [`RunningDocument`] is obtained in two ways only: the agent reports that the newest document runs,
//! or the drop's history has the document of the reported generation.

use jiff::{SignedDuration, Timestamp};
use job_config::{ChangeState, EntityTag, JobDocument, Report};

use crate::outcome::state_word;

/// How long after its expiry an agent with a slow clock may still start a document and report it.
const EXPIRY_MARGIN: SignedDuration = SignedDuration::from_secs(60);

/// The newest document at the drop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// The document.
    pub document: JobDocument,
    /// Entity tag under which the drop serves it.
    pub entity_tag: EntityTag,
}

/// The running document, under the newest generation so that its successor follows that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningDocument {
    document: JobDocument,
    replaces: EntityTag,
}

impl RunningDocument {
    /// Returns the running content, under the generation of the newest document.
    pub fn document(&self) -> &JobDocument {
        &self.document
    }

    /// Returns the entity tag of the newest document, which the successor replaces.
    pub fn replaces(&self) -> &EntityTag {
        &self.replaces
    }
}

/// A running earlier generation; its document must be fetched from the drop's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlierGeneration {
    generation: u64,
    newest: Current,
}

impl EarlierGeneration {
    /// Returns the running generation.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Builds the running document from the drop's history entry of this generation.
    ///
    /// # Errors
    /// A sentence if the history lacks the document, or holds another one.
    pub fn found(self, document: Option<JobDocument>) -> Result<RunningDocument, String> {
        let Self { generation, newest } = self;
        let Some(document) = document else {
            return Err(format!(
                "generation {generation} runs instead of generation {}, and the drop's history does not have it; publish the next document by hand",
                newest.document.generation()
            ));
        };
        if document.generation() != generation || document.job() != newest.document.job() {
            return Err(format!("the drop's history returned a document other than generation {generation}"));
        }
        let document =
            document.renumbered(newest.document.generation()).map_err(|error| error.to_string())?;
        Ok(RunningDocument { document, replaces: newest.entity_tag })
    }
}

/// Status of the newest document according to the reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DocumentStatus {
    /// It is running.
    Runs(RunningDocument),
    /// An earlier generation is running.
    Earlier(EarlierGeneration),
    /// No successor is possible now, for this reason.
    NotYet(String),
    /// No successor is possible before a person has published the next document, for this reason.
    ByHand(String),
}

/// Judges the newest document by the reports. `reports` is [`None`] where the document store takes no reports: the
/// change then counts as in progress until the document has expired.
pub fn status(current: Current, reports: Option<&[Report]>, now: Timestamp) -> DocumentStatus {
    let generation = current.document.generation();
    let Some(reports) = reports else { return without_reports(current, now) };
    let newest = reports.iter().filter(|report| report.generation == generation);
    let Some(report) = newest.max_by_key(|report| report.sequence) else {
        // No agent has started it, and none may any more: the previous document still runs.
        if is_over(&current.document, now) {
            return before(current, reports);
        }
        return DocumentStatus::NotYet(format!(
            "generation {generation} has not been accepted by a config agent yet"
        ));
    };
    match report.state {
        ChangeState::Running => runs(current),
        // An agent without its journal may not know that generation.
        ChangeState::RolledBack if report.running_generation.is_none() => before(current, reports),
        ChangeState::RolledBack => earlier(current, report.running_generation),
        // The first report of an accepted document is another: this one was rejected without effect.
        ChangeState::Failed if report.sequence == 1 && report.running_generation.is_some() => {
            earlier(current, report.running_generation)
        }
        ChangeState::Failed if report.sequence == 1 => before(current, reports),
        ChangeState::Failed => DocumentStatus::ByHand(format!(
            "generation {generation} failed, and which generation runs is unknown ({}); check the job, then publish the next document by hand",
            report.message.as_deref().unwrap_or("no reason reported")
        )),
        state => DocumentStatus::NotYet(format!(
            "generation {generation} is being applied ({})",
            state_word(state)
        )),
    }
}

pub(crate) fn runs(current: Current) -> DocumentStatus {
    DocumentStatus::Runs(RunningDocument { document: current.document, replaces: current.entity_tag })
}

pub(crate) fn earlier(current: Current, generation: Option<u64>) -> DocumentStatus {
    match generation {
        Some(generation) if generation == current.document.generation() => runs(current),
        Some(generation) => DocumentStatus::Earlier(EarlierGeneration { generation, newest: current }),
        None => DocumentStatus::ByHand(format!(
            "generation {} was not applied, and no report says which generation runs; publish the next document by hand",
            current.document.generation()
        )),
    }
}

/// Returns the generation that ran before, from the newest final report of an earlier one.
pub(crate) fn before(current: Current, reports: &[Report]) -> DocumentStatus {
    let generation = current.document.generation();
    let earlier_reports =
        reports.iter().filter(|report| report.generation < generation && report.state.is_final());
    let last = earlier_reports.max_by_key(|report| (report.generation, report.sequence));
    let running = last.and_then(|report| match report.state {
        ChangeState::Running => Some(report.generation),
        _ => report.running_generation,
    });
    earlier(current, running)
}

/// Whether the document has expired and an agent that had started it would have reported by now.
fn is_over(document: &JobDocument, now: Timestamp) -> bool {
    now.checked_sub(EXPIRY_MARGIN).is_ok_and(|earlier| document.is_expired(earlier))
}

/// Judges without reports. A document without expiry was written by hand and is taken as running.
fn without_reports(current: Current, now: Timestamp) -> DocumentStatus {
    match current.document.expires_at() {
        Some(expires_at) if !is_over(&current.document, now) => DocumentStatus::NotYet(format!(
            "no reports here; an agent may still start generation {} until it expires at {expires_at}",
            current.document.generation()
        )),
        _ => runs(current),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../configs/jobs/nexmark.toml");

    fn report(generation: u64, sequence: u32, state: &str, more: &str) -> Report {
        let text = format!(
            r#"{{"generation":{generation},"sequence":{sequence},"at":"2026-01-01T00:00:00Z","state":"{state}","message":"m"{more}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn first() -> JobDocument {
        JobDocument::parse(EXAMPLE).unwrap()
    }

    /// Another parallelism and another checkpoint interval than the first.
    fn second() -> Current {
        let text = EXAMPLE.replacen("generation = 1", "generation = 2", 1);
        let text = text.replacen("q7-bid-item = 1\n", "q7-bid-item = 9\n", 1);
        let document = JobDocument::parse(&text).unwrap();
        Current { entity_tag: document.entity_tag(), document }
    }

    fn judged(reports: &[Report]) -> DocumentStatus {
        status(second(), Some(reports), Timestamp::UNIX_EPOCH)
    }

    fn reason(status: DocumentStatus) -> String {
        match status {
            DocumentStatus::NotYet(reason) | DocumentStatus::ByHand(reason) => reason,
            other => panic!("{other:?}"),
        }
    }

    /// Goal: only a running document is its own base; one in progress or failed has no successor.
    #[test]
    fn reports_tell_what_runs() {
        assert!(matches!(judged(&[report(2, 4, "running", "")]), DocumentStatus::Runs(_)));
        assert!(reason(judged(&[])).contains("has not been accepted"));
        assert!(reason(judged(&[report(2, 4, "stopping-nodes", "")])).contains("stopping-nodes"));
        assert!(reason(judged(&[report(2, 4, "failed", "")])).contains("by hand"));
        let rolled_back = judged(&[report(2, 4, "rolled-back", r#","running_generation":1"#)]);
        assert!(matches!(rolled_back, DocumentStatus::Earlier(earlier) if earlier.generation() == 1));
        assert!(reason(judged(&[report(2, 4, "rolled-back", "")])).contains("by hand"));
    }

    /// Goal: a rejected document does not block the next one. Its base is the document that ran before; without a
    /// report that names that one, the rejected content is not used instead.
    #[test]
    fn a_refused_document_can_be_succeeded() {
        let refused = report(2, 1, "failed", "");
        assert!(reason(judged(std::slice::from_ref(&refused))).contains("by hand"));
        for reports in [
            vec![report(1, 7, "running", ""), refused],
            vec![report(2, 1, "failed", r#","running_generation":1"#)],
            vec![report(1, 7, "rolled-back", r#","running_generation":1"#), report(2, 1, "failed", "")],
        ] {
            let found = judged(&reports);
            assert!(
                matches!(&found, DocumentStatus::Earlier(earlier) if earlier.generation() == 1),
                "{found:?}"
            );
        }
    }

    /// Goal: after a rollback the base is the full document from the drop's history, with the next generation.
    #[test]
    fn a_rolled_back_document_is_not_the_base() {
        let ask = || match judged(&[report(2, 4, "rolled-back", r#","running_generation":1"#)]) {
            DocumentStatus::Earlier(earlier) => earlier,
            other => panic!("{other:?}"),
        };
        let base = ask().found(Some(first())).unwrap();
        assert_eq!(base.document().text().replacen("generation = 2", "generation = 1", 1), first().text());
        assert_eq!((base.document().generation(), base.replaces()), (2, &second().entity_tag));
        assert!(ask().found(None).unwrap_err().contains("by hand"));
        assert!(ask().found(Some(second().document)).unwrap_err().contains("a document other than"));
    }

    /// Goal: a document that expired before an agent started it is not the base either.
    #[test]
    fn an_expired_document_is_not_the_base() {
        let mut current = second();
        let issued: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let expires = issued + SignedDuration::from_secs(60);
        current.document = current.document.dated(issued, Some(expires)).unwrap();
        let at = |seconds| {
            let now = issued + SignedDuration::from_secs(seconds);
            status(current.clone(), Some(&[report(1, 7, "running", "")]), now)
        };
        assert!(reason(at(119)).contains("has not been accepted"));
        assert!(matches!(at(121), DocumentStatus::Earlier(_)));
        assert!(matches!(status(current.clone(), None, issued), DocumentStatus::NotYet(_)));
        let late = issued + SignedDuration::from_secs(121);
        assert!(matches!(status(current.clone(), None, late), DocumentStatus::Runs(_)));
    }
}
