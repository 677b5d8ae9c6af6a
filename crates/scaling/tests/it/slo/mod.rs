//! Policy `slo`: what must hold for every decision, on a played job whose true capacity is known.

use proptest::prelude::*;
use scaling::slo::{self, Options, Slo};
use scaling::{
    Action, Cause, ChangeEnd, Constraints, Decision, Edge, Job, Kind, LocalTime, Memory, Operator,
    Partitioning, Policy, Reading, SCHEMA, Snapshot, Subtask, TaskManager,
};

mod properties;
mod rules;

/// The first second of 2026, in milliseconds since the Unix epoch.
const START_MS: i64 = 1_767_225_600_000;
const EPOCH_S: i64 = 5;
/// Readings of younger tasks are not used, as in the rescaler, in seconds.
const WARM_UP_S: i64 = 10;
const BOUND_S: f64 = 2.0;
const KEY_GROUPS: u32 = 128;

/// One operator as it truly is.
#[derive(Debug, Clone)]
struct TrueOperator {
    name: &'static str,
    kind: Kind,
    /// Records per second of the only subtask.
    rate_per_s: f64,
    /// Slow-down by each further subtask.
    contention: f64,
    /// Input per record of the source.
    ratio: f64,
    /// The share of one hot key.
    hot: f64,
    /// What something outside of the job takes at most.
    limit_per_s: Option<f64>,
    parallelism: u32,
}

impl TrueOperator {
    fn new(name: &'static str, kind: Kind, rate_per_s: f64, parallelism: u32) -> Self {
        let (contention, ratio, hot) = (0.005, 1.0, 0.0);
        Self { name, kind, rate_per_s, contention, ratio, hot, limit_per_s: None, parallelism }
    }

    fn input_units(&self) -> Option<u32> {
        match self.kind {
            Kind::Source => Some(16),
            Kind::Window => Some(KEY_GROUPS),
            _ => None,
        }
    }

    fn share(&self, p: u32) -> f64 {
        let even = self.input_units().map_or(1.0 / f64::from(p), |n| f64::from(n.div_ceil(p)) / f64::from(n));
        self.hot + (1.0 - self.hot) * even
    }

    fn subtask_per_s(&self, p: u32) -> f64 {
        let own = self.rate_per_s / (1.0 + self.contention * f64::from(p - 1));
        self.limit_per_s.map_or(own, |limit| own.min(limit * self.share(p)))
    }

    /// Records of the source per second.
    fn carries(&self, p: u32) -> f64 {
        self.subtask_per_s(p) / self.share(p) / self.ratio
    }
}

/// A chain of operators behind one source, second by second.
#[derive(Debug, Clone)]
struct SimulatedChain {
    policy: Slo,
    operators: Vec<TrueOperator>,
    /// What everything is multiplied by.
    scale: f64,
    now_s: i64,
    /// How far the clock is ahead of the time that has passed, in seconds.
    clock_s: i64,
    started_s: i64,
    backlog: f64,
    /// By second since the start: arrived, read, backlog, whether held back.
    seconds: Vec<(f64, f64, f64, bool)>,
    memory: Memory,
    /// When the job was changed, its slots before and after, and the decision.
    changes: Vec<(i64, u32, u32, Decision)>,
    random: u64,
    reversed: bool,
    rereads_memory: bool,
    /// How far the start of the job is told wrongly, by turns early and late, in milliseconds.
    start_error_ms: i64,
    /// Free slots of the cluster, where its figures are known.
    slots_free: Option<u32>,
}

impl SimulatedChain {
    fn new(operators: Vec<TrueOperator>, seed: u64) -> Self {
        Self {
            policy: Slo(Options::with_bound(BOUND_S * 1000.0)),
            operators,
            scale: 1.0,
            now_s: 0,
            clock_s: 0,
            started_s: -1000,
            backlog: 0.0,
            seconds: vec![(0.0, 0.0, 0.0, false)],
            memory: Memory::default(),
            changes: Vec::new(),
            random: seed.wrapping_mul(2).wrapping_add(1),
            reversed: false,
            rereads_memory: false,
            start_error_ms: 0,
            slots_free: None,
        }
    }

    fn slots(&self) -> u32 {
        self.operators.iter().map(|operator| operator.parallelism).max().unwrap()
    }

    /// The slots of the narrowest plan that carries this rate.
    fn needed(&self, rate_per_s: f64) -> u32 {
        let least =
            |operator: &TrueOperator| (1..=KEY_GROUPS).find(|p| operator.carries(*p) >= rate_per_s).unwrap();
        self.operators.iter().map(least).max().unwrap()
    }

