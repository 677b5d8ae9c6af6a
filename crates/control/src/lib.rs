//! The control loop of one job, as a state machine without clock, sockets and disk.
//!
//! ```text
//! document + reports ──> [`status`] ──> running document ─┐
//! snapshot ───────────────────────────────────────────────┴─> [`ControlLoop::epoch`] ──> record, and a document to publish
//! answer of the drop ──> [`ControlLoop::put_ended`]      final report ──> [`ControlLoop::note_reports`]
//! ```
//!
//! The rescaler drives it with real clocks and connections, a simulator with played ones. What a policy remembers changes only by
//! the events that the caller reports here. Times come in as arguments; nothing is read from outside.

mod control_loop;
mod outcome;
mod record;
mod status;
mod successor;

pub use control_loop::{
    ControlLoop, Deciding, LoopOptions, OperatorNames, Pending, PutEnd, Resumed, Step, Switches, Unconfirmed,
};
pub use outcome::{Outcome, OutcomeStep, state_word};
pub use record::{Effect, FollowUp, Record};
pub use status::{Current, DocumentStatus, EarlierGeneration, RunningDocument, status};
pub use successor::successor;
