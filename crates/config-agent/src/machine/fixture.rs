//! Situations for the tests of the machine: a journal, rules and timers, and what Flink answers.

use std::collections::BTreeMap;
use std::time::Duration;

use flink::{JobId, JobState, TaskManager, Vertex, VertexId};
use jiff::Timestamp;
use job_config::JobDocument;

use super::{Attempt, NextStep, Observation, PoolNode, Query, Rules, Submission, next, query};
use crate::ledger::{Entry, Ledger};
use crate::phase::Phase;

/// When everything happens, unless a test says otherwise.
pub(super) const NOW: &str = "2026-01-01T00:01:00Z";

/// A document that restarts the job; `more` are further lines at its top.
pub(super) fn document(generation: u64, more: &str) -> JobDocument {
    parse(generation, "savepoint-restart", more, &[])
}

/// A document that rescales the job in place, with the parallelism of these operators.
pub(super) fn in_place(generation: u64, operators: &[(&str, u32)]) -> JobDocument {
    parse(generation, "in-place", "", operators)
}

fn parse(generation: u64, mode: &str, more: &str, operators: &[(&str, u32)]) -> JobDocument {
    let operators: String = operators.iter().map(|(uid, p)| format!("{uid} = {p}\n")).collect();
    JobDocument::parse(&format!(
        "format = 1\njob = \"nexmark\"\ngeneration = {generation}\nissued_at = \"2026-01-01T00:00:00Z\"\n{more}\n\
         restart_mode = \"{mode}\"\n[parallelism]\ndefault = 1\nmax = 128\n[parallelism.operators]\n{operators}"
    ))
    .unwrap()
}

/// A job; `job(7)` is shown as `07070707`.
pub(super) fn job(number: u8) -> JobId {
    JobId::from_bytes([number; 16])
}

/// A vertex of one operator, whose id is [`vertex_id`] of the number.
pub(super) fn vertex(number: u8, operator: &str, parallelism: u32) -> Vertex {
    Vertex {
        id: vertex_id(number),
        name: operator.to_owned(),
        parallelism,
        max_parallelism: 128,
        status: "RUNNING".to_owned(),
        slot_sharing_group: None,
        tasks: BTreeMap::new(),
    }
}

pub(super) fn vertex_id(number: u8) -> VertexId {
    VertexId::from_bytes([number; 16])
}

/// A registered task manager.
pub(super) fn task_manager(id: &str, slots: u32, free_slots: u32) -> TaskManager {
    TaskManager { id: id.to_owned(), slots, free_slots }
}

/// A pool of these nodes; the task manager of node `a` is `tm-a`.
pub(super) fn pool(names: &[&str]) -> Vec<PoolNode> {
    let node = |name: &&str| PoolNode { name: (*name).to_owned(), task_manager: format!("tm-{name}") };
    names.iter().map(node).collect()
}

/// These jobs have the name, and Flink knows no other.
pub(super) fn jobs(alive: &[(&JobId, JobState)]) -> Observation {
    let alive = alive.iter().map(|(job, state)| ((*job).clone(), *state)).collect();
    Observation::Jobs { alive, last: None, registered: Vec::new(), wanted: None }
}

/// The state of a submitted job that has no rival.
pub(super) fn submission(submission: Submission) -> Observation {
    Observation::Submission { submission, rival_lives: false }
}

/// A job not all of whose tasks run, without a failure.
pub(super) fn starting() -> Submission {
    Submission::Starting { state: JobState::Created, failure: None }
}

/// A job that has ended in this state.
pub(super) fn ended(state: JobState, failure: Option<&str>) -> Submission {
    Submission::Ended { state, failure: failure.map(str::to_owned) }
}

/// What the machine decides by, besides what is observed.
#[derive(Clone)]
pub(super) struct Situation {
    pub(super) ledger: Ledger,
    pub(super) rules: Rules,
    pub(super) attempt: Attempt,
}

impl Situation {
    /// The journal is empty, and Flink has built the graph of the coming document. All time limits are 10 s.
    pub(super) fn blank() -> Self {
        let now = NOW.parse().unwrap();
        let attempt = Attempt { now, checked: true, ..Attempt::default() };
        Self { ledger: Ledger::default(), rules: rules(), attempt }
    }

    /// This is the first document.
    pub(super) fn first(document: &JobDocument) -> Self {
        let mut first = Self::blank();
        first.accept(document);
        first
    }

    /// The job of a document runs, and another document was accepted.
    pub(super) fn after(before: &JobDocument, runs: &JobId, document: &JobDocument) -> Self {
        let mut after = Self::first(before);
        after.enter(Phase::Running { job: runs.clone(), message: None });
        after.accept(document);
        after
    }

    pub(super) fn accept(&mut self, document: &JobDocument) {
        let (text, entity_tag) = (document.text().to_owned(), document.entity_tag());
        self.write(&Entry::Accepted { at: self.attempt.now, document: text, entity_tag });
    }

    pub(super) fn enter(&mut self, phase: Phase) {
        self.write(&Entry::Entered { at: self.attempt.now, phase, observed: None });
    }

    pub(super) fn write(&mut self, entry: &Entry) {
        self.ledger.apply(entry).unwrap();
    }

    pub(super) fn at(mut self, now: &str) -> Self {
        self.attempt.now = now.parse::<Timestamp>().unwrap();
        self
    }

    pub(super) fn waited(mut self, seconds: u64) -> Self {
        self.attempt.waited = Duration::from_secs(seconds);
        self
    }

    pub(super) fn query(&self) -> Query {
        query(self.ledger.change().unwrap(), self.ledger.history(), &self.rules)
    }

    pub(super) fn next(&self, seen: &Observation) -> NextStep {
        next(self.ledger.change().unwrap(), self.ledger.history(), seen, &self.attempt, &self.rules)
    }

    /// Checks that the next step, in the words of the log, begins like this.
    #[track_caller]
    pub(super) fn check(&self, seen: &Observation, expected: &str) {
        let step = self.next(seen).to_string();
        assert!(step.starts_with(expected), "expected: {expected}\nfound: {step}\nafter: {seen:?}");
    }
}

fn rules() -> Rules {
    let limit = Duration::from_secs(10);
    Rules {
        stoppable_within: limit,
        stopped_within: limit,
        running_within: limit,
        restored_within: limit,
        in_place_failures: 3,
        grace: Duration::ZERO,
        roll_back: true,
        breaker_failures: 100,
        breaker_pause: Duration::from_secs(60),
        start_fresh_if_lost: false,
        can_submit: true,
        pool: Vec::new(),
        nodes_within: limit,
    }
}
