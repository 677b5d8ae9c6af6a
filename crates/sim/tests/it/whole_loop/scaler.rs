//! Simulated environment of the control loop; the loop itself is the real one.

use std::collections::BTreeMap;
use std::time::Duration;

use control::{
    ControlLoop, Current, DocumentStatus, Environment, FollowUp, LoopOptions, OperatorNames, PutOutcome,
    RESTORE, Record, RestoreLimits, Switches,
};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use job_config::{EntityTag, JobDocument, Report};
use scaling::ds2::{self, Ds2};
use scaling::latency::{self, Latency};
use scaling::limits::{Bounds, Limits};
use scaling::{Constraints, Policy, Snapshot};

use super::disk::WriteFailed;
use super::drop::Status;
use super::flink::{is_broken, widths_of};
use super::job_model::{MetricFault, SCALED, WIDTH_MAX};
use super::world::{FailedCall, ProgramId, Shared, World};

/// Time within which a manual rescale may be unobserved: two epochs of the simulated loop, in milliseconds.
const EDIT_SEEN_MS: u64 = 20_000;

/// Length of an epoch.
const EPOCH: Duration = Duration::from_secs(10);

/// How long after publication a document may be started.
pub(crate) const DOCUMENT_TTL: Duration = Duration::from_secs(60);

/// Timeout of a change: longer than all of the agent's timeouts together.
const APPLIED_WITHIN: Duration = Duration::from_secs(120);

/// How often a job that was rescaled by hand is put back: a run is shorter than the window.
pub(crate) const RESTORE_LIMITS: RestoreLimits =
    RestoreLimits { restores_max: 3, window: Duration::from_secs(3_600) };

/// The loop's access to the simulation.
struct LoopEnvironment {
    shared: Shared,
    who: ProgramId,
    /// The metrics of this epoch.
    sight: MetricFault,
}

/// The rescaler's process, from its start until it crashes.
pub(crate) async fn run(shared: Shared, who: ProgramId) {
    let lines = shared.lock().disk.of(who).clone();
    let lines = lines.iter().map(|line| serde_json::from_str(line).unwrap());
    let mut control =
        ControlLoop::new(options(&shared.lock()), OperatorNames::default(), control::resume(lines));
    let mut env = LoopEnvironment { shared: shared.clone(), who, sight: MetricFault::Whole };
    loop {
        shared.sleep(EPOCH).await;
        if control.turn(&mut env).await.is_err() {
            return;
        }
    }
}

fn options(world: &World) -> LoopOptions {
    let most = |(name, _): &(&str, f64)| ((*name).to_owned(), Bounds { max: WIDTH_MAX, ..Bounds::default() });
    let limits =
        Limits { operators: SCALED.iter().map(most).collect::<BTreeMap<_, _>>(), ..Limits::default() };
    let mut constraints = Constraints { limits, ..Constraints::default() };
    constraints.size.slots_on_demand = true;
    LoopOptions {
        job: "played".to_owned(),
        constraints,
        document_ttl: DOCUMENT_TTL,
        applied_within: APPLIED_WITHIN,
        time_zone: TimeZone::UTC,
        restore: world.faults.restores.then_some(RESTORE_LIMITS),
    }
}

fn policy(is_ds2: bool) -> Box<dyn Policy> {
    match is_ds2 {
        true => Box::new(Ds2(ds2::Options {
            utilization_max: 0.85,
            catch_up_duration_s: 60.0,
            restart_time_s: 5.0,
            stabilization_interval_s: 20,
            scale_down_interval_s: 60,
            ..ds2::Options::default()
        })),
        false => Box::new(Latency(latency::Options::default())),
    }
}

fn reason(FailedCall { status }: FailedCall) -> String {
    format!("status {status}")
}

impl Environment for LoopEnvironment {
    type Error = WriteFailed;

    fn now(&self) -> Timestamp {
        self.shared.lock().now()
    }

    fn switches(&self) -> Switches {
        Switches::default()
    }

    async fn policy(&self, _ready: Option<&Snapshot>) -> Box<dyn Policy> {
        policy(self.shared.lock().is_ds2)
    }

