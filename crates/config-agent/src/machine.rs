//! What to do next: a pure function of what was journalled and what Flink shows.
//!
//! The agent repeats: ask the [`question`] of the phase, give the answer to [`next`], do what it says. All knowledge of how
//! to go on after a crash is here, because going on and going on after a crash are the same thing: nothing is remembered but
//! the phase, and every phase first looks at what is already there.
//!
//! No IO and no clock: the time that a phase has lasted is an argument.

mod begin;
mod in_place;
mod nodes;
mod restore;
mod start;
mod stop;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use flink::{JobId, JobState, SavepointStatus, TaskManager, TriggerId, Vertex, VertexId};
use jiff::Timestamp;
use job_config::JobDocument;

use self::begin::begin;
use self::in_place::{Found, rescale, rescale_back};
pub use self::nodes::PoolNode;
use self::restore::{cancel_failed, restore};
use self::start::{settle, start};
use self::stop::Stop;
use crate::ids::submission_id;
use crate::ledger::{Change, Lineage};
use crate::phase::Phase;

/// What must be known of Flink before the next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Nothing: the next step follows from the journal alone.
    Nothing,
    /// Which jobs have the name, and what became of the last one that we know.
    Jobs {
        /// The job that was stopped or submitted last.
        last: Option<JobId>,
        /// Whether it matters which task managers there are.
        with_nodes: bool,
        /// Whether it matters how wide the job that runs shall be.
        with_widths: bool,
    },
    /// Which task managers there are.
    Nodes {
        /// And how this job stands.
        job: Option<JobId>,
    },
    /// How a stop stands.
    Stop {
        /// The job to stop.
        job: JobId,
        /// The id of the stop.
        trigger: TriggerId,
    },
    /// With which parallelism a job runs.
    Vertices {
        /// The job.
        job: JobId,
        /// When the present phase began: failures since then are looked for.
        since: Timestamp,
    },
    /// How a submitted job stands.
    Submission {
        /// The job.
        job: JobId,
        /// A job that was given up for it, and may come to life all the same.
        rival: Option<JobId>,
    },
    /// What a failed job left behind.
    Remains {
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
        /// The registered task managers, if they matter.
        registered: Vec<TaskManager>,
        /// The vertices of the only job, as wide as they shall be, if that matters and Flink tells it.
        wanted: Option<Vec<Vertex>>,
    },
    /// To [`Question::Nodes`].
    Nodes {
        /// The registered task managers.
        registered: Vec<TaskManager>,
        /// How the job stands.
        submission: Option<Submission>,
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
    /// To [`Question::Vertices`].
    Vertices {
        /// How the job stands.
        submission: Submission,
        /// Its vertices.
        vertices: Vec<Vertex>,
        /// Why it failed since the phase began, newest first.
        failures: Vec<String>,
    },
    /// To [`Question::Submission`].
    Submission {
        /// How the job stands.
        submission: Submission,
        /// Whether the rival is alive.
        rival_lives: bool,
    },
    /// To [`Question::Remains`].
    Remains {
        /// The job; `None` if Flink does not know it.
        job: Option<JobState>,
        /// Checkpoints that it completed.
        checkpoints: u64,
        /// Where its newest state lies, if it was kept.
        newest_state: Option<String>,
    },
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
    /// Whether the present phase's request was answered well.
    pub asked: bool,
    /// Whether Flink has taken the document and the jar on trial.
    pub checked: bool,
    /// What Flink refused to do, and why: to ask again would be of no use.
    pub refused: Option<String>,
    /// The last reason why something could not be asked at all.
    pub trouble: Option<String>,
    /// The nodes that were asked to start, with the reason if their command failed.
    pub started: BTreeMap<String, Option<String>>,
    /// The nodes that were asked to stop, with the reason if their command failed.
    pub stopped: BTreeMap<String, Option<String>>,
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
    /// For all tasks of the job that is put back after a failed one to run.
    pub restored_within: Duration,
    /// So many failures of a job since the beginning of a change in place, or of the way back, end it.
    pub in_place_failures: u32,
    /// How long all tasks of a new job must go on running for the change to count as good; zero: not at all.
    pub grace: Duration,
    /// Whether a new job that fails gives way to the document before it.
    pub roll_back: bool,
    /// So many failed changes in a row open the circuit breaker.
    pub breaker_failures: u32,
    /// For so long no change is begun after the last of them.
    pub breaker_pause: Duration,
    /// Whether to begin without state if the job that we know is gone, and its state with it.
    pub start_fresh_if_lost: bool,
    /// Whether there is a program to submit. Without one a running job can only be rescaled in place.
    pub can_submit: bool,
    /// The nodes that can be started and stopped, in the order in which they are started.
    pub pool: Vec<PoolNode>,
    /// For started nodes to register with their slots, and for stopped ones to go.
    pub nodes_within: Duration,
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
    /// Have the running job take this parallelism.
    Rescale {
        /// The job.
        job: JobId,
        /// Of the vertices that change; the others keep what they require.
        parallelism: BTreeMap<VertexId, u32>,
    },
    /// End the job without a savepoint.
    Cancel {
        /// The job to end.
        job: JobId,
    },
    /// Submit the job of the document that [`to_run`] names.
    Submit {
        /// The id of the new job.
        job: JobId,
        /// The state to begin from.
        savepoint: Option<String>,
    },
    /// Have a node of the pool start its task manager.
    StartNode {
        /// The node.
        node: String,
    },
    /// Have a node of the pool stop its task manager.
    StopNode {
        /// The node.
        node: String,
    },
}

