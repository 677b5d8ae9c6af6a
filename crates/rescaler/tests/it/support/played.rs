//! Jobs as the simulator plays them under our policies: an hour of epochs in a moment, for the page and its pictures.

use std::sync::Arc;
use std::time::Duration;

use control::{ChangeOutcome, Effect, PhaseDuration, Record};
use jiff::{SignedDuration, Timestamp};
use rescaler::status::{JobInfo, JobStatus, Retention, Switch, Switches};
use scaling::ds2::{self, Ds2};
use scaling::slo::{Options, Slo};
use scaling::{Action, ChangeEnd, Constraints, Decision, LocalTime, Memory, Policy, Snapshot};
use sim::View;
use sim::contender::Controller;
use sim::load::{LoadSpec, Noise, Shape};
use sim::observation::Observer;
use sim::scenario::{JobSpec, Scenario, Template};

/// The length of the recording, in seconds, and how much of it is kept for being played live.
const LENGTH_S: u32 = 3_600;
const LIVE_EPOCHS: usize = 30;
/// Time between two epochs.
const EPOCH_S: u32 = 5;

/// What is played.
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) template: Template,
    /// Names of the operators, in place of the template's.
    pub(crate) operators: &'static [&'static str],
    pub(crate) shape: Shape,
    /// In milliseconds; [`None`]: policy `ds2` without a bound, and the latency is not measured.
    pub(crate) bound_ms: Option<f64>,
    /// Whether the cluster has no more slots than at the start.
    pub(crate) has_fixed_slots: bool,
}

/// A job with most of its recording, and the rest, for later.
pub(crate) struct Played {
    pub(crate) status: Arc<JobStatus>,
    rest: Vec<Record>,
}

/// One epoch of the simulated time.
struct Epoch {
    at_s: usize,
    snapshot: Option<Snapshot>,
    decision: Decision,
    is_published: bool,
}

/// Decides as the live loop does, and keeps what it saw.
struct Recorder {
    policy: Box<dyn Policy>,
    constraints: Constraints,
    is_measured: bool,
    memory: Memory,
    is_changing: bool,
    epochs: Vec<Epoch>,
}

impl Controller for Recorder {
    fn period_s(&self) -> u32 {
        EPOCH_S
    }

    fn tick(&mut self, view: &View<'_>) -> Option<Vec<u32>> {
        let moment = LocalTime::utc(sim::observation::at_ms(view.now_s()));
        if self.is_changing && !view.is_changing() {
            self.is_changing = false;
            self.memory.change_ended(&*self.policy, ChangeEnd::Succeeded, moment);
        }
        let observed = Observer { length_s: EPOCH_S, warm_up_s: 10 }.observe(*view);
        let snapshot = observed.map(|snapshot| self.as_measured(snapshot)).ok();
        let decision = match &snapshot {
            Some(snapshot) => {
                scaling::decide(&*self.policy, &self.constraints, &mut self.memory, snapshot, moment)
            }
            None => Decision::nothing(self.policy.name(), "the job starts: no usable readings yet"),
        };
        let is_plan = decision.action == Action::Rescale;
        let plan = |index: usize| decision.parallelism.get(view.name(index)).copied();
        let plan = (0..view.operators()).map(|index| plan(index).unwrap_or(view.parallelism()[index]));
        let plan = is_plan.then(|| plan.collect());
        self.epochs.push(Epoch { at_s: view.now_s(), snapshot, decision, is_published: false });
        plan
    }

    fn accepted(&mut self) {
        let Some(epoch) = self.epochs.last_mut() else { return };
        epoch.is_published = true;
        self.is_changing = true;
        let moment = LocalTime::utc(sim::observation::at_ms(epoch.at_s));
        self.memory.published(&*self.policy, &epoch.decision, moment);
    }
}

impl Recorder {
    fn new(part: &Part) -> Self {
        let mut constraints = Constraints::default();
        constraints.size.slots_on_demand = !part.has_fixed_slots;
        let policy: Box<dyn Policy> = match part.bound_ms {
            Some(bound_ms) => Box::new(Slo(Options::with_bound(bound_ms))),
            None => Box::new(Ds2(ds2::Options {
                utilization_max: 0.85,
                stabilization_interval_s: 60,
                scale_down_interval_s: 300,
                ..ds2::Options::default()
            })),
        };
        let is_measured = part.bound_ms.is_some();
        Self {
            policy,
            constraints,
            is_measured,
            memory: Memory::default(),
            is_changing: false,
            epochs: Vec::new(),
        }
    }

