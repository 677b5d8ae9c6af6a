//! Stop-with-savepoint: request, wait, and locate the savepoint.

use flink::{JobId, JobState, SavepointStatus, TriggerId};

use super::{Attempt, Effect, NextStep, Rules, fail, give_up};
use crate::phase::Phase;

/// A journalled stop, and Flink's observed state of its job.
pub(super) struct ObservedStop<'a> {
    pub(super) job: &'a JobId,
    pub(super) trigger: &'a TriggerId,
    pub(super) state: Option<JobState>,
    pub(super) savepoint: Option<&'a String>,
}

impl ObservedStop<'_> {
    pub(super) fn next(
        &self,
        operation: Option<&SavepointStatus>,
        attempt: &Attempt,
        rules: &Rules,
    ) -> NextStep {
        let has_ended = self.state.is_none_or(JobState::is_terminal);
        match operation {
            Some(SavepointStatus::Completed { location }) if has_ended => self.stopped(location.clone()),
            Some(SavepointStatus::Failed { cause }) if !has_ended => {
                let job = self.job;
                give_up(
                    Some(job),
                    format!("could not stop job {job}, which keeps running unchanged: {cause}"),
                )
            }
            Some(SavepointStatus::Failed { .. }) | None if has_ended => self.after_the_end(),
            None => self.ask(attempt),
            Some(_) if attempt.waited < rules.stopped_within => NextStep::Wait,
            Some(_) => {
                let (job, within) = (self.job, rules.stopped_within);
                fail(Some(job), format!("job {job} did not stop within {within:?}; it may still stop"))
            }
        }
    }

    fn stopped(&self, savepoint: String) -> NextStep {
        NextStep::Enter(Phase::Stopped {
            job: Some(self.job.clone()),
            savepoint: Some(savepoint),
            message: None,
        })
    }

    /// Decides when the operation is unknown or failed with its job: the job itself may list its savepoint.
    fn after_the_end(&self) -> NextStep {
        let job = self.job;
        match (self.state, self.savepoint) {
            (Some(JobState::Finished), Some(savepoint)) => self.stopped(savepoint.clone()),
            (Some(state), _) => fail(
                Some(job),
                format!("job {job} is {state:?} and left no savepoint; nothing was submitted"),
            ),
            (None, _) => fail(
                Some(job),
                format!("Flink no longer knows job {job}, which was to be stopped; nothing was submitted"),
            ),
        }
    }

    fn ask(&self, attempt: &Attempt) -> NextStep {
        match &attempt.refused {
            Some(refused) => {
                let job = self.job;
                give_up(
                    Some(job),
                    format!("Flink refused to stop job {job}, which keeps running unchanged: {refused}"),
                )
            }
            None => NextStep::Act(Effect::Stop { job: self.job.clone(), trigger: self.trigger.clone() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Observation;
    use crate::machine::fixture::{Situation, document, job};

    fn stopping() -> Situation {
        let mut situation = Situation::after(&document(1, ""), &job(7), &document(2, ""));
        situation.enter(Phase::Stopping { job: job(7), trigger: TriggerId::from_bytes([5; 16]) });
        situation
    }

    fn completed() -> Option<SavepointStatus> {
        Some(SavepointStatus::Completed { location: "savepoint".to_owned() })
    }

    fn failed() -> Option<SavepointStatus> {
        Some(SavepointStatus::Failed { cause: "disk full".to_owned() })
    }

    fn seen(
        operation: Option<SavepointStatus>,
        job: Option<JobState>,
        savepoint: Option<&str>,
    ) -> Observation {
        Observation::Stop { operation, job, savepoint: savepoint.map(str::to_owned) }
    }

    /// Goal: a stop is requested once Flink does not know it, and waited for; a job that keeps running is left alone, and one that may
    /// still stop is not called running.
    #[test]
    fn a_stop_is_requested_and_awaited() {
        let (running, progress) = (Some(JobState::Running), Some(SavepointStatus::InProgress));
        let keeps_running = "enter phase rolled-back, job 07070707: could not stop job 07070707070707070707070707070707, which \
                             keeps running unchanged: disk full";
        let late =
            "enter phase failed, job 07070707: job 07070707070707070707070707070707 did not stop within 10s";
        for (operation, state, waited_s, expected) in [
            (None, running, 99, "stop job 07070707 with a savepoint"),
            (progress.clone(), running, 9, "wait"),
            (progress.clone(), Some(JobState::Finished), 0, "wait"),
            (progress.clone(), running, 10, late),
            (progress, running, 11, late),
            // The savepoint is complete, and the job is about to end.
            (completed(), running, 9, "wait"),
            (completed(), running, 10, late),
            (failed(), running, 0, keeps_running),
        ] {
            stopping().waited(waited_s).check(&seen(operation, state, None), expected);
        }
        let mut refused = stopping();
        refused.attempt.refused = Some("no state backend".to_owned());
        let expected = "enter phase rolled-back, job 07070707: Flink refused to stop job";
        refused.check(&seen(None, running, None), expected);
    }

    /// Goal: a job that has ended goes on from its savepoint, as the operation or the job itself names it; without one nothing is submitted.
    #[test]
    fn a_job_that_has_ended_has_its_savepoint() {
        let finished = Some(JobState::Finished);
        for (operation, state, listed, expected) in [
            (completed(), finished, None, "savepoint"),
            (completed(), None, None, "savepoint"),
            (failed(), finished, Some("listed"), "listed"),
            (None, finished, Some("listed"), "listed"),
        ] {
            let (job, savepoint) = (Some(job(7)), Some(expected.to_owned()));
            let step = stopping().next(&seen(operation, state, listed));
            assert_eq!(step, NextStep::Enter(Phase::Stopped { job, savepoint, message: None }));
        }
        let unknown = "enter phase failed, job 07070707: Flink no longer knows job";
        let none_left = "enter phase failed, job 07070707: job 07070707070707070707070707070707 is";
        for (operation, state, listed, expected) in [
            (None, None, None, unknown),
            (failed(), None, Some("listed"), unknown),
            (None, finished, None, none_left),
            (failed(), finished, None, none_left),
            (None, Some(JobState::Failed), Some("listed"), none_left),
        ] {
            stopping().check(&seen(operation, state, listed), expected);
        }
    }
}