    fn carries(&self) -> f64 {
        self.operators.iter().map(|o| o.carries(o.parallelism)).fold(f64::MAX, f64::min)
    }

    /// Uniform within −1 and 1.
    fn noise(&mut self) -> f64 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(self.random >> 40).unwrap()) / f64::from(1_u32 << 23) - 1.0
    }

    /// One second with this arrival; the tasks stand still in the first second of their life.
    fn second(&mut self, arrival_per_s: f64) {
        let carries = if self.now_s < self.started_s { 0.0 } else { self.carries() };
        let asked = self.backlog + arrival_per_s;
        let read = asked.min(carries);
        self.backlog = asked - read;
        let (arrived, all, ..) = *self.seconds.last().unwrap();
        self.seconds.push((arrived + arrival_per_s, all + read, self.backlog, self.backlog > 0.0));
        self.now_s += 1;
    }

    /// Lets an epoch pass and decides; a plan is carried out with an outage of one second.
    fn epoch(&mut self, arrival_per_s: f64, noise: f64) -> Option<Decision> {
        self.epoch_along(|_| arrival_per_s, noise)
    }

    /// The same under a load that depends on the second.
    fn epoch_along(&mut self, arrival_per_s: impl Fn(i64) -> f64, noise: f64) -> Option<Decision> {
        for _ in 0..EPOCH_S {
            let varied = arrival_per_s(self.now_s) * (1.0 + noise * self.noise());
            self.second(varied);
        }
        let snapshot = self.snapshot()?;
        if self.rereads_memory {
            let text = serde_json::to_string(&self.memory).unwrap();
            let Line::Memory(memory) = serde_json::from_str(&text).unwrap();
            self.memory = memory;
        }
        let now = self.now();
        let decision =
            scaling::decide(&self.policy, &Constraints::default(), &mut self.memory, &snapshot, now);
        if decision.action == Action::Rescale {
            self.memory.published(&self.policy, &decision, now);
            self.apply(decision.clone());
        }
        Some(decision)
    }

    fn apply(&mut self, decision: Decision) {
        let before = self.slots();
        for operator in &mut self.operators {
            operator.parallelism =
                decision.parallelism.get(operator.name).copied().unwrap_or(operator.parallelism);
        }
        self.changes.push((self.now_s, before, self.slots(), decision));
        self.started_s = self.now_s + 1;
    }

    fn run(&mut self, for_s: i64, arrival_per_s: f64, noise: f64) {
        for _ in 0..for_s / EPOCH_S {
            self.epoch(arrival_per_s, noise);
        }
    }

    fn now(&self) -> LocalTime {
        LocalTime::utc(at_ms(self.now_s + self.clock_s))
    }

    /// What the metrics show of the newest epoch.
    fn snapshot(&self) -> Option<Snapshot> {
        let from_s = (self.now_s - EPOCH_S).max(self.started_s + WARM_UP_S).max(0);
        (self.now_s - from_s >= 2).then_some(())?;
        let of = |second: i64| self.seconds[usize::try_from(second).unwrap()];
        let span = f64::from(u32::try_from(self.now_s - from_s).unwrap());
        let (first, last) = (of(from_s), of(self.now_s));
        let read_per_s = (last.1 - first.1) / span;
        let tightest = self.carries();
        let held =
            |operator: &TrueOperator| last.3 && operator.carries(operator.parallelism) > tightest * 1.0001;
        let bottleneck = self.operators.iter().position(|o| !held(o));
        let mut operators: Vec<Operator> = Vec::new();
        for (index, truth) in self.operators.iter().enumerate() {
            let p = truth.parallelism;
            let busy = (read_per_s * truth.ratio * truth.share(p) / truth.subtask_per_s(p)).min(1.0);
            let is_before = bottleneck.is_some_and(|bottleneck| index < bottleneck);
            let mut operator = truth_operator(truth, read_per_s * self.scale, span, busy);
            operator.backpressured_ratio = Some(if last.3 && is_before { 1.0 - busy } else { 0.0 });
            if index > 0 {
                let from = self.operators[index - 1].name.to_owned();
                let partitioning =
                    if truth.kind == Kind::Window { Partitioning::Hash } else { Partitioning::Rebalance };
                operator.inputs = vec![from.clone()];
                operator.edges = vec![Edge { from, partitioning }];
            } else {
                let series = |figure: fn(&(f64, f64, f64, bool)) -> f64| -> Vec<(i64, f64)> {
                    (from_s..=self.now_s)
                        .map(|second| (at_ms(second + self.clock_s), figure(&of(second)) * self.scale))
                        .collect()
                };
                operator.source_partitions = truth.input_units();
                operator.arrivals = series(|second| second.0);
                operator.backlog_series = series(|second| second.2);
                operator.backlog_records = Some(last.2 * self.scale);
            }
            operators.push(operator);
        }
        if self.reversed {
            operators.reverse();
            operators.iter_mut().for_each(|operator| operator.subtasks.reverse());
        }
        Some(self.of(operators, from_s))
    }

    fn of(&self, operators: Vec<Operator>, from_s: i64) -> Snapshot {
        Snapshot {
            schema: SCHEMA,
            at_ms: Some(at_ms(self.now_s + self.clock_s)),
            interval_ms: Some((self.now_s - from_s) * 1000),
            newest_age_ms: Some(0),
            job: Job {
                name: "played".to_owned(),
                parallelism: 1,
                max_parallelism: KEY_GROUPS,
                state: Some("RUNNING".to_owned()),
                running_since_ms: Some(
                    at_ms(self.started_s) + self.start_error_ms * (self.now_s / EPOCH_S % 3 - 1),
                ),
                ..Job::default()
            },
            operators,
            task_managers: self.slots_free.map(|free| self.task_manager(free)).into_iter().collect(),
            ..Snapshot::default()
        }
    }

    fn task_manager(&self, free: u32) -> TaskManager {
        TaskManager { slots: Some(self.slots() + free), slots_free: Some(free), ..TaskManager::default() }
    }
}

