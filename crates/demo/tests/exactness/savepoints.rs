//! One savepoint, taken in the middle of the stream, and jobs at several parallelisms that each go on from it.
//!
//! The stream is written in two halves, so that the savepoint lies between them whatever the machine's speed: with open windows,
//! open auctions and waiting bids. Each job that goes on writes to a topic of its own; what was committed before the savepoint
//! belongs to all of them. Programs of ours other than the producer have no part in this.
//!
//! Among the events of the first half is a record that is none: it must end among the dead letters and change nothing else.

use std::time::Duration;

use anyhow::{Context, ensure};
use jiff::Timestamp;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tokio::time::{Instant, sleep};

use crate::common::{Load, Loop, LoopOptions};
use crate::rows::Order;
use crate::site::Site;
use crate::start_producer_with;

/// As many as the widest job has subtasks, because no partition may count as idle here.
const PARTITIONS: u16 = 8;
const TAKEN_AT: u32 = 2;
const STEPS: [(f64, f64); 1] = [(2500.0, 24.0)];
const FIRST_HALF: &str = "30000";
const NO_EVENT: &str = "no event";
const POLL: Duration = Duration::from_millis(200);
const DEADLINE: Duration = Duration::from_secs(180);

/// Fails unless every one of these goes on from the savepoint to the rows of the reference.
pub(crate) async fn go_on(site: Site, parallelisms: &[u32]) -> anyhow::Result<()> {
    let options = LoopOptions { job: site.name(), partitions: PARTITIONS, task_managers: 2 };
    let cluster = Loop::set_for(options).await?;
    let jar = cluster.flink.upload_jar(cluster.stage.jar(), "flink-jobs.jar").await?;
    let before_the_stream_ms = Timestamp::now().as_millisecond();
    let load = Load::soon(&STEPS);

    write(&cluster, site, &load, &["--events", FIRST_HALF]).await?;
    write_what_is_no_event(&cluster, site.topics()[0], before_the_stream_ms)?;
    let job = run(&cluster, &jar, site.document_at(TAKEN_AT), None, TAKEN_AT).await?;
    cluster.await_all_consumed(site.topics(), DEADLINE).await?;
    let savepoint = stop(&cluster, &job).await?;
    let before = cluster.committed(&site.result_topic())?;
    ensure!(!before.is_empty(), "nothing was committed before the savepoint");
    assert_eq!(cluster.committed(&format!("{}_dead_letters", site.name()))?, [NO_EVENT]);

    write(&cluster, site, &load, &["--from", FIRST_HALF]).await?;
    let recording = site.record(&load)?;
    let events = recording.events().collect::<Result<Vec<_>, _>>()?;
    for parallelism in parallelisms {
        let own = format!("{}_at_{parallelism}", site.name());
        let results = format!("{own}_results");
        cluster.stage.testbed().create_topic(&results, 1).await?;
        let document = site
            .document_at(*parallelism)
            .replace(&format!("\"{}\"", site.result_topic()), &format!("\"{results}\""))
            .replace(&format!("group_id = \"{}\"", site.name()), &format!("group_id = \"{own}\""));
        run(&cluster, &jar, document, Some(savepoint.clone()), *parallelism).await?;
        cluster.await_consumed_by(&own, site.topics(), DEADLINE).await?;
        cluster.drain(DEADLINE).await?;
        let after = cluster.committed(&results)?;
        ensure!(!after.is_empty(), "nothing was committed after the savepoint");
        println!("{}: {} events, savepoint at {TAKEN_AT}, then {parallelism}", site.name(), events.len());
        let found = before.iter().cloned().chain(after).collect();
        site.assert_exact(found, &events, Order::Open).with_context(|| format!("at {parallelism}"))?;
    }
    cluster.stage.strike().await;
    Ok(())
}

/// Writes a part of the stream as fast as possible.
async fn write(cluster: &Loop, site: Site, load: &Load, part: &[&str]) -> anyhow::Result<()> {
    let producer = start_producer_with(cluster, site, load, &[part, &["--max"]].concat())?;
    ensure!(producer.wait().await.success(), "the producer's log: {}", producer.log_file().display());
    Ok(())
}

/// With a timestamp that does not move time on.
fn write_what_is_no_event(cluster: &Loop, topic: &str, timestamp_ms: i64) -> anyhow::Result<()> {
    let servers = cluster.stage.testbed().kafka_bootstrap();
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", servers).create()?;
    let record = BaseRecord::<(), str>::to(topic).payload(NO_EVENT).timestamp(timestamp_ms).partition(0);
    producer.send(record).map_err(|(error, _)| error)?;
    Ok(producer.flush(Duration::from_secs(10))?)
}

/// Runs a job and waits until all of it runs, its widest operator at this parallelism.
async fn run(
    cluster: &Loop,
    jar: &str,
    document: String,
    savepoint_path: Option<String>,
    widest: u32,
) -> anyhow::Result<flink::JobId> {
    let program_args_list = vec!["--document-text".to_owned(), cluster.stage.localise(&document)];
    let request = flink::RunRequest { program_args_list, savepoint_path, ..flink::RunRequest::default() };
    let id = cluster.flink.run_jar(jar, &request).await?;
    let end = Instant::now() + DEADLINE;
    loop {
        let job = cluster.flink.job(&id).await?;
        let found = job.vertices.iter().map(|vertex| vertex.parallelism).max();
        if job.is_fully_running() && found == Some(widest) {
            return Ok(id);
        }
        ensure!(
            Instant::now() < end && !job.state.is_terminal(),
            "the job is {:?} at {found:?}, and {:?}",
            job.state,
            cluster.flink.newest_exception(&id).await
        );
        sleep(POLL).await;
    }
}

/// Stops the job without a drain and tells where its savepoint lies.
async fn stop(cluster: &Loop, job: &flink::JobId) -> anyhow::Result<String> {
    let trigger_id = flink::TriggerId::from_bytes([2; 16]);
    let request = flink::StopRequest { trigger_id: trigger_id.clone(), target_directory: None, drain: false };
    cluster.flink.stop_with_savepoint(job, &request).await?;
    let end = Instant::now() + DEADLINE;
    let location = loop {
        match cluster.flink.savepoint_status(job, &trigger_id).await? {
            flink::SavepointStatus::Completed { location } => break location,
            flink::SavepointStatus::Failed { cause } => anyhow::bail!("no savepoint: {cause}"),
            flink::SavepointStatus::InProgress => {}
        }
        ensure!(Instant::now() < end, "the savepoint takes too long");
        sleep(POLL).await;
    };
    // Its last transactions are committed between the savepoint and its end.
    while cluster.flink.job(job).await?.state != flink::JobState::Finished {
        ensure!(Instant::now() < end, "the job does not end after its savepoint");
        sleep(POLL).await;
    }
    Ok(location)
}
