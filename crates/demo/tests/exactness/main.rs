//! All queries of both benchmarks on real Kafka and Flink against the reference, row for row: undisturbed, across a savepoint
//! restart at another parallelism, across the death of a task manager, and from one savepoint at several parallelisms.
//!
//! By default one run per benchmark suffers restart and death in the middle of its stream, and one savepoint is gone on from at
//! the largest parallelism. With `RESCALER_TESTS=full` (as `scripts/test.sh --full` sets it) every situation has a run of its
//! own as well, for both benchmarks.

#![expect(clippy::print_stdout, reason = "a test that takes minutes tells how far it is")]

#[allow(dead_code, reason = "what the tests share; this one does not need all of it")]
#[path = "../common/mod.rs"]
mod common;
mod refusals;
mod rows;
mod savepoints;
mod site;

use std::time::Duration;

use anyhow::{Context, ensure};
use common::{Load, Loop, LoopOptions};
use drop_client::{Precondition, Published};
use jiff::Timestamp;
use job_config::{Change, State};
use rows::Order;
use site::Site;
use testbed::process::Process;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

/// Each test has a Kafka and a Flink; a small machine has room for one at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// More than 200,000 events.
const LONG: [(f64, f64); 1] = [(4000.0, 51.0)];
const SHORT: [(f64, f64); 1] = [(2000.0, 12.0)];

/// How a stream is read and what happens meanwhile.
#[derive(Debug, Clone, Copy)]
struct Situation {
    steps: &'static [(f64, f64)],
    partitions: u16,
    parallelism: u32,
    /// In mid-run: stop with a savepoint, go on at this parallelism.
    restart_at: Option<u32>,
    /// In mid-run, after the restart: `kill -9` of the only task manager.
    kill: bool,
}

const UNDISTURBED: Situation =
    Situation { steps: &LONG, partitions: 4, parallelism: 1, restart_at: None, kill: false };

/// Restart and death in one run, which is shorter than a run for each.
const RESTARTED_AND_KILLED: Situation =
    Situation { parallelism: 2, restart_at: Some(3), kill: true, ..UNDISTURBED };

/// Each by itself.
const EVERY_SITUATION: [Situation; 5] = [
    UNDISTURBED,
    Situation { parallelism: 3, ..UNDISTURBED },
    Situation { parallelism: 2, restart_at: Some(1), ..UNDISTURBED },
    Situation { parallelism: 2, restart_at: Some(4), ..UNDISTURBED },
    Situation { parallelism: 2, kill: true, ..UNDISTURBED },
];

/// Whether the long tests are asked for.
fn full() -> bool {
    std::env::var("RESCALER_TESTS").as_deref() == Ok("full")
}

/// Goal: the committed rows of a stream of 200,000 events are those of the reference, although the job was restarted at another
/// parallelism and its task manager killed while the events flowed.
#[tokio::test(flavor = "multi_thread")]
async fn nexmark_is_exact_in_every_situation() -> anyhow::Result<()> {
    run_every_situation(Site::Nexmark).await
}

/// Goal: the same for the other benchmark.
#[tokio::test(flavor = "multi_thread")]
async fn psm_is_exact_in_every_situation() -> anyhow::Result<()> {
    run_every_situation(Site::Psm).await
}

/// Goal: where the order of records is that of the stream, the queries that depend on it have the rows of the reference, in
/// their order.
#[tokio::test(flavor = "multi_thread")]
async fn queries_that_depend_on_order_are_exact_on_one_partition() -> anyhow::Result<()> {
    let ordered = Situation { steps: &SHORT, partitions: 1, ..UNDISTURBED };
    run(Site::Nexmark, ordered).await?;
    run(Site::Psm, ordered).await
}

/// Goal: a savepoint taken at parallelism 2 restores at 1, 3 and 8, and the final rows are those of the reference each time.
#[tokio::test(flavor = "multi_thread")]
async fn a_savepoint_goes_on_at_any_parallelism() -> anyhow::Result<()> {
    let _turn = ONE_AT_A_TIME.lock().await;
    let (sites, parallelisms): (&[Site], &[u32]) =
        if full() { (&[Site::Nexmark, Site::Psm], &[1, 3, 8]) } else { (&[Site::Nexmark], &[8]) };
    for site in sites {
        savepoints::go_on(*site, parallelisms).await.with_context(|| format!("{site:?}"))?;
    }
    Ok(())
}

/// Goal: Flink refuses to start a job with a bad document, and the message names the key.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_document_starts_no_job() -> anyhow::Result<()> {
    let _turn = ONE_AT_A_TIME.lock().await;
    refusals::all().await
}

