//! A simulated drop: the protocol's rules without HTTP and files. Accepted documents and reports survive crashes.

use std::collections::BTreeMap;

use job_config::{ChangeState, EntityTag, JobDocument, Report};

/// The drop of one job.
#[derive(Debug, Default)]
pub(crate) struct SimulatedDrop {
    history: BTreeMap<u64, JobDocument>,
    /// Entity tag of the newest document.
    tag: Option<EntityTag>,
    pub(crate) reports: Vec<Report>,
    /// Whether a report with more than its mandatory fields is too long.
    pub(crate) is_narrow: bool,
    /// Whether final reports of generation 2 are rejected.
    pub(crate) is_deaf: bool,
}

/// The HTTP status of a rejection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status(pub(crate) u16);

impl SimulatedDrop {
    pub(crate) fn current(&self) -> Option<&JobDocument> {
        self.history.values().next_back()
    }

    /// The entity tag of the newest document.
    pub(crate) fn tag(&self) -> Option<&EntityTag> {
        self.tag.as_ref()
    }

    pub(crate) fn revision(&self, generation: u64) -> Option<&JobDocument> {
        self.history.get(&generation)
    }

    pub(crate) fn has_final_report(&self, generation: u64) -> bool {
        self.reports.iter().any(|report| report.generation == generation && report.state.is_final())
    }

    pub(crate) fn has_failed(&self, generation: u64) -> bool {
        let is_bad = |state: ChangeState| state.is_final() && state != ChangeState::Running;
        self.reports.iter().any(|report| report.generation == generation && is_bad(report.state))
    }

    /// Sets the newest document unconditionally.
    pub(crate) fn begin(&mut self, document: JobDocument) {
        self.tag = Some(document.entity_tag());
        self.history.insert(document.generation(), document);
    }

    /// Stores the successor of the document with this entity tag. Idempotent for the current document.
    pub(crate) fn put(&mut self, document: &JobDocument, replaces: &EntityTag) -> Result<(), Status> {
        let current = self.current().ok_or(Status(412))?;
        if current.text() == document.text() {
            return Ok(());
        }
        if self.tag() != Some(replaces) {
            return Err(Status(412));
        }
        if document.generation() != current.generation() + 1 {
            return Err(Status(409));
        }
        self.begin(document.clone());
        Ok(())
    }

    /// Stores a report. Idempotent.
    pub(crate) fn report(&mut self, report: &Report) -> Result<(), Status> {
        let is_refused = self.is_deaf && report.generation == 2 && report.state.is_final();
        if is_refused || (self.is_narrow && report.observed.is_some()) {
            return Err(Status(413));
        }
        let own = || self.reports.iter().filter(|kept| kept.generation == report.generation);
        if let Some(same) = own().find(|kept| kept.sequence == report.sequence) {
            return if same == report { Ok(()) } else { Err(Status(409)) };
        }
        if own().any(|kept| kept.state.is_final() && kept.sequence < report.sequence) {
            return Err(Status(409));
        }
        self.reports.push(report.clone());
        Ok(())
    }
}
