//! The whole loop on real Kafka and Flink: load above capacity, the rescaler's own decision, the agent's savepoint restart,
//! and not a row lost or written twice.

mod common;

use std::time::Duration;

use common::{Load, Loop, assert_same_rows};
use job_config::State;

/// Goal: while events flow, the rescaler sees the latency rise and widens the join; killed (`kill -9`) while its change is
/// being applied and started again, it neither forgets nor repeats it; the committed results of the whole bounded stream
/// are those of the reference, row for row.
#[tokio::test(flavor = "multi_thread")]
async fn a_rescale_under_load_loses_nothing() -> anyhow::Result<()> {
    let cluster = Loop::set().await?;
    let _drop = cluster.start("config-drop", &[])?;
    let agent = cluster.start("config-agent", &[])?;
    // A partition must never count as idle here, or its records would be late by right.
    let document = cluster.publish_first(&[("idleness_ms = 10000", "idleness_ms = 0")]).await?;
    cluster.await_report(1, State::Running, Duration::from_secs(90)).await?;

    let load = Load::soon(&[(800.0, 20.0), (2700.0, 60.0)]);
    let arguments = load.arguments();
    let producer =
        cluster.start("event-producer", &arguments.iter().map(String::as_str).collect::<Vec<_>>())?;
    let rescaler = cluster.start("rescaler", &["run"])?;
    cluster.await_report(2, State::Received, Duration::from_secs(120)).await?;
    rescaler.kill().await;
    let rescaler = cluster.start("rescaler", &["run"])?;
    cluster.await_report(2, State::Running, Duration::from_secs(90)).await?;
    rescaler.stop(Duration::from_secs(5)).await;
    let generation = cluster.current().await?.document.generation();
    assert_eq!(generation, 2, "the rescaler acted again while it should have waited");
    assert!(cluster.parallelism_of("q7-bid-item").await? > document.parallelism().of("q7-bid-item"));

    assert!(producer.wait().await.success(), "the producer's log: {}", producer.log_file().display());
    cluster.await_all_consumed(&["auctionEvents", "bidEvents"], Duration::from_secs(120)).await?;
    agent.stop(Duration::from_secs(5)).await;
    cluster.drain(Duration::from_secs(60)).await?;
    assert_eq!(cluster.committed("nexmark_dead_letters")?, [] as [String; 0]);
    assert_same_rows(&cluster.committed("nexmark_results")?, &load.q7(1000, 60_000)?)?;
    cluster.stage.strike().await;
    Ok(())
}
