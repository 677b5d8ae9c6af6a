//! Shared state of one run: clock, random numbers, the simulated Flink, drop, disks and job, and the observed
//! violations.

use std::collections::BTreeMap;
use std::fmt::Arguments;
use std::ops::AddAssign;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sim::Random;

use super::disk::Disk;
use super::drop::SimulatedDrop;
use super::faults::{CallFault, Faults};
use super::flink::SimulatedFlink;
use super::job_model::JobModel;

/// A program that can crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProgramId {
    Agent,
    Scaler,
    /// A second rescaler of the same job, by mistake.
    Twin,
}

/// A failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FailedCall {
    /// The HTTP status of the failure.
    pub(crate) status: u16,
}

/// No faults before this time.
const BEGIN_MS: u64 = 15_000;

/// Timeout of calls.
const TIMEOUT_MS: u64 = 2_000;

/// The simulated world without the programs.
pub(crate) struct World {
    pub(crate) now_ms: u64,
    /// Time of the last manual rescale.
    pub(crate) edited_ms: Option<u64>,
    /// Offset of the agent's clock.
    pub(crate) agent_ahead: SignedDuration,
    /// Whether the policy is ds2, which scales up and down; else latency.
    pub(crate) is_ds2: bool,
    pub(crate) random: Random,
    pub(crate) faults: Faults,
    pub(crate) flink: SimulatedFlink,
    pub(crate) drop: SimulatedDrop,
    pub(crate) job_model: JobModel,
    pub(crate) disk: Disk,
    /// The last plan of each rescaler.
    pub(crate) planned: [BTreeMap<String, u32>; 2],
    /// The parallelism in the last snapshot of each rescaler.
    pub(crate) observed: [BTreeMap<String, u32>; 2],
    /// The programs that have just crashed.
    pub(crate) crashed: Vec<ProgramId>,
    /// Wake-up times of waiting tasks.
    pub(crate) wakes: Vec<u64>,
    /// Incremented whenever a waiting task may continue.
    pub(crate) version: u64,
    /// The timeline, if wanted.
    log: Option<String>,
    /// The first violated invariant.
    pub(crate) violation: Option<String>,
    pub(crate) counts: Counts,
}

/// Event counts of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) crashes: u64,
    pub(crate) faults: u64,
    pub(crate) published: u64,
    pub(crate) applied: u64,
    pub(crate) rolled_back: u64,
    pub(crate) restored: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        let Self { crashes, faults, published, applied, rolled_back, restored } = other;
        self.crashes += crashes;
        self.faults += faults;
        self.published += published;
        self.applied += applied;
        self.rolled_back += rolled_back;
        self.restored += restored;
    }
}

/// The world, as shared by the programs.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Mutex<World>>);

