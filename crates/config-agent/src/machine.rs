//! Decides the agent's next step: a pure function of the journal and Flink's observed state.
//!
//! The agent loops: ask the [`query`] of the phase, pass the answer to [`next`], take the returned step. Crash
//! recovery is the same code: only the phase is remembered, and every phase first checks what already exists.
//!
//! No IO and no clock: the time spent in a phase is an argument.

mod begin;
#[cfg(test)]
mod fixture;
mod in_place;
mod nodes;
mod restore;
mod start;
mod stop;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use flink::{JobId, JobState, SavepointStatus, TaskManager, TriggerId, Vertex, VertexId};
use jiff::Timestamp;
use job_config::JobDocument;

pub use self::begin::BREAKER_IS_OPEN;
use self::begin::begin;
use self::in_place::{ObservedJob, rescale, rescale_back};
pub use self::nodes::PoolNode;
use self::restore::{cancel_failed, restore};
use self::start::{settle, start};
use self::stop::ObservedStop;
use crate::ids::submission_id;
use crate::ledger::{Change, JobHistory};
use crate::phase::Phase;

/// What must be observed before the next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// Nothing: the next step follows from the journal alone.
    Nothing,
    /// Which jobs have the name, and how the last known one ended.
    Jobs {
        /// The job that was last stopped or submitted.
        last: Option<JobId>,
        /// Whether the registered task managers are needed.
        with_nodes: bool,
        /// Whether the running job's required parallelism is needed.
        with_requirements: bool,
    },
    /// Which task managers are registered.
    Nodes {
        /// A job whose state is needed too.
        job: Option<JobId>,
    },
    /// State of a stop-with-savepoint.
    Stop {
        /// The job to stop.
        job: JobId,
        /// Id of the stop operation.
        trigger: TriggerId,
    },
    /// Parallelism of a running job's vertices.
    Vertices {
        /// The job.
        job: JobId,
        /// Start of the current phase: failures since then count.
        since: Timestamp,
    },
    /// State of a submitted job.
    Submission {
        /// The job.
        job: JobId,
        /// A job abandoned in its favour, which may still start.
        rival: Option<JobId>,
    },
    /// What a failed job left behind.
    FailedJob {
        /// The job.
        job: JobId,
    },
}

/// Answer to a [`Query`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// To [`Query::Nothing`].
    Nothing,
    /// To [`Query::Jobs`].
    Jobs {
        /// The unfinished jobs of the name.
        alive: Vec<(JobId, JobState)>,
        /// How the last known job ended, if it has.
        last: Option<EndedJob>,
        /// The registered task managers, if needed.
        registered: Vec<TaskManager>,
        /// The vertices of the only job with their required parallelism, if needed and available.
        wanted: Option<Vec<Vertex>>,
    },
    /// To [`Query::Nodes`].
    Nodes {
        /// The registered task managers.
        registered: Vec<TaskManager>,
        /// State of the job.
        submission: Option<Submission>,
    },
    /// To [`Query::Stop`].
    Stop {
        /// The operation; `None` if Flink does not know it.
        operation: Option<SavepointStatus>,
        /// The job's state; `None` if Flink does not know it.
        job: Option<JobState>,
        /// Path of the job's newest savepoint, once the job has ended.
        savepoint: Option<String>,
    },
    /// To [`Query::Vertices`].
    Vertices {
        /// State of the job.
        submission: Submission,
        /// Its vertices.
        vertices: Vec<Vertex>,
        /// Its failures since the phase began, newest first.
        failures: Vec<String>,
    },
    /// To [`Query::Submission`].
    Submission {
        /// State of the job.
        submission: Submission,
        /// Whether the rival is running.
        rival_lives: bool,
    },
    /// To [`Query::FailedJob`].
    FailedJob {
        /// The job's state; `None` if Flink does not know it.
        job: Option<JobState>,
        /// Number of completed checkpoints.
        checkpoints: u64,
        /// Path of its newest retained state, if any.
        newest_state: Option<String>,
    },
}

/// A known job that no longer runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndedJob {
    /// Flink no longer knows it.
    Forgotten,
    /// It has ended.
    In {
        /// The state that it ended in.
        state: JobState,
        /// Path of its newest retained state, if any.
        newest_state: Option<String>,
    },
}

/// State of a submitted job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submission {
    /// Flink does not know a job with that id.
    Unknown,
    /// Not all tasks run yet.
    Starting {
        /// Its state.
        state: JobState,
        /// Its newest failure, if any.
        failure: Option<String>,
    },
    /// All tasks run.
    Running,
    /// It has ended.
    Ended {
        /// The state that it ended in.
        state: JobState,
        /// Its newest failure, if any.
        failure: Option<String>,
    },
}

