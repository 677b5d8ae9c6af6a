//! The job documents of a simulated run, and the reports of its config agent.
//!
//! The model replaces the agent: a published document is in progress while a change is, and ends as the change does.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use control::{Current, DocumentStatus, RunningDocument};
use jiff::Timestamp;
use job_config::{ChangeState, JobDocument, Report};

use crate::observation;
use crate::view::View;

/// Number of generations kept, as in a drop's history.
const KEPT: u64 = 16;

/// The documents of one job, newest last, and the reports about them.
#[derive(Debug, Clone)]
pub(super) struct Documents {
    newest: Current,
    history: BTreeMap<u64, JobDocument>,
    reports: Vec<Report>,
    /// The running generation.
    running: u64,
    /// The generation in progress, and the number of changes before it.
    under_way: Option<(u64, usize)>,
}

impl Documents {
    /// Creates the document of the job's initial state, as running; `None` if an operator's name is invalid in a
    /// document.
    pub(super) fn new(view: View<'_>, now: Timestamp) -> Option<Self> {
        let mut text = format!(
            "format = 1\njob = \"simulated\"\ngeneration = 1\nissued_at = \"{now}\"\nreason = \"first\"\n\
             restart_mode = \"in-place\"\n[sink]\ntopic = \"results\"\n\
             [parallelism]\ndefault = 1\nmax = {}\n[parallelism.operators]\n",
            observation::max_parallelism(view)
        );
        for (index, parallelism) in view.parallelism().iter().enumerate() {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{:?} = {parallelism}", view.name(index));
        }
        let document = JobDocument::parse(&text).ok()?;
        let newest = Current { entity_tag: document.entity_tag(), document: document.clone() };
        let history = BTreeMap::from([(1, document)]);
        let mut documents = Self { newest, history, reports: Vec::new(), running: 1, under_way: None };
        documents.report(1, 1, ChangeState::Running, now);
        Some(documents)
    }

    pub(super) fn reports(&self) -> &[Report] {
        &self.reports
    }

    /// Publishes the next document.
    pub(super) fn publish(&mut self, document: JobDocument, view: View<'_>, now: Timestamp) {
        let generation = document.generation();
        self.newest = Current { entity_tag: document.entity_tag(), document: document.clone() };
        self.history.insert(generation, document);
        let (running, oldest) = (self.running, generation.saturating_sub(KEPT));
        self.history.retain(|kept, _| *kept > oldest || *kept == running);
        self.reports.retain(|report| report.generation > oldest || report.generation == running);
        self.under_way = Some((generation, view.changes().len()));
        self.report(generation, 1, ChangeState::Received, now);
    }

    /// Reports the outcome of the document in progress, if it has ended.
    pub(super) fn report_outcome(&mut self, view: View<'_>, now: Timestamp) {
        let Some((generation, before)) = self.under_way else { return };
        if view.is_changing() {
            return;
        }
        self.under_way = None;
        // Without a change the job already matched the document.
        let succeeded = view.changes().get(before).is_none_or(crate::change::Change::succeeded);
        if succeeded {
            self.running = generation;
        }
        self.report(
            generation,
            2,
            if succeeded { ChangeState::Running } else { ChangeState::RolledBack },
            now,
        );
    }

    /// Returns the running document, or why no successor is possible now.
    pub(super) fn status(&self, now: Timestamp) -> Result<RunningDocument, String> {
        match control::status(self.newest.clone(), Some(&self.reports), now) {
            DocumentStatus::Runs(running) => Ok(running),
            DocumentStatus::NotYet(reason) | DocumentStatus::ByHand(reason) => Err(reason),
            DocumentStatus::Earlier(earlier) => {
                let document = self.history.get(&earlier.generation()).cloned();
                earlier.found(document)
            }
        }
    }

    fn report(&mut self, generation: u64, sequence: u32, state: ChangeState, at: Timestamp) {
        let failed = state == ChangeState::RolledBack;
        self.reports.push(Report {
            message: failed.then(|| "the change failed".to_owned()),
            running_generation: state.is_final().then_some(self.running),
            ..Report::new(generation, sequence, at, state)
        });
    }
}