/// For the log, behind "asking Flink to".
impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Check => write!(f, "build the job's graph on trial"),
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
            Self::StartNode { node } => write!(f, "have node {node} start its task manager"),
            Self::StopNode { node } => write!(f, "have node {node} stop its task manager"),
        }
    }
}

/// For the log, behind "would".
impl fmt::Display for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enter(phase) => write!(f, "go on to: {phase}"),
            Self::Act(effect) => write!(f, "ask Flink to {effect}"),
            Self::Wait => write!(f, "wait"),
        }
    }
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
pub fn question(change: &Change, lineage: &Lineage, rules: &Rules) -> Question {
    match &change.phase {
        Phase::Received | Phase::NodesStarted { .. } => Question::Jobs {
            last: lineage.job.clone(),
            with_nodes: change.document.task_managers().is_some() && !rules.pool.is_empty(),
            with_widths: in_place::may_be_adopted(change, lineage),
        },
        Phase::StartingNodes { .. } => Question::Nodes { job: None },
        Phase::StoppingNodes { end, .. } => Question::Nodes { job: end.job().cloned() },
        Phase::Stopping { job, trigger } => Question::Stop { job: job.clone(), trigger: trigger.clone() },
        Phase::Submitting { job, .. } | Phase::Settling { job } => {
            Question::Submission { job: job.clone(), rival: None }
        }
        Phase::Restoring { job, .. } => {
            Question::Submission { job: job.clone(), rival: lineage.abandoned.back().cloned() }
        }
        Phase::Rescaling { job } | Phase::RescalingBack { job, .. } => {
            Question::Vertices { job: job.clone(), since: change.since }
        }
        Phase::RollingBack { failed, .. } => Question::Remains { job: failed.clone() },
        Phase::Stopped { .. } | Phase::Running { .. } | Phase::RolledBack { .. } | Phase::Failed { .. } => {
            Question::Nothing
        }
    }
}

/// The document whose job is to be checked or submitted in this phase.
pub fn to_run<'a>(change: &'a Change, lineage: &'a Lineage) -> &'a JobDocument {
    match (&change.phase, &lineage.document) {
        (Phase::Restoring { .. }, Some(before)) => before,
        _ => &change.document,
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
    let now = Now { change, lineage, attempt, rules };
    match now.step(seen) {
        Next::Enter(end) if end.is_final() => nodes::conclude(now, end),
        step => step,
    }
}

/// Everything that a step may depend on, beside what Flink shows.
#[derive(Clone, Copy)]
struct Now<'a> {
    change: &'a Change,
    lineage: &'a Lineage,
    attempt: &'a Attempt,
    rules: &'a Rules,
}

impl Now<'_> {
    fn step(self, seen: &Observation) -> Next {
        let Self { change, lineage, attempt, rules } = self;
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
                let stop = Stop { job, trigger, state: *state, savepoint: savepoint.as_ref() };
                stop.next(operation.as_ref(), attempt, rules)
            }
            (Phase::Stopped { savepoint, .. }, _) => Next::Enter(Phase::Submitting {
                job: submission_id(&change.document),
                savepoint: savepoint.clone(),
            }),
            (Phase::Submitting { job, savepoint }, Observation::Submission { submission, .. }) => {
                start(change, lineage, (job, savepoint.as_ref()), submission, attempt, rules)
            }
            (Phase::Rescaling { job }, Observation::Vertices { submission, vertices, failures }) => {
                rescale(self, job, &Found { submission, vertices, failures })
            }
            (
                Phase::RescalingBack { job, message },
                Observation::Vertices { submission, vertices, failures },
            ) => rescale_back(self, job, message, &Found { submission, vertices, failures }),
            (Phase::Settling { job }, Observation::Submission { submission, .. }) => {
                settle(change, lineage, job, submission, attempt, rules)
            }
            (
                Phase::RollingBack { failed, message },
                Observation::Remains { job: state, checkpoints, newest_state },
            ) => {
                let remains = restore::Remains { state: *state, checkpoints: *checkpoints, newest_state };
                cancel_failed(change, (failed, message), &remains, attempt, rules)
            }
            (
                Phase::Restoring { job, savepoint, message },
                Observation::Submission { submission, rival_lives },
            ) => {
                let rival = lineage.abandoned.back().filter(|_| *rival_lives);
                restore((job, savepoint.as_ref()), message, (submission, rival), attempt, rules)
            }
            // The answer to another question: ask the right one.
            _ => Next::Wait,
        }
    }
}

/// The change ends, and nothing runs, or what runs is not known.
fn fail(job: Option<&JobId>, message: String) -> Next {
    Next::Enter(Phase::Failed { job: job.cloned(), message })
}

/// The change ends before anything was done to the job, which goes on as it was, if there is one.
fn leave(job: Option<&JobId>, message: String) -> Next {
    match job {
        Some(job) => Next::Enter(Phase::RolledBack { job: job.clone(), message }),
        None => fail(None, message),
    }
}
