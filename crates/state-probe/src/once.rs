//! `state-probe once`: samples each source once, and prints one object or error each.

use std::io::{self, Write};

use service::with_causes;

use crate::config::Config;
use crate::sample::Sample;
use crate::source::StateSource;

/// Output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum OutputFormat {
    /// Text.
    Text,
    /// One JSON object on one line.
    Json,
}

/// Samples every source in turn. Reports failures on standard error; returns `false` if there were any.
///
/// # Errors
/// Standard output cannot be written.
pub(crate) async fn once(config: Config, form: OutputFormat) -> anyhow::Result<bool> {
    let mut all_well = true;
    for source in config.sources {
        let name = source.name.clone();
        let result = async { StateSource::new(source)?.sample().await };
        match result.await {
            Ok(sample) => print(&sample, form)?,
            Err(error) => {
                all_well = false;
                // A closed standard error leaves nothing to do.
                drop(writeln!(io::stderr(), "state-probe: {name}: {}", with_causes(&error)));
            }
        }
    }
    Ok(all_well)
}

fn print(sample: &Sample, form: OutputFormat) -> anyhow::Result<()> {
    let line = match form {
        OutputFormat::Json => serde_json::to_string(sample)?,
        OutputFormat::Text => {
            let figures: Vec<String> =
                sample.known().map(|(figure, value)| format!("{figure} {value}")).collect();
            format!("{}: {}", sample.name, figures.join(", "))
        }
    };
    Ok(terminal::print(&line)?)
}
