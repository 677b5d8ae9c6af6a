//! The model of a parallelism change, from the request to the running tasks.
//!
//! ```text
//! running ── request ──> ordered ── task managers, checkpoint ──> down ── outage ──> running, warming up
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::conditions::{ChangeMethod, Conditions};
use crate::job::Job;
use crate::random::Random;

/// An outage shorter than this is over, in seconds.
const OVER_S: f64 = 1e-9;
/// Capacity of freshly started tasks, as a fraction of their warm capacity.
const COLD: f64 = 0.6;

/// Phase of a change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Phase {
    /// No change is in progress.
    Running,
    /// A change was requested; the job runs as before.
    Ordered {
        /// When the job will be stopped, in seconds since the start.
        stop_at_s: f64,
    },
    /// No task runs.
    Down {
        /// Remaining outage, in seconds.
        left_s: f64,
    },
}

/// A change of a real job, to be repeated in the model.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedChange {
    /// Parallelism afterwards, by operator.
    pub parallelism: Vec<u32>,
    /// When the tasks stopped, in seconds since the start.
    pub stop_at_s: f64,
    /// Length of the outage, in seconds.
    pub outage_s: f64,
}

/// A completed change.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Time of the request, in seconds since the start.
    pub requested_s: usize,
    /// When the tasks stopped, in seconds since the start.
    pub stopped_s: f64,
    /// The second in which the tasks ran again.
    pub completed_s: usize,
    /// Length of the outage, in seconds.
    pub outage_s: f64,
    /// Largest backlog from the request until the tasks ran again, in records.
    pub backlog_peak: f64,
    /// Parallelism before the change.
    pub before: Vec<u32>,
    /// Requested parallelism.
    pub wanted: Vec<u32>,
    /// Parallelism after the change.
    pub after: Vec<u32>,
    /// The three by operator name, for snapshots.
    pub parallelism: OperatorParallelism,
}

/// Parallelism by operator name before a change, as requested, and after it.
#[derive(Debug, Clone, PartialEq)]
pub struct OperatorParallelism {
    /// Before the change.
    pub before: Arc<BTreeMap<String, u32>>,
    /// As requested.
    pub wanted: Arc<BTreeMap<String, u32>>,
    /// After the change.
    pub after: Arc<BTreeMap<String, u32>>,
}

impl Change {
    /// Whether the job reached the requested parallelism.
    pub fn succeeded(&self) -> bool {
        self.after == self.wanted
    }
}

/// The change in progress and the completed ones.
#[derive(Debug, Clone)]
pub(crate) struct Changes {
    phase: Phase,
    wanted: Vec<u32>,
    requested_s: usize,
    /// Length of the outage to come, if it is known.
    recorded_outage_s: Option<f64>,
    stopped_s: f64,
    outage_s: f64,
    backlog_peak: f64,
    task_managers: u32,
    /// First second after the newest change, if there was one.
    restarted_s: Option<usize>,
    over: Vec<Change>,
    random: Random,
}

/// How a second passes for the tasks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Advance {
    /// Fraction of the second in which tasks run that a change has stopped or will stop.
    pub(crate) before: f64,
    /// Capacity of those tasks as a fraction of their warm capacity.
    pub(crate) warmth_before: f64,
    /// Fraction of the second in which the tasks of the present parallelism run.
    pub(crate) available: f64,
    /// The tasks stop within this second.
    pub(crate) stopped: bool,
    /// The tasks run again within this second.
    pub(crate) completed: bool,
}

impl Advance {
    /// Returns the fraction of the second in which tasks run.
    pub(crate) fn running(&self) -> f64 {
        self.before + self.available
    }

    /// Returns the mean over the running tasks of a figure of those that stop and of the present ones.
    pub(crate) fn mean(&self, before: f64, present: f64) -> f64 {
        if self.before == 0.0 {
            return present;
        }
        (before * self.before + present * self.available) / self.running()
    }
}

