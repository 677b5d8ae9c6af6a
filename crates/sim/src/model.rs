//! The simulation model: a job as a fluid, in steps of one second.
//!
//! A step traverses the graph twice. Upstream, each operator announces what it can accept: what it will handle and
//! its buffers. Downstream, each handles as much as its input, its capacity and its readers allow. The
//! rest is back-pressure and remains at the sources as backlog. Windows store records until they fire; a firing
//! blocks the operator's input and then emits.
//!
//! The latency of a second is the age of the oldest unread record plus the queues, firings and handling on its path.
//! So an outage counts from the moment that the oldest record is late, and a hot partition by its own backlog.

use crate::change::{Advance, Changes, Phase, RecordedChange, seconds};
use crate::history::{History, JobReading, PartitionReading, Reading};
use crate::job::ParallelismCapacity;
use crate::random::Random;
use crate::scenario::Trial;
use crate::tasks::{NONE, Operator, Period, SourceState};

/// Autocorrelation of capacity per second, and the innovation that keeps its deviation constant.
const CAPACITY_MEMORY: f64 = 0.9;
const CAPACITY_KICK: f64 = 0.435_889_894_354_067_4;
/// Lower bound of the capacity noise factor.
const CAPACITY_LEAST: f64 = 0.5;
/// Tasks report completely only this long after their start, in seconds.
const INCOMPLETE_S: usize = 2;
/// Time before the stop over which the rate of reprocessed records is averaged, in seconds.
const REPLAY_RATE_S: usize = 10;

/// Values of each operator within one step.
#[derive(Debug, Clone, Default)]
struct FlowStep {
    /// Records that it can handle in this second.
    capacity: Vec<f64>,
    /// Fraction of the second spent firing.
    firing: Vec<f64>,
    /// Records that it can emit downstream.
    movable: Vec<f64>,
    /// Records that it can accept.
    accepted: Vec<f64>,
    arriving: Vec<f64>,
    handled: Vec<f64>,
    per_subtask: Vec<f64>,
}

impl FlowStep {
    fn new(operators: usize) -> Self {
        let none = || vec![0.0; operators];
        Self {
            capacity: none(),
            firing: none(),
            movable: none(),
            accepted: none(),
            arriving: none(),
            handled: none(),
            per_subtask: Vec::new(),
        }
    }
}

/// Returns an operator in its initial state.
fn new_operator(
    shape: &crate::job::Operator,
    width: ParallelismCapacity,
    parallelism: u32,
    seed: u64,
) -> Operator {
    Operator {
        queue: 0.0,
        noise: 1.0,
        random: Random::new(seed, &format!("capacity of {}", shape.name)),
        stored: 0.0,
        firing_left_s: 0.0,
        to_emit: 0.0,
        last_firing_s: None,
        input_shares: vec![1.0 / seconds(shape.inputs.len().max(1)); shape.inputs.len()],
        width,
        stopped_width: width,
        shares: shape.shares(parallelism),
        total: Reading::default(),
    }
}

/// Returns the job's sources in their initial state; their partitions are numbered in this order.
fn new_sources(trial: &Trial) -> Vec<SourceState> {
    let mut first_partition = 0;
    let source = |(source, operator): (usize, &usize)| {
        let count = trial.job.operators()[*operator].max_parallelism().unwrap_or(1) as usize;
        let rates = trial.load.rates_per_s[source].iter();
        let sums = rates.scan(0.0, |sum, rate| {
            *sum += rate;
            Some(*sum)
        });
        let new = SourceState {
            operator: *operator,
            first_partition,
            arrived: std::iter::once(0.0).chain(sums).collect(),
            backlog: vec![0.0; count],
            read: vec![0.0; count],
            replay: 0.0,
            replay_rate_per_s: 0.0,
            read_until_s: 0,
            oldest_s: 0.0,
        };
        first_partition += count;
        new
    };
    trial.job.sources().iter().enumerate().map(source).collect()
}

