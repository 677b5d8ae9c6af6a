//! A job that differs from its document without a change in progress: reported, and put back if configured.
//!
//! A person (or another autoscaler) who rescales the job changes what Flink is asked for; so does a rollback that Flink
//! did not take. Lost slots do not: Flink is still asked for the document's parallelism and follows it when there are
//! slots again. Only the former is put back, by a new generation with the document's content, so that it takes the
//! ordinary path of a change.
//!
//! It is put back when two successive epochs with metrics have seen the same change, so that a person who is at work is not
//! interrupted, and a limited number of times: whoever rescales the job again and again gets their way in the end, and a
//! person is asked to look.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use scaling::{Action, Decision, OperatorReport, Snapshot};

use crate::control_loop::{ControlLoop, NextAction};
use crate::record::Effect;
use crate::status::RunningDocument;
use crate::turn::Environment;

/// The policy's name in records of a job that is put back.
pub const RESTORE: &str = "restore";

/// How often a job may be put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestoreLimits {
    /// Maximum number of times within `window`.
    pub restores_max: u32,
    /// The period over which they are counted.
    pub window: Duration,
}

/// A parallelism that was set by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// What Flink is asked for instead of the document's parallelism, by operator.
    required: BTreeMap<String, u32>,
}

/// What is known of changes by hand.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Restoration {
    /// The edit that the previous epoch with metrics has seen.
    seen: Option<Edit>,
    /// When the job was put back, since it last matched its document for the whole window.
    pub(crate) restored: Vec<Timestamp>,
    /// Why it is not put back any more.
    pub(crate) gave_up: Option<String>,
}

impl Restoration {
    pub(crate) fn resumed(restored: Vec<Timestamp>) -> Self {
        Self { restored, ..Self::default() }
    }

    /// The newest attempt does not count: the drop did not take its document.
    pub(crate) fn not_published(&mut self) {
        self.restored.pop();
    }
}

/// Operators whose parallelism differs from the document's.
struct Drift<'a> {
    /// Name in snapshots, name in documents, parallelism, parallelism of the document.
    operators: Vec<(&'a String, &'a String, u32, u32)>,
}

impl std::fmt::Display for Drift<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let differ = self.operators.iter();
        let differ: Vec<String> = differ
            .map(|(_, uid, seen, wanted)| format!("{uid} has parallelism {seen}, not {wanted}"))
            .collect();
        write!(f, "the job differs from its document: {}", differ.join(", "))
    }
}

impl ControlLoop {
    fn drift<'a>(&'a self, running: &'a RunningDocument, snapshot: &'a Snapshot) -> Option<Drift<'a>> {
        let entries = &running.document().parallelism().operators;
        let differing = |operator: &'a scaling::Operator| {
            let (uid, wanted) = entries.get_key_value(self.names.in_documents(&operator.name))?;
            let seen = operator.parallelism;
            (seen != *wanted).then_some((&operator.name, uid, seen, *wanted))
        };
        let operators: Vec<_> = snapshot.operators.iter().filter_map(differing).collect();
        (!operators.is_empty()).then_some(Drift { operators })
    }

    /// Reports whether the job differs from its document, and returns the edit by hand that may be put back. A change
    /// that is only presumed to have ended (`is_settled` is false) may still be what differs.
    pub(crate) async fn note_drift<S: Environment>(
        &mut self,
        env: &mut S,
        running: &RunningDocument,
        snapshot: &Snapshot,
        is_settled: bool,
    ) -> Option<Edit> {
        let drift = self.drift(running, snapshot);
        env.drift(drift.as_ref().map(Drift::to_string).as_deref());
        let limits = self.options.restore.filter(|_| is_settled)?;
        let edit = match drift {
            None => None,
            // Without Flink's answer it is unknown whether slots are missing.
            Some(drift) => edited(&drift, &env.required().await?),
        };
        let Some(edit) = edit else {
            let window = SignedDuration::try_from(limits.window).unwrap_or(SignedDuration::MAX);
            let now = env.now();
            self.restoration.restored.retain(|at| now.duration_since(*at) < window);
            (self.restoration.seen, self.restoration.gave_up) = (None, None);
            return None;
        };
        let count = self.restoration.restored.len();
        if count < limits.restores_max as usize {
            self.restoration.gave_up = None;
            return Some(edit);
        }
        let drift = self.drift(running, snapshot).map(|drift| drift.to_string()).unwrap_or_default();
        self.restoration.gave_up = Some(format!(
            "{drift}; Flink was asked for that again after the job had been put back {count} times within {} s; find out \
             what rescales it, then publish a document with the right parallelism, or set it in Flink",
            limits.window.as_secs()
        ));
        None
    }

    /// Puts the job back, if the previous epoch has seen the same edit.
    pub(crate) fn put_back(
        &mut self,
        policy: &str,
        running: &RunningDocument,
        edit: Edit,
        snapshot: Snapshot,
        now: Timestamp,
    ) -> NextAction {
        let drift = self.drift(running, &snapshot).map(|drift| drift.to_string()).unwrap_or_default();
        let waits = |reason: String| Decision::nothing(policy, format!("{drift}; {reason}"));
        let before = self.restoration.seen.replace(edit.clone());
        if before.as_ref() != Some(&edit) {
            let decision = waits("it is put back if the next epoch sees the same".to_owned());
            return self.record(Effect::Nothing, decision, Some(snapshot), now);
        }
        let local_time = self.local_time(now);
        if let Some(period) = self.options.constraints.limits.excluded_period(local_time) {
            let decision = waits(format!("no changes during {period}"));
            return self.record(Effect::Nothing, decision, Some(snapshot), now);
        }
        self.restoration.seen = None;
        self.restoration.restored.push(now);
        let count = self.restoration.restored.len();
        let most = self.options.restore.map_or(0, |limits| limits.restores_max);
        let reason =
            format!("{drift}; Flink is asked for that, so it is put back, {count} of at most {most} times");
        let decision = self.restoring(running, &snapshot, &edit, reason);
        let plan = self.names.in_document(&decision);
        self.publish_plan(running, &plan, decision, snapshot, now)
    }

    /// Returns the decision that sets the document's parallelism again.
    fn restoring(
        &self,
        running: &RunningDocument,
        snapshot: &Snapshot,
        edit: &Edit,
        reason: String,
    ) -> Decision {
        let entries = &running.document().parallelism().operators;
        let mut decision = Decision::nothing(RESTORE, reason);
        for operator in &snapshot.operators {
            let Some(wanted) = entries.get(self.names.in_documents(&operator.name)) else { continue };
            let Some(required) = edit.required.get(&operator.name) else { continue };
            decision.parallelism.insert(operator.name.clone(), *wanted);
            decision.operators.push(OperatorReport {
                name: operator.name.clone(),
                kind: operator.kind,
                latency_ms: operator.latency_ms,
                parallelism: operator.parallelism,
                new_parallelism: Some(*wanted),
                because: format!("Flink is asked for parallelism {required}, the document has {wanted}"),
                figures: BTreeMap::new(),
            });
        }
        decision.action = Action::Rescale;
        let needed = scaling::limits::slots_needed(snapshot, &decision.parallelism);
        decision.cluster.slots_needed = Some(needed);
        decision
    }
}

