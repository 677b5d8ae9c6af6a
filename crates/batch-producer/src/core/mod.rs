//! What happens to the batches of one partition, as values: what is sent next, and what an answer means. No clock, no sockets; time is an
//! argument.

mod answer;
mod partition;

pub(crate) use answer::{Answer, answer};
pub use partition::Delivery;
pub(crate) use partition::{Limits, Partition, Ticket};

#[cfg(test)]
mod tests;
