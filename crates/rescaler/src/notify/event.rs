//! Events about a job: their format, and when they occur. A lasting condition has an event at its beginning and one at its end.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::lasting::Lasting;
use crate::status::{DecisionOutcome, DecisionView};

/// Time without a diagnosis after which its cause is over.
const CAUSE_OVER_AFTER: SignedDuration = SignedDuration::from_mins(10);

/// The kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A plan was published, or recorded only.
    Decision,
    /// A published plan was carried out.
    Change,
    /// A plan could not be published, its change failed, or the job is not being watched.
    Failure,
    /// Changes are suspended, because several in a row have failed.
    Breaker,
    /// A person must act before scaling goes on.
    NeedsAPerson,
    /// More subtasks would not help.
    CannotHelp,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 6] =
        [Self::Decision, Self::Change, Self::Failure, Self::Breaker, Self::NeedsAPerson, Self::CannotHelp];
}

/// Something that happened to a job.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Event {
    /// Kind of the event.
    pub(crate) event: Kind,
    /// Whether it is the end of a lasting condition.
    pub(crate) is_over: bool,
    /// Description in one sentence.
    pub(crate) text: String,
    /// Time of the event.
    pub(crate) at: Timestamp,
    /// The epoch of the decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) epoch: Option<u64>,
    /// The generation of the document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) generation: Option<u64>,
    /// Outcome of the decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) outcome: Option<DecisionOutcome>,
    /// The new parallelism by operator.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) parallelism: BTreeMap<String, u32>,
}

impl Event {
    fn new(event: Kind, text: impl Into<String>, at: Timestamp) -> Self {
        Self {
            event,
            is_over: false,
            text: text.into(),
            at,
            epoch: None,
            generation: None,
            outcome: None,
            parallelism: BTreeMap::new(),
        }
    }

    fn over(self) -> Self {
        Self { is_over: true, ..self }
    }

    fn with_decision(self, view: &DecisionView) -> Self {
        Self { epoch: Some(view.epoch), generation: view.generation, ..self }
    }
}

/// Detects the events of one job: remembers what has been reported, so that nothing is reported twice.
#[derive(Debug, Clone, Default)]
pub(crate) struct EventDetector {
    /// The newest plan that was not carried out, and why not.
    repeated: Option<(DecisionOutcome, BTreeMap<String, u32>)>,
    /// When each cause was found last, by its name and operator.
    causes: BTreeMap<(String, String), Timestamp>,
    /// Whether the agent refuses changes.
    is_refused: bool,
    /// Whether the policy has stopped changing the job.
    is_stopped: bool,
    /// Whether a person must act.
    needs_a_person: bool,
    /// Whether the job is not being watched.
    is_unwatched: bool,
}

impl EventDetector {
    /// Returns the news of a job of which an earlier run has reported this. Causes count as found just now, because nothing was data since.
    pub(crate) fn resumed(lasting: Lasting, now: Timestamp) -> Self {
        let Lasting { needs_a_person, is_unwatched, is_refused, is_stopped, causes, repeated } = lasting;
        let causes = causes.into_iter().map(|cause| (cause, now)).collect();
        Self { repeated, causes, is_refused, is_stopped, needs_a_person, is_unwatched }
    }

    /// Returns what was reported and lasts.
    pub(crate) fn lasting(&self) -> Lasting {
        Lasting {
            needs_a_person: self.needs_a_person,
            is_unwatched: self.is_unwatched,
            is_refused: self.is_refused,
            is_stopped: self.is_stopped,
            causes: self.causes.keys().cloned().collect(),
            repeated: self.repeated.clone(),
        }
    }

    /// A person must act now, or no longer; [`None`] if that was reported.
    pub(crate) fn needs_a_person(&mut self, sentence: Option<&str>, at: Timestamp) -> Option<Event> {
        let before = std::mem::replace(&mut self.needs_a_person, sentence.is_some());
        (before != sentence.is_some()).then(|| needs_a_person(sentence, at))
    }

    /// The job is not being watched, or again; [`None`] if that was reported.
    pub(crate) fn watching(&mut self, failure: Option<&str>, at: Timestamp) -> Option<Event> {
        let before = std::mem::replace(&mut self.is_unwatched, failure.is_some());
        (before != failure.is_some()).then(|| watching(failure, at))
    }

