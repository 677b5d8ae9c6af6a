//! Records an existing job on any cluster: the same rows, summary and plots as for an experiment's run.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use scaling::Snapshot;
use tokio::time::Instant;

use crate::about::MachineInfo;
use crate::changes::{self, ParallelismChange};
use crate::decisions;
use crate::folder::{CompletedRun, RunFolder};
use crate::observe::{LoadTime, Observer};
use crate::page::ProducerPage;
use crate::plots;
use crate::row::{Row, header, read_series};
use crate::screen::Screen;
use crate::stop::ShutdownSignal;
use crate::summary::{Summary, SummarySettings, summarise};
use crate::time::{now_ms, parse_duration};
use crate::watch::Watch;

/// Timeout for the job to be found running.
const JOB_DEADLINE: Duration = Duration::from_secs(10);
/// Timeout of a request to Flink, which may be remote.
const FLINK_TIMEOUT: Duration = Duration::from_secs(5);

/// What is watched, and what it is called.
#[derive(Debug, Args)]
pub(crate) struct RecordOptions {
    /// URL of Flink.
    #[arg(long, value_name = "URL")]
    flink: String,
    /// The job's name in Flink.
    #[arg(long, value_name = "NAME")]
    job: String,
    /// Metrics address of the event producer (its `--listen`); without it the load is unknown and the run invalid.
    #[arg(long, value_name = "HOST:PORT")]
    producer: Option<String>,
    /// Journal of the rescaler, which is copied; without it the run has no decisions.
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Duration of the recording, including the warm-up: 90s, 5m, 1h.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    duration: Duration,
    /// Warm-up at the start, which does not count.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "30s")]
    warm_up: Duration,
    /// Latency bound, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 1000.0)]
    latency_max_ms: f64,
    /// Largest schedule delay of the producer in a valid run (99th percentile, milliseconds).
    #[arg(long, value_name = "MS", default_value_t = 250.0)]
    schedule_delay_max_ms: f64,
    /// Label in tables and plots, for example the policy.
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Folder for the results, new or empty.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

/// Records until the duration is over or a shutdown is requested; the rows so far are kept.
///
/// # Errors
/// The job cannot be observed, or a file cannot be written.
pub(crate) async fn record(
    options: &RecordOptions,
    screen: &mut Screen,
    stop: &ShutdownSignal,
) -> anyhow::Result<Summary> {
    let settings = flink::ClientSettings { timeout: FLINK_TIMEOUT, ..flink::ClientSettings::default() };
    let flink = flink::Client::new(&options.flink, settings)?;
    let folder = RunFolder::make(&options.out)?;
    let about = MachineInfo::here(flink.overview().await.ok().map(|overview| overview.flink_version)).await;
    folder.write_json("about.json", &about)?;
    let producer = options.producer.as_deref().map(ProducerPage::new).transpose()?;
    let watch = Watch::new(flink.clone(), &options.job);
    let mut observer = Observer::new(flink, &options.job, producer);
    let operators = observer.await_job(JOB_DEADLINE, stop).await?;
    folder.write("series.csv", &(header(&operators) + "\n"))?;
    screen.begin_rows();
    let began_ms = now_ms();
    let mut take = |row: &Row, snapshot: Option<&Snapshot>| {
        screen.show(row);
        folder.append_row(row, &operators, snapshot)
    };
    let began = Instant::now();
    let time = LoadTime { began, duration: options.duration, warm_up: options.warm_up };
    let is_complete = tokio::select! {
        observed = time.observe(&mut observer, &mut take) => observed.map(|()| true)?,
        () = watch.poll(began) => true,
        () = stop.asked() => false,
    };
    let changes = watch.changes(began_ms).await;
    folder.write("changes.csv", &changes::text(&changes))?;
    keep(options, &folder, began_ms, is_complete, &changes)
}

fn keep(
    options: &RecordOptions,
    folder: &RunFolder,
    began_ms: i64,
    is_complete: bool,
    changes: &[ParallelismChange],
) -> anyhow::Result<Summary> {
    if let Some(journal) = &options.journal {
        folder.copy_journal(journal)?;
    }
    let decisions: Vec<_> = decisions::of_journal(&folder.journal(), began_ms)?
        .into_iter()
        .filter(|decision| decision.at_s >= 0.0)
        .collect();
    folder.write("decisions.csv", &decisions::text(&decisions))?;
    let rows = read_series(&folder.series())?;
    let settings = SummarySettings {
        duration_s: options.duration.as_secs_f64(),
        warm_up_s: options.warm_up.as_secs_f64(),
        latency_max_ms: options.latency_max_ms,
        schedule_delay_max_ms: options.schedule_delay_max_ms,
        ack_delay_max_ms: None,
        others_cpu_max_cores: None,
    };
    let mut summary = Summary {
        experiment: options.job.clone(),
        variant: options.name.clone(),
        repetition: 1,
        began_at: jiff::Timestamp::from_millisecond(began_ms).unwrap_or_default().to_string(),
        version: version::VERSION.to_owned(),
        is_complete,
        ..summarise(&rows, &decisions, None, &settings)
    };
    summary.describe_changes(changes, None);
    if !is_complete {
        summary.add_problem("ended early: interrupted".to_owned());
    }
    folder.write_json("summary.json", &summary)?;
    let kept = CompletedRun { summary, rows, decisions };
    plots::of_run(&kept, folder.path())?;
    Ok(kept.summary)
}
