//! The event producer: both benchmarks' events into Kafka, at the times a load profile says.
//!
//! What is written is decided by the crate `generator`, without effects. Here are the effects: the clock, Kafka, signals,
//! the line a second and the metrics page. The load is open-loop: the schedule decides what is due, a slow broker does not
//! slow it down but shows as delay, and what could not be emitted in time is caught up.
//!
//! One thread emits ([`emit`]), librdkafka's threads send, one thread takes the acknowledgements ([`deliveries`]), and
//! the asynchronous runtime reports ([`report`], [`metrics`]) and waits for signals ([`run`]).

mod arguments;
mod config;
mod deliveries;
mod emit;
mod failure;
mod gate;
mod kafka;
mod metrics;
mod report;
mod run;

use std::process::ExitCode;

pub use arguments::Arguments;
pub use config::{Config, ConfigFile};
pub use failure::Failure;

use arguments::Command;

/// Does what the command line asks for.
///
/// # Errors
/// [`Failure::Config`] for bad usage or configuration, [`Failure::Run`] for everything that goes wrong later.
pub async fn execute(arguments: Arguments) -> Result<ExitCode, Failure> {
    match arguments.command() {
        Command::Run(options) => {
            let config = options.config()?;
            if options.check_config {
                return Ok(ExitCode::SUCCESS);
            }
            run::run(&config, options.output).await
        }
    }
}
