//! Prints the metrics of a job per operator from any source, and which are missing. Decides nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use scaling::{Operator, Snapshot};
use secrets::Address;
use service::settings::COMMAND_LINE;
use service::{ConfigError, Problems, with_causes};
use telemetry::{Clock, FlinkCluster, MetricSource, Sample, SummarySettings, summarise};
use terminal::Grid;
use toml::Table;

use crate::cli::{DEFAULT_CONFIG, Output};
use crate::config::{Config, Flink};
use crate::config_file::ConfigFile;
use crate::cycle::flink_client;
use crate::source::SourceKind;
use crate::{observe, overrides, placement};

/// Pause between two attempts to find the job, in milliseconds.
const RETRY_INTERVAL_MS: i64 = 500;
/// Maximum number of samples.
const SAMPLES_MAX: usize = 1_000;

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// Configuration file; with --flink it may be left out: then the defaults apply.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Job: one of the configured jobs if the configuration has several, else the job's name or id in Flink. Without a
    /// configuration it may be left out if only one job runs.
    #[arg(long, value_name = "NAME|ID")]
    job: Option<String>,
    /// URL of Flink, instead of the configured one.
    #[arg(long = "flink", alias = "flink-url", value_name = "URL")]
    flink_url: Option<Address>,
    /// Metric source, instead of the configured one.
    #[arg(long, value_enum)]
    source: Option<SourceKind>,
    /// URL of the metric store, instead of the configured one.
    #[arg(long, value_name = "URL")]
    source_url: Option<Address>,
    /// Folder of Whisper files, instead of the configured one.
    #[arg(long, value_name = "FOLDER")]
    source_folder: Option<PathBuf>,
    /// Observation time in seconds; rates are averages over it.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Output format: tables and the missing metrics, or the snapshot as JSON (docs/snapshot.md).
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

impl Inspect {
    fn config(&self) -> Result<Config, ConfigError> {
        // Origin of the values in error messages.
        let path = match (&self.config, &self.flink_url) {
            (Some(path), _) => path,
            (None, Some(_)) => Path::new(COMMAND_LINE),
            (None, None) => Path::new(DEFAULT_CONFIG),
        };
        let named = |config: Config| {
            let job = self.job.clone().unwrap_or_else(|| config.flink.job.clone());
            Config { flink: Flink { job, ..config.flink.clone() }, ..config }
        };
        let mut config = match (&self.config, &self.flink_url) {
            (None, Some(_)) => named(overrides::over_defaults(Table::new())?),
            _ => match ConfigFile::load(path)? {
                ConfigFile::One(config) => named(*config),
                several @ ConfigFile::Several { .. } => several.job(path, self.job.as_deref())?,
            },
        };
        config.flink.url = self.flink_url.clone().unwrap_or(config.flink.url);
        config.source.kind = self.source.unwrap_or(config.source.kind);
        config.source.url = self.source_url.clone().unwrap_or(config.source.url);
        config.source.folder = self.source_folder.clone().unwrap_or(config.source.folder);
        config.check(Problems::new(path.display().to_string()))
    }
}

/// Observes for the requested time; returns the text for standard output.
///
/// # Errors
/// The configuration is invalid, or there is no sample.
pub(crate) async fn run(inspect: &Inspect, clock: &Clock) -> anyhow::Result<String> {
    let mut config = inspect.config()?;
    let client = flink_client(&config)?;
    if inspect.config.is_none() && config.flink.job.is_empty() {
        config.flink.job = the_job(&client, clock, Duration::from_secs(inspect.seconds)).await?;
    }
    let cluster = FlinkCluster::new(client, Duration::ZERO);
    let mut source = config.source.open(&config, cluster)?.with_clock(clock.clone());
    let (samples, problems) =
        watch(&mut source, clock, config.sample_interval(), Duration::from_secs(inspect.seconds)).await;
    let snapshot = snapshot(&samples, problems, &observe::settings(&config, &source), inspect.seconds)?;
    match inspect.output {
        Output::Json => serde_json::to_string_pretty(&snapshot).context("cannot serialise the snapshot"),
        Output::Text => Ok(describe_snapshot(&snapshot, terminal::width())),
    }
}

/// Returns the only running job by its name or id. Retries for a while if Flink does not respond.
async fn the_job(client: &flink::Client, clock: &Clock, time: Duration) -> anyhow::Result<String> {
    let end_ms = clock.now_ms() + i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 2);
    loop {
        match client.jobs().await {
            Ok(jobs) => return Ok(placement::the_job(&jobs, None)?.1.called),
            Err(error) if error.is_transient() && clock.now_ms() + RETRY_INTERVAL_MS <= end_ms => {}
            Err(error) => return Err(error).context("cannot list Flink's jobs"),
        }
        clock.wait_until_ms(clock.now_ms() + RETRY_INTERVAL_MS).await;
    }
}

/// Takes samples at the usual interval; returns them with each distinct error.
async fn watch(
    source: &mut MetricSource,
    clock: &Clock,
    every: Duration,
    time: Duration,
) -> (Vec<Sample>, Vec<String>) {
    let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 2);
    let every_ms = ms(every.min(time)).max(1);
    let end_ms = clock.now_ms() + ms(time);
    let (mut samples, mut problems) = (Vec::new(), Vec::new());
    while samples.len() < SAMPLES_MAX {
        let next_ms = clock.now_ms() + every_ms;
        match source.sample().await {
            Ok(sample) => samples.push(sample),
            Err(error) => {
                let problem = with_causes(&error);
                if !problems.contains(&problem) {
                    problems.push(problem);
                }
            }
        }
        // The last sample may be half an interval late.
        if next_ms - every_ms / 2 > end_ms {
            break;
        }
        clock.wait_until_ms(next_ms).await;
    }
    (samples, problems)
}

