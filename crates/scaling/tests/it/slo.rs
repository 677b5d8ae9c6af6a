//! Policy `slo`: what must hold for every decision, on a played job whose true capacity is known.

use proptest::prelude::*;
use scaling::slo::{self, Options, Slo};
use scaling::{
    Action, ChangeEnd, Constraints, Decision, Edge, Job, Kind, Memory, Moment, Operator, Partitioning,
    Policy, SCHEMA, Snapshot, Subtask,
};

/// The first second of 2026, in milliseconds since the Unix epoch.
const START_MS: i64 = 1_767_225_600_000;
const EPOCH_S: i64 = 5;
/// Readings of younger tasks are not used, as in the rescaler, in seconds.
const WARM_UP_S: i64 = 10;
const BOUND_S: f64 = 2.0;
const KEY_GROUPS: u32 = 128;

/// One operator as it truly is.
#[derive(Debug, Clone)]
struct Truth {
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

impl Truth {
    fn new(name: &'static str, kind: Kind, rate_per_s: f64, parallelism: u32) -> Self {
        let (contention, ratio, hot) = (0.005, 1.0, 0.0);
        Self { name, kind, rate_per_s, contention, ratio, hot, limit_per_s: None, parallelism }
    }

    fn portions(&self) -> Option<u32> {
        match self.kind {
            Kind::Source => Some(16),
            Kind::Window => Some(KEY_GROUPS),
            _ => None,
        }
    }