/// Volatile state of the current phase in this run of the agent. Safe to lose.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attempt {
    /// Current time.
    pub now: Timestamp,
    /// Time in this phase during which Flink answered.
    pub waited: Duration,
    /// Whether the phase's request was accepted.
    pub asked: bool,
    /// Whether Flink has accepted the document and the jar in a dry run.
    pub checked: bool,
    /// Why Flink permanently rejected the request: a retry cannot help.
    pub refused: Option<String>,
    /// Reason of the last failed request.
    pub trouble: Option<String>,
    /// Nodes whose start command ran, with the error if it failed.
    pub started: BTreeMap<String, Option<String>>,
    /// Nodes whose stop command ran, with the error if it failed.
    pub stopped: BTreeMap<String, Option<String>>,
}

/// Timeouts, and policy where the journal and Flink leave a choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Timeout for a job to become stoppable.
    pub stoppable_within: Duration,
    /// Timeout of a stop-with-savepoint.
    pub stopped_within: Duration,
    /// Timeout for all tasks of a submitted job to run.
    pub running_within: Duration,
    /// Timeout for all tasks of a restored job to run.
    pub restored_within: Duration,
    /// Number of job failures during a change in place, or its rollback, that ends it.
    pub in_place_failures: u32,
    /// How long all tasks of a new job must keep running for the change to succeed; zero: no check.
    pub grace: Duration,
    /// Whether a failed new job is rolled back to the previous document.
    pub roll_back: bool,
    /// Consecutive failed changes that open the circuit breaker.
    pub breaker_failures: u32,
    /// How long an open circuit breaker blocks new changes, from the last failure.
    pub breaker_pause: Duration,
    /// Whether to start without state if the known job and its state are lost.
    pub start_fresh_if_lost: bool,
    /// Whether a program is configured. Without one, a running job can only be rescaled in place.
    pub can_submit: bool,
    /// Nodes that can be started and stopped, in start order.
    pub pool: Vec<PoolNode>,
    /// Timeout for started nodes to register their slots, and for stopped ones to unregister.
    pub nodes_within: Duration,
}

/// A request to Flink or a node. Every effect is idempotent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Upload the jar, and have Flink build the document's job graph without running it.
    Check,
    /// Stop the job with a savepoint.
    Stop {
        /// The job to stop.
        job: JobId,
        /// Id of the stop operation.
        trigger: TriggerId,
    },
    /// Rescale the running job in place.
    Rescale {
        /// The job.
        job: JobId,
        /// New parallelism of the vertices that change; others keep their requirement.
        parallelism: BTreeMap<VertexId, u32>,
    },
    /// Cancel the job without a savepoint.
    Cancel {
        /// The job to end.
        job: JobId,
    },
    /// Submit the job of the document that [`to_run`] names.
    Submit {
        /// Id of the new job.
        job: JobId,
        /// Path of the state to start from.
        savepoint: Option<String>,
    },
    /// Run the start command of a node of the pool.
    StartNode {
        /// Name of the node.
        node: String,
    },
    /// Run the stop command of a node of the pool.
    StopNode {
        /// Name of the node.
        node: String,
    },
}

/// For the log, after "asking Flink to".
impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Check => write!(f, "check that Flink can build the job's graph"),
            Self::Stop { job, .. } => write!(f, "stop job {} with a savepoint", job.short()),
            Self::Rescale { job, parallelism } => {
                let widths: Vec<String> =
                    parallelism.iter().map(|(id, p)| format!("{} → {p}", id.short())).collect();
                write!(f, "rescale job {}: {}", job.short(), widths.join(", "))
            }
            Self::Cancel { job } => write!(f, "cancel job {}", job.short()),
            Self::Submit { job, savepoint: Some(path) } => {
                write!(f, "run job {} from {path}", job.short())
            }
            Self::Submit { job, savepoint: None } => write!(f, "run job {} without state", job.short()),
            Self::StartNode { node } => write!(f, "start the task manager of node {node}"),
            Self::StopNode { node } => write!(f, "stop the task manager of node {node}"),
        }
    }
}

/// For the log, after "would".
impl fmt::Display for NextStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enter(phase) => write!(f, "enter phase {phase}"),
            Self::Act(effect) => write!(f, "{effect}"),
            Self::Wait => write!(f, "wait"),
        }
    }
}

/// The next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextStep {
    /// Journal this phase before any further request.
    Enter(Phase),
    /// Apply this effect.
    Act(Effect),
    /// Observe again later.
    Wait,
}

/// Returns what must be observed before the change's next step.
pub fn query(change: &Change, history: &JobHistory, rules: &Rules) -> Query {
    match &change.phase {
        Phase::Received | Phase::NodesStarted { .. } => Query::Jobs {
            last: history.job.clone(),
            with_nodes: change.document.task_managers().is_some() && !rules.pool.is_empty(),
            with_requirements: in_place::may_be_adopted(change, history),
        },
        Phase::StartingNodes { .. } => Query::Nodes { job: None },
        Phase::StoppingNodes { end, .. } => Query::Nodes { job: end.job().cloned() },
        Phase::Stopping { job, trigger } => Query::Stop { job: job.clone(), trigger: trigger.clone() },
        Phase::Submitting { job, .. } | Phase::Settling { job } => {
            Query::Submission { job: job.clone(), rival: None }
        }
        Phase::Restoring { job, .. } => {
            Query::Submission { job: job.clone(), rival: history.abandoned.back().cloned() }
        }
        Phase::Rescaling { job } | Phase::RescalingBack { job, .. } => {
            Query::Vertices { job: job.clone(), since: change.since }
        }
        Phase::RollingBack { failed, .. } => Query::FailedJob { job: failed.clone() },
        Phase::Stopped { .. } | Phase::Running { .. } | Phase::RolledBack { .. } | Phase::Failed { .. } => {
            Query::Nothing
        }
    }
}