/// A line of the journal is read by what it holds, and so is the memory in it: less is understood there than elsewhere.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Line {
    Memory(Memory),
}

fn at_ms(second: i64) -> i64 {
    START_MS + second * 1000
}

fn truth_operator(truth: &TrueOperator, read_per_s: f64, span: f64, busy: f64) -> Operator {
    let (p, fullest) = (truth.parallelism, truth.share(truth.parallelism));
    let others = (1.0 - fullest) / f64::from(p.max(2) - 1);
    let subtask = |index: u32| {
        let share = if index == 0 { fullest } else { others };
        let records = Some(read_per_s * truth.ratio * span * share);
        Subtask { records_in: records, busy_ratio: Some(busy * share / fullest), ..Subtask::default() }
    };
    Operator {
        name: truth.name.to_owned(),
        kind: truth.kind,
        parallelism: p,
        throughput_per_s: Some(read_per_s * truth.ratio),
        output_rate_per_s: Some(read_per_s * truth.ratio),
        busy_ratio: Some(busy),
        subtasks: (0..p).map(subtask).collect(),
        ..Operator::default()
    }
}

/// A source, a map and a keyed operator that carry somewhat more than 20,000 records a second.
fn chain() -> Vec<TrueOperator> {
    vec![
        TrueOperator::new("source", Kind::Source, 25_000.0, 2),
        TrueOperator::new("map", Kind::Continuous, 9000.0, 4),
        TrueOperator::new("aggregate", Kind::Window, 6000.0, 5),
    ]
}

fn arbitrary_job() -> impl Strategy<Value = (Vec<TrueOperator>, u64)> {
    let operator =
        (2000.0..20_000.0_f64, 0.0..0.02_f64, 0.3..1.5_f64, prop_oneof![3 => Just(0.0), 1 => 0.0..0.08_f64]);
    (prop::collection::vec(operator, 2), any::<u64>()).prop_map(|(drawn, seed)| {
        let mut operators = chain();
        for (truth, (rate_per_s, contention, ratio, hot)) in operators[1..].iter_mut().zip(drawn) {
            (truth.rate_per_s, truth.contention, truth.ratio) = (rate_per_s, contention, ratio);
            truth.hot = if truth.kind == Kind::Window { hot } else { 0.0 };
        }
        for truth in &mut operators {
            let most = truth.input_units().unwrap_or(KEY_GROUPS);
            truth.parallelism = (1..most).find(|p| truth.carries(*p) >= 24_000.0).unwrap_or(most);
        }
        (operators, seed)
    })
}

/// The arrival rates of some stretches of time, with their lengths in seconds.
fn arbitrary_load() -> impl Strategy<Value = Vec<(i64, f64)>> {
    prop::collection::vec((60..1500_i64, 2000.0..60_000.0_f64), 1..4)
}

/// Runs a job through a load after a quiet beginning.
fn simulated(operators: Vec<TrueOperator>, seed: u64, load: &[(i64, f64)]) -> SimulatedChain {
    let mut simulated = SimulatedChain::new(operators, seed);
    simulated.run(300, 20_000.0, 0.05);
    for (for_s, arrival_per_s) in load {
        simulated.run(*for_s, *arrival_per_s, 0.05);
    }
    simulated
}
