//! The job documents of a run, and the reports that a config agent would write about them.
//!
//! The model takes the agent's place: a document that was published is being carried out while a change is under way, and ended as the
//! change did.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use control::{Current, DocumentStatus, RunningDocument};
use jiff::Timestamp;
use job_config::{JobDocument, Report, State};

use crate::observation;
use crate::view::View;

/// So many generations are kept, as a drop keeps some.
const KEPT: u64 = 16;

/// The documents of one job, newest last, and the reports about them.
#[derive(Debug, Clone)]
pub(super) struct Documents {
    newest: Current,
    history: BTreeMap<u64, JobDocument>,
    reports: Vec<Report>,
    /// The generation that runs.
    running: u64,
    /// The generation that is being carried out, and how many changes there had been before.
    under_way: Option<(u64, usize)>,
}

impl Documents {
    /// The document of the job as it is, which runs; nothing if a name cannot stand in a document.
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
        documents.report(1, 1, State::Running, now);
        Some(documents)
    }

    pub(super) fn reports(&self) -> &[Report] {
        &self.reports
    }

    /// Takes up the next document.
    pub(super) fn publish(&mut self, document: JobDocument, view: View<'_>, now: Timestamp) {
        let generation = document.generation();
        self.newest = Current { entity_tag: document.entity_tag(), document: document.clone() };
        self.history.insert(generation, document);
        let (running, oldest) = (self.running, generation.saturating_sub(KEPT));
        self.history.retain(|kept, _| *kept > oldest || *kept == running);
        self.reports.retain(|report| report.generation > oldest || report.generation == running);
        self.under_way = Some((generation, view.changes().len()));
        self.report(generation, 1, State::Received, now);
    }

    /// Reports how the document under way has ended, if it has.
    pub(super) fn go_on(&mut self, view: View<'_>, now: Timestamp) {
        let Some((generation, before)) = self.under_way else { return };
        if view.is_changing() {
            return;
        }
        self.under_way = None;
        // Without a change the job was as the document wants it.
        let succeeded = view.changes().get(before).is_none_or(crate::change::Change::succeeded);
        if succeeded {
            self.running = generation;
        }
        self.report(generation, 2, if succeeded { State::Running } else { State::RolledBack }, now);
    }

    /// The document that runs, or why there cannot be a successor now.
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

    fn report(&mut self, generation: u64, sequence: u32, state: State, at: Timestamp) {
        let failed = state == State::RolledBack;
        self.reports.push(Report {
            generation,
            sequence,
            at,
            state,
            flink_job_id: None,
            savepoint: None,
            message: failed.then(|| "the change failed".to_owned()),
            previous_state_ms: None,
            running_generation: state.is_final().then_some(self.running),
            observed: None,
        });
    }
}
