//! The state machine of one partition's batches: what is sent next, and what a response means. No clock and no
//! sockets; time is an argument.

mod answer;
mod partition;

pub(crate) use answer::{Answer, answer};
pub use partition::Delivery;
pub(crate) use partition::{Limits, Partition, Ticket};

#[cfg(test)]
mod tests;