/// A job under load.
#[derive(Debug, Clone)]
pub struct Model<'a> {
    trial: &'a Trial,
    now_s: usize,
    parallelism: Vec<u32>,
    operators: Vec<Operator>,
    sources: Vec<SourceState>,
    changes: Changes,
    slow: Period,
    gap: Period,
    step: FlowStep,
    history: History,
    latency_s: Vec<f64>,
    slots: Vec<u32>,
}

impl<'a> Model<'a> {
    /// Creates the job's initial state with this parallelism.
    pub fn new(trial: &'a Trial, parallelism: &[u32]) -> Self {
        let (job, seed) = (&trial.job, trial.seed);
        let parallelism = job.bounded(parallelism);
        let shapes = job.operators().iter().zip(&parallelism).enumerate();
        let operators: Vec<Operator> =
            shapes.map(|(index, (shape, p))| new_operator(shape, *job.width(index, *p), *p, seed)).collect();
        let sources = new_sources(trial);
        let partitions = sources.iter().map(|source| source.backlog.len()).sum();
        let period = |purpose| Period { random: Random::new(seed, purpose), until_s: None, factor: 1.0 };
        let task_managers = job.slots(&parallelism).div_ceil(trial.conditions.slots.per_task_manager.max(1));
        Self {
            trial,
            now_s: 0,
            parallelism,
            changes: Changes::new(task_managers, seed),
            slow: period("slow task managers"),
            gap: period("metric gaps"),
            step: FlowStep::new(operators.len()),
            history: History::new(operators.len(), partitions),
            operators,
            sources,
            latency_s: Vec::with_capacity(trial.duration_s()),
            slots: Vec::with_capacity(trial.duration_s()),
        }
    }

    /// Requests a new parallelism, by operator. Returns `false` and does nothing while a change is in progress, or if
    /// nothing would change.
    pub fn request(&mut self, plan: &[u32]) -> bool {
        let wanted = self.trial.job.bounded(plan);
        if wanted == self.parallelism {
            return false;
        }
        let slots = self.trial.job.slots(&wanted);
        self.changes.request(self.now_s, wanted, slots, &self.trial.conditions)
    }

    /// Begins a change that was observed, with its times instead of random ones. Returns `false` and does nothing while
    /// a change is in progress.
    pub fn request_recorded(&mut self, change: &RecordedChange) -> bool {
        let wanted = self.trial.job.bounded(&change.parallelism);
        let slots = self.trial.job.slots(&wanted);
        let recorded = RecordedChange { parallelism: wanted, ..change.clone() };
        self.changes.request_recorded(self.now_s, recorded, slots, &self.trial.conditions)
    }

    /// Simulates one second.
    pub fn step(&mut self) {
        let advance = self.change();
        let running = advance.running();
        self.vary_capacities(advance);
        self.accept(running);
        self.step.arriving.fill(0.0);
        let mut source = 0;
        for index in 0..self.operators.len() {
            if self.sources.get(source).is_some_and(|source| source.operator == index) {
                self.read(source, running);
                source += 1;
            } else {
                self.handle(index, running);
            }
        }
        self.balance_inputs();
        self.account();
        self.now_s += 1;
    }

    /// Advances the change in progress.
    fn change(&mut self) -> Advance {
        let conditions = &self.trial.conditions;
        let now_s = self.now_s;
        let advance = self.changes.advance(now_s, &mut self.parallelism, &self.trial.job, conditions);
        if advance.stopped {
            let from_s = now_s.saturating_sub(REPLAY_RATE_S);
            for source in &mut self.sources {
                let read = |second| self.history.reading(source.operator, second).records_in;
                source.replay_rate_per_s = (read(now_s) - read(from_s)) / seconds(REPLAY_RATE_S);
            }
        }
        if advance.completed {
            for source in &mut self.sources {
                source.replay += source.replay_rate_per_s * conditions.change.replay_s;
            }
            for (index, operator) in self.operators.iter_mut().enumerate() {
                operator.stopped_width = operator.width;
                operator.width = *self.trial.job.width(index, self.parallelism[index]);
                operator.shares = self.trial.job.operators()[index].shares(self.parallelism[index]);
                operator.last_firing_s = None;
            }
            self.changes.release(self.trial.job.slots(&self.parallelism), conditions);
        }
        advance
    }

