//! A simulated Flink: jobs that start, stop with a savepoint, rescale, fail, and get slots late or never.

use flink::{JobId, JobState, SavepointStatus, TriggerId};
use job_config::{JobDocument, RestartMode};

use super::job_model::SCALED;
use super::world::World;

/// A cluster with one slot sharing group: it needs as many slots as the highest parallelism.
#[derive(Debug, Default)]
pub(crate) struct SimulatedFlink {
    /// Jobs in order of submission.
    pub(crate) jobs: Vec<SimulatedJob>,
    pub(crate) slots: u32,
    /// Arrival time of requested slots.
    slots_at_ms: Option<u64>,
}

/// One submission.
#[derive(Debug)]
pub(crate) struct SimulatedJob {
    pub(crate) id: JobId,
    pub(crate) state: JobState,
    /// Required parallelism; the actual one follows.
    pub(crate) wanted: [u32; 2],
    pub(crate) width: [u32; 2],
    /// Its next event.
    due: Option<(u64, PendingEvent)>,
    /// Whether it keeps failing at the required parallelism.
    is_poisoned: bool,
    pub(crate) failures_ms: Vec<u64>,
    pub(crate) stop: Option<Stop>,
    savepoint: Option<String>,
    began_from: Option<String>,
    ran_from_ms: Option<u64>,
    ended_ms: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Stop {
    pub(crate) trigger: TriggerId,
    ends_ms: u64,
    fails: bool,
    pub(crate) status: SavepointStatus,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PendingEvent {
    Runs,
    Fails,
    Applies,
    Recovers,
    FailsAgain,
    Cancelled,
}

/// The sink topic of every document but broken ones, as written in its text.
const TOPIC: &str = "topic = \"results\"";

/// The sink topic of documents whose job always fails.
const BROKEN_TOPIC: &str = "topic = \"broken\"";

/// Returns whether a document's job always fails.
pub(crate) fn is_broken(document: &JobDocument) -> bool {
    document.text().contains(BROKEN_TOPIC)
}

/// Returns the document with content whose job always fails, started by a savepoint.
pub(crate) fn broken(document: &JobDocument) -> JobDocument {
    let text = document.text().replace(TOPIC, BROKEN_TOPIC);
    JobDocument::parse(&text.replace("\"in-place\"", "\"savepoint-restart\"")).unwrap()
}

/// Returns the document with the content of every document but broken ones.
pub(crate) fn mended(document: &JobDocument) -> JobDocument {
    JobDocument::parse(&document.text().replace(BROKEN_TOPIC, TOPIC)).unwrap()
}

/// The parallelism in a document.
pub(crate) fn widths_of(document: &JobDocument) -> [u32; 2] {
    SCALED.map(|(name, _)| document.parallelism().of(name))
}

impl SimulatedJob {
    pub(crate) fn is_alive(&self) -> bool {
        !self.state.is_terminal()
    }

    pub(crate) fn is_fully_running(&self) -> bool {
        self.state == JobState::Running
    }

    /// Checkpoints that it has completed.
    pub(crate) fn checkpoints(&self, now_ms: u64) -> u64 {
        let until = self.ended_ms.unwrap_or(now_ms);
        self.ran_from_ms.map_or(0, |from| until.saturating_sub(from) / 10_000)
    }

    pub(crate) fn newest_state(&self, now_ms: u64) -> Option<String> {
        let checkpoints = self.checkpoints(now_ms);
        let newest = || (checkpoints > 0).then(|| format!("checkpoint-{}-{checkpoints}", self.id));
        self.savepoint.clone().or_else(newest)
    }

    pub(crate) fn savepoint(&self) -> Option<String> {
        self.savepoint.clone()
    }

    fn end(&mut self, state: JobState, at_ms: u64) {
        self.state = state;
        self.due = None;
        self.ended_ms = Some(at_ms);
    }
}

impl SimulatedFlink {
    pub(crate) fn job(&self, id: &JobId) -> Option<&SimulatedJob> {
        self.jobs.iter().find(|job| job.id == *id)
    }

    fn job_mut(&mut self, id: &JobId) -> Option<&mut SimulatedJob> {
        self.jobs.iter_mut().find(|job| job.id == *id)
    }

    pub(crate) fn alive(&self) -> impl Iterator<Item = &SimulatedJob> {
        self.jobs.iter().filter(|job| job.is_alive())
    }

    /// The next event: its time, and its job; `None`: the slots.
    fn next(&self) -> Option<(u64, Option<usize>)> {
        let of_jobs = self.jobs.iter().enumerate().filter_map(|(index, job)| {
            let stops = job.stop.as_ref().filter(|stop| stop.status == SavepointStatus::InProgress);
            let times = [job.due.map(|(at, _)| at), stops.map(|stop| stop.ends_ms)];
            Some((times.into_iter().flatten().min()?, Some(index)))
        });
        of_jobs.chain(self.slots_at_ms.map(|at| (at, None))).min()
    }
}

impl World {
    /// Processes all due events.
    pub(crate) fn settle(&mut self) {
        let now_ms = self.now_ms;
        while let Some(at_ms) = self.faults.forgets_ms.first().copied().filter(|at| *at <= now_ms) {
            self.happen_until(at_ms);
            self.faults.forgets_ms.remove(0);
            self.tell(format_args!("Flink's JobManager starts anew and forgets what was asked of it"));
            self.flink.jobs.iter_mut().for_each(|job| job.stop = None);
        }
        self.happen_until(now_ms);
        self.job_model.pass(now_ms);
    }

    fn happen_until(&mut self, until_ms: u64) {
        while let Some((at_ms, job)) = self.flink.next().filter(|(at, _)| *at <= until_ms) {
            match job {
                Some(index) => self.happen(index, at_ms),
                None => self.slots_come(at_ms),
            }
            self.show(at_ms);
        }
    }

    /// Processes a job's next event.
    fn happen(&mut self, index: usize, at_ms: u64) {
        let (slots, is_calm) = (self.flink.slots, at_ms >= self.faults.calm_ms);
        let job = &mut self.flink.jobs[index];
        if let Some(stop) = &mut job.stop
            && stop.status == SavepointStatus::InProgress
            && stop.ends_ms == at_ms
        {
            if stop.fails {
                stop.status = SavepointStatus::Failed { cause: "a checkpoint was declined".to_owned() };
                return;
            }
            let location = format!("savepoint-{}-{at_ms}", job.id);
            stop.status = SavepointStatus::Completed { location: location.clone() };
            job.savepoint = Some(location);
            job.end(JobState::Finished, at_ms);
            return;
        }
        let Some((_, due)) = job.due.take() else { return };
        match due {
            PendingEvent::Runs | PendingEvent::Recovers => {
                job.state = JobState::Running;
                job.ran_from_ms.get_or_insert(at_ms);
                if job.wanted.map(|wanted| wanted.min(slots)) != job.width {
                    job.due = Some((at_ms + 1_000, PendingEvent::Applies));
                }
            }
            PendingEvent::Fails => {
                job.failures_ms.push(at_ms);
                job.end(JobState::Failed, at_ms);
            }
            PendingEvent::Applies if job.is_poisoned && !is_calm => {
                job.state = JobState::Restarting;
                job.due = Some((at_ms + 500, PendingEvent::FailsAgain));
            }
            PendingEvent::Applies => {
                job.state = JobState::Restarting;
                job.width = job.wanted.map(|wanted| wanted.min(slots));
                job.due = Some((at_ms + 700, PendingEvent::Recovers));
            }
            PendingEvent::FailsAgain => {
                job.failures_ms.push(at_ms);
                job.due = Some((at_ms + 1_000, PendingEvent::Applies));
            }
            PendingEvent::Cancelled => job.end(JobState::Canceled, at_ms),
        }
    }

    fn slots_come(&mut self, at_ms: u64) {
        self.flink.slots_at_ms = None;
        let wanted = self.flink.alive().flat_map(|job| job.wanted).max();
        self.flink.slots = self.flink.slots.max(wanted.unwrap_or(0));
        let slots = self.flink.slots;
        for job in self.flink.jobs.iter_mut().filter(|job| job.state == JobState::Running) {
            if job.width != job.wanted.map(|wanted| wanted.min(slots)) && job.due.is_none() {
                job.due = Some((at_ms + 1_000, PendingEvent::Applies));
            }
        }
    }

    /// Updates load and metrics, and checks that at most one job runs.
    fn show(&mut self, at_ms: u64) {
        let mut running = self.flink.jobs.iter().filter(|job| job.is_fully_running());
        let first = running.next().map(|job| job.width);
        if running.next().is_some() {
            self.must_not("two jobs run at once".to_owned());
        }
        self.job_model.set(first, at_ms);
    }

    /// Requests slots for this parallelism, if too few: immediate, late, or not before the calm.
    fn want_slots(&mut self, widths: [u32; 2]) {
        if widths.into_iter().max() <= Some(self.flink.slots) {
            return;
        }
        let is_bad = !self.is_calm() && self.random.uniform() < self.faults.slots;
        let delay_ms = match (is_bad, self.random.whole(0, 2)) {
            (false, _) => 1_500,
            (true, 0) => 30_000,
            (true, 1) => 120_000,
            (true, _) => self.faults.calm_ms - self.now_ms,
        };
        let at_ms = (self.now_ms + delay_ms).min(self.faults.calm_ms.max(self.now_ms + 1_500));
        self.flink.slots_at_ms = Some(self.flink.slots_at_ms.map_or(at_ms, |before| before.min(at_ms)));
    }

    /// Takes half of the slots away until the calm: the job runs with what is left.
    pub(crate) fn lose_slots(&mut self) {
        let at_ms = self.now_ms;
        self.flink.slots = (self.flink.slots / 2).max(1);
        let slots = self.flink.slots;
        self.tell(format_args!("only {slots} slots are left"));
        for job in self.flink.jobs.iter_mut().filter(|job| job.state == JobState::Running) {
            if job.width.iter().any(|width| *width > slots) && job.due.is_none() {
                job.due = Some((at_ms + 1_000, PendingEvent::Applies));
            }
        }
        self.flink.slots_at_ms = Some(self.faults.calm_ms);
    }

    /// Draws whether Flink fails to do what was requested.
    fn is_unlucky(&mut self) -> bool {
        !self.is_calm() && self.faults.flink > 0.0 && self.random.uniform() < self.faults.flink
    }

    /// Stops with a savepoint. Idempotent per trigger id.
    pub(crate) fn stop(&mut self, id: &JobId, trigger: &TriggerId, document: &JobDocument) {
        let (fails, takes_ms) = (self.is_unlucky(), self.random.whole(500, 4_000) as u64);
        let ends_ms = self.now_ms + takes_ms;
        let Some(job) = self.flink.job_mut(id).filter(|job| job.is_alive()) else { return };
        if job.stop.as_ref().is_some_and(|stop| stop.trigger == *trigger) {
            return;
        }
        let status = SavepointStatus::InProgress;
        job.stop = Some(Stop { trigger: trigger.clone(), ends_ms, fails, status });
        let is_as_wanted = job.is_fully_running() && job.width == widths_of(document);
        if is_as_wanted && document.restart_mode() == RestartMode::InPlace {
            let generation = document.generation();
            self.must_not(format!("a job that runs as generation {generation} says is stopped"));
        }
    }

    /// Rescales a running job in place.
    pub(crate) fn rescale(&mut self, id: &JobId, widths: [Option<u32>; 2]) -> Result<(), String> {
        let is_unlucky = self.is_unlucky();
        let how = self.random.whole(0, 2);
        let (now_ms, waits_ms) = (self.now_ms, self.random.whole(200, 3_000) as u64);
        if is_unlucky && how == 0 {
            return Err("the requirements are not taken".to_owned());
        }
        let Some(job) = self.flink.job_mut(id).filter(|job| job.is_alive()) else {
            return Err("there is no such job".to_owned());
        };
        let mut wanted = job.wanted;
        wanted.iter_mut().zip(widths).for_each(|(wanted, new)| *wanted = new.unwrap_or(*wanted));
        if wanted == job.wanted {
            return Ok(());
        }
        job.wanted = wanted;
        job.is_poisoned = is_unlucky && how == 1;
        if job.state == JobState::Running || job.state == JobState::Restarting {
            job.due = Some((now_ms + waits_ms, PendingEvent::Applies));
        }
        self.want_slots(wanted);
        Ok(())
    }

    /// Submits a job under this id. Idempotent.
    pub(crate) fn submit(&mut self, id: &JobId, savepoint: Option<&String>, document: &JobDocument) {
        if self.flink.job(id).is_some() {
            return;
        }
        let other = self.flink.alive().next().map(|job| job.id.clone());
        if let Some(other) = other {
            self.must_not(format!("job {id} is submitted beside job {other}"));
        }
        let (is_unlucky, how) = (self.is_unlucky(), self.random.whole(0, 1));
        let takes_ms = self.random.whole(800, 5_000) as u64;
        let last = self.flink.jobs.iter().max_by_key(|job| job.ended_ms);
        let newest = last.and_then(|job| job.newest_state(self.now_ms).or_else(|| job.began_from.clone()));
        if savepoint != newest.as_ref() {
            self.must_not(format!("job {id} begins from {savepoint:?}, but the newest state is {newest:?}"));
        }
        let wanted = widths_of(document);
        self.want_slots(wanted);
        let due = match (is_unlucky, how) {
            _ if is_broken(document) => Some((self.now_ms + takes_ms, PendingEvent::Fails)),
            (false, _) => Some((self.now_ms + takes_ms, PendingEvent::Runs)),
            (true, 0) => Some((self.now_ms + takes_ms, PendingEvent::Fails)),
            // It hangs until it is cancelled, or until the calm.
            (true, _) => Some((self.faults.calm_ms.max(self.now_ms) + takes_ms, PendingEvent::Runs)),
        };
        let slots = self.flink.slots.max(1);
        self.flink.jobs.push(SimulatedJob {
            id: id.clone(),
            state: JobState::Created,
            wanted,
            width: wanted.map(|wanted| wanted.min(slots)),
            due,
            is_poisoned: false,
            failures_ms: Vec::new(),
            stop: None,
            savepoint: None,
            began_from: savepoint.cloned(),
            ran_from_ms: None,
            ended_ms: None,
        });
    }

    pub(crate) fn cancel(&mut self, id: &JobId) {
        let at_ms = self.now_ms + 500;
        if let Some(job) = self.flink.job_mut(id).filter(|job| job.is_alive()) {
            job.state = JobState::Cancelling;
            job.stop = None;
            job.due = Some((at_ms, PendingEvent::Cancelled));
        }
        self.show(self.now_ms);
    }
}
