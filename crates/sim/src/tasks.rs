//! The model's state of operators, sources and disturbances, and their development over a second.

use crate::change::seconds;
use crate::history::Reading;
use crate::job::ParallelismCapacity;
use crate::random::Random;

/// Amounts below this count as zero: records, or records per second.
pub(crate) const NONE: f64 = 1e-9;

/// One operator.
#[derive(Debug, Clone)]
pub(crate) struct Operator {
    /// Records in its buffers.
    pub(crate) queue: f64,
    pub(crate) noise: f64,
    pub(crate) random: Random,
    /// Records stored in its windows.
    pub(crate) stored: f64,
    /// Remaining duration of the current firing, in seconds.
    pub(crate) firing_left_s: f64,
    /// Records that this firing still has to emit.
    pub(crate) to_emit: f64,
    /// Duration of the fullest subtask's last firing since the tasks started, in seconds.
    pub(crate) last_firing_s: Option<f64>,
    /// Share of its acceptance that each input may use.
    pub(crate) input_shares: Vec<f64>,
    pub(crate) width: ParallelismCapacity,
    /// Of the tasks that the newest change has stopped.
    pub(crate) stopped_width: ParallelismCapacity,
    /// Each subtask's share of the input.
    pub(crate) shares: Vec<f64>,
    pub(crate) total: Reading,
}

/// One source.
#[derive(Debug, Clone)]
pub(crate) struct SourceState {
    pub(crate) operator: usize,
    pub(crate) first_partition: usize,
    /// Total arrived records at the end of each second.
    pub(crate) arrived: Vec<f64>,
    pub(crate) backlog: Vec<f64>,
    pub(crate) read: Vec<f64>,
    /// Records to be reprocessed.
    pub(crate) replay: f64,
    pub(crate) replay_rate_per_s: f64,
    /// Newest second whose records were all read.
    pub(crate) read_until_s: usize,
    /// Age of the oldest unread record, in seconds.
    pub(crate) oldest_s: f64,
}

/// Disturbances that begin at random.
#[derive(Debug, Clone)]
pub(crate) struct Period {
    pub(crate) random: Random,
    pub(crate) until_s: Option<usize>,
    pub(crate) factor: f64,
}

impl Operator {
    /// Continues a firing for this fraction of a second; returns the emitted records.
    pub(crate) fn fire(&mut self, firing: f64) -> f64 {
        let emitted = if self.firing_left_s > NONE {
            (self.to_emit * firing / self.firing_left_s).min(self.to_emit)
        } else {
            self.to_emit
        };
        self.firing_left_s = (self.firing_left_s - firing).max(0.0);
        self.to_emit -= emitted;
        emitted
    }

    /// Adds one second to the counters. `busy` is the true busy time of the fullest subtask.
    pub(crate) fn count(
        &mut self,
        records_in: f64,
        records_out: f64,
        busy: f64,
        is_held: bool,
        bias: f64,
        parallelism: u32,
    ) {
        let total = &mut self.total;
        total.records_in += records_in;
        total.records_out += records_out;
        total.busy_fullest_s += busy * bias;
        let evenness = if self.width.is_externally_limited {
            1.0
        } else {
            f64::from(parallelism) * self.width.fullest_share
        };
        total.busy_mean_s += busy * bias / evenness.max(NONE);
        total.backpressured_s += if is_held { (1.0 - busy).max(0.0) } else { 0.0 };
    }
}

impl SourceState {
    /// Updates the age of the oldest unread record; `behind` is the largest backlog of a partition over its weight.
    pub(crate) fn age(&mut self, now_s: usize, behind: f64) {
        let newest = now_s + 1;
        let read = self.arrived[newest.min(self.arrived.len() - 1)] - behind;
        let last = newest.min(self.arrived.len() - 1);
        while self.read_until_s < last && self.arrived[self.read_until_s + 1] <= read + 1e-3 {
            self.read_until_s += 1;
        }
        self.oldest_s = 0.0;
        if self.read_until_s < last {
            let (before, after) = (self.arrived[self.read_until_s], self.arrived[self.read_until_s + 1]);
            let part = ((read - before) / (after - before).max(NONE)).max(0.0);
            self.oldest_s = seconds(newest - self.read_until_s) - part;
        }
    }
}

impl Period {
    /// Starts a period, on average this often per hour, unless one is active.
    pub(crate) fn begin(&mut self, now_s: usize, per_h: f64, length_s: (usize, usize), factor: (f64, f64)) {
        if per_h > 0.0 && !self.is_on(now_s) && self.random.uniform() < per_h / 3600.0 {
            self.until_s = Some(now_s + self.random.whole(length_s.0, length_s.1));
            self.factor = self.random.between(factor.0, factor.1);
        }
    }

    pub(crate) fn is_on(&self, now_s: usize) -> bool {
        self.until_s.is_some_and(|until_s| now_s <= until_s)
    }
}
