//! Integration tests of the rescaler, in one program.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing loudly")]

mod all_jobs;
mod api;
mod bad_configurations;
mod by_command;
mod changed_by_hand;
mod closed_pipe;
mod many_kills;
mod no_proxy;
mod notifications;
mod own_policy;
mod page;
mod publish;
mod scenarios;
mod several_jobs;
mod shared_slots;
mod simulate;
mod stuck_clients;
mod support;
mod upgrade;