    fn as_measured(&self, mut snapshot: Snapshot) -> Snapshot {
        if !self.is_measured {
            snapshot.queries.clear();
            snapshot.operators.iter_mut().for_each(|operator| operator.latency_ms = None);
        }
        snapshot.state_size_bytes = Some(5.5e6);
        snapshot
    }
}

/// Plays a job; its last record but [`LIVE_EPOCHS`] is of just now.
pub(crate) fn play(part: &Part, now: Timestamp) -> Played {
    let mut scenario = Scenario::all().into_iter().find(|scenario| scenario.name == "step").unwrap();
    let mut operators = part.template.operators();
    for (operator, name) in operators.clone().iter().zip(part.operators) {
        let renamed =
            |old: &mut String| *old = if *old == operator.name { (*name).to_owned() } else { old.clone() };
        for other in &mut operators {
            renamed(&mut other.name);
            other.inputs.iter_mut().for_each(|input| renamed(&mut input.from));
        }
    }
    scenario.job = JobSpec { template: None, operators, ..scenario.job };
    scenario.load = LoadSpec { shape: part.shape.clone(), noise: Noise::default() };
    (scenario.duration_s, scenario.step) = (LENGTH_S, None);
    scenario.latency_bound_s = part.bound_ms.unwrap_or(2_000.0) / 1000.0;
    let mut recorder = Recorder::new(part);
    let _run = sim::run(&scenario.trial(1).unwrap(), &mut recorder);
    let mut records = records(part, recorder.epochs, now);
    let rest = records.split_off(records.len() - LIVE_EPOCHS);
    let status = status(part);
    let (last, earlier) = records.split_last().unwrap();
    status.remember(earlier);
    status.sampled(Ok(()), Timestamp::now());
    status.decided(last);
    Played { status, rest }
}

fn status(part: &Part) -> Arc<JobStatus> {
    let info = JobInfo {
        name: part.name.to_owned(),
        flink_url: "http://jobmanager:8081".to_owned(),
        policy: if part.bound_ms.is_some() { "slo" } else { "ds2" }.to_owned(),
        latency_max_ms: part.bound_ms,
        epoch_length: Duration::from_secs(EPOCH_S.into()),
        sample_interval: Duration::from_secs(1),
        started_at: Timestamp::now(),
    };
    let switches = Switches::open(None, false).unwrap();
    Arc::new(JobStatus::new(info, switches, Retention { points: 1440, decisions: 200 }))
}

fn records(part: &Part, epochs: Vec<Epoch>, now: Timestamp) -> Vec<Record> {
    let last_s = epochs[epochs.len() - 1 - LIVE_EPOCHS].at_s;
    let mut generation = 1;
    let mut record = |(index, epoch): (usize, Epoch)| {
        let behind_s = i64::try_from(last_s).unwrap() - i64::try_from(epoch.at_s).unwrap();
        let at = now - SignedDuration::from_secs(behind_s);
        generation += u64::from(epoch.is_published);
        let effect = if epoch.is_published { Effect::Published { generation } } else { Effect::Nothing };
        let snapshot =
            epoch.snapshot.map(|snapshot| Snapshot { at_ms: Some(at.as_millisecond()), ..snapshot });
        Record {
            epoch: index as u64 + 1,
            at,
            job: part.name.to_owned(),
            effect,
            decision: epoch.decision,
            snapshot,
            state: Arc::default(),
            imagined: false,
            restored: Vec::new(),
            outcome: epoch.is_published.then(|| outcome(generation, at)),
        }
    };
    epochs.into_iter().enumerate().map(&mut record).collect()
}

/// How a change in place goes.
fn outcome(generation: u64, at: Timestamp) -> ChangeOutcome {
    let step = |state, duration_ms| PhaseDuration { state, at, duration_ms };
    let steps = vec![
        step(job_config::ChangeState::Submitting, Some(3_300)),
        step(job_config::ChangeState::Running, None),
    ];
    let state = job_config::ChangeState::Running;
    ChangeOutcome { generation, state, duration_ms: Some(3_400), message: None, steps, observed: None }
}