    async fn current(&mut self) -> Result<Current, String> {
        let current = |p: &mut World| p.drop.current().cloned().zip(p.drop.tag().cloned());
        let found = self.shared.call(self.who, "drop for the newest document", current).await;
        let (document, entity_tag) = found.map_err(reason)?.ok_or("the job has no document")?;
        Ok(Current { document, entity_tag })
    }

    async fn snapshot(&mut self, _document: &JobDocument) -> Result<Snapshot, String> {
        let mut world = self.shared.lock();
        world.settle();
        self.sight = world.sight();
        let now_ms = world.now_ms;
        let snapshot = world.job_model.snapshot(now_ms, self.sight);
        if self.sight != MetricFault::Whole {
            let sight = self.sight;
            world.tell(format_args!("{:?} sees metrics {sight:?}", self.who));
        }
        if let Ok(snapshot) = &snapshot {
            let parallelism =
                snapshot.operators.iter().map(|operator| (operator.name.clone(), operator.parallelism));
            world.observed[usize::from(self.who == ProgramId::Twin)] = parallelism.collect();
        }
        snapshot
    }

    async fn reports(&mut self) -> Result<Option<Vec<Report>>, String> {
        let reports = |p: &mut World| p.drop.reports.clone();
        self.shared.call(self.who, "drop for reports", reports).await.map(Some).map_err(reason)
    }

    async fn revision(&mut self, generation: u64) -> Result<Option<JobDocument>, String> {
        let revision = |p: &mut World| p.drop.revision(generation).cloned();
        self.shared.call(self.who, "drop for an earlier document", revision).await.map_err(reason)
    }

    fn append(&mut self, record: &Record) -> Result<(), WriteFailed> {
        self.shared.lock().check_record(record, self.sight, self.who);
        let what = format_args!("epoch {} ({:?}): {}", record.epoch, record.effect, record.decision);
        // The snapshot of a record is never read again.
        let kept = Record { snapshot: None, ..record.clone() };
        self.shared.write(self.who, serde_json::to_string(&kept).unwrap(), what)
    }

    fn follow_up(&mut self, follow_up: &FollowUp) -> Result<(), WriteFailed> {
        let end = follow_up.outcome.as_ref().map(|outcome| outcome.state);
        let what = format_args!("of epoch {}: {:?}, {end:?}", follow_up.of_epoch, follow_up.then);
        self.shared.write(self.who, serde_json::to_string(follow_up).unwrap(), what)
    }

    fn alarm(&mut self, sentence: Option<&str>) {
        if let Some(sentence) = sentence {
            self.shared.lock().tell(format_args!("{:?} calls for a person: {sentence}", self.who));
        }
    }

    fn drift(&mut self, sentence: Option<&str>) {
        if let Some(sentence) = sentence {
            self.shared.lock().tell(format_args!("{:?} sees that {sentence}", self.who));
        }
    }

    async fn required(&mut self) -> Option<BTreeMap<String, u32>> {
        let wanted = |p: &mut World| {
            p.settle();
            let job = p.flink.alive().next()?;
            Some(
                SCALED
                    .iter()
                    .zip(job.wanted)
                    .map(|((name, _), wanted)| ((*name).to_owned(), wanted))
                    .collect(),
            )
        };
        self.shared.call(self.who, "Flink for its requirements", wanted).await.ok().flatten()
    }

    async fn put(&mut self, document: &JobDocument, replaces: EntityTag) -> PutOutcome {
        let what = format!("drop to take generation {}", document.generation());
        let who = self.who;
        match self.shared.call(self.who, &what, |p| p.put(document, &replaces, who)).await {
            Ok(Ok(())) => PutOutcome::Stored,
            Ok(Err(Status(status))) => PutOutcome::Refused(format!("status {status}")),
            Err(FailedCall { status: 429 }) => PutOutcome::Refused("status 429".to_owned()),
            Err(no_answer) => PutOutcome::Unknown(reason(no_answer)),
        }
    }
}

impl World {
    /// Draws the metrics of the epoch that ends now.
    fn sight(&mut self) -> MetricFault {
        if self.is_calm() || self.faults.metrics == 0.0 || self.random.uniform() >= self.faults.metrics {
            return MetricFault::Whole;
        }
        match self.random.whole(0, 2) {
            0 => MetricFault::Frozen,
            gap => MetricFault::Without(gap - 1),
        }
    }

