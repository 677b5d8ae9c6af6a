//! One savepoint, taken in the middle of the stream, and jobs at several parallelisms that resume from it.
//!
//! The stream is written in two halves, so that the savepoint is between them at any speed of the machine: with open
//! windows, open auctions and waiting bids. Each resumed job writes to its own topic; the rows committed before the
//! savepoint belong to all of them. Of the project's programs only the producer is involved.
//!
//! The first half contains an unparsable record, which must become a dead letter and change nothing else.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use jiff::Timestamp;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tokio::time::{Instant, sleep};

use crate::benchmark::Benchmark;
use crate::engines::Context;
use crate::exactness::start_load;
use crate::harness::{E2eHarness, HarnessOptions, PATIENCE};
use crate::load::Load;
use crate::rows::Order;

/// One per subtask of the widest job, because no partition may count as idle here.
const PARTITIONS: u16 = 8;
const TAKEN_AT: u32 = 2;
const STEPS: [(f64, f64); 1] = [(2500.0, 24.0)];
const FIRST_HALF: &str = "30000";
const NO_EVENT: &str = "no event";
const POLL: Duration = Duration::from_millis(200);

/// Goal: a savepoint taken at parallelism 2 restores at 8, and the final rows match the reference.
pub(crate) async fn a_savepoint_goes_on_at_another_parallelism(context: Context) -> anyhow::Result<()> {
    go_on(&context, Benchmark::Nexmark, &[8]).await
}

/// Goal: for both benchmarks, a savepoint taken at parallelism 2 restores at 1, 3 and 8.
pub(crate) async fn a_savepoint_goes_on_at_every_parallelism(context: Context) -> anyhow::Result<()> {
    for benchmark in [Benchmark::Nexmark, Benchmark::Psm] {
        go_on(&context, benchmark, &[1, 3, 8]).await.with_context(|| format!("{benchmark:?}"))?;
    }
    Ok(())
}

async fn go_on(context: &Context, benchmark: Benchmark, parallelisms: &[u32]) -> anyhow::Result<()> {
    let options = HarnessOptions { benchmark: benchmark.name(), partitions: PARTITIONS };
    let harness = E2eHarness::on(context, context.shared_cluster().await?, options).await?;
    let jar = harness.flink.upload_jar(harness.tenant.jar(), "flink-jobs.jar").await?;
    let before_the_stream_ms = Timestamp::now().as_millisecond();
    let load = Load::soon(&STEPS);

    write(&harness, benchmark, &load, &["--events", FIRST_HALF]).await?;
    write_what_is_no_event(&harness, benchmark.topics()[0], before_the_stream_ms)?;
    let job = run(&harness, &jar, benchmark.document_at(TAKEN_AT), None, TAKEN_AT).await?;
    harness.await_all_consumed(benchmark.topics()).await?;
    let savepoint = stop(&harness, &job).await?;
    let before = harness.committed(&benchmark.result_topic())?;
    ensure!(!before.is_empty(), "nothing was committed before the savepoint");
    let dead_letters = harness.committed(&format!("{}_dead_letters", benchmark.name()))?;
    ensure!(dead_letters == [NO_EVENT], "the dead letters are {dead_letters:?}");
    context.note("the savepoint is taken");

    write(&harness, benchmark, &load, &["--from", FIRST_HALF]).await?;
    let recording = benchmark.record(&load, load.events(benchmark.generator()?)?)?;
    let events = recording.events().collect::<Result<Vec<_>, _>>()?;
    for parallelism in parallelisms {
        let own = format!("{}_at_{parallelism}", benchmark.name());
        let (results, group) = (format!("{own}_results"), harness.tenant.own(&own));
        harness.tenant.testbed().create_topic(&harness.tenant.own(&results), 1).await?;
        let result_topic = format!("\"{}\"", benchmark.result_topic());
        let document = benchmark
            .document_at(*parallelism)
            .replace(&result_topic, &format!("\"{}\"", harness.tenant.own(&results)))
            .replace(&format!("group_id = \"{}\"", benchmark.name()), &format!("group_id = \"{group}\""));
        run(&harness, &jar, document, Some(savepoint.clone()), *parallelism).await?;
        harness.await_consumed_by(&group, benchmark.topics()).await?;
        harness.drain().await?;
        let after = harness.committed(&results)?;
        ensure!(!after.is_empty(), "nothing was committed after the savepoint");
        let found = before.iter().cloned().chain(after).collect();
        let lines = benchmark.assert_exact(found, &events, Order::Open);
        let lines = lines.with_context(|| format!("at {parallelism}"))?;
        context.note(format!("savepoint at {TAKEN_AT}, then {parallelism}: {}", lines.join("; ")));
    }
    Ok(())
}

