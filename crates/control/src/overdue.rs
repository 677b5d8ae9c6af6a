//! Timeout of a change without a final report: raises an alarm, and uses Flink's observed state instead.
//!
//! A report can be lost, rejected or never sent. Without a timeout, the loop would silently stop scaling.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use job_config::{JobDocument, Report};

use crate::outcome::state_word;
use crate::status::{Current, DocumentStatus, RunningDocument, before, runs};

/// A change that has exceeded its timeout.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OverdueChange {
    newest: Current,
    /// The previous running document according to the reports.
    before: DocumentStatus,
    /// Whether an agent has started it.
    is_begun: bool,
    /// The alarm's text.
    pub(crate) sentence: String,
}

/// The running document according to Flink.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ObservedDocument {
    /// The newest one.
    Newest(RunningDocument),
    /// The previous one.
    Before(RunningDocument),
    /// Neither.
    Unknown,
}

impl OverdueChange {
    /// Returns the newest document's change, if its newest report is older than the timeout and not final.
    pub(crate) fn new(
        current: &Current,
        reports: Option<&[Report]>,
        within: Duration,
        now: Timestamp,
    ) -> Option<Self> {
        let (reports, generation) = (reports?, current.document.generation());
        let own = reports.iter().filter(|report| report.generation == generation);
        let last = own.max_by_key(|report| report.sequence);
        if last.is_some_and(|last| last.state.is_final()) {
            return None;
        }
        let issued_at = current.document.issued_at();
        // Limited to `now`, because the agent's clock may be ahead.
        let since = last.map_or(issued_at, |last| last.at.max(issued_at).min(now));
        let within = SignedDuration::try_from(within).unwrap_or(SignedDuration::MAX);
        let lasts = now.duration_since(since);
        let what = match last {
            Some(last) => format!("is being applied ({})", state_word(last.state)),
            None => "has not been accepted by a config agent".to_owned(),
        };
        (lasts > within).then(|| Self {
            newest: current.clone(),
            before: before(current.clone(), reports),
            is_begun: last.is_some(),
            sentence: format!(
                "generation {generation} {what} for {} s; check the config agent",
                lasts.as_secs()
            ),
        })
    }

    /// Returns the generation whose document is needed to interpret Flink's state.
    pub(crate) fn generation_before(&self) -> Option<u64> {
        match &self.before {
            DocumentStatus::Earlier(earlier) => Some(earlier.generation()),
            _ => None,
        }
    }

    /// Determines the running document from the parallelism of the job's operators, given under the documents' names.
    pub(crate) fn seen(
        self,
        widths: &BTreeMap<String, u32>,
        document_before: Option<JobDocument>,
    ) -> ObservedDocument {
        if !self.is_begun || widths.is_empty() {
            return ObservedDocument::Unknown;
        }
        if has_widths(&self.newest.document, widths) {
            return match runs(self.newest) {
                DocumentStatus::Runs(running) => ObservedDocument::Newest(running),
                _ => ObservedDocument::Unknown,
            };
        }
        let DocumentStatus::Earlier(earlier) = self.before else { return ObservedDocument::Unknown };
        let Some(document) = document_before else { return ObservedDocument::Unknown };
        // If both documents differ only in parallelism, either one's content is right, with the observed parallelism.
        let is_same_but_for_widths = self.newest.document.differs_only_in_parallelism(&document);
        if !has_widths(&document, widths) && !is_same_but_for_widths {
            return ObservedDocument::Unknown;
        }
        earlier.found(Some(document)).map_or(ObservedDocument::Unknown, ObservedDocument::Before)
    }
}

/// Whether every observed operator of the document runs at the document's parallelism.
fn has_widths(document: &JobDocument, widths: &BTreeMap<String, u32>) -> bool {
    let entries = document.parallelism().operators.iter();
    let mut seen = entries.filter_map(|(uid, p)| Some((widths.get(uid)?, p))).peekable();
    seen.peek().is_some() && seen.all(|(width, p)| width == p)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(generation: u64, width: u32, more: &str) -> JobDocument {
        JobDocument::parse(&format!(
            "format = 1\njob = \"j\"\ngeneration = {generation}\nissued_at = \"2026-01-01T00:00:00Z\"\n\
             restart_mode = \"in-place\"\n{more}\n[parallelism]\ndefault = 1\nmax = 128\n\
             [parallelism.operators]\nmap = {width}\n"
        ))
        .unwrap()
    }

    fn current(more: &str) -> Current {
        let document = document(2, 9, more);
        Current { entity_tag: document.entity_tag(), document }
    }

    fn reports(state: &str) -> Vec<Report> {
        serde_json::from_str(&format!(
            r#"[{{"generation":1,"sequence":3,"at":"2026-01-01T00:00:00Z","state":"running"}},
                {{"generation":2,"sequence":2,"at":"2026-01-01T00:01:00Z","state":"{state}"}}]"#
        ))
        .unwrap()
    }

    fn overdue(state: &str, more: &str, at: &str) -> Option<OverdueChange> {
        OverdueChange::new(
            &current(more),
            Some(&reports(state)),
            Duration::from_secs(600),
            at.parse().unwrap(),
        )
    }

    fn seen(width: u32, more: &str) -> ObservedDocument {
        let overdue = overdue("rescaling", more, "2026-01-01T01:00:00Z").unwrap();
        assert_eq!(overdue.generation_before(), Some(1));
        overdue.seen(&BTreeMap::from([("map".to_owned(), width)]), Some(document(1, 4, "")))
    }

    /// Goal: a change is overdue only when its newest report is older than the timeout, and never after its end.
    #[test]
    fn a_change_is_overdue_after_its_time() {
        assert_eq!(overdue("rescaling", "", "2026-01-01T00:10:59Z"), None);
        let told = overdue("rescaling", "", "2026-01-01T00:11:01Z").unwrap().sentence;
        assert!(told.contains("generation 2 is being applied (rescaling) for 601 s"), "{told}");
        assert_eq!(overdue("running", "", "2026-01-01T01:00:00Z"), None);
    }

    /// Goal: the running document is recognised by its parallelism; a mixture of both is recognised if they differ in
    /// nothing else.
    #[test]
    fn widths_tell_what_runs() {
        assert!(
            matches!(seen(9, ""), ObservedDocument::Newest(running) if running.document().generation() == 2)
        );
        for width in [4, 6] {
            let ObservedDocument::Before(running) = seen(width, "") else { panic!("{width}") };
            assert_eq!((running.document().generation(), running.document().parallelism().of("map")), (2, 4));
        }
        let other = "reason = \"other\"\n[sink]\ntopic = \"t\"";
        assert!(matches!(seen(4, other), ObservedDocument::Before(_)));
        assert_eq!(seen(6, other), ObservedDocument::Unknown);
    }

    /// Goal: a document that no agent has started raises an alarm, but nothing is concluded from Flink's state.
    #[test]
    fn a_document_without_an_agent_is_only_told() {
        let now = "2026-01-01T01:00:00Z".parse().unwrap();
        let found =
            OverdueChange::new(&current(""), Some(&reports("rescaling")[..1]), Duration::from_secs(600), now);
        let found = found.unwrap();
        assert!(found.sentence.contains("has not been accepted"), "{}", found.sentence);
        let widths = BTreeMap::from([("map".to_owned(), 9)]);
        assert_eq!(found.seen(&widths, Some(document(1, 4, ""))), ObservedDocument::Unknown);
    }
}
