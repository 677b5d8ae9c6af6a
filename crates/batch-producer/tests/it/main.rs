//! The producer against brokers that are played here, over real sockets.

mod broker;
mod faults;
mod refusals;
