//! All queries of both benchmarks against the reference, row for row: undisturbed, across a savepoint restart at
//! another parallelism, and across a kill of the only task manager. Both benchmarks run side by side on one task
//! manager.
//!
//! By default one run has a restart and a kill in the middle of its stream. Each ignored test covers one situation.

use anyhow::{Context as _, ensure};
use jiff::Timestamp;
use job_config::{Change, ChangeState};
use testbed::process::Process;
use tokio::time::{Duration, Instant, sleep, sleep_until};

use crate::benchmark::Benchmark;
use crate::engines::Context;
use crate::harness::{E2eHarness, HarnessOptions, PATIENCE, change};
use crate::load::{Load, RunningLoad};
use crate::rows::Order;

const BOTH: [Benchmark; 2] = [Benchmark::Nexmark, Benchmark::Psm];
/// Events per second of each benchmark; their minimum duration follows: more than 200,000 events.
const RATE: f64 = 4000.0;
const LEAST: Duration = Duration::from_secs(55);
/// The order of the stream is only known at this size.
const SHORT: [(f64, f64); 1] = [(2000.0, 12.0)];

/// Parallelism, and the disturbances of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Situation {
    parallelism: u32,
    /// In mid-run: stop with a savepoint, and resume at this parallelism.
    restart_at: Option<u32>,
    /// In mid-run, after the restart: `kill -9` of the only task manager.
    kill: bool,
}

const UNDISTURBED: Situation = Situation { parallelism: 1, restart_at: None, kill: false };

/// Restart and kill in one run, which is shorter than a run for each.
const RESTARTED_AND_KILLED: Situation = Situation { parallelism: 2, restart_at: Some(3), kill: true };

/// Each situation by itself.
pub(crate) const EVERY_SITUATION: [(&str, Situation); 5] = [
    ("full_undisturbed_at_1", UNDISTURBED),
    ("full_undisturbed_at_3", Situation { parallelism: 3, ..UNDISTURBED }),
    ("full_restart_from_2_at_1", Situation { parallelism: 2, restart_at: Some(1), ..UNDISTURBED }),
    ("full_restart_from_2_at_4", Situation { parallelism: 2, restart_at: Some(4), ..UNDISTURBED }),
    ("full_kill_at_2", Situation { parallelism: 2, kill: true, ..UNDISTURBED }),
];

/// Goal: the committed rows of two streams of 200,000 events each match the reference, although both jobs were
/// restarted at another parallelism and their task manager was killed under load.
pub(crate) async fn both_benchmarks_are_exact_after_restart_and_death(
    context: Context,
) -> anyhow::Result<()> {
    run_both(context, RESTARTED_AND_KILLED).await
}

/// Runs both benchmarks in one situation.
pub(crate) async fn run_both(context: Context, situation: Situation) -> anyhow::Result<()> {
    let cluster = context.shared_cluster_with(1).await?;
    let harness = |benchmark: Benchmark| {
        let options = HarnessOptions { benchmark: benchmark.name(), partitions: 4 };
        E2eHarness::on(&context, std::sync::Arc::clone(&cluster), options)
    };
    let (nexmark, psm) = (harness(BOTH[0]).await?, harness(BOTH[1]).await?);
    let (nexmark, psm) = tokio::try_join!(
        Run::begin(&nexmark, BOTH[0], situation.parallelism),
        Run::begin(&psm, BOTH[1], situation.parallelism)
    )?;
    let enough = Instant::now() + LEAST;
    if let Some(parallelism) = situation.restart_at {
        tokio::try_join!(nexmark.restart(parallelism), psm.restart(parallelism))?;
    }
    if situation.kill {
        kill_task_managers(&context, [&nexmark, &psm]).await?;
    }
    sleep_until(enough).await;
    tokio::try_join!(nexmark.finish(), psm.finish())?;
    Ok(())
}

/// One benchmark while its events flow.
struct Run<'a> {
    harness: &'a E2eHarness,
    benchmark: Benchmark,
    agent: Process,
    load: RunningLoad,
    _drop: Process,
}

impl<'a> Run<'a> {
    /// Starts the job and the load, and waits until the job has completed some checkpoints.
    async fn begin(harness: &'a E2eHarness, benchmark: Benchmark, parallelism: u32) -> anyhow::Result<Self> {
        let drop = harness.start("config-drop", &[])?;
        let job = format!("job = \"{}\"", benchmark.name());
        let agent = harness.start_with("config-agent", &[], &[("job = \"nexmark\"", &job)])?;
        harness.run_first_text(&benchmark.document_at(parallelism)).await?;
        let load = start_load(harness, benchmark, Load::until_stopped(&[], RATE), &[])?;
        harness.await_checkpoints(3).await?;
        Ok(Self { harness, benchmark, agent, load, _drop: drop })
    }