    /// Returns what is new about a decision: as it was recorded, or after it has turned out whether it was published.
    pub(crate) fn decided(&mut self, view: &DecisionView) -> Vec<Event> {
        let mut events: Vec<Event> = self.planned(view).into_iter().collect();
        events.extend(self.stopped(view));
        self.diagnosed(view, &mut events);
        events
    }

    /// Returns the event of a plan once it is known whether it was published.
    pub(crate) fn planned(&mut self, view: &DecisionView) -> Option<Event> {
        if !view.is_plan() || matches!(view.outcome, DecisionOutcome::Publishing | DecisionOutcome::Nothing) {
            return None;
        }
        let plan = (view.outcome, view.decision.parallelism.clone());
        let repeats = matches!(view.outcome, DecisionOutcome::NotPublished | DecisionOutcome::Recommended);
        if repeats && self.repeated.as_ref() == Some(&plan) {
            return None;
        }
        self.repeated = repeats.then_some(plan);
        let because = view.message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
        let (kind, words) = match view.outcome {
            DecisionOutcome::NotPublished => (Kind::Failure, "not published"),
            DecisionOutcome::Recommended => (Kind::Decision, "recommended only"),
            DecisionOutcome::DryRun => (Kind::Decision, "dry run, not published"),
            DecisionOutcome::Nothing | DecisionOutcome::Publishing | DecisionOutcome::Published => {
                (Kind::Decision, "published")
            }
        };
        let event =
            Event::new(kind, format!("{} ({words}{because})", view.headline), view.at).with_decision(view);
        let parallelism = view.decision.parallelism.clone();
        Some(Event { outcome: Some(view.outcome), parallelism, ..event })
    }

    /// Returns the events of the end of a change.
    pub(crate) fn ended(&mut self, outcome: &control::ChangeOutcome, at: Timestamp) -> Vec<Event> {
        let is_refused =
            outcome.message.as_ref().is_some_and(|message| message.contains(config_agent::BREAKER_IS_OPEN));
        let was_refused = std::mem::replace(&mut self.is_refused, is_refused);
        let mut events = Vec::new();
        if was_refused && !is_refused {
            events.push(Event::new(Kind::Breaker, "the agent changes the job again", at).over());
        }
        let kind = match (is_refused, outcome.succeeded()) {
            (true, _) if was_refused => return events,
            (true, _) => Kind::Breaker,
            (false, true) => Kind::Change,
            (false, false) => Kind::Failure,
        };
        let generation = Some(outcome.generation);
        events.push(Event { generation, ..Event::new(kind, outcome.to_string(), at) });
        events
    }

    /// Returns the event when the policy stops changing the job after several failures, or resumes. Decisions without an observation of
    /// the job show neither.
    fn stopped(&mut self, view: &DecisionView) -> Option<Event> {
        let reason = view.decision.reasons.iter().find(|reason| reason.starts_with(scaling::slo::BLOCKED));
        if reason.is_none() && view.decision.operators.is_empty() {
            return None;
        }
        let was_stopped = std::mem::replace(&mut self.is_stopped, reason.is_some());
        match reason {
            Some(reason) if !was_stopped => {
                Some(Event::new(Kind::Breaker, reason, view.at).with_decision(view))
            }
            None if was_stopped => Some(
                Event::new(Kind::Breaker, "the policy changes the job again", view.at)
                    .with_decision(view)
                    .over(),
            ),
            _ => None,
        }
    }

    fn diagnosed(&mut self, view: &DecisionView, events: &mut Vec<Event>) {
        if let Some(found) = &view.decision.diagnosis {
            let key = (found.cause.name().to_owned(), found.operator.clone());
            if self.causes.insert(key, view.at).is_none() {
                events.push(Event::new(Kind::CannotHelp, &found.because, view.at).with_decision(view));
            }
        }
        if view.decision.operators.is_empty() {
            // Without an observation of the job no cause is known to be over.
            return;
        }
        let is_over = |at: Timestamp| view.at.duration_since(at) >= CAUSE_OVER_AFTER;
        self.causes.retain(|(cause, operator), at| {
            if is_over(*at) {
                let text = format!("{operator} is no longer found to be limited ({cause})");
                events.push(Event::new(Kind::CannotHelp, text, view.at).with_decision(view).over());
            }
            !is_over(*at)
        });
    }
}

