//! Simulated disks: a completed write survives a crash; an incomplete one does not.

use std::fmt::Arguments;
use std::path::PathBuf;

use config_agent::{Entry, JournalBackend, Phase};
use journal::JournalError;

use super::world::{ProgramId, Shared, World};

/// The disks' content, as text: a restarted program reads back what it wrote.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) agent: Vec<String>,
    pub(crate) scaler: Vec<String>,
    pub(crate) twin: Vec<String>,
}

impl Disk {
    pub(crate) fn of(&mut self, who: ProgramId) -> &mut Vec<String> {
        match who {
            ProgramId::Agent => &mut self.agent,
            ProgramId::Scaler => &mut self.scaler,
            ProgramId::Twin => &mut self.twin,
        }
    }
}

/// The write failed, or its writer has crashed.
#[derive(Debug)]
pub(crate) struct WriteFailed;

impl Shared {
    /// Appends a line to a program's disk. A program that crashes at it must not continue.
    pub(crate) fn write(&self, who: ProgramId, line: String, what: Arguments<'_>) -> Result<(), WriteFailed> {
        let mut world = self.lock();
        if world.crashed.contains(&who) {
            return Err(WriteFailed);
        }
        let crashes = !world.is_calm() && world.random.uniform() < world.faults.write;
        let is_written = !crashes || world.random.uniform() < 0.5;
        world.tell(format_args!("{who:?} writes {what}"));
        if is_written {
            world.disk.of(who).push(line);
        }
        if crashes {
            world.crash(who);
            return Err(WriteFailed);
        }
        Ok(())
    }
}

/// The agent's journal.
pub(crate) struct AgentJournal(pub(crate) Shared);

fn lost() -> JournalError {
    JournalError::Closed { path: PathBuf::from("played") }
}

impl JournalBackend for AgentJournal {
    fn append(&mut self, entry: &Entry) -> Result<(), JournalError> {
        self.0.lock().check_entry(entry);
        let line = serde_json::to_string(entry).unwrap();
        self.0.write(ProgramId::Agent, line, format_args!("{}", Named(entry))).map_err(|WriteFailed| lost())
    }

    fn rewrite(&mut self, entry: &Entry) -> Result<(), JournalError> {
        let mut world = self.0.lock();
        world.disk.agent = vec![serde_json::to_string(entry).unwrap()];
        Ok(())
    }

    fn bytes(&self) -> u64 {
        0
    }

    fn is_slow(&self) -> bool {
        false
    }
}

struct Named<'a>(&'a Entry);

impl std::fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Entry::Entered { phase, .. } => write!(f, "{phase:?}"),
            Entry::Accepted { entity_tag, .. } => write!(f, "accepted {}", entity_tag.as_str()),
            Entry::Delivered { generation, sequence } => write!(f, "delivered {generation}.{sequence}"),
            other => write!(f, "{other:?}"),
        }
    }
}

impl World {
    /// Checks that the agent's next journal entry may follow its earlier ones.
    fn check_entry(&mut self, entry: &Entry) {
        match entry {
            Entry::Accepted { document, .. } => self.check_accepted(document),
            Entry::Entered { phase: Phase::Running { .. }, .. } => self.counts.applied += 1,
            Entry::Entered { phase: Phase::RolledBack { .. } | Phase::Failed { .. }, .. } => {
                self.counts.rolled_back += 1;
            }
            _ => {}
        }
    }

    fn check_accepted(&mut self, document: &str) {
        let generation = job_config::JobDocument::parse(document).unwrap().generation();
        if self.drop.has_failed(generation) {
            self.must_not(format!("generation {generation} is taken up after it was reported as failed"));
        }
        // A lost write may be retried; a completed one may not.
        let is_there = |line: &String| line.contains(&format!("generation = {generation}\\n"));
        let was_accepted =
            self.disk.agent.iter().any(|line| line.starts_with("{\"entry\":\"accepted\"") && is_there(line));
        if was_accepted {
            self.must_not(format!("generation {generation} is accepted twice"));
        }
    }
}