    /// Stops the job with a savepoint and resumes it at another parallelism, until some transactions were committed.
    async fn restart(&self, parallelism: u32) -> anyhow::Result<()> {
        let harness = self.harness;
        harness.publish(Change { default_parallelism: Some(parallelism), ..change() }).await?;
        harness.await_report(2, ChangeState::Running).await?;
        let job = harness.running_job().await?;
        let widest = job.vertices.iter().map(|vertex| vertex.parallelism).max();
        ensure!(widest == Some(parallelism), "the job runs at {widest:?}");
        harness.note(format!("{} goes on at {parallelism}", self.benchmark.name()));
        harness.await_checkpoints(2).await
    }

    /// Waits until all tasks run, and were started after this time.
    async fn await_return(&self, after_ms: i64) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let job = self.harness.running_job().await?;
            if job.is_fully_running() && job.running_since_ms() > Some(after_ms) {
                self.harness.note(format!("{} has come back", self.benchmark.name()));
                let unread = self.harness.unread(self.benchmark.topics())?;
                ensure!(unread > 0, "the stream had been read before the task manager died");
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "the job did not come back: {:?}", job.state);
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Ends the stream and the job, and compares the rows.
    async fn finish(self) -> anyhow::Result<()> {
        let events = self.load.stop().await?;
        ensure!(events > 200_000, "only {events} events");
        self.harness.await_all_consumed(self.benchmark.topics()).await?;
        self.harness.stop(self.agent).await;
        self.harness.drain().await?;
        compare(self.harness, self.benchmark, &self.load.load, events, Order::Open)
    }
}

/// Starts writing the stream of a benchmark.
pub(crate) fn start_load(
    harness: &E2eHarness,
    benchmark: Benchmark,
    load: Load,
    more: &[&str],
) -> anyhow::Result<RunningLoad> {
    let streams = ("streams = [\"auction\", \"bid\"]", &*benchmark.producer_settings());
    harness.start_load_with(load, more, &[streams])
}

/// Fails unless the committed rows match the reference and every record could be parsed.
fn compare(
    harness: &E2eHarness,
    benchmark: Benchmark,
    load: &Load,
    events: u64,
    order: Order,
) -> anyhow::Result<()> {
    let dead_letters = harness.committed(&format!("{}_dead_letters", benchmark.name()))?;
    ensure!(dead_letters.is_empty(), "{} records could not be read", dead_letters.len());
    let found = harness.committed(&benchmark.result_topic())?;
    let recording = benchmark.record(load, events)?;
    let events = recording.events().collect::<Result<Vec<_>, _>>()?;
    let lines = benchmark.assert_exact(found, &events, order)?;
    harness.note(format!("{}, {} events: {}", benchmark.name(), events.len(), lines.join("; ")));
    Ok(())
}

/// Kills all task managers (one, which has all tasks), starts another, and waits until both jobs have recovered.
async fn kill_task_managers(context: &Context, [one, other]: [&Run<'_>; 2]) -> anyhow::Result<()> {
    one.load.ensure_running()?;
    other.load.ensure_running()?;
    let testbed = one.harness.tenant.testbed();
    let killed_at_ms = Timestamp::now().as_millisecond();
    let all = testbed.task_managers().await;
    ensure!(all.len() == 1, "there is not one task manager: {all:?}");
    for id in all {
        testbed.kill_task_manager(&id).await?;
    }
    context.note("the only task manager is dead");
    testbed.start_task_manager().await?;
    tokio::try_join!(one.await_return(killed_at_ms), other.await_return(killed_at_ms))?;
    Ok(())
}

/// Goal: with a known order of records, the queries that depend on it have the reference's rows in order.
pub(crate) async fn queries_that_depend_on_order_are_exact(context: Context) -> anyhow::Result<()> {
    let cluster = context.shared_cluster().await?;
    let run = async |benchmark: Benchmark| {
        let options = HarnessOptions { benchmark: benchmark.name(), partitions: 1 };
        let harness = E2eHarness::on(&context, std::sync::Arc::clone(&cluster), options).await?;
        read_in_order(&harness, benchmark).await.with_context(|| format!("{benchmark:?}"))
    };
    tokio::try_join!(run(BOTH[0]), run(BOTH[1]))?;
    Ok(())
}

async fn read_in_order(harness: &E2eHarness, benchmark: Benchmark) -> anyhow::Result<()> {
    let _drop = harness.start("config-drop", &[])?;
    let job = format!("job = \"{}\"", benchmark.name());
    let agent = harness.start_with("config-agent", &[], &[("job = \"nexmark\"", &job)])?;
    harness.run_first_text(&benchmark.document_at(1)).await?;
    let load = start_load(harness, benchmark, Load::soon(&SHORT), &[])?;
    load.finish().await?;
    harness.await_all_consumed(benchmark.topics()).await?;
    harness.stop(agent).await;
    harness.drain().await?;
    let events = load.load.events(benchmark.generator()?)?;
    compare(harness, benchmark, &load.load, events, Order::Known)
}
