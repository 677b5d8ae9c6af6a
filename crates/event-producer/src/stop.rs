//! The request to end a run, made by a signal or by the end of the program, and seen by the emitting thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// How often the end was asked for; shared by all who ask and all who look.
#[derive(Debug, Clone, Default)]
pub(crate) struct StopSignal(Arc<AtomicU32>);

impl StopSignal {
    /// Asks for the end. The second time it asks not to wait for acknowledgements either.
    pub(crate) fn ask(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    /// How often the end was asked for.
    pub(crate) fn times(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }

    /// Whether the end was asked for.
    pub(crate) fn asked(&self) -> bool {
        self.times() > 0
    }
}

/// Asks for the end when it goes out of scope, by whatever path, so that no thread is left emitting.
#[derive(Debug)]
pub(crate) struct StopOnDrop(pub(crate) StopSignal);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.ask();
        self.0.ask();
    }
}
