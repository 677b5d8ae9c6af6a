//! What to do next: a pure function of what was journalled and what Flink shows.
//!
//! The agent repeats: ask the [`question`] of the phase, give the answer to [`next`], do what it says. All knowledge of how
//! to go on after a crash is here, because going on and going on after a crash are the same thing: nothing is remembered but
//! the phase, and every phase first looks at what is already there.
//!
//! No IO and no clock: the time that a phase has lasted is an argument.

use std::time::Duration;

use flink::{JobId, JobState, SavepointStatus, TriggerId};
use jiff::Timestamp;

use crate::ids::{stop_id, submission_id};
use crate::ledger::{Change, Lineage, Phase};

/// What must be known of Flink before the next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Nothing: the next step follows from the journal alone.
    Nothing,
    /// Which jobs have the name, and what became of the last one that we know.
    Jobs {
        /// The job that was stopped or submitted last.
        last: Option<JobId>,
    },
    /// How a stop stands.
    Stop {
        /// The job to stop.
        job: JobId,
        /// The id of the stop.
        trigger: TriggerId,
    },
    /// How a submitted job stands.
    Submission {
        /// The job.
        job: JobId,
    },
}

/// What Flink shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// Nothing was asked.
    Nothing,
    /// To [`Question::Jobs`].
    Jobs {
        /// The jobs of the name that have not ended.
        alive: Vec<(JobId, JobState)>,
        /// What became of the last job, if one is known and has ended.
        last: Option<Ended>,
    },
    /// To [`Question::Stop`].
    Stop {
        /// The operation; `None` if Flink does not know it (any more).
        operation: Option<SavepointStatus>,
        /// The job; `None` if Flink does not know it (any more).
        job: Option<JobState>,
        /// Where the job's newest savepoint lies, once the job has ended.
        savepoint: Option<String>,
    },
    /// To [`Question::Submission`].
    Submission(Submission),
}

/// A job that we know and that runs no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Flink does not know it any more.
    Forgotten,
    /// It has ended.
    In {
        /// The state that it ended in.
        state: JobState,
        /// Where its newest state lies, if it was kept.
        newest_state: Option<String>,
    },
}

/// How a submitted job stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submission {
    /// Flink does not know a job with that id.
    Unknown,
    /// On its way.
    Starting {
        /// Its state.
        state: JobState,
        /// Its newest failure, if it had one.
        failure: Option<String>,
    },
    /// All tasks run.
    Running,
    /// It has ended.
    Ended {
        /// The state that it ended in.
        state: JobState,
        /// Its newest failure, if it had one.
        failure: Option<String>,
    },
}

/// What this run of the agent remembers of the present phase. All of it may be lost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attempt {
    /// The clock.
    pub now: Timestamp,
    /// For how long Flink has answered in this phase.
    pub waited: Duration,
    /// Whether Flink has taken the document and the jar on trial.
    pub checked: bool,
    /// What Flink refused to do, and why: to ask again would be of no use.
    pub refused: Option<String>,
    /// The last reason why something could not be asked at all.
    pub trouble: Option<String>,
}

/// How long to wait, and what to do where the journal and Flink leave a choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// For a job to reach a state in which it can be stopped.
    pub stoppable_within: Duration,
    /// For a stop with savepoint to end.
    pub stopped_within: Duration,
    /// For all tasks of a submitted job to run.
    pub running_within: Duration,
    /// Whether to begin without state if the job that we know is gone, and its state with it.
    pub start_fresh_if_lost: bool,
}

/// What the agent asks of Flink. To ask twice is to ask once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Have the jar uploaded, and have Flink build the job's graph from the document without running it.
    Check,
    /// Stop the job with a savepoint.
    Stop {
        /// The job to stop.
        job: JobId,
        /// The id of the stop.
        trigger: TriggerId,
    },
    /// Submit the document's job.
    Submit {
        /// The id of the new job.
        job: JobId,
        /// The state to begin from.
        savepoint: Option<String>,
    },
}

/// The next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Write this down; nothing is asked of Flink before that.
    Enter(Phase),
    /// Ask this of Flink.
    Act(Effect),
    /// Look again after a while.
    Wait,
}