/// Returns the document whose job is checked or submitted in this phase.
pub fn to_run<'a>(change: &'a Change, history: &'a JobHistory) -> &'a JobDocument {
    match (&change.phase, &history.document) {
        (Phase::Restoring { .. }, Some(before)) => before,
        _ => &change.document,
    }
}

/// Returns the change's next step; a finished change waits forever.
pub fn next(
    change: &Change,
    history: &JobHistory,
    seen: &Observation,
    attempt: &Attempt,
    rules: &Rules,
) -> NextStep {
    let context = StepContext { change, history, attempt, rules };
    match context.step(seen) {
        NextStep::Enter(end) if end.is_final() => nodes::conclude(context, end),
        step => step,
    }
}

/// Inputs of a step other than Flink's observed state.
#[derive(Clone, Copy)]
struct StepContext<'a> {
    change: &'a Change,
    history: &'a JobHistory,
    attempt: &'a Attempt,
    rules: &'a Rules,
}

impl StepContext<'_> {
    fn step(self, seen: &Observation) -> NextStep {
        let Self { change, history, attempt, rules } = self;
        match (&change.phase, seen) {
            (
                Phase::Received | Phase::NodesStarted { .. },
                Observation::Jobs { alive, last, registered, wanted },
            ) => {
                let begun = begin(self, alive, last.as_ref(), wanted.as_deref());
                nodes::before(self, registered, alive, begun)
            }
            (Phase::StartingNodes { job, nodes, failed, before }, Observation::Nodes { registered, .. }) => {
                nodes::starting(self, job.as_ref(), nodes, failed, *before, registered)
            }
            (Phase::StoppingNodes { wanted, nodes, end }, Observation::Nodes { registered, submission }) => {
                nodes::stopping(self, *wanted, nodes.as_deref(), end, registered, submission.as_ref())
            }
            (Phase::Stopping { job, trigger }, Observation::Stop { operation, job: state, savepoint }) => {
                let stop = ObservedStop { job, trigger, state: *state, savepoint: savepoint.as_ref() };
                stop.next(operation.as_ref(), attempt, rules)
            }
            (Phase::Stopped { savepoint, .. }, _) => NextStep::Enter(Phase::Submitting {
                job: submission_id(&change.document),
                savepoint: savepoint.clone(),
            }),
            (Phase::Submitting { job, savepoint }, Observation::Submission { submission, .. }) => {
                start(change, history, (job, savepoint.as_ref()), submission, attempt, rules)
            }
            (Phase::Rescaling { job }, Observation::Vertices { submission, vertices, failures }) => {
                rescale(self, job, &ObservedJob { submission, vertices, failures })
            }
            (
                Phase::RescalingBack { job, message },
                Observation::Vertices { submission, vertices, failures },
            ) => rescale_back(self, job, message, &ObservedJob { submission, vertices, failures }),
            (Phase::Settling { job }, Observation::Submission { submission, .. }) => {
                settle(change, history, job, submission, attempt, rules)
            }
            (
                Phase::RollingBack { failed, message },
                Observation::FailedJob { job: state, checkpoints, newest_state },
            ) => {
                let remains = restore::FailedJob { state: *state, checkpoints: *checkpoints, newest_state };
                cancel_failed(change, (failed, message), &remains, attempt, rules)
            }
            (
                Phase::Restoring { job, savepoint, message },
                Observation::Submission { submission, rival_lives },
            ) => {
                let rival = history.abandoned.back().filter(|_| *rival_lives);
                restore((job, savepoint.as_ref()), message, (submission, rival), attempt, rules)
            }
            // The answer to another query: observe again.
            _ => NextStep::Wait,
        }
    }
}

/// Ends the change as failed: no job runs, or what runs is unknown.
fn fail(job: Option<&JobId>, message: String) -> NextStep {
    NextStep::Enter(Phase::Failed { job: job.cloned(), message })
}

/// Ends the change before it affected the running job, if there is one.
fn give_up(job: Option<&JobId>, message: String) -> NextStep {
    match job {
        Some(job) => NextStep::Enter(Phase::RolledBack { job: job.clone(), message }),
        None => fail(None, message),
    }
}

/// Ends the change because Flink cannot build the job of its document, before it affected the running job, if there is one.
fn reject(job: Option<&JobId>, refused: &str) -> NextStep {
    let rest = job.map_or_else(
        || "no job with this name runs".to_owned(),
        |job| format!("job {job} keeps running unchanged"),
    );
    give_up(job, format!("Flink rejects the document: {refused}; {rest}"))
}
