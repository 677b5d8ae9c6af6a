//! One run: reach Kafka, emit, report every interval, take signals, wait for the acknowledgements, print the totals.

use std::pin::pin;
use std::process::ExitCode;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use generator::Workload;
use service::Shutdown;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, info};

use crate::arguments::Output;
use crate::config::{Config, Shard, StartTime};
use crate::deliveries::{Deliveries, Origin};
use crate::emit::{Emitter, Progress, by_kind};
use crate::real_time::Level;
use crate::report::{ReportValues, Reporter};
use crate::sink::Sink;
use crate::stop::{StopOnDrop, StopSignal};
use crate::window::Window;
use crate::{metrics, transport};

/// Runs until the workload ends or a signal comes; succeeds if every event was acknowledged.
pub(crate) async fn run(config: &Config, output: Output) -> anyhow::Result<ExitCode> {
    debug!(config = config.effective, "effective configuration");
    info!("producing to {}", config.kafka.bootstrap_servers);
    let stop = StopSignal::default();
    let _stop = StopOnDrop(stop.clone());
    stop_on_signals(&stop)?;
    let shown = metrics::SharedReport::default();
    if let Some(address) = config.listen {
        metrics::serve(address, Arc::clone(&shown)).await?;
    }
    let emitter = Arc::new(prepare(config, stop).await?);
    let mut reporter = Reporter::new(Arc::clone(&emitter));
    let flush_timeout = Duration::from_millis(config.kafka.flush_timeout_ms);
    let work = config.real_time.run(Level::Emitter, {
        let emitter = Arc::clone(&emitter);
        move |real_time| {
            info!(real_time, "emitting");
            emitter.run().map(|()| emitter.settle(flush_timeout))
        }
    });
    let result = report_until_done(work, &mut reporter, &emitter, &shown, config.report_interval).await;
    let totals = reporter.totals();
    print_totals(&totals, output)?;
    result?;
    if let Some(first) = &totals.first_failure {
        return Err(anyhow!("{} of {} events failed, the first: {first}", totals.failed, totals.emitted));
    }
    if !totals.complete() {
        return Err(anyhow!("{} events were not acknowledged in time", totals.in_flight));
    }
    Ok(ExitCode::SUCCESS)
}

/// The first signal ends the run in order, the second does not wait for acknowledgements either.
fn stop_on_signals(stop: &StopSignal) -> anyhow::Result<()> {
    let (mut shutdown, stop) = (Shutdown::listen()?, stop.clone());
    tokio::spawn(async move {
        loop {
            shutdown.requested().await;
            info!("stopping; a second signal stops without waiting for acknowledgements");
            stop.ask();
        }
    });
    Ok(())
}

/// Reaches Kafka and lays out the run, with time 0 as late as possible.
async fn prepare(config: &Config, stop: StopSignal) -> anyhow::Result<Emitter> {
    let deliveries = Arc::new(Deliveries::default());
    let (settings, streams) = (config.kafka.clone(), config.streams.clone());
    let scheduled = !config.as_fast_as_possible;
    // librdkafka's threads are begun by this one, and have its priority.
    let reach = config.real_time.run(Level::Client, {
        let (deliveries, stop) = (Arc::clone(&deliveries), stop.clone());
        move |real_time| (real_time, transport::reach(&settings, &deliveries, &streams, scheduled, &stop))
    });
    let (is_real_time, reached) = reach.await?;
    let (client, targets) = reached?;
    let Shard { of, .. } = config.shard;
    if let Some(narrow) = targets.iter().find(|target| target.partitions < of) {
        let (topic, partitions) = (config.kafka.topic_of(narrow.kind), narrow.partitions);
        return Err(anyhow!("shard: {topic} has only {partitions} partitions for {of} producers"));
    }
    let origin = origin(config)?;
    deliveries.begin(origin);
    let workload =
        Workload::new(config.generator.clone(), config.schedule.clone(), origin.timestamp_ms, config.events);
    info!(start_time_ms = origin.timestamp_ms, events = workload.events(), ?targets, "ready");
    let window = Window::new(config.kafka.max_in_flight, origin.scheduled || client.is_batches());
    let sink = Sink::new(client, deliveries, window, stop);
    Ok(Emitter {
        workload,
        sink: if is_real_time { sink.with_real_time() } else { sink },
        progress: Progress::new(config.from_event),
        origin,
        targets: by_kind(&targets),
        shard: config.shard,
    })
}

/// Where time 0 lies. `now`: so that the first event is due now. In the future: then. In the past: the timestamps begin
/// there, and the first event is due now.
fn origin(config: &Config) -> anyhow::Result<Origin> {
    let before_first = Duration::from_nanos(config.schedule.due_ns(config.from_event));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the system clock is before 1970")?;
    let instant = Instant::now();
    let first_now = instant.checked_sub(before_first).context("from_event: due too long after the start")?;
    let now_ms = |since: Duration| i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    let (instant, timestamp_ms) = match config.start_time {
        StartTime::Now => (first_now, now_ms(now.saturating_sub(before_first))),
        StartTime::At(ms) => {
            let ahead = Duration::from_millis(ms.max(0) as u64).saturating_sub(now);
            (if ahead.is_zero() { first_now } else { instant + ahead }, ms)
        }
    };
    Ok(Origin { instant, timestamp_ms, scheduled: !config.as_fast_as_possible })
}

async fn report_until_done(
    work: impl Future<Output = anyhow::Result<anyhow::Result<()>>>,
    reporter: &mut Reporter,
    emitter: &Emitter,
    shown: &metrics::SharedReport,
    every: Duration,
) -> anyhow::Result<()> {
    let mut work = pin!(work);
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        tokio::select! {
            ended = &mut work => return ended?,
            _ = ticks.tick() => {}
        }
        let figures = reporter.interval();
        figures.log();
        *shown.lock().unwrap_or_else(PoisonError::into_inner) = figures;
        if let Some(reason) = emitter.sink.fatal_error() {
            return Err(anyhow!("fatal error of the Kafka client: {reason}"));
        }
    }
}

fn print_totals(totals: &ReportValues, output: Output) -> anyhow::Result<()> {
    let text = match output {
        Output::Text => totals.summary(),
        Output::Json => serde_json::to_string(totals)?,
    };
    terminal::print(&text).context("could not write the totals")
}