/// What must be known before the next step of this change.
pub fn question(change: &Change, lineage: &Lineage) -> Question {
    match &change.phase {
        Phase::Received => Question::Jobs { last: lineage.job.clone() },
        Phase::Stopping { job, trigger } => Question::Stop { job: job.clone(), trigger: trigger.clone() },
        Phase::Submitting { job, .. } => Question::Submission { job: job.clone() },
        Phase::Stopped { .. } | Phase::Running { .. } | Phase::Failed { .. } => Question::Nothing,
    }
}

/// The next step of this change. A change that is over waits for ever.
pub fn next(
    change: &Change,
    lineage: &Lineage,
    seen: &Observation,
    attempt: &Attempt,
    rules: &Rules,
) -> Next {
    match (&change.phase, seen) {
        (Phase::Received, Observation::Jobs { alive, last }) => {
            begin(change, lineage, alive, last.as_ref(), attempt, rules)
        }
        (Phase::Stopping { job, trigger }, Observation::Stop { operation, job: state, savepoint }) => {
            let stop = Stop { job, trigger, state: *state, savepoint: savepoint.as_ref() };
            stop.next(operation.as_ref(), attempt, rules)
        }
        (Phase::Stopped { savepoint, .. }, _) => Next::Enter(Phase::Submitting {
            job: submission_id(&change.document),
            savepoint: savepoint.clone(),
        }),
        (Phase::Submitting { job, savepoint }, Observation::Submission(seen)) => {
            start(job, savepoint.as_ref(), seen, attempt, rules)
        }
        // The answer to another question: ask the right one.
        _ => Next::Wait,
    }
}

fn fail(job: Option<&JobId>, message: String) -> Next {
    Next::Enter(Phase::Failed { job: job.cloned(), message })
}

fn begin(
    change: &Change,
    lineage: &Lineage,
    alive: &[(JobId, JobState)],
    last: Option<&Ended>,
    attempt: &Attempt,
    rules: &Rules,
) -> Next {
    let ours = submission_id(&change.document);
    let is_ours = matches!(alive, [(job, _)] if *job == ours);
    if let Some(expires_at) = change.document.expires_at()
        && change.document.is_expired(attempt.now)
        && !is_ours
    {
        return fail(None, format!("the document expired at {expires_at}, before anything was done for it"));
    }
    let [(job, state), others @ ..] = alive else {
        return begin_without_job(lineage, last, attempt, rules);
    };
    if !others.is_empty() {
        let ids: Vec<&str> = alive.iter().map(|(id, _)| id.as_str()).collect();
        let message = format!("several jobs of this name run ({}); stop all but one", ids.join(", "));
        return fail(None, message);
    }
    if is_ours {
        // Submitted by a run of the agent whose journal is gone.
        return Next::Enter(Phase::Submitting { job: ours, savepoint: None });
    }
    if let Some(refused) = &attempt.refused {
        return fail(
            Some(job),
            format!("Flink does not take the document: {refused}; job {job} goes on as it was"),
        );
    }
    if !attempt.checked {
        return Next::Act(Effect::Check);
    }
    if *state == JobState::Running {
        return Next::Enter(Phase::Stopping { job: job.clone(), trigger: stop_id(&change.document) });
    }
    if attempt.waited < rules.stoppable_within {
        return Next::Wait;
    }
    let within = rules.stoppable_within;
    fail(Some(job), format!("job {job} is {state:?} and did not run within {within:?}; it was not stopped"))
}

fn begin_without_job(lineage: &Lineage, last: Option<&Ended>, attempt: &Attempt, rules: &Rules) -> Next {
    if let Some(refused) = &attempt.refused {
        return fail(None, format!("Flink does not take the document: {refused}; no job of this name runs"));
    }
    if !attempt.checked {
        return Next::Act(Effect::Check);
    }
    let stopped = |savepoint: Option<String>, message: Option<String>| {
        Next::Enter(Phase::Stopped { job: lineage.job.clone(), savepoint, message })
    };
    let Some(job) = &lineage.job else {
        return stopped(None, None);
    };
    let (how, newest_state) = match last {
        None | Some(Ended::Forgotten) => ("is unknown to Flink".to_owned(), None),
        Some(Ended::In { state, newest_state }) => (format!("is {state:?}"), newest_state.clone()),
    };
    if let Some(state) = newest_state.or_else(|| lineage.savepoint.clone()) {
        let message = format!("no job of this name runs; job {job} {how}; going on from its newest state");
        return stopped(Some(state), Some(message));
    }
    if rules.start_fresh_if_lost {
        return stopped(
            None,
            Some(format!("job {job} {how}, and its state is lost; beginning without state")),
        );
    }
    let message = format!(
        "job {job} {how}, and no state of it is known; to begin without state set flink.start_fresh_if_lost, then publish the next generation"
    );
    fail(Some(job), message)
}

