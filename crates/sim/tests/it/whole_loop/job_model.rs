//! The simulated job: a source and two operators under a varying load, and the snapshot of its metrics.

use scaling::{Edge, Job, Kind, Operator, Partitioning, SCHEMA, Snapshot, Subtask};
use sim::Random;

use super::world::at;

/// The scaled operators, with the records per second of one subtask.
pub(crate) const SCALED: [(&str, f64); 2] = [("map", 1_000.0), ("sum", 700.0)];

/// Maximum parallelism.
pub(crate) const WIDTH_MAX: u32 = 24;

/// Metrics of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetricFault {
    Whole,
    /// Unchanged since before.
    Frozen,
    /// The metrics of this operator are missing.
    Without(usize),
}

/// Load, parallelism and backlog.
#[derive(Debug)]
pub(crate) struct JobModel {
    /// Start times and arrival rates, in records per second.
    load: Vec<(u64, f64)>,
    /// Parallelism of the scaled operators; `None` while the job does not run.
    widths: Option<[u32; 2]>,
    running_since_ms: u64,
    at_ms: u64,
    backlog: f64,
    /// Records arrived since the last snapshot; records processed, and whether the job ran all the time, follow.
    arrived: f64,
    taken: f64,
    from_ms: u64,
    is_whole: bool,
}

impl JobModel {
    pub(crate) fn new(random: &mut Random, calm_ms: u64) -> Self {
        let mut load = vec![(0, random.between(1_000.0, 6_000.0))];
        for _ in 0..random.whole(1, 4) {
            let from = random.whole(0, usize::try_from(calm_ms).unwrap()) as u64;
            load.push((from, random.between(500.0, 9_000.0)));
        }
        load.sort_by_key(|(from, _)| *from);
        Self {
            load,
            widths: None,
            running_since_ms: 0,
            at_ms: 0,
            backlog: 0.0,
            arrived: 0.0,
            taken: 0.0,
            from_ms: 0,
            is_whole: false,
        }
    }

    pub(crate) fn arrival_per_s(&self, at_ms: u64) -> f64 {
        self.load.iter().rev().find(|(from, _)| *from <= at_ms).map_or(0.0, |(_, rate)| *rate)
    }

    pub(crate) fn carried_per_s(&self) -> f64 {
        let widths = self.widths.unwrap_or_default();
        let of = |(index, (_, each)): (usize, &(&str, f64))| each * f64::from(widths[index]);
        SCALED.iter().enumerate().map(of).fold(f64::INFINITY, f64::min)
    }

    /// Sets the running parallelism from now on.
    pub(crate) fn set(&mut self, widths: Option<[u32; 2]>, now_ms: u64) {
        self.pass(now_ms);
        if self.widths != widths {
            self.is_whole = false;
            self.running_since_ms = now_ms;
            self.widths = widths;
        }
    }

    /// Advances time.
    pub(crate) fn pass(&mut self, now_ms: u64) {
        while self.at_ms < now_ms {
            let change = self.load.iter().map(|(from, _)| *from).find(|from| *from > self.at_ms);
            let to_ms = change.unwrap_or(u64::MAX).min(now_ms);
            let length_s = (to_ms - self.at_ms) as f64 / 1000.0;
            let arrived = self.arrival_per_s(self.at_ms) * length_s;
            let taken = (self.carried_per_s() * length_s).min(self.backlog + arrived);
            self.backlog += arrived - taken;
            self.arrived += arrived;
            self.taken += taken;
            self.at_ms = to_ms;
        }
    }

    /// The snapshot of the epoch that ends now, as telemetry would build it: none across a restart.
    pub(crate) fn snapshot(&mut self, now_ms: u64, sight: MetricFault) -> Result<Snapshot, String> {
        self.pass(now_ms);
        let length_s = (now_ms - self.from_ms) as f64 / 1000.0;
        let (arrived, taken, is_whole) = (self.arrived, self.taken, self.is_whole);
        (self.arrived, self.taken, self.from_ms, self.is_whole) = (0.0, 0.0, now_ms, true);
        let Some(widths) = self.widths.filter(|_| is_whole && length_s >= 1.0) else {
            return Err("the job has not run for a whole epoch".to_owned());
        };
        if sight == MetricFault::Frozen {
            return Err("the newest metrics are old".to_owned());
        }
        let mut operators = vec![self.source(arrived / length_s, taken / length_s)];
        for (index, (name, each)) in SCALED.iter().enumerate() {
            let before = if index == 0 { "source" } else { SCALED[index - 1].0 };
            operators.push(scaled(name, before, widths[index], *each, taken / length_s));
        }
        if let MetricFault::Without(index) = sight {
            let Operator { name, kind, parallelism, inputs, edges, .. } = operators[index + 1].clone();
            operators[index + 1] = Operator { name, kind, parallelism, inputs, edges, ..Operator::default() };
        }
        Ok(self.around(operators, now_ms, length_s))
    }

    fn around(&self, operators: Vec<Operator>, now_ms: u64, length_s: f64) -> Snapshot {
        Snapshot {
            schema: SCHEMA,
            at_ms: Some(at(now_ms).as_millisecond()),
            interval_ms: Some((length_s * 1000.0) as i64),
            job: Job {
                name: "played".to_owned(),
                parallelism: 1,
                max_parallelism: 128,
                running_since_ms: Some(at(self.running_since_ms).as_millisecond()),
                ..Job::default()
            },
            operators,
            ..Snapshot::default()
        }
    }

    fn source(&self, arrival_per_s: f64, rate_per_s: f64) -> Operator {
        let is_held = self.backlog > 1.0;
        Operator {
            name: "source".to_owned(),
            kind: Kind::Source,
            parallelism: 1,
            max_parallelism: Some(1),
            throughput_per_s: Some(rate_per_s),
            output_rate_per_s: Some(rate_per_s),
            busy_ratio: Some(0.1),
            backpressured_ratio: Some(if is_held { 0.8 } else { 0.0 }),
            arrival_rate_per_s: Some(arrival_per_s),
            backlog_records: Some(self.backlog),
            ..Operator::default()
        }
    }
}

fn scaled(name: &str, before: &str, width: u32, each_per_s: f64, rate_per_s: f64) -> Operator {
    let busy = (rate_per_s / (each_per_s * f64::from(width))).min(1.0);
    let share = rate_per_s / f64::from(width);
    let subtask = Subtask { records_in: Some(share * 10.0), busy_ratio: Some(busy), ..Subtask::default() };
    Operator {
        name: name.to_owned(),
        kind: Kind::Continuous,
        parallelism: width,
        throughput_per_s: Some(rate_per_s),
        output_rate_per_s: Some(rate_per_s),
        backpressured_ratio: Some(0.0),
        inputs: vec![before.to_owned()],
        edges: vec![Edge { from: before.to_owned(), partitioning: Partitioning::Rebalance }],
        subtasks: vec![subtask; width as usize],
        ..Operator::default()
    }
}