    /// Computes each operator's capacity in this second and its firing time.
    fn vary_capacities(&mut self, advance: Advance) {
        let conditions = &self.trial.conditions;
        let warmth = self.changes.warmth(self.now_s, conditions);
        self.slow.begin(self.now_s, conditions.faults.slow_task_managers_per_h, (60, 300), (0.7, 0.9));
        let slow = if self.slow.is_on(self.now_s) { self.slow.factor } else { 1.0 };
        let kick = conditions.faults.capacity_noise * CAPACITY_KICK;
        for (index, operator) in self.operators.iter_mut().enumerate() {
            let shape = &self.trial.job.operators()[index];
            let varied = 1.0 + CAPACITY_MEMORY * (operator.noise - 1.0) + kick * operator.random.normal();
            operator.noise = varied.max(CAPACITY_LEAST);
            let noise = operator.noise;
            let own = |ParallelismCapacity { subtask_rate_per_s, fullest_share, .. }, warmth| {
                subtask_rate_per_s * noise * warmth * slow / fullest_share
            };
            let stopped = if advance.completed { operator.stopped_width } else { operator.width };
            let own_per_s = advance.mean(own(stopped, advance.warmth_before), own(operator.width, warmth));
            let limit_per_s =
                shape.external_limit_per_s.map_or(f64::INFINITY, |limit| limit * operator.noise);
            let mut free = advance.running();
            if let Some(window) = shape.window {
                if self.now_s > 0 && self.now_s.is_multiple_of(window.slide_s as usize) {
                    let firing_s = shape.firing_s(operator.stored, self.parallelism[index], &operator.width);
                    operator.firing_left_s += firing_s;
                    operator.last_firing_s = Some(firing_s);
                    operator.to_emit += operator.stored * window.emitted_per_record;
                    operator.stored = 0.0;
                }
                self.step.firing[index] = operator.firing_left_s.min(free);
                free -= self.step.firing[index];
            }
            self.step.capacity[index] = own_per_s.min(limit_per_s) * free;
        }
    }

    /// Computes what each operator can emit and accept, readers first.
    fn accept(&mut self, running: f64) {
        let buffer_s = self.trial.conditions.buffer_s;
        for index in (0..self.operators.len()).rev() {
            let shape = &self.trial.job.operators()[index];
            let mut movable = self.step.capacity[index];
            if shape.window.is_none() {
                for reader in self.trial.job.readers(index) {
                    if reader.selectivity > 0.0 {
                        let share = self.operators[reader.operator].input_shares[reader.input];
                        movable =
                            movable.min(self.step.accepted[reader.operator] * share / reader.selectivity);
                    }
                }
            }
            self.step.movable[index] = movable;
            let operator = &self.operators[index];
            let room = (operator.width.capacity_per_s * buffer_s - operator.queue).max(0.0);
            self.step.accepted[index] = if running > 0.0 { movable + room } else { 0.0 };
        }
    }

