//! `state-probe run`: samples every source at its own interval and sends every sample to all outputs, until shutdown.
//!
//! Sources wait neither for each other nor for an output: Graphite has a buffer, standard output a queue, and both
//! drop lines rather than delay a sample.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use service::with_causes;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{debug, info, warn};

use crate::config::{Config, Host};
use crate::graphite::Lines;
use crate::host::{HostMetrics, HostReader};
use crate::probe_state::ProbeState;
use crate::sample::Sample;
use crate::series::Template;
use crate::source::{SampleError, StateSource};

/// Size of the queue for a slow reader of standard output, in lines.
const LINES_WAITING: usize = 1024;
/// Timeout for remaining lines at shutdown.
const FAREWELL: Duration = Duration::from_secs(1);

/// The outputs of samples.
struct Outputs {
    state: Arc<ProbeState>,
    graphite: Option<Lines>,
    json: Option<mpsc::Sender<String>>,
    state_series: Template,
    host_series: Template,
}

/// Runs until `shutdown` resolves. The listener is for the pages, if enabled.
///
/// # Errors
/// A source's client cannot be created, or the system's metrics are unavailable.
pub async fn run(
    config: Config,
    listener: Option<TcpListener>,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let sources: Result<Vec<StateSource>, _> = config.sources.iter().cloned().map(StateSource::new).collect();
    let sources = sources?;
    let state = Arc::new(ProbeState::new(&config.sources));
    let mut services = JoinSet::new();
    let graphite = config.graphite.enabled.then(|| {
        let lines = Lines::new(config.graphite.buffer_lines, Arc::clone(&state));
        services.spawn(lines.clone().send(config.graphite.clone(), config.backoff()));
        lines
    });
    let json = config.json_lines.then(|| {
        let (json, lines) = mpsc::channel(LINES_WAITING);
        services.spawn(print(lines));
        json
    });
    if let Some(listener) = listener {
        let (prefix, state, places) =
            (config.prometheus_prefix.clone(), Arc::clone(&state), config.http.connections_max);
        services.spawn(async move { crate::http::serve(listener, places, &prefix, state).await });
    }
    let (state_series, host_series) = (config.state_series, config.host_series);
    let outputs = Arc::new(Outputs { state, graphite: graphite.clone(), json, state_series, host_series });
    let mut tasks = JoinSet::new();
    for source in sources {
        tasks.spawn(watch(source, Arc::clone(&outputs)));
    }
    if let Some(host) = config.host {
        let reader = HostReader::new(&host.name).context("cannot read the figures of this host ([host])")?;
        tasks.spawn(watch_host(reader, host, Arc::clone(&outputs)));
    }
    shutdown.await;
    info!("stopping: received a signal");
    // Aborts samples in progress; their commands are killed with them.
    tasks.shutdown().await;
    if let Some(lines) = graphite {
        let _late = timeout(FAREWELL, lines.emptied()).await;
    }
    services.shutdown().await;
    Ok(())
}

async fn watch(mut source: StateSource, outputs: Arc<Outputs>) {
    let mut ticks = interval(source.config().interval);
    // After a sample that took longer than the interval the next one starts immediately; missed ones are skipped.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let result = source.sample().await;
        outputs.take(&source, result);
    }
}

async fn watch_host(mut reader: HostReader, host: Host, outputs: Arc<Outputs>) {
    let mut ticks = interval(Duration::from_millis(host.interval_ms));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        outputs.take_host(reader.sample());
    }
}

impl Outputs {
    /// Logs one line when a source fails, one when the reason changes, and one when it recovers.
    fn take(&self, source: &StateSource, result: Result<Sample, SampleError>) {
        let name = source.config().name.as_str();
        let result = result.map_err(|error| with_causes(&error));
        if let Ok(sample) = &result {
            self.publish(source, sample);
        }
        let before = self.state.note(name, result.clone());
        match (result, before) {
            (Err(reason), Some(Err(same))) if reason == same => debug!(name, "no figures: {reason}"),
            (Err(reason), _) => warn!(name, "no figures: {reason}"),
            (Ok(sample), Some(Err(_))) => {
                info!(name, size_bytes = sample.figures.size_bytes, "figures again")
            }
            (Ok(sample), None) => info!(name, size_bytes = sample.figures.size_bytes, "first figures"),
            (Ok(sample), Some(Ok(_))) => debug!(name, ?sample, "figures"),
        }
    }

    fn publish(&self, source: &StateSource, sample: &Sample) {
        if let Some(graphite) = &self.graphite {
            for (figure, value) in sample.known() {
                graphite.put(&source.config().series(&self.state_series, figure), value, sample.at_ms);
            }
        }
        self.print(serde_json::to_string(sample));
    }

    fn take_host(&self, figures: HostMetrics) {
        if let Some(graphite) = &self.graphite {
            for (figure, value) in figures.known() {
                let series = self.host_series.fill(&[("host", &figures.host), ("figure", figure)]);
                graphite.put(&series, value, figures.at_ms);
            }
        }
        let line = serde_json::to_value(&figures).map(|mut line| {
            line["source"] = "host".into();
            line.to_string()
        });
        self.print(line);
        self.state.note_host(figures);
    }

    fn print(&self, line: serde_json::Result<String>) {
        let (Some(json), Ok(line)) = (&self.json, line) else { return };
        if let Err(mpsc::error::TrySendError::Full(_)) = json.try_send(line)
            && self.state.note_dropped_line() == 0
        {
            warn!("standard output is not read; dropping lines (counted in json_dropped_lines_total)");
        }
    }
}

/// Prints lines until standard output is closed; the probe continues without it.
async fn print(mut lines: mpsc::Receiver<String>) {
    while let Some(line) = lines.recv().await {
        // On a separate thread: a blocked reader must delay only these lines.
        let written = tokio::task::spawn_blocking(move || {
            let mut stdout = std::io::stdout().lock();
            writeln!(stdout, "{line}").and_then(|()| stdout.flush())
        });
        if let Ok(Err(error)) = written.await {
            warn!("cannot write to standard output any more: {error}");
            return;
        }
    }
}