    fn share(&self, p: u32) -> f64 {
        let even = self.portions().map_or(1.0 / f64::from(p), |n| f64::from(n.div_ceil(p)) / f64::from(n));
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
struct Played {
    policy: Slo,
    operators: Vec<Truth>,
    /// What everything is multiplied by.
    scale: f64,
    now_s: i64,
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
}

impl Played {
    fn new(operators: Vec<Truth>, seed: u64) -> Self {
        Self {
            policy: Slo(Options::with_bound(BOUND_S * 1000.0)),
            operators,
            scale: 1.0,
            now_s: 0,
            started_s: -1000,
            backlog: 0.0,
            seconds: vec![(0.0, 0.0, 0.0, false)],
            memory: Memory::default(),
            changes: Vec::new(),
            random: seed.wrapping_mul(2).wrapping_add(1),
            reversed: false,
            rereads_memory: false,
        }
    }

    fn slots(&self) -> u32 {
        self.operators.iter().map(|operator| operator.parallelism).max().unwrap()
    }

    /// The slots of the narrowest plan that carries this rate.
    fn needed(&self, rate_per_s: f64) -> u32 {
        let least = |operator: &Truth| (1..=KEY_GROUPS).find(|p| operator.carries(*p) >= rate_per_s).unwrap();
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
        for _ in 0..EPOCH_S {
            let varied = arrival_per_s * (1.0 + noise * self.noise());
            self.second(varied);
        }
        let snapshot = self.snapshot()?;
        if self.rereads_memory {
            let text = serde_json::to_string(&self.memory).unwrap();
            self.memory = serde_json::from_str(&text).unwrap();
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

    fn now(&self) -> Moment {
        Moment::utc(at_ms(self.now_s))
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
        let held = |operator: &Truth| last.3 && operator.carries(operator.parallelism) > tightest * 1.0001;
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
                        .map(|second| (at_ms(second), figure(&of(second)) * self.scale))
                        .collect()
                };
                operator.source_partitions = truth.portions();
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
            at_ms: Some(at_ms(self.now_s)),
            interval_ms: Some((self.now_s - from_s) * 1000),
            newest_age_ms: Some(0),
            job: Job {
                name: "played".to_owned(),
                parallelism: 1,
                max_parallelism: KEY_GROUPS,
                state: Some("RUNNING".to_owned()),
                running_since_ms: Some(at_ms(self.started_s)),
                ..Job::default()
            },
            operators,
            ..Snapshot::default()
        }
    }
}

fn at_ms(second: i64) -> i64 {
    START_MS + second * 1000
}

fn truth_operator(truth: &Truth, read_per_s: f64, span: f64, busy: f64) -> Operator {
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
fn chain() -> Vec<Truth> {
    vec![
        Truth::new("source", Kind::Source, 25_000.0, 2),
        Truth::new("map", Kind::Continuous, 9000.0, 4),
        Truth::new("aggregate", Kind::Window, 6000.0, 5),
    ]
}

fn arbitrary_job() -> impl Strategy<Value = (Vec<Truth>, u64)> {
    let operator =
        (2000.0..20_000.0_f64, 0.0..0.02_f64, 0.3..1.5_f64, prop_oneof![3 => Just(0.0), 1 => 0.0..0.08_f64]);
    (prop::collection::vec(operator, 2), any::<u64>()).prop_map(|(drawn, seed)| {
        let mut operators = chain();
        for (truth, (rate_per_s, contention, ratio, hot)) in operators[1..].iter_mut().zip(drawn) {
            (truth.rate_per_s, truth.contention, truth.ratio) = (rate_per_s, contention, ratio);
            truth.hot = if truth.kind == Kind::Window { hot } else { 0.0 };
        }
        for truth in &mut operators {
            let most = truth.portions().unwrap_or(KEY_GROUPS);
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
fn played(operators: Vec<Truth>, seed: u64, load: &[(i64, f64)]) -> Played {
    let mut played = Played::new(operators, seed);
    played.run(300, 20_000.0, 0.05);
    for (for_s, arrival_per_s) in load {
        played.run(*for_s, *arrival_per_s, 0.05);
    }
    played
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Goal: of every change of any job under any load: parallelism within its bounds; a widening lowers nothing, a narrowing
    /// raises nothing; a widening is cheaper than staying and carries more; a narrowing has been paid for since the last change.
    #[test]
    fn every_change_is_sound((operators, seed) in arbitrary_job(), load in arbitrary_load()) {
        let played = played(operators, seed, &load);
        let mut since_s = 0;
        for (at_s, before, after, decision) in &played.changes {
            for (name, new) in &decision.parallelism {
                let report = decision.operators.iter().find(|operator| operator.name == *name).unwrap();
                let most = if name == "source" { 16 } else { KEY_GROUPS };
                prop_assert!((1..=most).contains(new), "{decision}");
                prop_assert_eq!(*new > report.parallelism, after >= before, "{}", decision);
            }
            if after >= before {
                let stay = &decision.candidates[0];
                let chosen = decision.candidates.iter().find(|candidate| candidate.is_cheapest).unwrap();
                prop_assert!(stay.parallelism.is_empty() && chosen.price_slot_s < stay.price_slot_s);
                prop_assert!(chosen.capacity_per_s >= 1.0299 * decision.figures["capacity_per_s"]);
                prop_assert_eq!(&chosen.parallelism, &decision.parallelism);
            } else {
                let figure = |name: &str| decision.figures[name];
                prop_assert!(figure("narrow_saved_slot_s") >= 0.9999 * figure("narrow_price_slot_s"));
                let idle_s = figure("narrow_idle_s");
                prop_assert!(idle_s <= f64::from(i32::try_from(at_s - since_s).unwrap()), "{decision}");
                prop_assert!(idle_s >= 480.0, "{decision}");
            }
            since_s = *at_s;
        }
    }

    /// Goal: the order of operators and subtasks, a memory that is written and read back every epoch, and a job of ten times the
    /// rates make the same changes at the same times.
    #[test]
    fn what_does_not_matter_changes_nothing((operators, seed) in arbitrary_job(), load in arbitrary_load()) {
        let changes_of = |operators: &[Truth], vary: fn(&mut Played)| {
            let mut one = Played::new(operators.to_vec(), seed);
            vary(&mut one);
            one.run(300, 20_000.0, 0.05);
            for (for_s, arrival_per_s) in &load {
                one.run(*for_s, *arrival_per_s, 0.05);
            }
            one.changes.iter().map(|(at_s, _, _, decision)| (*at_s, decision.parallelism.clone())).collect::<Vec<_>>()
        };
        let first = changes_of(&operators, |_| ());
        prop_assert_eq!(&first, &changes_of(&operators, |played| played.reversed = true));
        prop_assert_eq!(&first, &changes_of(&operators, |played| played.rereads_memory = true));
        // Ten times the records show a small skew that fewer do not.
        let mut even = operators;
        even.iter_mut().for_each(|operator| operator.hot = 0.0);
        let first = changes_of(&even, |_| ());
        prop_assert_eq!(&first, &changes_of(&even, |played| played.scale = 10.0));
    }

    /// Goal: the same memory and snapshot give the same decision; after it is published nothing is decided until the job has
    /// restarted; an incomplete snapshot changes nothing.
    #[test]
    fn decisions_repeat_and_wait((operators, seed) in arbitrary_job(), arrival_per_s in 30_000.0..60_000.0_f64) {
        let mut played = played(operators, seed, &[]);
        for _ in 0..60 {
            played.second(20_000.0);
        }
        for _ in 0..EPOCH_S {
            played.second(arrival_per_s);
        }
        let now = played.now();
        let mut snapshot = played.snapshot().unwrap();
        let mut memory = played.memory.clone();
        let policy = &played.policy;
        policy.observe(&mut memory, &snapshot, now.at_ms);
        let decision = policy.decide(&memory, &snapshot, now.at_ms);
        prop_assert_eq!(&decision, &policy.decide(&memory, &snapshot, now.at_ms));
        policy.published(&mut memory, &decision, now.at_ms);
        for later in 1..100 {
            let at = now.at_ms + later * 5000;
            policy.observe(&mut memory, &snapshot, at);
            prop_assert_eq!(policy.decide(&memory, &snapshot, at).action, Action::None);
        }
        snapshot.missing.push("backlog of source".to_owned());
        let before = memory.clone();
        let incomplete = scaling::decide(policy, &Constraints::default(), &mut memory, &snapshot, now);
        prop_assert_eq!((incomplete.action, memory), (Action::None, before));
    }

    /// Goal: a larger backlog, all else equal, makes no operator smaller, as long as no key is hot.
    #[test]
    fn a_larger_backlog_is_answered_by_more(
        (mut operators, seed) in arbitrary_job(),
        arrival_per_s in 20_000.0..50_000.0_f64,
        backlog in 0.0..200_000.0_f64,
        factor in 1.0..5.0_f64,
    ) {
        operators.iter_mut().for_each(|operator| operator.hot = 0.0);
        let mut played = played(operators, seed, &[]);
        played.run(10, arrival_per_s, 0.0);
        prop_assume!(played.changes.is_empty());
        let Some(snapshot) = played.snapshot() else { return Ok(()) };
        let decide = |backlog: f64| {
            let (mut snapshot, mut memory) = (snapshot.clone(), played.memory.clone());
            for operator in &mut snapshot.operators {
                operator.backlog_records = operator.backlog_records.map(|_| backlog);
            }
            played.policy.observe(&mut memory, &snapshot, played.now().at_ms);
            played.policy.decide(&memory, &snapshot, played.now().at_ms)
        };
        let (smaller, larger) = (decide(backlog), decide(backlog * factor));
        for truth in &played.operators {
            let of = |decision: &Decision| decision.parallelism.get(truth.name).copied().unwrap_or(truth.parallelism);
            prop_assert!(of(&larger) >= of(&smaller), "{}: {smaller} / {larger}", truth.name);
        }
    }

    /// Goal: three hours of constant load with noise of ±8 % change nothing once the job fits.
    #[test]
    fn noise_changes_nothing(seed in any::<u64>()) {
        let mut played = Played::new(chain(), seed);
        played.run(3 * 3600, 20_000.0, 0.08);
        let told: Vec<String> = played.changes.iter().map(|(at_s, .., decision)| format!("{at_s} s: {decision}")).collect();
        prop_assert!(told.is_empty(), "{told:?}");
    }

    /// Goal: a load above what something outside of the job takes brings at most four changes, and never more than three times
    /// the slots that carry the limit.
    #[test]
    fn an_external_limit_is_not_answered_by_width(seed in any::<u64>(), limit_per_s in 21_000.0..26_000.0_f64) {
        let mut operators = chain();
        operators[2].limit_per_s = Some(limit_per_s);
        let mut played = Played::new(operators, seed);
        played.run(900, 17_000.0, 0.05);
        let needed = played.needed(limit_per_s * 0.99);
        played.run(900, limit_per_s * 1.4, 0.05);
        played.run(3600, 14_000.0, 0.05);
        prop_assert!(played.changes.len() <= 4, "{:?}", played.changes.len());
        for (.., after, decision) in &played.changes {
            prop_assert!(*after <= 3 * needed, "{after} > 3 · {needed}: {decision}");
        }
    }
}

/// Every number in a JSON value.
fn numbers(value: &serde_json::Value, path: &str, found: &mut Vec<(String, Option<f64>)>) {
    match value {
        serde_json::Value::Number(number) => found.push((path.to_owned(), number.as_f64())),
        serde_json::Value::Array(all) => all.iter().for_each(|one| numbers(one, path, found)),
        serde_json::Value::Object(all) => {
            all.iter().for_each(|(name, one)| numbers(one, &format!("{path}.{name}"), found));
        }
        _ => {}
    }
}

fn arbitrary_figure() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        1 => Just(None),
        1 => Just(Some(0.0)),
        1 => prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(-1.0), Just(1e300), Just(1e-300), Just(f64::MAX)].prop_map(Some),
        4 => (0.0..1e6_f64).prop_map(Some),
    ]
}

prop_compose! {
    fn arbitrary_operator()(
        figures in prop::collection::vec(arbitrary_figure(), 8),
        kind in prop_oneof![Just(Kind::Source), Just(Kind::Continuous), Just(Kind::Window), Just(Kind::AllWindow)],
        number in 0..4_u8,
        parallelism in 0..300_u32,
        partitions in prop::option::of(0..20_u32),
        series in prop::collection::vec((0..100_000_i64, -1e3..1e6_f64), 0..6),
        records in prop::collection::vec(arbitrary_figure(), 0..5),
    ) -> Operator {
        Operator {
            name: format!("operator-{number}"),
            kind,
            parallelism,
            throughput_per_s: figures[0],
            output_rate_per_s: figures[1],
            arrival_rate_per_s: figures[2],
            backlog_records: figures[3],
            busy_ratio: figures[4],
            backpressured_ratio: figures[5],
            latency_ms: figures[6],
            max_parallelism: partitions,
            source_partitions: partitions,
            arrivals: series.clone(),
            backlog_series: series,
            subtasks: records
                .into_iter()
                .map(|records_in| Subtask { records_in, busy_ratio: figures[7], ..Subtask::default() })
                .collect(),
            inputs: vec!["operator-0".to_owned()],
            ..Operator::default()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Goal: whatever a sequence of snapshots holds, every decision and the memory have finite numbers only, and the memory comes back
    /// from JSON as it was.
    #[test]
    fn any_snapshot_gives_finite_figures(
        epochs in prop::collection::vec((prop::collection::vec(arbitrary_operator(), 0..5), -10..60_i64), 1..12),
        started in prop::option::of(-100..100_i64),
    ) {
        let (policy, mut memory, mut now_s) = (Slo(Options::with_bound(2000.0)), Memory::default(), 0);
        for (mut operators, passed_s) in epochs {
            now_s += passed_s;
            operators.dedup_by(|one, other| one.name == other.name);
            let job = Job { max_parallelism: 128, running_since_ms: started.map(|s| s * 1000), ..Job::default() };
            let snapshot = Snapshot { schema: SCHEMA, job, operators, ..Snapshot::default() };
            for decision in [
                scaling::decide(&policy, &Constraints::default(), &mut memory, &snapshot, Moment::utc(now_s * 1000)),
                policy.plan(&snapshot),
            ] {
                let mut found = Vec::new();
                numbers(&serde_json::to_value(&decision.figures).unwrap(), "figures", &mut found);
                numbers(&serde_json::to_value(&decision.candidates).unwrap(), "candidates", &mut found);
                for operator in &decision.operators {
                    numbers(&serde_json::to_value(&operator.figures).unwrap(), &operator.name, &mut found);
                }
                prop_assert!(found.iter().all(|(_, number)| number.is_some_and(f64::is_finite)), "{found:?}");
                if decision.action == Action::Rescale {
                    memory.published(&policy, &decision, Moment::utc(now_s * 1000));
                    memory.change_ended(&policy, ChangeEnd::Failed, Moment::utc(now_s * 1000));
                }
            }
            let text = serde_json::to_string(&memory).unwrap();
            prop_assert_eq!(serde_json::from_str::<Memory>(&text).unwrap(), memory.clone());
        }
    }
}

/// Goal: a load that triples is answered by one widening in the first epochs, and after it has fallen to a third for long enough by one
/// narrowing.
#[test]
fn a_step_up_and_down_is_two_changes() {
    let mut played = Played::new(chain(), 7);
    played.run(1200, 15_000.0, 0.05);
    played.run(1200, 45_000.0, 0.05);
    played.run(3600, 15_000.0, 0.05);
    let steps: Vec<(i64, u32, u32)> =
        played.changes.iter().map(|(at_s, before, after, _)| (*at_s, *before, *after)).collect();
    assert_eq!(steps.len(), 2, "{steps:?}");
    assert!((1200..=1215).contains(&steps[0].0) && steps[0].2 >= played.needed(45_000.0), "{steps:?}");
    assert!(steps[1].0 >= 2400 + 480 && steps[1].2 <= 6, "{steps:?}");
    let late = played.seconds.iter().filter(|(.., backlog, _)| *backlog > BOUND_S * 45_000.0).count();
    assert!(late <= 20, "{late} s were late");
}

/// Goal: after 24 hours of a moving load the memory of a job of 20 operators takes less than 30 kB in the journal.
#[test]
fn the_memory_stays_small() {
    let mut operators = vec![Truth::new("source", Kind::Source, 25_000.0, 2)];
    let names =
        ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s"];
    operators.extend(names.map(|name| Truth::new(name, Kind::Window, 6000.0, 5)));
    let mut played = Played::new(operators, 3);
    let mut largest = 0;
    for step in 0..96 {
        let hour = f64::from(step) / 4.0;
        let arrival_per_s = 25_000.0 - 15_000.0 * (hour / 24.0 * std::f64::consts::TAU).cos();
        played.run(900, arrival_per_s, 0.05);
        largest = largest.max(serde_json::to_string(&played.memory.slo).unwrap().len());
    }
    assert!(played.changes.len() > 2, "{}", played.changes.len());
    assert!(largest < 30_000, "{largest} bytes");
}

/// Goal: without readings of the sources (only rates and a backlog per epoch), without subtasks and ages, a step is answered all the
/// same; without a backlog the job is widened and never narrowed.
#[test]
fn little_is_enough() {
    for knows_backlog in [true, false] {
        let mut played = Played::new(chain(), 5);
        let (mut widest, mut narrowed) = (0, false);
        for epoch in 0..1000 {
            let arrival_per_s = if (240..480).contains(&epoch) { 45_000.0 } else { 15_000.0 };
            let before = played.seconds.len();
            for _ in 0..EPOCH_S {
                played.second(arrival_per_s);
            }
            let Some(mut snapshot) = played.snapshot() else { continue };
            let arrived = (played.seconds.last().unwrap().0 - played.seconds[before - 1].0) / 5.0;
            for operator in &mut snapshot.operators {
                operator.arrivals.clear();
                operator.backlog_series.clear();
                operator.subtasks.clear();
                operator.arrival_rate_per_s =
                    Some(arrived).filter(|_| operator.kind == Kind::Source && knows_backlog);
                operator.backlog_records = operator.backlog_records.filter(|_| knows_backlog);
            }
            snapshot.newest_age_ms = None;
            let now = played.now();
            let decision =
                scaling::decide(&played.policy, &Constraints::default(), &mut played.memory, &snapshot, now);
            if decision.action == Action::Rescale {
                played.memory.published(&played.policy, &decision, now);
                played.apply(decision);
                narrowed |= played.changes.last().is_some_and(|(_, before, after, _)| after < before);
            }
            widest = widest.max(played.slots());
        }
        assert!(widest >= 9, "{widest}, {knows_backlog}: {:?}", played.changes);
        assert_eq!(narrowed, knows_backlog, "{:?}", played.changes);
    }
}

/// Goal: without a bound nothing is decided, and the reason names the option.
#[test]
fn without_a_bound_nothing_is_decided() {
    let mut played = Played::new(chain(), 1);
    played.policy = Slo::default();
    played.run(600, 60_000.0, 0.0);
    let decision = played.epoch(60_000.0, 0.0).unwrap();
    assert!(played.changes.is_empty() && decision.to_string().contains("latency_bound_ms"), "{decision}");
}

/// Goal: three failed changes within ten minutes stop everything for five minutes.
#[test]
fn failures_open_the_breaker() {
    let mut played = Played::new(chain(), 1);
    played.run(300, 20_000.0, 0.0);
    let (policy, mut tried) = (played.policy.clone(), Vec::new());
    for epoch in 0..100 {
        for _ in 0..EPOCH_S {
            played.second(60_000.0);
        }
        let Some(snapshot) = played.snapshot() else { continue };
        let now = played.now();
        let decision = scaling::decide(&policy, &Constraints::default(), &mut played.memory, &snapshot, now);
        if decision.action == Action::Rescale {
            played.memory.published(&policy, &decision, now);
            played.memory.change_ended(&policy, ChangeEnd::Failed, now);
            tried.push(epoch);
        }
    }
    assert!(tried.len() >= 4 && tried[3] - tried[2] == 60, "{tried:?}");
}

/// Goal: every option that is out of its range is named, and the defaults have none.
#[test]
fn options_are_checked() {
    assert!(Options::default().problems().is_empty() && Options::with_bound(2000.0).problems().is_empty());
    let bad =
        Options { latency_bound_ms: Some(0.0), headroom_quantile: 1.0, epoch_s: 0, ..Options::default() };
    let named: Vec<&str> = bad.problems().into_iter().map(|(option, _)| option).collect();
    assert_eq!(named, ["latency_bound_ms", "headroom_quantile", "epoch_s"]);
    assert_eq!(slo::NAME, "slo");
}