    /// Reads arrived records at a source.
    fn read(&mut self, source: usize, running: f64) {
        let Self { trial, step, parallelism, operators, now_s, .. } = self;
        let rate_per_s = trial.load.rates_per_s[source].get(*now_s).copied().unwrap_or(0.0);
        let source = &mut self.sources[source];
        let index = source.operator;
        let shape = &trial.job.operators()[index];
        let operator = &mut operators[index];
        let crate::job::Input::Partitions(weights) = &shape.input else { return };
        let (capacity, movable) = (step.capacity[index], step.movable[index]);
        // Reprocessed records come first.
        let again = source.replay.min(movable);
        source.replay -= again;
        let budget = movable - again;
        let subtasks = parallelism[index] as usize;
        step.per_subtask.clear();
        step.per_subtask.resize(subtasks, 0.0);
        for (partition, (backlog, weight)) in source.backlog.iter_mut().zip(weights).enumerate() {
            *backlog += rate_per_s * weight;
            step.per_subtask[partition % subtasks] += *backlog;
        }
        let per_subtask = capacity * operator.width.fullest_share;
        let wanted: f64 = step.per_subtask.iter().map(|waiting| waiting.min(per_subtask)).sum();
        let granted = if wanted <= budget { 1.0 } else { budget / wanted };
        for waiting in &mut step.per_subtask {
            let part = if *waiting > 0.0 { waiting.min(per_subtask) / *waiting } else { 0.0 };
            *waiting = part * granted;
        }
        let (mut read, mut latest) = (0.0, 0.0_f64);
        for (partition, (backlog, weight)) in source.backlog.iter_mut().zip(weights).enumerate() {
            let records = *backlog * step.per_subtask[partition % subtasks];
            *backlog -= records;
            read += records;
            source.read[partition] += records + again * weight;
            latest = latest.max(*backlog / weight.max(NONE));
        }
        let handled = again + read;
        source.age(*now_s, latest);
        for reader in trial.job.readers(index) {
            step.arriving[reader.operator] += handled * reader.selectivity;
        }
        let busy = if running > 0.0 { (handled * running / capacity.max(NONE)).min(running) } else { 0.0 };
        let is_held = wanted + source.replay > budget + NONE && movable < capacity - NONE;
        let emitted: f64 = trial.job.readers(index).iter().map(|reader| reader.selectivity).sum();
        step.handled[index] = handled;
        operator.total.arrived += rate_per_s;
        operator.total.pending = source.backlog.iter().sum::<f64>() + source.replay;
        operator.total.waited_s += 1.0 / operator.width.subtask_rate_per_s;
        operator.count(handled, handled * emitted, busy, is_held, shape.busy_bias, parallelism[index]);
    }

    /// Handles the records in an operator's buffers.
    fn handle(&mut self, index: usize, running: f64) {
        let Self { trial, step, parallelism, operators, .. } = self;
        let shape = &trial.job.operators()[index];
        let operator = &mut operators[index];
        operator.queue += step.arriving[index];
        let (capacity, movable) = (step.capacity[index], step.movable[index]);
        let handled = operator.queue.min(movable);
        operator.queue -= handled;
        step.handled[index] = handled;
        let (emitted, busy) = if shape.window.is_some() {
            let firing = step.firing[index];
            operator.stored += handled;
            let emitted = operator.fire(firing);
            let handling = if capacity > NONE { handled * (running - firing) / capacity } else { 0.0 };
            (emitted, (firing + handling).min(1.0))
        } else {
            let busy =
                if running > 0.0 { (handled * running / capacity.max(NONE)).min(running) } else { 0.0 };
            (handled, busy)
        };
        let mut records_out = 0.0;
        for reader in trial.job.readers(index) {
            let records = emitted * reader.selectivity;
            step.arriving[reader.operator] += records;
            records_out += records;
        }
        let is_held = movable < capacity - NONE && operator.queue > 1e-6;
        operator.total.pending = operator.queue;
        operator.total.waited_s += operator.queue / operator.width.capacity_per_s
            + operator.firing_left_s
            + 1.0 / operator.width.subtask_rate_per_s;
        operator.count(handled, records_out, busy, is_held, shape.busy_bias, parallelism[index]);
    }

