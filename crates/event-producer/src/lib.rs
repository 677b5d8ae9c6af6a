//! The event producer: both benchmarks' events into Kafka, at the times a load profile says.
//!
//! What is written is decided by the crate `generator`, without effects. Here are the effects: the clock, Kafka, signals,
//! the line a second and the metrics page. The load is open-loop: the schedule decides what is due, a slow broker does not
//! slow it down but shows as delay, and what could not be emitted in time is caught up.
//!
//! One thread emits and takes the acknowledgements ([`emit`], [`deliveries`]), librdkafka's threads send ([`native`]) unless the same
//! thread does so itself ([`transport`]), and the asynchronous runtime reports ([`report`], [`metrics`]) and waits for signals ([`run`]).

mod arguments;
mod client_priority;
mod config;
mod deliveries;
mod durations;
mod emit;
mod generate;
mod kafka;
mod measure;
mod metrics;
mod native;
mod plot;
mod real_time;
mod report;
mod run;
mod sink;
mod stop;
mod summary;
mod tick;
mod topics;
mod transport;
mod window;

use std::io::{BufWriter, Write, stdout};
use std::process::ExitCode;

use anyhow::Context;

pub use arguments::Arguments;
pub use config::{BatchesSection, Config, ConfigFile, KafkaSection, Transport};
pub use measure::{ProducePath, Record};
pub use real_time::RealTime;

use arguments::{Command, ProfileOptions};

/// Does what the command line asks for.
///
/// # Errors
/// A [`service::ConfigError`] for bad usage or configuration; anything else went wrong later.
pub async fn execute(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command() {
        Command::Run(options) => {
            let config = options.config()?;
            if options.check_config {
                tracing::info!(config = config.effective, "the configuration is valid");
                return Ok(ExitCode::SUCCESS);
            }
            return run::run(&config, options.output).await;
        }
        Command::Generate(options) => {
            let config = options.config()?;
            let out = BufWriter::new(stdout().lock());
            generate::generate(&config, options.format, options.threads, out)?;
        }
        Command::Profile(options) => profile(&options)?,
        Command::Completions { shell } => {
            let script = terminal::completions(
                <Arguments as clap::CommandFactory>::command(),
                "event-producer",
                shell,
            );
            terminal::print(&script).context("could not write to standard output")?;
        }
        Command::Topics(options) => {
            let which = options.selected()?;
            ignore_broken_pipe(topics::topics(&options.action, &which, &mut stdout()).await)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A reader of standard output that has left (`| head`) ends the command, and is no error.
fn ignore_broken_pipe(done: anyhow::Result<()>) -> anyhow::Result<()> {
    let is_closed = |error: &anyhow::Error| {
        let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
        causes.any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
    };
    done.or_else(|error| if is_closed(&error) { Ok(()) } else { Err(error) })
}

fn profile(options: &ProfileOptions) -> anyhow::Result<()> {
    let schedule = options.config()?.schedule;
    terminal::ignore_broken_pipe(stdout().write_all(plot::totals(&schedule, options.until).as_bytes()))
        .context("could not write to standard output")?;
    if let Some(path) = &options.plot {
        plot::draw(&schedule, options.until, path)?;
    }
    Ok(())
}
