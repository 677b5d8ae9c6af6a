//! Looking without deciding: what any source of metrics shows of a job, per operator, and what is missing.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use scaling::{Operator, Snapshot};
use secrets::Address;
use telemetry::{Sample, Settings, Source, summarise};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::cli::Output;
use crate::config::{Config, ConfigError, Flink};
use crate::observe;
use crate::site::Site;
use crate::source::SourceKind;

/// The most samples that are taken, whatever the times asked for.
const SAMPLES_MAX: usize = 1_000;

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "configs/rescaler.toml")]
    config: PathBuf,
    /// The job: of a configuration with several, which one; else its name in Flink, instead of the configured one.
    #[arg(long, value_name = "NAME")]
    job: Option<String>,
    /// Where Flink is, instead of the configured address.
    #[arg(long, value_name = "URL")]
    flink_url: Option<Address>,
    /// The source of metrics, instead of the configured one.
    #[arg(long, value_enum)]
    source: Option<SourceKind>,
    /// Where Graphite or Prometheus listens, instead of the configured address.
    #[arg(long, value_name = "URL")]
    source_url: Option<Address>,
    /// The folder of Whisper files, instead of the configured one.
    #[arg(long, value_name = "FOLDER")]
    source_folder: Option<PathBuf>,
    /// How long to watch, in seconds: rates are differences over this time.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// A table with what is missing below it, or the snapshot as JSON (docs/snapshot.md).
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

impl Inspect {
    fn config(&self) -> Result<Config, ConfigError> {
        let mut config = match Site::load(&self.config)? {
            Site::One(config) => {
                let job = self.job.clone().unwrap_or_else(|| config.flink.job.clone());
                Config { flink: Flink { job, ..config.flink.clone() }, ..*config }
            }
            Site::Several { .. } => Site::load_job(&self.config, self.job.as_deref())?,
        };
        config.flink.url = self.flink_url.clone().unwrap_or(config.flink.url);
        config.source.kind = self.source.unwrap_or(config.source.kind);
        config.source.url = self.source_url.clone().unwrap_or(config.source.url);
        config.source.folder = self.source_folder.clone().unwrap_or(config.source.folder);
        config.check(&self.config)
    }
}

/// Watches for the time asked for; the answer is for standard output.
///
/// # Errors
/// The configuration, or why nothing at all was seen.
pub(crate) async fn run(inspect: &Inspect) -> anyhow::Result<String> {
    let config = inspect.config()?;
    let flink_settings = flink::Settings {
        timeout: Duration::from_millis(config.flink.timeout_ms),
        max_body_bytes: config.flink.max_body_bytes,
        ..flink::Settings::default()
    };
    let client = flink::Client::new(config.flink.url.reveal(), flink_settings).context("flink.url")?;
    let mut source = config.source.open(&config, client)?;
    let (samples, problems) =
        watch(&mut source, config.sample_interval(), Duration::from_secs(inspect.seconds)).await;
    let snapshot = snapshot(&samples, problems, &observe::settings(&config, &source), inspect.seconds)?;
    match inspect.output {
        Output::Json => serde_json::to_string_pretty(&snapshot).context("cannot write the snapshot as JSON"),
        Output::Text => Ok(in_words(&snapshot)),
    }
}

/// Samples at the usual interval, and every reason why there was none, once each.
async fn watch(source: &mut Source, every: Duration, time: Duration) -> (Vec<Sample>, Vec<String>) {
    let end = Instant::now() + time;
    let mut ticks = interval(every.min(time));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut samples, mut problems) = (Vec::new(), Vec::new());
    while samples.len() < SAMPLES_MAX {
        ticks.tick().await;
        match source.sample().await {
            Ok(sample) => samples.push(sample),
            Err(error) => {
                let problem = format!("{:#}", anyhow::Error::from(error));
                if !problems.contains(&problem) {
                    problems.push(problem);
                }
            }
        }
        if Instant::now() + every / 2 >= end {
            break;
        }
    }
    (samples, problems)
}

/// The snapshot of what was seen, tasks that still warm up included; what speaks against it is named as missing.
fn snapshot(
    samples: &[Sample],
    problems: Vec<String>,
    settings: &Settings,
    seconds: u64,
) -> anyhow::Result<Snapshot> {
    let Some(last) = samples.last() else {
        bail!("nothing was seen in {seconds} s: {}", problems.join("; "));
    };
    let widest = |of: fn(&telemetry::Vertex) -> u32| last.vertices.iter().map(of).max().unwrap_or(1);
    let (max_parallelism, parallelism) = (widest(|v| v.max_parallelism), widest(|v| v.parallelism));
    let lenient = Settings { warm_up: Duration::ZERO, ..settings.clone() };
    let mut snapshot = summarise(samples, max_parallelism, parallelism, &lenient)
        .with_context(|| format!("watched for {seconds} s, see --seconds"))?;
    if let Err(not_ready) = summarise(samples, max_parallelism, parallelism, settings) {
        snapshot.missing.push(not_ready.to_string());
    }
    snapshot.missing.extend(problems);
    Ok(snapshot)
}

/// A table of operators, one of task managers, and what is missing.
fn in_words(snapshot: &Snapshot) -> String {
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
    lines.push(operators(&snapshot.operators).to_string());
    lines.push(task_managers(snapshot).to_string());
    if snapshot.missing.is_empty() {
        lines.push("nothing is missing".to_owned());
    } else {
        lines.push("missing:".to_owned());
        lines.extend(snapshot.missing.iter().map(|missing| format!("  {missing}")));
    }
    lines.join("\n")
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header(header.to_vec());
    table
}

fn operators(operators: &[Operator]) -> Table {
    let mut table = table(&[
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
        table.add_row([
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

/// Records per second of busy time, all subtasks together: what the operator could do if it never waited.
fn true_rate_per_s(operator: &Operator) -> Option<f64> {
    let busy = operator.busy_ratio.filter(|busy| *busy > 0.001)?;
    Some(operator.throughput_per_s? / busy)
}

fn task_managers(snapshot: &Snapshot) -> Table {
    let mut table = table(&["task manager", "slots", "free", "CPU", "heap", "managed", "GC"]);
    let share =
        |used: Option<f64>, max: Option<f64>| used.zip(max).filter(|(_, max)| *max > 0.0).map(|(u, m)| u / m);
    let percent = |ratio: Option<f64>| figure(ratio.map(|ratio| ratio * 100.0), 0, " %");
    let count = |count: Option<u32>| count.map_or_else(|| "?".to_owned(), |count| count.to_string());
    for tm in &snapshot.task_managers {
        table.add_row([
            tm.id.clone(),
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

/// A figure with its unit, `?` if it is unknown.
fn figure(value: Option<f64>, decimals: usize, unit: &str) -> String {
    value.map_or_else(|| "?".to_owned(), |value| format!("{value:.decimals$}{unit}"))
}

#[expect(clippy::cast_precision_loss, reason = "a time for people")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}
