//! One run: polls, kills and restarts the programs while virtual time advances, and checks the invariants.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use control::{Current, DocumentStatus};
use job_config::JobDocument;

use super::faults::{Faults, Regression};
use super::flink::{broken, mended, widths_of};
use super::job_model::{SCALED, WIDTH_MAX};
use super::scaler::RESTORE_LIMITS;
use super::world::{Counts, ProgramId, Shared, World};
use super::{agent, scaler};

/// End of the faults; the end of the run follows.
pub(crate) const CALM_MS: u64 = 240_000;
const END_MS: u64 = CALM_MS + 300_000;

/// Latest end if a change is in progress.
const END_LATEST_MS: u64 = END_MS + 60_000;

/// Interval at which an operator publishes documents that the programs cannot succeed, after the calm.
const PERSON_MS: u64 = 60_000;

/// Bound on the polls at one moment.
const POLLS_MAX: u32 = 2_000;

/// What a run showed.
pub(crate) struct RunResult {
    pub(crate) violation: Option<String>,
    pub(crate) log: String,
    pub(crate) counts: Counts,
}

/// Runs to the end, or to the first violated invariant.
pub(crate) fn simulate(seed: u64, faults: Faults, is_logged: bool) -> RunResult {
    let mut world = World::new(seed, faults, is_logged);
    let first = first_document(&mut world, seed);
    world.flink.slots = WIDTH_MAX / 2;
    world.drop.begin(first);
    let mut run = Run::new(Shared::new(world));
    while run.shared.lock().violation.is_none() && run.step() {}
    run.end()
}

/// In place or by savepoint, with random parallelism.
fn first_document(world: &mut World, seed: u64) -> JobDocument {
    let mode = if seed % 5 < 3 { "in-place" } else { "savepoint-restart" };
    let [map, sum] = SCALED.map(|_| world.random.whole(1, 10));
    JobDocument::parse(&format!(
        "format = 1\njob = \"played\"\ngeneration = 1\nissued_at = \"2026-01-01T00:00:00Z\"\nreason = \"first\"\n\
         restart_mode = \"{mode}\"\n[parallelism]\ndefault = 1\nmax = 128\n\
         [parallelism.operators]\nmap = {map}\nsum = {sum}\n[sink]\ntopic = \"results\"\n"
    ))
    .unwrap()
}

struct SimulatedProgram {
    who: ProgramId,
    life: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Time of its restart.
    starts_ms: u64,
}

#[derive(Default)]
struct WakeFlag(AtomicBool);

impl Wake for WakeFlag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Run {
    shared: Shared,
    programs: Vec<SimulatedProgram>,
    woken: Arc<WakeFlag>,
    waker: Waker,
    /// Whether the known fault has occurred.
    has_struck: bool,
    person_ms: u64,
}

impl Run {
    fn new(shared: Shared) -> Self {
        let woken = Arc::new(WakeFlag::default());
        let waker = Waker::from(Arc::clone(&woken));
        let program = |who| SimulatedProgram { who, life: None, starts_ms: 0 };
        let mut programs: Vec<_> = [ProgramId::Agent, ProgramId::Scaler].map(program).into();
        if shared.lock().faults.has_twin {
            programs.push(SimulatedProgram { starts_ms: 4_000, ..program(ProgramId::Twin) });
        }
        Self { shared, programs, woken, waker, has_struck: false, person_ms: CALM_MS + PERSON_MS }
    }

    /// Processes all events of one moment; returns whether there is another moment.
    fn step(&mut self) -> bool {
        self.shared.lock().settle();
        self.strike();
        self.lose_power();
        self.shared.lock().edit();
        self.shared.lock().publish_broken();
        self.shared.lock().shrink();
        self.start();
        self.poll();
        let mut world = self.shared.lock();
        let now_ms = world.now_ms;
        if now_ms >= self.person_ms {
            self.person_ms += PERSON_MS;
            world.help();
        }
        let starts = self.programs.iter().filter(|program| program.life.is_none()).map(|p| p.starts_ms);
        let wakes = std::mem::take(&mut world.wakes);
        let is_over = now_ms >= END_MS && (world.is_at_rest() || now_ms >= END_LATEST_MS);
        let faults = &world.faults;
        let planned =
            faults.power_ms.iter().chain(&faults.edits_ms).chain(&faults.broken_ms).chain(&faults.shrinks_ms);
        let planned = planned.copied().collect::<Vec<_>>();
        let next = wakes
            .into_iter()
            .chain(starts)
            .chain(planned)
            .chain([self.person_ms, END_MS])
            .filter(|at| *at > now_ms);
        world.now_ms = next.min().unwrap_or(END_LATEST_MS);
        !is_over
    }