/// A person must act, or no longer.
pub(super) fn needs_a_person(sentence: Option<&str>, at: Timestamp) -> Event {
    match sentence {
        Some(sentence) => Event::new(Kind::NeedsAPerson, sentence, at),
        None => Event::new(Kind::NeedsAPerson, "nothing is left that a person must look at", at).over(),
    }
}

/// The job is not being watched, or again.
pub(super) fn watching(failure: Option<&str>, at: Timestamp) -> Event {
    match failure {
        Some(reason) => Event::new(Kind::Failure, format!("the job is not being watched: {reason}"), at),
        None => Event::new(Kind::Failure, "the job is being watched again", at).over(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use job_config::ChangeState;
    use scaling::{Action, Cause, Decision, Diagnosis};

    fn operator() -> scaling::OperatorReport {
        scaling::OperatorReport {
            name: "map".to_owned(),
            kind: scaling::Kind::Continuous,
            latency_ms: None,
            parallelism: 1,
            new_parallelism: None,
            because: String::new(),
            figures: BTreeMap::new(),
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    fn decision_view(seconds: i64, outcome: DecisionOutcome, decision: Decision) -> DecisionView {
        DecisionView {
            epoch: 7,
            at: at(seconds),
            outcome,
            generation: None,
            message: None,
            headline: decision.to_string(),
            decision,
            result: None,
        }
    }

    fn plan(width: u32) -> Decision {
        let mut decision = Decision::nothing("slo", "it is slow");
        decision.action = Action::Rescale;
        decision.parallelism.insert("map".to_owned(), width);
        decision
    }

    fn kinds(events: &[Event]) -> Vec<(Kind, bool)> {
        events.iter().map(|event| (event.event, event.is_over)).collect()
    }

    /// Goal: each plan is one event with its outcome; one that is repeated because nothing comes of it is reported once; epochs without
    /// a plan are none.
    #[test]
    fn plans_are_reported_once() {
        let mut detector = EventDetector::default();
        let nothing = decision_view(0, DecisionOutcome::Nothing, Decision::nothing("slo", "all is well"));
        assert_eq!(detector.decided(&nothing), []);
        assert_eq!(detector.decided(&decision_view(1, DecisionOutcome::Publishing, plan(3))), []);
        let published = detector.planned(&decision_view(1, DecisionOutcome::Published, plan(3))).unwrap();
        assert_eq!((published.event, published.outcome), (Kind::Decision, Some(DecisionOutcome::Published)));
        assert_eq!(published.parallelism["map"], 3);
        assert!(published.text.contains("map → 3: it is slow (published)"), "{}", published.text);
        for (seconds, width, expected) in [(2, 4, 1), (3, 4, 0), (4, 5, 1), (5, 4, 1)] {
            let events =
                detector.decided(&decision_view(seconds, DecisionOutcome::NotPublished, plan(width)));
            assert_eq!(events.len(), expected, "{seconds}: {events:?}");
            assert!(events.iter().all(|event| event.event == Kind::Failure));
        }
        assert_eq!(
            kinds(&detector.decided(&decision_view(6, DecisionOutcome::DryRun, plan(4)))),
            [(Kind::Decision, false)]
        );
    }

    /// Goal: a cause is reported when it is found and when it has not been found for ten minutes, whatever epochs lie between.
    #[test]
    fn causes_begin_and_end() {
        let mut detector = EventDetector::default();
        let mut limited = Decision::nothing("slo", "no use");
        let because = "subtask 0 gets half of all records".to_owned();
        limited.diagnosis = Some(Diagnosis { cause: Cause::Skew, operator: "map".to_owned(), because });
        let mut at_s = |seconds, decision: &Decision| {
            kinds(&detector.decided(&decision_view(seconds, DecisionOutcome::Nothing, decision.clone())))
        };
        let mut well = Decision::nothing("slo", "all is well");
        assert_eq!(at_s(0, &limited), [(Kind::CannotHelp, false)]);
        assert_eq!(at_s(5, &limited), []);
        assert_eq!(at_s(10, &well), []);
        assert_eq!(at_s(500, &limited), []);
        assert_eq!(at_s(1000, &well), []);
        // Without a view of the job nothing is known to be over.
        assert_eq!(at_s(1100, &well), []);
        well.operators.push(operator());
        assert_eq!(at_s(1100, &well), [(Kind::CannotHelp, true)]);
        assert_eq!(at_s(1105, &limited), [(Kind::CannotHelp, false)]);
    }

    /// Goal: after a restart nothing that lasts is reported anew, and the end of each is reported once.
    #[test]
    fn what_lasts_is_reported_once_over_a_restart() {
        let mut news = EventDetector::default();
        let mut limited = plan(1);
        limited.action = Action::None;
        limited.reasons = vec![format!("{}: no changes for 60 s more", scaling::slo::BLOCKED)];
        let because = "subtask 0 gets half of all records".to_owned();
        limited.diagnosis = Some(Diagnosis { cause: Cause::Skew, operator: "map".to_owned(), because });
        let limited = |seconds| decision_view(seconds, DecisionOutcome::Nothing, limited.clone());
        let refused = |seconds| decision_view(seconds, DecisionOutcome::NotPublished, plan(4));
        assert_eq!(kinds(&news.decided(&limited(0))), [(Kind::Breaker, false), (Kind::CannotHelp, false)]);
        assert_eq!(kinds(&news.decided(&refused(5))), [(Kind::Failure, false)]);
        assert!(news.needs_a_person(Some("look"), at(6)).is_some());
        assert!(news.watching(Some("no journal"), at(7)).is_some());

        let mut news = EventDetector::resumed(news.lasting(), at(5_000));
        assert_eq!(news.decided(&limited(5_001)), []);
        assert_eq!(news.decided(&refused(5_002)), []);
        assert_eq!(news.needs_a_person(Some("look there"), at(5_003)), None);
        assert_eq!(news.watching(Some("no journal yet"), at(5_003)), None);

        let mut news = EventDetector::resumed(news.lasting(), at(9_000));
        let mut well = Decision::nothing("slo", "all is well");
        well.operators.push(operator());
        let well = |seconds| decision_view(seconds, DecisionOutcome::Nothing, well.clone());
        assert_eq!(kinds(&news.decided(&well(9_001))), [(Kind::Breaker, true)]);
        assert_eq!(kinds(&news.decided(&well(9_600))), [(Kind::CannotHelp, true)]);
        assert!(news.needs_a_person(None, at(9_001)).unwrap().is_over);
        assert!(news.watching(None, at(9_001)).unwrap().is_over);
        assert_eq!(news.watching(None, at(9_002)), None);
    }

    /// Goal: changes, failures, and the breaker of the agent are told apart; the breaker is reported once, and its end.
    #[test]
    fn changes_end_in_their_own_ways() {
        let mut detector = EventDetector::default();
        let mut ended = |state, message: &str| {
            let outcome = control::ChangeOutcome {
                generation: 4,
                state,
                duration_ms: Some(900),
                message: Some(message.to_owned()),
                steps: Vec::new(),
                observed: None,
            };
            kinds(&detector.ended(&outcome, at(0)))
        };
        let open = format!("3 {}, the last one at noon", config_agent::BREAKER_IS_OPEN);
        assert_eq!(ended(ChangeState::Running, ""), [(Kind::Change, false)]);
        assert_eq!(ended(ChangeState::RolledBack, "slots may be missing"), [(Kind::Failure, false)]);
        assert_eq!(ended(ChangeState::RolledBack, &open), [(Kind::Breaker, false)]);
        assert_eq!(ended(ChangeState::RolledBack, &open), []);
        assert_eq!(ended(ChangeState::Running, ""), [(Kind::Breaker, true), (Kind::Change, false)]);
    }

    /// Goal: the policy's own stop after failures is a breaker too; epochs in which nothing is known of the job are no end of it.
    #[test]
    fn the_policy_stops_and_goes_on() {
        let mut detector = EventDetector::default();
        let of = |reason: String, is_view: bool| {
            let mut decision = plan(1);
            decision.action = Action::None;
            decision.reasons = vec![reason];
            if is_view {
                decision.operators.push(operator());
            }
            decision_view(0, DecisionOutcome::Nothing, decision)
        };
        let stopped = format!("{}: no changes for 60 s more", scaling::slo::BLOCKED);
        assert_eq!(kinds(&detector.decided(&of(stopped.clone(), true))), [(Kind::Breaker, false)]);
        assert_eq!(detector.decided(&of(stopped, true)), []);
        assert_eq!(detector.decided(&of("the metrics are incomplete".to_owned(), false)), []);
        assert_eq!(kinds(&detector.decided(&of("all is well".to_owned(), true))), [(Kind::Breaker, true)]);
    }
}
