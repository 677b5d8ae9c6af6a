//! The control loop of one job, as a state machine without clock, sockets and disk.
//!
//! ```text
//! document + reports ──> [`status`] ──> running document ─┐
//! snapshot ───────────────────────────────────────────────┴─> [`ControlLoop::epoch`] ──> record, and a document to publish
//! response of the drop ──> [`ControlLoop::put_ended`]      final report ──> [`ControlLoop::note_reports`]
//! ```
//!
//! [`ControlLoop::turn`] runs these in order over [`Environment`]: real clocks and connections in the rescaler,
//! fakes in tests. A policy's memory changes only by the events that the caller reports here. Times are arguments;
//! nothing is read from outside.

mod control_loop;
mod drift;
mod operator_names;
mod outcome;
mod overdue;
mod record;
mod resume;
mod status;
mod successor;
mod turn;

pub use control_loop::{
    ControlLoop, LoopOptions, NextAction, Pending, PutOutcome, Readiness, ResumedState, Switches, Unconfirmed,
};
pub use drift::{Edit, RESTORE, RestoreLimits};
pub use operator_names::OperatorNames;
pub use outcome::{ChangeOutcome, PhaseDuration, state_word};
pub use record::{Effect, FollowUp, Record};
pub use resume::{JournalLine, ResumeRecord, resume};
pub use status::{Current, DocumentStatus, EarlierGeneration, RunningDocument, status};
pub use successor::successor;
pub use turn::Environment;