    fn start(&mut self) {
        let now_ms = self.shared.lock().now_ms;
        for program in &mut self.programs {
            if program.life.is_some() || program.starts_ms > now_ms {
                continue;
            }
            self.shared.lock().tell(format_args!("{:?} starts", program.who));
            program.life = Some(match program.who {
                ProgramId::Agent => Box::pin(agent::run(self.shared.clone())),
                who => Box::pin(scaler::run(self.shared.clone(), who)),
            });
        }
    }

    /// Polls the programs until none can continue.
    fn poll(&mut self) {
        for _ in 0..POLLS_MAX {
            let version = self.shared.lock().version;
            self.woken.0.store(false, Ordering::Relaxed);
            for index in 0..self.programs.len() {
                self.poll_one(index);
            }
            if !self.woken.0.load(Ordering::Relaxed) && self.shared.lock().version == version {
                return;
            }
        }
        self.shared.lock().must_not("a program goes on for ever without waiting".to_owned());
    }

    fn poll_one(&mut self, index: usize) {
        let SimulatedProgram { who, life, .. } = &mut self.programs[index];
        let Some(future) = life else { return };
        let has_ended = future.as_mut().poll(&mut Context::from_waker(&self.waker)) != Poll::Pending;
        let mut world = self.shared.lock();
        let has_crashed = world.crashed.contains(who);
        if has_ended && !has_crashed {
            world.must_not(format!("{who:?} ends by itself"));
        }
        if !has_ended && !has_crashed {
            return;
        }
        let who = *who;
        world.crashed.retain(|crashed| *crashed != who);
        let starts_ms = world.now_ms + world.random.whole(200, 20_000) as u64;
        world.lose_journal(who);
        drop(world);
        self.kill(index, starts_ms);
    }

    /// Kills all programs at a power loss; stops the second rescaler forever at the calm.
    fn lose_power(&mut self) {
        let mut world = self.shared.lock();
        let now_ms = world.now_ms;
        if now_ms >= CALM_MS && self.programs.len() > 2 {
            drop(world);
            self.programs.truncate(2);
            return;
        }
        if world.faults.power_ms.first().is_none_or(|at| *at > now_ms) {
            return;
        }
        world.faults.power_ms.remove(0);
        world.tell(format_args!("power is lost"));
        let starts_ms = now_ms + world.random.whole(1_000, 30_000) as u64;
        for program in &self.programs {
            world.counts.crashes += 1;
            world.lose_journal(program.who);
        }
        drop(world);
        for index in 0..self.programs.len() {
            self.kill(index, starts_ms);
        }
    }

    fn kill(&mut self, index: usize, starts_ms: u64) {
        self.programs[index].life = None;
        self.programs[index].starts_ms = starts_ms;
    }

    /// Injects the known fault once its moment has come.
    fn strike(&mut self) {
        let mut world = self.shared.lock();
        let Some(known) = world.faults.known.filter(|_| !self.has_struck) else { return };
        let is_ended = world.drop.has_final_report(2);
        let (is_now, away_ms, forgets) = match known {
            Regression::LongReport | Regression::FinalReportRefused => return,
            Regression::JournalLostInMidChange => (world.is_in_mid_change(), 140_000, true),
            Regression::JournalLostAfterRescale => (is_ended, 1_000, true),
            Regression::ClockPutRight => {
                world.put_clock_ahead(!is_ended);
                (is_ended, 1_000, false)
            }
        };
        if !is_now {
            return;
        }
        self.has_struck = true;
        if forgets {
            world.disk.agent.clear();
        }
        world.tell(format_args!("{known:?}: the agent ends"));
        let starts_ms = world.now_ms + away_ms;
        drop(world);
        self.kill(0, starts_ms);
    }

    fn end(self) -> RunResult {
        let mut world = self.shared.lock();
        if world.violation.is_none() {
            world.check_end();
        }
        let (violation, log) = (world.violation.clone(), world.log().to_owned());
        RunResult { violation, log, counts: world.counts }
    }
}

impl World {
    /// Deletes the journal of a crashed program, if drawn.
    fn lose_journal(&mut self, who: ProgramId) {
        if self.is_calm() || self.faults.lost == 0.0 || self.random.uniform() >= self.faults.lost {
            return;
        }
        self.tell(format_args!("the journal of {who:?} is lost"));
        self.disk.of(who).clear();
    }

    /// Rescales the job by hand at its time.
    fn edit(&mut self) {
        let now_ms = self.now_ms;
        if self.faults.edits_ms.first().is_none_or(|at| *at > now_ms) {
            return;
        }
        self.faults.edits_ms.remove(0);
        let running = self.flink.alive().find(|job| job.is_fully_running()).map(|job| job.id.clone());
        let widths = [0, 1].map(|_| self.random.whole(1, WIDTH_MAX as usize) as u32);
        if let Some(job) = running {
            self.edited_ms = Some(now_ms);
            self.tell(format_args!("a person rescales the job to {widths:?}"));
            // A rejection by Flink is ignored.
            let _ = self.rescale(&job, widths.map(Some));
        }
    }