/// Writes a part of the stream as fast as possible.
async fn write(harness: &E2eHarness, benchmark: Benchmark, load: &Load, part: &[&str]) -> anyhow::Result<()> {
    start_load(harness, benchmark, load.clone(), &[part, &["--max"]].concat())?.finish().await
}

/// Writes an unparsable record, with a timestamp that does not advance event time.
fn write_what_is_no_event(harness: &E2eHarness, topic: &str, timestamp_ms: i64) -> anyhow::Result<()> {
    let servers = harness.tenant.testbed().kafka_bootstrap();
    let topic = harness.tenant.own(topic);
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", servers).create()?;
    let record = BaseRecord::<(), str>::to(&topic).payload(NO_EVENT).timestamp(timestamp_ms).partition(0);
    producer.send(record).map_err(|(error, _)| error)?;
    Ok(producer.flush(Duration::from_secs(10))?)
}

/// Runs a job and waits until all its tasks run, with this parallelism of its widest operator.
async fn run(
    harness: &E2eHarness,
    jar: &str,
    document: String,
    savepoint_path: Option<String>,
    widest: u32,
) -> anyhow::Result<flink::JobId> {
    let program_args_list = vec!["--document-text".to_owned(), harness.tenant.localise(&document)];
    let request = flink::RunRequest { program_args_list, savepoint_path, ..flink::RunRequest::default() };
    let id = harness.flink.run_jar(jar, &request).await?;
    let end = Instant::now() + PATIENCE;
    loop {
        let job = harness.flink.job(&id).await?;
        let found = job.vertices.iter().map(|vertex| vertex.parallelism).max();
        if job.is_fully_running() && found == Some(widest) {
            return Ok(id);
        }
        ensure!(
            Instant::now() < end && !job.state.is_terminal(),
            "the job is {:?} at {found:?}, and {:?}",
            job.state,
            harness.flink.newest_exception(&id).await
        );
        sleep(POLL).await;
    }
}

/// Stops the job without a drain and returns the path of its savepoint.
async fn stop(harness: &E2eHarness, job: &flink::JobId) -> anyhow::Result<String> {
    let trigger_id = flink::TriggerId::from_bytes([2; 16]);
    let request = flink::StopRequest { trigger_id: trigger_id.clone(), target_directory: None, drain: false };
    harness.flink.stop_with_savepoint(job, &request).await?;
    let end = Instant::now() + PATIENCE;
    let location = loop {
        match harness.flink.savepoint_status(job, &trigger_id).await? {
            flink::SavepointStatus::Completed { location } => break location,
            flink::SavepointStatus::Failed { cause } => anyhow::bail!("no savepoint: {cause}"),
            flink::SavepointStatus::InProgress => {}
        }
        ensure!(Instant::now() < end, "the savepoint takes too long");
        sleep(POLL).await;
    };
    // Its last transactions are committed between the savepoint and its end.
    while harness.flink.job(job).await?.state != flink::JobState::Finished {
        ensure!(Instant::now() < end, "the job does not end after its savepoint");
        sleep(POLL).await;
    }
    Ok(location)
}