async fn run_every_situation(site: Site) -> anyhow::Result<()> {
    let alone: &[Situation] = if full() { &EVERY_SITUATION } else { &[] };
    for situation in alone.iter().chain([&RESTARTED_AND_KILLED]) {
        run(site, *situation).await.with_context(|| format!("{site:?}, {situation:?}"))?;
    }
    Ok(())
}

async fn run(site: Site, situation: Situation) -> anyhow::Result<()> {
    let _turn = ONE_AT_A_TIME.lock().await;
    let options = LoopOptions { job: site.name(), partitions: situation.partitions, task_managers: 1 };
    let cluster = Loop::set_for(options).await?;
    let _drop = cluster.start("config-drop", &[])?;
    let job = format!("job = \"{}\"", site.name());
    let agent = cluster.start_with("config-agent", &[], &[("job = \"nexmark\"", &job)])?;
    cluster.publish_text(&site.document_at(situation.parallelism)).await?;
    cluster.await_report(1, State::Running, Duration::from_secs(120)).await?;

    let load = Load::soon(situation.steps);
    let producer = start_producer(&cluster, site, &load)?;
    disturb(&cluster, site, situation).await?;
    assert!(producer.wait().await.success(), "the producer's log: {}", producer.log_file().display());
    cluster.await_all_consumed(site.topics(), Duration::from_secs(300)).await?;
    agent.stop(Duration::from_secs(5)).await;
    cluster.drain(Duration::from_secs(120)).await?;

    assert_eq!(cluster.committed(&format!("{}_dead_letters", site.name()))?, [] as [String; 0]);
    let found = cluster.committed(&site.result_topic())?;
    let recording = site.record(&load)?;
    let events = recording.events().collect::<Result<Vec<_>, _>>()?;
    println!("{}: {} events, {situation:?}", site.name(), events.len());
    let one_by_one = situation.partitions == 1 && situation.parallelism == 1;
    site.assert_exact(found, &events, if one_by_one { Order::Known } else { Order::Open })?;
    cluster.stage.strike().await;
    Ok(())
}

/// Starts to write the stream at its rate.
fn start_producer(cluster: &Loop, site: Site, load: &Load) -> anyhow::Result<Process> {
    start_producer_with(cluster, site, load, &[])
}

fn start_producer_with(cluster: &Loop, site: Site, load: &Load, more: &[&str]) -> anyhow::Result<Process> {
    let arguments = load.arguments();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(more.iter().copied()).collect();
    let streams = ("streams = [\"auction\", \"bid\"]", &*site.producer_settings());
    cluster.start_with("event-producer", &arguments, &[streams])
}

/// What is to happen in mid-run: when a part of the stream has been read, and while there is more to read.
async fn disturb(cluster: &Loop, site: Site, situation: Situation) -> anyhow::Result<()> {
    if situation.restart_at.is_none() && !situation.kill {
        return Ok(());
    }
    sleep(Duration::from_secs(10)).await;
    if let Some(parallelism) = situation.restart_at {
        publish_parallelism(cluster, parallelism).await?;
        cluster.await_report(2, State::Running, Duration::from_secs(120)).await?;
        let job = cluster.running_job().await?;
        let widest = job.vertices.iter().map(|vertex| vertex.parallelism).max();
        ensure!(widest == Some(parallelism), "the job runs at {widest:?}");
        sleep(Duration::from_secs(5)).await; // some checkpoints, some transactions
    }
    if situation.kill {
        kill_task_manager(cluster).await?;
    }
    let unread = cluster.unread(&cluster.consumer()?, site.topics())?;
    ensure!(unread > 0, "the stream had been read before the disturbances were over");
    Ok(())
}

async fn publish_parallelism(cluster: &Loop, parallelism: u32) -> anyhow::Result<()> {
    let current = cluster.current().await?;
    let change = Change {
        parallelism: [].into(),
        default_parallelism: Some(parallelism),
        task_managers: None,
        reason: "the test wants another parallelism".to_owned(),
        issued_at: Timestamp::now(),
        expires_at: None,
    };
    let next = current.document.successor(&change)?;
    let published = cluster.drop.put(&next, &Precondition::Replaces(current.entity_tag)).await?;
    ensure!(matches!(published, Published::Stored(_)), "the drop refused the document");
    Ok(())
}

/// Kills the task manager, which has all tasks, starts another and waits until the job has come back.
async fn kill_task_manager(cluster: &Loop) -> anyhow::Result<()> {
    let testbed = cluster.stage.testbed();
    let killed_at_ms = Timestamp::now().as_millisecond();
    for id in testbed.task_managers().await {
        testbed.kill_task_manager(&id).await?;
    }
    testbed.start_task_manager().await?;
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let job = cluster.running_job().await?;
        if job.is_fully_running() && job.running_since_ms() > Some(killed_at_ms) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the job did not come back: {:?}", job.state);
        sleep(Duration::from_millis(200)).await;
    }
}