/// A stop that was journalled, and what Flink shows of its job.
struct Stop<'a> {
    job: &'a JobId,
    trigger: &'a TriggerId,
    state: Option<JobState>,
    savepoint: Option<&'a String>,
}

impl Stop<'_> {
    fn next(&self, operation: Option<&SavepointStatus>, attempt: &Attempt, rules: &Rules) -> Next {
        let has_ended = self.state.is_none_or(JobState::is_terminal);
        match operation {
            Some(SavepointStatus::Completed { location }) if has_ended => self.stopped(location.clone()),
            Some(SavepointStatus::Failed { cause }) if !has_ended => {
                let job = self.job;
                fail(Some(job), format!("job {job} could not be stopped and goes on as it was: {cause}"))
            }
            Some(SavepointStatus::Failed { .. }) | None if has_ended => self.after_the_end(),
            None => self.ask(attempt),
            Some(_) if attempt.waited < rules.stopped_within => Next::Wait,
            Some(_) => {
                let (job, within) = (self.job, rules.stopped_within);
                fail(Some(job), format!("job {job} has not stopped within {within:?}; it may still do so"))
            }
        }
    }

    fn stopped(&self, savepoint: String) -> Next {
        Next::Enter(Phase::Stopped { job: Some(self.job.clone()), savepoint: Some(savepoint), message: None })
    }

    /// The operation is gone, or failed because the job was: the job itself may remember its savepoint.
    fn after_the_end(&self) -> Next {
        let job = self.job;
        match (self.state, self.savepoint) {
            (Some(JobState::Finished), Some(savepoint)) => self.stopped(savepoint.clone()),
            (Some(state), _) => fail(
                Some(job),
                format!("job {job} is {state:?} and left no savepoint; nothing was submitted"),
            ),
            (None, _) => fail(
                Some(job),
                format!(
                    "job {job} was to be stopped, but Flink does not know it any more; nothing was submitted"
                ),
            ),
        }
    }

    fn ask(&self, attempt: &Attempt) -> Next {
        match &attempt.refused {
            Some(refused) => {
                let job = self.job;
                fail(
                    Some(job),
                    format!("Flink refused to stop job {job}, which goes on as it was: {refused}"),
                )
            }
            None => Next::Act(Effect::Stop { job: self.job.clone(), trigger: self.trigger.clone() }),
        }
    }
}

fn start(
    job: &JobId,
    savepoint: Option<&String>,
    seen: &Submission,
    attempt: &Attempt,
    rules: &Rules,
) -> Next {
    let in_time = attempt.waited < rules.running_within;
    let within = rules.running_within;
    let because =
        |failure: &Option<String>| failure.clone().unwrap_or_else(|| "Flink gives no reason".to_owned());
    match (seen, &attempt.refused) {
        (Submission::Running, _) => Next::Enter(Phase::Running { job: job.clone(), message: None }),
        (Submission::Ended { state: JobState::Finished, .. }, _) => {
            let message = Some("the job has already reached the end of its input".to_owned());
            Next::Enter(Phase::Running { job: job.clone(), message })
        }
        (Submission::Ended { state, failure }, _) => {
            fail(Some(job), format!("job {job} is {state:?}: {}", because(failure)))
        }
        (Submission::Starting { .. }, _) if in_time => Next::Wait,
        (Submission::Starting { state, failure }, _) => {
            let because = because(failure);
            fail(
                Some(job),
                format!("job {job} is {state:?}, not all of its tasks ran within {within:?}: {because}"),
            )
        }
        (Submission::Unknown, Some(refused)) => {
            fail(None, format!("Flink refused the submission: {refused}"))
        }
        (Submission::Unknown, None) if in_time => {
            Next::Act(Effect::Submit { job: job.clone(), savepoint: savepoint.cloned() })
        }
        (Submission::Unknown, None) => {
            let trouble = because(&attempt.trouble);
            fail(None, format!("the job could not be submitted within {within:?}: {trouble}"))
        }
    }
}