    /// Checks that no scale-down relies on missing metrics.
    fn check_record(&mut self, record: &Record, sight: MetricFault, who: ProgramId) {
        self.planned[usize::from(who == ProgramId::Twin)].clone_from(&record.decision.parallelism);
        if record.decision.policy == RESTORE {
            // The document says what to restore, whatever the metrics.
            return self.check_restore(record, who);
        }
        let (Some(_), Some(snapshot)) = (record.effect.generation(), &record.snapshot) else { return };
        let MetricFault::Without(index) = sight else { return };
        let name = SCALED[index].0;
        let before = snapshot.operators.iter().find(|operator| operator.name == name);
        let planned = record.decision.parallelism.get(name).copied();
        if let (Some(before), Some(planned)) = (before, planned)
            && planned < before.parallelism
        {
            let before = before.parallelism;
            self.must_not(format!("{name} is narrowed from {before} to {planned} without its figures"));
        }
    }

    /// Checks that only what Flink is asked for is put back, not lost slots, and not for ever.
    fn check_restore(&mut self, record: &Record, who: ProgramId) {
        self.counts.restored += 1;
        self.tell(format_args!("{who:?} puts the job back"));
        let wanted = self.flink.alive().next().map(|job| job.wanted);
        let running = match self.newest() {
            DocumentStatus::Runs(running) => Some(widths_of(running.document())),
            DocumentStatus::Earlier(earlier) => self.drop.revision(earlier.generation()).map(widths_of),
            DocumentStatus::NotYet(_) | DocumentStatus::ByHand(_) => None,
        };
        // A second rescaler may have put it back meanwhile.
        if !self.faults.restores || (wanted == running && !self.faults.has_twin) {
            self.must_not(format!("a job that is asked for {wanted:?} is put back to {running:?}"));
        }
        let count = record.restored.len();
        if count > RESTORE_LIMITS.restores_max as usize {
            self.must_not(format!("the job is put back {count} times"));
        }
    }

    /// Checks that a new document has the planned parallelism, and otherwise what runs, was requested before or was
    /// observed in this epoch (slots may have come since): nothing rejected. `running`: the document that ran until
    /// now; the job may have been rescaled by hand since.
    fn check_content(&mut self, document: &JobDocument, running: Option<&JobDocument>, who: ProgramId) {
        // The metrics describe the parallelism at the time of the sample.
        if self.edited_ms.is_some_and(|at| self.now_ms < at + EDIT_SEEN_MS) {
            return;
        }
        let alive: Vec<_> = self.flink.alive().map(|job| (job.width, job.wanted)).collect();
        let [(width, wanted)] = alive[..] else { return };
        let rescaler = usize::from(who == ProgramId::Twin);
        for (index, (name, _)) in SCALED.into_iter().enumerate() {
            let new = document.parallelism().of(name);
            let known = [
                self.planned[rescaler].get(name).copied(),
                self.observed[rescaler].get(name).copied(),
                Some(width[index]),
                Some(wanted[index]),
                running.map(|running| running.parallelism().of(name)),
            ];
            if !known.contains(&Some(new)) {
                let generation = document.generation();
                self.must_not(format!(
                    "generation {generation} has {name} = {new}, which is neither planned nor runs"
                ));
            }
        }
    }

    fn put(&mut self, document: &JobDocument, replaces: &EntityTag, who: ProgramId) -> Result<(), Status> {
        let generation = document.generation();
        let is_recorded = self.disk.of(who).last().is_some_and(|line| {
            line.contains(&format!("\"effect\":\"publishing\",\"generation\":{generation},"))
        });
        if !is_recorded {
            self.must_not(format!("generation {generation} is published before that is written down"));
        }
        let running = match self.newest() {
            DocumentStatus::Runs(running) => Some(running.document().clone()),
            DocumentStatus::Earlier(earlier) => self.drop.revision(earlier.generation()).cloned(),
            DocumentStatus::NotYet(_) | DocumentStatus::ByHand(_) => None,
        };
        let put = self.drop.put(document, replaces);
        if put.is_ok() {
            if is_broken(document) {
                self.must_not(format!("generation {generation} has the content that was rejected before"));
            }
            self.check_content(document, running.as_ref(), who);
            self.counts.published += 1;
            self.stir();
        }
        put
    }
}