impl Shared {
    pub(crate) fn new(world: World) -> Self {
        Self(Arc::new(Mutex::new(world)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn sleep(&self, duration: Duration) -> Sleep {
        let until_ms = self.lock().now_ms + u64::try_from(duration.as_millis()).unwrap();
        Sleep { shared: self.clone(), until_ms }
    }

    /// Calls a service on behalf of a program, with fault injection.
    pub(crate) async fn call<T>(
        &self,
        who: ProgramId,
        what: &str,
        effect: impl FnOnce(&mut World) -> T,
    ) -> Result<T, FailedCall> {
        let fault = self.lock().fault(who, what);
        match fault {
            CallFault::Fine => Ok(effect(&mut self.lock())),
            CallFault::Late { ms } => {
                let answer = effect(&mut self.lock());
                self.sleep(Duration::from_millis(ms)).await;
                Ok(answer)
            }
            CallFault::RequestLost => self.silence().await,
            CallFault::AnswerLost => {
                let _lost = effect(&mut self.lock());
                self.silence().await
            }
            CallFault::Status { status } => Err(FailedCall { status }),
            CallFault::CrashBefore => {
                self.lock().crash(who);
                std::future::pending().await
            }
            CallFault::CrashAfter => {
                let _lost = effect(&mut self.lock());
                self.lock().crash(who);
                std::future::pending().await
            }
        }
    }

    async fn silence<T>(&self) -> Result<T, FailedCall> {
        self.sleep(Duration::from_millis(TIMEOUT_MS)).await;
        Err(FailedCall { status: 504 })
    }
}

impl World {
    pub(crate) fn new(seed: u64, faults: Faults, is_logged: bool) -> Self {
        let mut random = Random::new(seed, "whole loop");
        let job_model = JobModel::new(&mut random, faults.calm_ms);
        Self {
            now_ms: 0,
            edited_ms: None,
            agent_ahead: SignedDuration::ZERO,
            is_ds2: seed % 4 != 3,
            flink: SimulatedFlink::default(),
            drop: SimulatedDrop::default(),
            disk: Disk::default(),
            job_model,
            random,
            faults,
            planned: Default::default(),
            observed: Default::default(),
            crashed: Vec::new(),
            wakes: Vec::new(),
            version: 0,
            log: is_logged.then(String::new),
            violation: None,
            counts: Counts::default(),
        }
    }

    /// The wall-clock time, by the publisher's clock.
    pub(crate) fn now(&self) -> Timestamp {
        at(self.now_ms)
    }

    /// Whether faults are off: during the first document, and after the calm.
    pub(crate) fn is_calm(&self) -> bool {
        !(BEGIN_MS..self.faults.calm_ms).contains(&self.now_ms)
    }

    /// Adds a line to the timeline.
    pub(crate) fn tell(&mut self, what: Arguments<'_>) {
        use std::fmt::Write as _;
        if let Some(log) = &mut self.log {
            let (s, ms) = (self.now_ms / 1000, self.now_ms % 1000);
            writeln!(log, "{s:5}.{ms:03} s  {what}").unwrap();
        }
    }

    /// The timeline so far.
    pub(crate) fn log(&self) -> &str {
        self.log.as_deref().unwrap_or_default()
    }

    /// Records a violated invariant; the first one counts.
    pub(crate) fn must_not(&mut self, what: String) {
        self.tell(format_args!("MUST NOT HAPPEN: {what}"));
        self.violation.get_or_insert(what);
    }

    pub(crate) fn crash(&mut self, who: ProgramId) {
        self.tell(format_args!("{who:?} crashes"));
        self.counts.crashes += 1;
        self.crashed.push(who);
    }

    /// Wakes all tasks that wait for a change.
    pub(crate) fn stir(&mut self) {
        self.version += 1;
    }

    fn fault(&mut self, who: ProgramId, what: &str) -> CallFault {
        let fault = match self.is_calm() {
            true => CallFault::Fine,
            false if self.faults.is_away(what, self.now_ms) => CallFault::Status { status: 503 },
            false => self.faults.draw(&mut self.random),
        };
        if fault != CallFault::Fine {
            self.counts.faults += 1;
        }
        // Repeated polls would hide the events.
        let is_look = ["Flink how", "drop for", "Flink for its"].iter().any(|look| what.starts_with(look));
        if !is_look || fault != CallFault::Fine {
            self.tell(format_args!("{who:?} asks {what}{}", AnsweredCall(fault)));
        }
        fault
    }
}

struct AnsweredCall(CallFault);

impl std::fmt::Display for AnsweredCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            CallFault::Fine => Ok(()),
            other => write!(f, ": {other:?}"),
        }
    }
}

/// The wall-clock time this long after the beginning.
pub(crate) fn at(ms: u64) -> Timestamp {
    const BEGIN_MS: i64 = 1_767_268_800_000;
    Timestamp::from_millisecond(BEGIN_MS + i64::try_from(ms).unwrap()).unwrap()
}

/// Waits until virtual time has advanced this far.
pub(crate) struct Sleep {
    shared: Shared,
    until_ms: u64,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<()> {
        let mut world = self.shared.lock();
        if world.now_ms >= self.until_ms {
            return Poll::Ready(());
        }
        world.wakes.push(self.until_ms);
        Poll::Pending
    }
}