/// Returns the snapshot of the samples, including tasks in their warm-up; what is missing for a decision is named.
fn snapshot(
    samples: &[Sample],
    problems: Vec<String>,
    settings: &SummarySettings,
    seconds: u64,
) -> anyhow::Result<Snapshot> {
    let Some(last) = samples.last() else {
        bail!("no sample within {seconds} s: {}", problems.join("; "));
    };
    let widest = |of: fn(&telemetry::Vertex) -> u32| last.vertices.iter().map(of).max().unwrap_or(1);
    let parallelism = widest(|v| v.parallelism);
    let max_parallelism = widest(|v| v.max_parallelism);
    let lenient = SummarySettings { warm_up: Duration::ZERO, ..settings.clone() };
    let mut snapshot = summarise(samples, max_parallelism, parallelism, &lenient)
        .with_context(|| format!("observed for only {seconds} s, see --seconds"))?;
    if let Err(not_ready) = summarise(samples, max_parallelism, parallelism, settings) {
        snapshot.missing.push(not_ready.to_string());
    }
    snapshot.missing.extend(problems);
    Ok(snapshot)
}

/// Formats tables of operators and task managers, and what is missing, within a number of columns.
fn describe_snapshot(snapshot: &Snapshot, width: Option<usize>) -> String {
    let seconds =
        |ms: Option<i64>| ms.map_or_else(|| "unknown".to_owned(), |ms| format!("{:.1} s", seconds(ms)));
    let mut lines = vec![format!(
        "job {} from {}: over {}, newest reading {} old, state {}",
        snapshot.job.name,
        snapshot.source.as_deref().unwrap_or("an unknown source"),
        seconds(snapshot.interval_ms),
        seconds(snapshot.newest_age_ms),
        figure(snapshot.state_size_bytes.map(|bytes| bytes / 1e6), 1, " MB"),
    )];
    lines.push(operators(&snapshot.operators).render(width));
    lines.push(task_managers(snapshot).render(width));
    if snapshot.missing.is_empty() {
        lines.push("no metric is missing".to_owned());
    } else {
        lines.push("missing:".to_owned());
        lines.extend(snapshot.missing.iter().map(|missing| format!("  {missing}")));
    }
    lines.join("\n")
}

fn operators(operators: &[Operator]) -> Grid {
    let mut table = Grid::new([
        "operator",
        "kind",
        "p",
        "in/s",
        "out/s",
        "wanted/s",
        "true rate/s",
        "busy",
        "back-pressured",
        "backlog",
        "latency",
        "watermark lag",
    ]);
    let percent = |ratio: Option<f64>| figure(ratio.map(|ratio| ratio * 100.0), 0, " %");
    for operator in operators {
        let kind = serde_json::to_value(operator.kind).ok();
        table.row([
            operator.name.clone(),
            kind.as_ref().and_then(|kind| kind.as_str()).unwrap_or_default().to_owned(),
            operator.parallelism.to_string(),
            figure(operator.throughput_per_s, 0, ""),
            figure(operator.output_rate_per_s, 0, ""),
            figure(operator.input_rate_per_s, 0, ""),
            figure(true_rate_per_s(operator), 0, ""),
            percent(operator.busy_ratio),
            percent(operator.backpressured_ratio),
            figure(operator.backlog_records, 0, ""),
            figure(operator.latency_ms, 0, " ms"),
            figure(operator.watermark_lag_ms, 0, " ms"),
        ]);
    }
    table
}

/// Returns the records per second of busy time of all subtasks: the rate of an operator that never waits.
fn true_rate_per_s(operator: &Operator) -> Option<f64> {
    let busy = operator.busy_ratio.filter(|busy| *busy > 0.001)?;
    Some(operator.throughput_per_s? / busy)
}

fn task_managers(snapshot: &Snapshot) -> Grid {
    let mut table = Grid::new(["task manager", "slots", "free", "CPU", "heap", "managed", "GC"]);
    let share =
        |used: Option<f64>, max: Option<f64>| used.zip(max).filter(|(_, max)| *max > 0.0).map(|(u, m)| u / m);
    let percent = |ratio: Option<f64>| figure(ratio.map(|ratio| ratio * 100.0), 0, " %");
    let count = |count: Option<u32>| count.map_or_else(|| "?".to_owned(), |count| count.to_string());
    for tm in &snapshot.task_managers {
        table.row([
            terminal::short_id(&tm.id).to_owned(),
            count(tm.slots),
            count(tm.slots_free),
            percent(tm.cpu_load),
            percent(share(tm.heap_used_bytes, tm.heap_max_bytes)),
            percent(share(tm.managed_used_bytes, tm.managed_max_bytes)),
            percent(tm.gc_ms_per_s.map(|ms| ms / 1000.0)),
        ]);
    }
    table
}

/// Formats a figure with its unit, `?` if it is unknown.
fn figure(value: Option<f64>, decimals: usize, unit: &str) -> String {
    value.map_or_else(|| "?".to_owned(), |value| format!("{value:.decimals$}{unit}"))
}

#[expect(clippy::cast_precision_loss, reason = "a time for people")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}
