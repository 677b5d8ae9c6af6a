//! Takes real-time priority from librdkafka's threads while the brokers do not keep up, and returns it when they do.
//!
//! A broker's thread of an idempotent producer does not sleep while five requests of a partition are unanswered and further records have
//! waited for `linger_ms`: it asks again and again whether it may send (librdkafka 2.12, `rd_kafka_toppar_producer_serve`, which sets
//! the wake-up time before it looks at the number of requests). With real-time priority it takes the processor from everything else,
//! also from a broker on the same machine, which then never answers. With normal priority the broker gets its share.

use std::fs;
use std::time::{Duration, Instant};

use tracing::debug;

use crate::real_time::Level;

/// Shortest time between two looks.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Without an acknowledgement for so long the brokers do not keep up.
const STALLED_AFTER: Duration = Duration::from_millis(100);
/// After so long without a stall they do again.
const CALM_AFTER: Duration = Duration::from_secs(2);
/// The beginning of the names of librdkafka's threads.
const THREADS: &str = "rdk:";

/// The priority of librdkafka's threads, which began with real-time priority.
#[derive(Debug)]
pub(crate) struct ClientPriority {
    pace: Pace,
    looked_at: Instant,
}

impl ClientPriority {
    /// The threads have real-time priority now.
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self { pace: Pace::new(now), looked_at: now }
    }

    /// Adapts the priority to what the brokers do. `in_flight`: records that are not acknowledged; `settled`: those that are, or have failed.
    pub(crate) fn adapt(&mut self, in_flight: impl FnOnce() -> u64, settled: u64) {
        let now = Instant::now();
        if now - self.looked_at < POLL_INTERVAL {
            return;
        }
        self.looked_at = now;
        let Some(keeps_up) = self.pace.update(now, in_flight(), settled) else { return };
        match keeps_up {
            true => debug!("the brokers keep up again; the Kafka client runs at real-time priority"),
            false => {
                debug!("the brokers do not keep up; the Kafka client runs at normal priority until they do")
            }
        }
        set_all(keeps_up);
    }
}

/// Whether acknowledgements come as they should.
#[derive(Debug)]
struct Pace {
    keeps_up: bool,
    settled: u64,
    moved_at: Instant,
    stalled_at: Instant,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { keeps_up: true, settled: 0, moved_at: now, stalled_at: now }
    }

    /// Returns whether the brokers keep up, if that has changed.
    fn update(&mut self, now: Instant, in_flight: u64, settled: u64) -> Option<bool> {
        if in_flight == 0 || settled > self.settled {
            (self.settled, self.moved_at) = (settled, now);
        }
        let is_stalled = now - self.moved_at >= STALLED_AFTER;
        if is_stalled {
            self.stalled_at = now;
        }
        let keeps_up = if self.keeps_up { !is_stalled } else { now - self.stalled_at >= CALM_AFTER };
        (std::mem::replace(&mut self.keeps_up, keeps_up) != keeps_up).then_some(keeps_up)
    }
}

/// Gives all of librdkafka's threads real-time priority, or normal priority. A thread that has just ended is passed over.
fn set_all(is_real_time: bool) {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else { return };
    for task in tasks.flatten() {
        let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        let id = task.file_name().to_string_lossy().parse::<libc::pid_t>().ok();
        if let Some(id) = id.filter(|_| name.starts_with(THREADS)) {
            set(id, is_real_time);
        }
    }
}

#[expect(unsafe_code, reason = "no safe wrapper sets the policy of another thread")]
fn set(id: libc::pid_t, is_real_time: bool) {
    let (policy, sched_priority) =
        if is_real_time { (libc::SCHED_RR, Level::Client as i32) } else { (libc::SCHED_OTHER, 0) };
    // SAFETY: the parameter lives for the whole call, which changes a thread of this process and no memory.
    let _ended = unsafe { libc::sched_setscheduler(id, policy, &libc::sched_param { sched_priority }) };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a stall is seen after 100 ms, an idle producer has none, and only two seconds without one end it.
    #[test]
    fn a_stall_is_seen_and_ends_after_a_calm() {
        let begin = Instant::now();
        let at = |ms: u64| begin + Duration::from_millis(ms);
        let mut pace = Pace::new(begin);
        for ms in (20..=2000).step_by(20) {
            // Acknowledged every 80 ms, then nothing in flight.
            let (in_flight, settled) = if ms <= 1000 { (9, ms / 80) } else { (0, 13) };
            assert_eq!(pace.update(at(ms), in_flight, settled), None, "{ms}");
        }
        assert_eq!(pace.update(at(2080), 5, 13), None);
        assert_eq!(pace.update(at(2100), 5, 13), Some(false));
        // A trickle is no calm.
        for ms in (2120..=6000).step_by(20) {
            assert_eq!(pace.update(at(ms), 5, 13 + ms / 500), None, "{ms}");
        }
        let changed: Vec<u64> =
            (6020..=10_000).step_by(20).filter(|ms| pace.update(at(*ms), 5, *ms) == Some(true)).collect();
        assert!(matches!(changed.as_slice(), [ms] if (7900..=8100).contains(ms)), "{changed:?}");
    }

    /// Goal: a thread's priority is taken and returned, where the system permits real-time priority.
    #[test]
    fn threads_change_their_priority() {
        let (ask, asked) = std::sync::mpsc::channel();
        let (answer, answered) = std::sync::mpsc::channel();
        let body = move || {
            while asked.recv().is_ok() {
                let policy = thread_priority::thread_schedule_policy();
                answer
                    .send(matches!(policy, Ok(thread_priority::ThreadSchedulePolicy::Realtime(_))))
                    .unwrap();
            }
        };
        let thread = std::thread::Builder::new().name("rdk:test".to_owned()).spawn(body).unwrap();
        let is_real_time_now = || {
            ask.send(()).unwrap();
            answered.recv().unwrap()
        };
        // A thread that answers has its name.
        let _before = is_real_time_now();
        let seen = [true, false].map(|is_real_time| {
            set_all(is_real_time);
            is_real_time_now()
        });
        drop(ask);
        thread.join().unwrap();
        assert!(seen == [true, false] || seen == [false, false], "{seen:?}");
    }
}
