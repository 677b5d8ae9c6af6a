//! Where the emitting thread waits: for the time of the next event, for room in the queue, or for the end.
//!
//! Whoever changes something the thread may be waiting for calls [`Gate::progressed`]; that costs one atomic load while
//! nobody waits for progress. [`Gate::stop`] always wakes.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    stops: AtomicU32,
    waits_for_progress: AtomicBool,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Gate {
    /// Asks for the end. The second time it asks not to wait for acknowledgements either.
    pub(crate) fn stop(&self) {
        self.stops.fetch_add(1, Ordering::SeqCst);
        let _guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.changed.notify_all();
    }

    /// How often the end was asked for.
    pub(crate) fn stops(&self) -> u32 {
        self.stops.load(Ordering::SeqCst)
    }

    /// Tells that there is more room now.
    pub(crate) fn progressed(&self) {
        if self.waits_for_progress.load(Ordering::SeqCst) {
            let _guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
            self.changed.notify_all();
        }
    }

    /// Waits until `deadline`, or until more than `stops` stops have been asked for.
    pub(crate) fn wait_until(&self, deadline: Instant, stops: u32) {
        self.wait(deadline, || self.stops() > stops);
    }

    /// Waits until `ready`, asked after every progress, or until `limit` has passed, or until more than `stops` stops
    /// have been asked for. Returns whether it is ready.
    pub(crate) fn wait_for(&self, limit: Duration, stops: u32, ready: impl Fn() -> bool) -> bool {
        self.waits_for_progress.store(true, Ordering::SeqCst);
        self.wait(Instant::now() + limit, || ready() || self.stops() > stops);
        self.waits_for_progress.store(false, Ordering::SeqCst);
        ready()
    }

    fn wait(&self, deadline: Instant, done: impl Fn() -> bool) {
        let mut guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        while !done() {
            let Some(remaining) = deadline.checked_duration_since(Instant::now()) else { return };
            guard = self.changed.wait_timeout(guard, remaining).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Asks for the end when it goes out of scope, by whatever path, so that no thread is left emitting.
#[derive(Debug)]
pub(crate) struct StopOnDrop(pub(crate) std::sync::Arc<Gate>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
        self.0.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn progress_and_stop_wake_at_once_and_time_passes_without_them() {
        let gate = Arc::new(Gate::default());
        let ready = Arc::new(AtomicBool::new(false));
        let start = Instant::now();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| gate.wait_for(LONG, 0, || ready.load(Ordering::SeqCst)));
            ready.store(true, Ordering::SeqCst);
            gate.progressed();
            assert!(waiter.join().unwrap());
            let waiter = scope.spawn(|| gate.wait_for(LONG, 0, || false));
            gate.stop();
            assert!(!waiter.join().unwrap());
        });
        gate.wait_until(start + LONG, 0);
        assert!(start.elapsed() < LONG / 2, "stopped already");
        let deadline = Instant::now() + Duration::from_millis(20);
        gate.wait_until(deadline, 1);
        assert!(Instant::now() >= deadline);
    }
}