    /// Divides an operator's acceptance among several inputs in proportion to what each has sent.
    fn balance_inputs(&mut self) {
        for index in 0..self.operators.len() {
            let upstream = self.trial.job.upstream(index);
            let arriving = self.step.arriving[index];
            if upstream.len() < 2 || arriving <= 0.0 {
                continue;
            }
            for (share, edge) in self.operators[index].input_shares.iter_mut().zip(upstream) {
                let sent = self.step.handled[edge.operator] * edge.selectivity / arriving;
                *share = (0.9 * *share + 0.1 * sent).max(0.02);
            }
        }
    }

    /// Computes latency, cost and readings of the second.
    fn account(&mut self) {
        let (conditions, now_s) = (&self.trial.conditions, self.now_s);
        let oldest_s = self.sources.iter().map(|source| source.oldest_s).fold(0.0, f64::max);
        let inside_s = |operator: &Operator| {
            operator.queue / operator.width.capacity_per_s
                + operator.firing_left_s
                + conditions.operator_latency_s
        };
        let latency_s = oldest_s + self.operators.iter().map(inside_s).sum::<f64>();
        let backlog: f64 = self.sources.iter().map(|source| source.backlog.iter().sum::<f64>()).sum();
        self.changes.note_backlog(backlog);
        self.gap.begin(now_s, conditions.faults.metric_gaps_per_h, (10, 40), (1.0, 1.0));
        let is_gap = self.gap.is_on(now_s);
        let is_started =
            self.changes.restarted_s().is_none_or(|restarted_s| now_s + 1 >= restarted_s + INCOMPLETE_S);
        let is_down = matches!(self.changes.phase(), Phase::Down { .. });
        let latency_sum_s = self.history.job(now_s).latency_sum_s + latency_s;
        let is_complete = !is_gap && !is_down && is_started;
        self.history.put_job(now_s + 1, JobReading { latency_s, latency_sum_s, is_gap, is_complete });
        for (index, operator) in self.operators.iter().enumerate() {
            self.history.put(index, now_s + 1, operator.total);
        }
        for source in &self.sources {
            let crate::job::Input::Partitions(weights) = &self.trial.job.operators()[source.operator].input
            else {
                continue;
            };
            let partitions = source.read.iter().zip(&source.backlog).zip(weights).enumerate();
            for (partition, ((records, backlog), weight)) in partitions {
                let pending = backlog + source.replay * weight;
                let reading = PartitionReading { records: *records, pending };
                self.history.put_partition(source.first_partition + partition, now_s + 1, reading);
            }
        }
        let held = self.changes.holds_wanted(now_s).map_or(0, |wanted| self.trial.job.slots(wanted));
        self.slots.push(self.trial.job.slots(&self.parallelism).max(held));
        self.latency_s.push(latency_s);
    }

    /// Returns the completed run.
    pub fn into_run(self) -> crate::run::Run {
        crate::run::Run {
            latency_s: self.latency_s,
            slots: self.slots,
            start: self.changes.over().first().map_or(self.parallelism, |change| change.before.clone()),
            changes: self.changes.over().to_vec(),
        }
    }

    pub(crate) fn trial(&self) -> &'a Trial {
        self.trial
    }

    pub(crate) fn now_s(&self) -> usize {
        self.now_s
    }

    pub(crate) fn parallelism(&self) -> &[u32] {
        &self.parallelism
    }

    pub(crate) fn changes(&self) -> &Changes {
        &self.changes
    }

    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    pub(crate) fn last_firing_s(&self, operator: usize) -> Option<f64> {
        self.operators[operator].last_firing_s
    }

    /// Returns each subtask's share of an operator's input.
    pub(crate) fn shares(&self, operator: usize) -> &[f64] {
        &self.operators[operator].shares
    }

    /// Returns the number of the first partition of a source operator.
    pub(crate) fn first_partition(&self, operator: usize) -> usize {
        let source = self.sources.iter().find(|source| source.operator == operator);
        source.map_or(0, |source| source.first_partition)
    }
}
