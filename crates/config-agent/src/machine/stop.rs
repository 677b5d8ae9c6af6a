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