/// Returns the operators for which Flink is asked for another parallelism than the document's, if any.
fn edited(drift: &Drift<'_>, required: &BTreeMap<String, u32>) -> Option<Edit> {
    let differing = drift.operators.iter().filter_map(|(name, _, _, wanted)| {
        let required = *required.get(*name)?;
        (required != *wanted).then(|| ((*name).clone(), required))
    });
    let required: BTreeMap<String, u32> = differing.collect();
    (!required.is_empty()).then_some(Edit { required })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control_loop::{LoopOptions, ResumedState};
    use crate::operator_names::OperatorNames;
    use crate::status::{Current, DocumentStatus, status};
    use job_config::JobDocument;
    use scaling::{Constraints, Operator};

    /// Goal: a job that was rescaled by hand is reported with the parallelisms that differ, by the document's names.
    /// Only what Flink is asked for tells it from one that has lost slots.
    #[test]
    fn a_job_that_was_changed_by_hand_is_told() {
        let text = "format = 1\njob = \"j\"\ngeneration = 1\nissued_at = \"2026-01-01T00:00:00Z\"\nrestart_mode = \"in-place\"\n\
                    [parallelism]\ndefault = 1\nmax = 128\n[parallelism.operators]\nid-of-map = 7\ninner = 3\n";
        let document = JobDocument::parse(text).unwrap();
        let current = Current { entity_tag: document.entity_tag(), document };
        let DocumentStatus::Runs(running) = status(current, None, Timestamp::UNIX_EPOCH) else {
            panic!("it has no expiry, and so it runs");
        };
        let names = OperatorNames::new(BTreeMap::from([("map".to_owned(), "id-of-map".to_owned())]));
        let options = LoopOptions {
            job: "j".to_owned(),
            constraints: Constraints::default(),
            document_ttl: Duration::from_secs(60),
            applied_within: Duration::from_secs(60),
            time_zone: jiff::tz::TimeZone::UTC,
            restore: None,
        };
        let control = ControlLoop::new(options, names, ResumedState::default());
        let seen = |width| {
            let map = Operator { name: "map".to_owned(), parallelism: width, ..Operator::default() };
            Snapshot { operators: vec![map], ..Snapshot::default() }
        };
        assert!(control.drift(&running, &seen(7)).is_none());
        let snapshot = seen(5);
        let drift = control.drift(&running, &snapshot).unwrap();
        assert!(drift.to_string().ends_with("id-of-map has parallelism 5, not 7"), "{drift}");
        let required = |width| BTreeMap::from([("map".to_owned(), width)]);
        assert_eq!(edited(&drift, &required(7)), None);
        assert_eq!(edited(&drift, &BTreeMap::new()), None);
        assert_eq!(edited(&drift, &required(5)), Some(Edit { required: required(5) }));
    }
}
