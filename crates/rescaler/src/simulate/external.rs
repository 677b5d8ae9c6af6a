//! The program of policy `external`, asked by simulated runs.

use std::sync::{Arc, Mutex, PoisonError};

use policies::ExternalProgram;
use scaling::Snapshot;
use scaling::external::Answer;
use sim::contender::PlanCallback;
use tracing::warn;

/// A program, and how often it gave no plan.
pub(super) struct CountedProgram {
    program: ExternalProgram,
    failures: Arc<Mutex<Failures>>,
}

#[derive(Default)]
struct Failures {
    asked: u64,
    failed: u64,
    first: Option<String>,
}

impl CountedProgram {
    pub(super) fn new(program: ExternalProgram) -> Self {
        Self { program, failures: Arc::default() }
    }

    /// What simulated runs ask. It must not be called from asynchronous code.
    pub(super) fn callback(&self) -> PlanCallback {
        let (program, failures) = (self.program.clone(), Arc::clone(&self.failures));
        PlanCallback::new(move |snapshot| {
            let answer = ask(&program, snapshot);
            let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
            failures.asked += 1;
            if let Err(failure) = &answer {
                failures.failed += 1;
                failures.first.get_or_insert_with(|| failure.clone());
            }
            answer
        })
    }

    /// Warns of a program that did not answer every time.
    pub(super) fn log_failures(&self) {
        let Failures { asked, failed, first } =
            &*self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = first {
            warn!("policy.external.command failed {failed} of {asked} times; first failure: {first}");
        }
    }
}

fn ask(program: &ExternalProgram, snapshot: &Snapshot) -> Result<Answer, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| format!("cannot start a runtime: {error}"))?.block_on(program.ask(snapshot))
}
