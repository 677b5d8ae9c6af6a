//! All queries of both benchmarks on real Kafka and Flink against the reference, row for row: undisturbed, across a savepoint
//! restart at another parallelism, and across the death of a task manager.
//!
//! By default one run per benchmark suffers both in the middle of its stream, and a small one shows the two queries that
//! depend on order. With `RESCALER_TESTS=full` (as `scripts/test.sh --full` sets it) every situation has a run of its own.

#![expect(clippy::print_stdout, reason = "a test that takes minutes tells how far it is")]

#[allow(dead_code, reason = "what the tests share; this one does not need all of it")]
#[path = "../common/mod.rs"]
mod common;
mod rows;
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

/// Goal: the committed rows of a stream of 200,000 events are those of the reference although the job was restarted wider
/// and its task manager killed while the events flowed.
#[tokio::test(flavor = "multi_thread")]
async fn nexmark_is_exact_across_a_restart_and_a_killed_task_manager() -> anyhow::Result<()> {
    run(Site::Nexmark, Situation { parallelism: 2, restart_at: Some(3), kill: true, ..UNDISTURBED }).await
}

/// Goal: the same for the other benchmark.
#[tokio::test(flavor = "multi_thread")]
async fn psm_is_exact_across_a_restart_and_a_killed_task_manager() -> anyhow::Result<()> {
    run(Site::Psm, Situation { parallelism: 2, restart_at: Some(3), kill: true, ..UNDISTURBED }).await
}

/// Goal: where the order of records is that of the stream, the queries that depend on it have the rows of the reference, in
/// their order.
#[tokio::test(flavor = "multi_thread")]
async fn queries_that_depend_on_order_are_exact_on_one_partition() -> anyhow::Result<()> {
    let ordered = Situation { steps: &SHORT, partitions: 1, ..UNDISTURBED };
    run(Site::Nexmark, ordered).await?;
    run(Site::Psm, ordered).await
}

/// Goal: each situation by itself, for both benchmarks. Takes a quarter of an hour, hence only on request.
#[tokio::test(flavor = "multi_thread")]
async fn every_situation_is_exact() -> anyhow::Result<()> {
    if std::env::var("RESCALER_TESTS").as_deref() != Ok("full") {
        println!("left out; RESCALER_TESTS=full runs it");
        return Ok(());
    }
    let situations = [
        UNDISTURBED,
        Situation { parallelism: 3, ..UNDISTURBED },
        Situation { parallelism: 2, restart_at: Some(1), ..UNDISTURBED },
        Situation { parallelism: 2, restart_at: Some(4), ..UNDISTURBED },
        Situation { parallelism: 2, kill: true, ..UNDISTURBED },
    ];
    for site in [Site::Nexmark, Site::Psm] {
        for situation in situations {
            run(site, situation).await.with_context(|| format!("{site:?}, {situation:?}"))?;
        }
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
    let parallelism = format!("default = {}", situation.parallelism);
    cluster.publish_text(&site.document().replace("default = 1", &parallelism)).await?;
    cluster.await_report(1, State::Running, Duration::from_secs(120)).await?;

    let load = Load::soon(situation.steps);
    let producer = start_producer(&cluster, site, &load)?;
    disturb(&cluster, site, situation).await?;
    assert!(producer.wait().await.success(), "the producer's log: {}", producer.log_file().display());
    cluster.await_all_consumed(site.topics(), Duration::from_secs(300)).await?;
    agent.stop(Duration::from_secs(5)).await;
    cluster.drain(Duration::from_secs(120)).await?;

    assert_eq!(cluster.committed(&format!("{}_dead_letters", site.name()))?, [] as [String; 0]);
    let found = cluster.committed(&format!("{}_results", site.name()))?;
    let workload = load.workload(site.generator()?)?;
    let recording = workload.record(0..workload.events().context("the stream is not bounded")?);
    let events = recording.events().collect::<Result<Vec<_>, _>>()?;
    println!("{}: {} events, {situation:?}", site.name(), events.len());
    let one_by_one = situation.partitions == 1 && situation.parallelism == 1;
    site.assert_exact(found, &events, if one_by_one { Order::Known } else { Order::Open })?;
    cluster.stage.strike().await;
    Ok(())
}

fn start_producer(cluster: &Loop, site: Site, load: &Load) -> anyhow::Result<Process> {
    let arguments = load.arguments();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
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
