//! The load of a test: the events requested from the producer, and the same events as data.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use generator::nexmark::{Nexmark, NexmarkConfig};
use generator::profile::{ProfileConfig, ProfileStep};
use generator::{Generator, Recording, Workload};
use reference::nexmark::{Q7Row, Q7Settings};
use serde::Deserialize;
use testbed::process::Process;

pub(crate) const SEED: u64 = 7;
/// Timeout of the producer's final acknowledgements.
const STOP_DEADLINE: Duration = Duration::from_secs(60);
/// Duration of the last step of a load that is stopped by the test, in seconds.
const UNTIL_STOPPED_S: f64 = 3600.0;

/// The schedule of events.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    steps: Vec<(f64, f64)>,
    start_ms: i64,
}

impl Load {
    /// Steps of events per second and seconds, starting shortly from now, when the producer is up.
    pub(crate) fn soon(steps: &[(f64, f64)]) -> Self {
        let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + Duration::from_secs(3);
        Self { steps: steps.to_vec(), start_ms: i64::try_from(start.as_millis()).unwrap_or(i64::MAX) }
    }

    /// Steps as above, and then this rate until the producer is stopped.
    pub(crate) fn until_stopped(steps: &[(f64, f64)], rate: f64) -> Self {
        Self::soon(&[steps, &[(rate, UNTIL_STOPPED_S)]].concat())
    }

    /// The producer's arguments.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let steps: Vec<String> =
            self.steps.iter().map(|(rate, seconds)| format!("{rate}:{seconds}")).collect();
        [
            ["--seed", &SEED.to_string()],
            ["--start-time", &self.start_ms.to_string()],
            ["--steps", &steps.join(",")],
            ["--output", "json"],
        ]
        .concat()
        .into_iter()
        .map(str::to_owned)
        .collect()
    }

    fn workload(&self, generator: impl Into<Generator>) -> anyhow::Result<Workload> {
        let steps =
            self.steps.iter().map(|(rate, duration_s)| ProfileStep { rate: *rate, duration_s: *duration_s });
        let profile = ProfileConfig::Steps { steps: steps.collect(), repeat: false, duration_s: None };
        Ok(Workload::new(generator, profile.check()?, self.start_ms, None))
    }

    /// The first events as data, from a generator with [`SEED`].
    pub(crate) fn record(&self, generator: impl Into<Generator>, events: u64) -> anyhow::Result<Recording> {
        Ok(self.workload(generator)?.record(0..events))
    }

    /// The total number of events of a bounded load.
    pub(crate) fn events(&self, generator: impl Into<Generator>) -> anyhow::Result<u64> {
        self.workload(generator)?.events().context("the load is not bounded")
    }

    /// The reference's Q7 rows for the first events.
    pub(crate) fn q7(&self, events: u64, window_size_ms: i64) -> anyhow::Result<Vec<Q7Row>> {
        let recording = self.record(Nexmark::new(NexmarkConfig::default().check()?, SEED), events)?;
        let events: Result<Vec<_>, _> = recording.events().collect();
        Ok(reference::nexmark::q7(events?, Q7Settings { window_size_ms, waiting_horizon_ms: 60_000 }))
    }
}

/// A producer writing a load.
pub(crate) struct RunningLoad {
    pub(crate) load: Load,
    process: Process,
}

/// The producer's final totals.
#[derive(Debug, Deserialize)]
struct Totals {
    emitted: u64,
    acked: u64,
    next_event: u64,
}

impl RunningLoad {
    pub(crate) fn new(load: Load, process: Process) -> Self {
        Self { load, process }
    }

    /// Fails if the producer has ended.
    pub(crate) fn ensure_running(&self) -> anyhow::Result<()> {
        let status = self.process.status();
        ensure!(
            status.is_none(),
            "the producer has ended ({status:?}): {}",
            self.process.log_file().display()
        );
        Ok(())
    }

    /// Ends the stream now, and returns its number of events. Fails if the producer ended by itself, or if a record
    /// was not acknowledged.
    pub(crate) async fn stop(&self) -> anyhow::Result<u64> {
        self.ensure_running()?;
        let status = self.process.stop(STOP_DEADLINE).await;
        ensure!(status.success(), "the producer failed ({status}): {}", self.process.log_file().display());
        let totals = totals(self.process.log_file())?;
        ensure!(totals.acked == totals.emitted, "not every record was acknowledged: {totals:?}");
        Ok(totals.next_event)
    }

    /// Waits for the end of a bounded stream.
    pub(crate) async fn finish(&self) -> anyhow::Result<()> {
        let status = self.process.wait().await;
        ensure!(status.success(), "the producer failed ({status}): {}", self.process.log_file().display());
        Ok(())
    }
}

fn totals(log: &Path) -> anyhow::Result<Totals> {
    let text = std::fs::read_to_string(log)?;
    text.lines()
        .rev()
        .find_map(|line| serde_json::from_str(line).ok())
        .context("the producer printed no totals")
}