impl Played {
    /// Plays the rest in real time, then its last epoch again and again, until the program ends.
    async fn go_on(self) {
        let mut epochs = tokio::time::interval(Duration::from_secs(EPOCH_S.into()));
        let mut samples = tokio::time::interval(Duration::from_secs(1));
        let mut rest = self.rest.into_iter();
        let mut newest: Option<Record> = None;
        epochs.tick().await;
        loop {
            tokio::select! {
                _ = samples.tick() => self.status.sampled(Ok(()), Timestamp::now()),
                _ = epochs.tick() => {
                    let epoch = newest.as_ref().map_or(0, |record| record.epoch);
                    let again = newest.take().map(|record| Record { epoch: epoch + 1, effect: Effect::Nothing, ..record });
                    let Some(record) = rest.next().or(again) else { continue };
                    let record = Record { at: Timestamp::now(), ..record };
                    self.status.decided(&record);
                    newest = Some(record);
                }
            }
        }
    }
}

/// The jobs of a cluster in different states; the first is the one that the pictures show alone.
pub(crate) fn cluster() -> Vec<Part> {
    let steps = |levels: &[(u32, f64)]| Shape::Steps { levels: levels.to_vec() };
    let part = |name, template, shape| Part {
        name,
        template,
        operators: &[],
        shape,
        bound_ms: Some(2_000.0),
        has_fixed_slots: false,
    };
    vec![
        Part {
            operators: &["source-bid", "source-auction", "bid-map", "q7-join-highest-bid", "sink-q7"],
            ..part("nexmark-q7", Template::Join, steps(&[(0, 16e3), (2_500, 24e3), (3_000, 36e3)]))
        },
        Part {
            operators: LONG_NAMES,
            bound_ms: None,
            ..part(
                "payments-fraud-detection-enrichment-and-scoring-production-eu-central-1",
                Template::Deep,
                Shape::Sine { period_s: 1_800, low: 9e3, high: 22e3 },
            )
        },
        Part {
            has_fixed_slots: true,
            ..part("clickstream-sessions", Template::Linear, steps(&[(0, 15e3), (2_600, 45e3)]))
        },
        part(
            "orders-to-warehouse",
            Template::External { limit_per_s: 24e3 },
            steps(&[(0, 18e3), (2_700, 34e3)]),
        ),
        part("inventory-sync", Template::Window, steps(&[(0, 12e3)])),
        part("fraud-model-features", Template::Linear, steps(&[(0, 14e3)])),
    ]
}

const LONG_NAMES: &[&str] = &[
    "Source: transactions-eu-central-1-v3[4]",
    "Calc[5] -> ConstraintEnforcer[6] -> TransactionParser",
    "Correlate[7] -> explode-line-items-of-the-basket",
    "AsyncLookupJoin[9] -> enrich-with-customer-profile-and-device-fingerprint",
    "GlobalGroupAggregate[12] -> Calc[13] -> score-by-merchant-and-country",
    "Sink: scored-transactions-eu-central-1[14]",
];

/// Plays the whole cluster, and gives two of its jobs another state.
pub(crate) fn played(parts: &[Part]) -> Vec<Played> {
    let now = Timestamp::now();
    let jobs: Vec<Played> = parts.iter().map(|part| play(part, now)).collect();
    for job in &jobs {
        match job.status.info.name.as_str() {
            "inventory-sync" => drop(job.status.switches.set(Switch::Pause, true).unwrap()),
            "fraud-model-features" => drop(job.status.switches.set(Switch::DryRun, true).unwrap()),
            _ => {}
        }
    }
    jobs
}

/// The statuses of these jobs.
pub(crate) fn statuses(jobs: &[Played]) -> Vec<Arc<JobStatus>> {
    jobs.iter().map(|job| Arc::clone(&job.status)).collect()
}

/// Plays the rest of all in real time.
pub(crate) async fn go_on(jobs: Vec<Played>) {
    let mut tasks = tokio::task::JoinSet::new();
    for job in jobs {
        tasks.spawn(job.go_on());
    }
    tasks.join_all().await;
}