impl Changes {
    pub(crate) fn new(task_managers: u32, seed: u64) -> Self {
        Self {
            phase: Phase::Running,
            wanted: Vec::new(),
            requested_s: 0,
            recorded_outage_s: None,
            stopped_s: 0.0,
            outage_s: 0.0,
            backlog_peak: 0.0,
            task_managers,
            restarted_s: None,
            over: Vec::new(),
            random: Random::new(seed, "changes"),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    pub(crate) fn over(&self) -> &[Change] {
        &self.over
    }

    pub(crate) fn restarted_s(&self) -> Option<usize> {
        self.restarted_s
    }

    pub(crate) fn task_managers(&self) -> u32 {
        self.task_managers
    }

    /// Starts a change, unless one is in progress. The tasks stop at the beginning of a second.
    pub(crate) fn request(
        &mut self,
        now_s: usize,
        wanted: Vec<u32>,
        slots: u32,
        conditions: &Conditions,
    ) -> bool {
        if self.phase != Phase::Running {
            return false;
        }
        let needed = slots.div_ceil(conditions.slots.per_task_manager.max(1));
        let start_s = if needed > self.task_managers { conditions.slots.task_manager_start_s } else { 0 };
        self.task_managers = self.task_managers.max(needed);
        let ChangeMethod { wait_s, .. } = conditions.change;
        let wait_s = f64::from(start_s) + self.random.between(wait_s.0, wait_s.1);
        self.phase = Phase::Ordered { stop_at_s: (seconds(now_s) + wait_s).ceil() };
        (self.wanted, self.requested_s, self.backlog_peak) = (wanted, now_s, 0.0);
        true
    }

    /// Starts a change with known times, unless one is in progress.
    pub(crate) fn request_recorded(
        &mut self,
        now_s: usize,
        change: RecordedChange,
        slots: u32,
        conditions: &Conditions,
    ) -> bool {
        let is_accepted = self.request(now_s, change.parallelism, slots, conditions);
        if is_accepted {
            self.phase = Phase::Ordered { stop_at_s: change.stop_at_s };
            self.recorded_outage_s = Some(change.outage_s);
        }
        is_accepted
    }

    /// Returns the wanted parallelism if its slots are held for the job, which begins one second before the stop.
    pub(crate) fn holds_wanted(&self, now_s: usize) -> Option<&[u32]> {
        let holds = match self.phase {
            Phase::Running => false,
            Phase::Ordered { stop_at_s } => seconds(now_s) >= stop_at_s - 1.0,
            Phase::Down { .. } => true,
        };
        holds.then_some(self.wanted.as_slice())
    }

    /// Simulates one second; sets `parallelism` to the wanted one when the change completes.
    pub(crate) fn advance(
        &mut self,
        now_s: usize,
        parallelism: &mut Vec<u32>,
        job: &Job,
        conditions: &Conditions,
    ) -> Advance {
        let warmth_before = self.warmth(now_s, conditions);
        let mut stopped = false;
        let mut before = 0.0;
        if let Phase::Ordered { stop_at_s } = self.phase
            && seconds(now_s + 1) > stop_at_s
        {
            before = (stop_at_s - seconds(now_s)).max(0.0);
            self.stopped_s = seconds(now_s) + before;
            let (low, high) = conditions.change.outage_s;
            let drawn_s = self.random.between(low, high);
            self.outage_s = self.recorded_outage_s.take().unwrap_or(drawn_s);
            self.phase = Phase::Down { left_s: self.outage_s };
            stopped = true;
        }
        let Phase::Down { left_s } = self.phase else {
            return Advance { before, warmth_before, available: 1.0, stopped, completed: false };
        };
        let used = left_s.min(1.0 - before);
        let left_s = left_s - used;
        let completed = left_s <= OVER_S;
        if completed {
            self.complete(now_s, parallelism, job, conditions);
        } else {
            self.phase = Phase::Down { left_s };
        }
        Advance { before, warmth_before, available: 1.0 - before - used, stopped, completed }
    }

    fn complete(&mut self, now_s: usize, parallelism: &mut Vec<u32>, job: &Job, conditions: &Conditions) {
        let before = parallelism.clone();
        if self.random.uniform() >= conditions.faults.failing_changes {
            parallelism.clone_from(&self.wanted);
        }
        let parallelism_by_name = OperatorParallelism {
            before: Arc::new(job.named(&before)),
            wanted: Arc::new(job.named(&self.wanted)),
            after: Arc::new(job.named(parallelism)),
        };
        self.over.push(Change {
            requested_s: self.requested_s,
            stopped_s: self.stopped_s,
            completed_s: now_s,
            outage_s: self.outage_s,
            backlog_peak: self.backlog_peak,
            before,
            wanted: std::mem::take(&mut self.wanted),
            after: parallelism.clone(),
            parallelism: parallelism_by_name,
        });
        self.phase = Phase::Running;
        self.restarted_s = Some(now_s + 1);
    }

    /// Records the backlog of a second while a change is in progress.
    pub(crate) fn note_backlog(&mut self, backlog: f64) {
        if self.phase != Phase::Running {
            self.backlog_peak = self.backlog_peak.max(backlog);
        }
    }

    /// Releases the task managers that this many slots do not need.
    pub(crate) fn release(&mut self, slots: u32, conditions: &Conditions) {
        self.task_managers = slots.div_ceil(conditions.slots.per_task_manager.max(1));
    }

    /// Returns the tasks' capacity in this second as a fraction of their warm capacity.
    pub(crate) fn warmth(&self, now_s: usize, conditions: &Conditions) -> f64 {
        let Some(restarted_s) = self.restarted_s else { return 1.0 };
        let (age_s, warm_up_s) =
            (seconds(now_s + 1 - restarted_s.min(now_s + 1)), conditions.change.warm_up_s);
        if age_s > warm_up_s { 1.0 } else { COLD + (1.0 - COLD) * age_s / warm_up_s.max(OVER_S) }
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds of a run")]
pub(crate) fn seconds(count: usize) -> f64 {
    count as f64
}