    /// Publishes a document whose job always fails, at its time.
    fn publish_broken(&mut self) {
        if self.faults.broken_ms.is_none_or(|at| at > self.now_ms) {
            return;
        }
        self.faults.broken_ms = None;
        let current = self.drop.current().cloned().unwrap();
        let generation = current.generation() + 1;
        self.tell(format_args!("a person publishes generation {generation}, whose job always fails"));
        self.publish_by_hand(&broken(&current));
    }

    /// Publishes the next generation with the content of this document.
    fn publish_by_hand(&mut self, document: &JobDocument) {
        let current = self.drop.current().cloned().unwrap();
        let next = document.renumbered(current.generation() + 1).unwrap();
        let next = next.dated(self.now(), None).unwrap();
        let _ = self.drop.put(&next, &current.entity_tag());
        self.stir();
    }

    /// Takes half of the slots away at its time.
    fn shrink(&mut self) {
        if self.faults.shrinks_ms.is_some_and(|at| at <= self.now_ms) {
            self.faults.shrinks_ms = None;
            self.lose_slots();
        }
    }

    fn is_in_mid_change(&self) -> bool {
        let last = self.disk.agent.iter().rev().find(|line| line.contains("\"entry\":\"entered\""));
        let is_there = |name: &str| last.is_some_and(|line| line.contains(&format!("\"phase\":\"{name}\"")));
        ["rescaling", "stopping", "submitting"].into_iter().any(is_there)
            && self.drop.current().is_some_and(|current| current.generation() > 1)
    }

    /// The newest document's status according to its reports.
    pub(super) fn newest(&self) -> DocumentStatus {
        let document = self.drop.current().cloned().unwrap();
        let current = Current { entity_tag: document.entity_tag(), document };
        control::status(current, Some(&self.drop.reports), self.now())
    }

    /// Whether no change is in progress.
    fn is_at_rest(&self) -> bool {
        let ended =
            self.drop.current().is_some_and(|current| self.drop.has_final_report(current.generation()));
        ended && self.flink.alive().all(|job| job.is_fully_running())
    }

    /// Publishes the newest document again as an operator would, where no program can continue; mended if it was broken.
    fn help(&mut self) {
        let DocumentStatus::ByHand(reason) = self.newest() else { return };
        self.tell(format_args!("a person publishes the next document, because {reason}"));
        let mended = mended(self.drop.current().unwrap());
        self.publish_by_hand(&mended);
    }

    /// Checks the end state after the calm: one job runs, the loop knows it, and the load is sustained.
    fn check_end(&mut self) {
        let alive: Vec<String> =
            self.flink.alive().map(|job| format!("{} {:?}", job.id, job.state)).collect();
        if alive.len() != 1 || !self.flink.alive().all(|job| job.is_fully_running()) {
            self.must_not(format!("in the end these jobs are there: {alive:?}"));
        }
        match self.newest() {
            // Without reports nothing can be published; the loop relies on Flink's observed state and has raised an
            // alarm.
            DocumentStatus::NotYet(_) if self.faults.known == Some(Regression::FinalReportRefused) => {}
            DocumentStatus::NotYet(reason) | DocumentStatus::ByHand(reason) => {
                self.must_not(format!("in the end the loop stands: {reason}"))
            }
            DocumentStatus::Earlier(earlier) if self.drop.revision(earlier.generation()).is_none() => {
                self.must_not("in the end the document that runs is gone".to_owned());
            }
            _ => {}
        }
        self.check_restored();
        let (arrives, carried) = (self.job_model.arrival_per_s(self.now_ms), self.job_model.carried_per_s());
        if self.is_ds2 && carried < arrives {
            self.must_not(format!("in the end {arrives:.0}/s arrive and {carried:.0}/s are carried"));
        }
    }

    /// Checks that the job is asked for what its document says, where changes by hand are put back and nobody gave up.
    fn check_restored(&mut self) {
        let is_given_up = self.counts.restored >= u64::from(RESTORE_LIMITS.restores_max);
        if !self.faults.restores || is_given_up || self.violation.is_some() {
            return;
        }
        let document = match self.newest() {
            DocumentStatus::Runs(running) => running.document().clone(),
            DocumentStatus::Earlier(earlier) => match self.drop.revision(earlier.generation()) {
                Some(document) => document.clone(),
                None => return,
            },
            DocumentStatus::NotYet(_) | DocumentStatus::ByHand(_) => return,
        };
        let wanted = self.flink.alive().next().map(|job| job.wanted);
        if wanted != Some(widths_of(&document)) {
            self.must_not(format!("in the end Flink is asked for {wanted:?}, and the document is another"));
        }
    }
}
