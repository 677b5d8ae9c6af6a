//! Killing our programs in the middle of a rescale, on real Kafka and Flink, and starting them again.

mod common;

use std::time::Duration;

use common::{Load, Loop, assert_same_rows};
use drop_client::{Precondition, Published};
use jiff::Timestamp;
use job_config::{Change, State};
use tokio::time::{Instant, sleep};

/// Goal: the agent and the drop are killed (`kill -9`) when the old job has ended with its savepoint and the new one is not
/// yet submitted. Started again, they finish the change: one submission per generation, the new parallelism, and every
/// row once. (The agent looks at Flink so rarely here that it cannot have seen the end of the old job.)
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_agent_finishes_what_it_began() -> anyhow::Result<()> {
    let cluster = Loop::set().await?;
    let config_drop = cluster.start("config-drop", &[])?;
    let agent = cluster.start_with("config-agent", &[], &[("jar = ", "poll_ms = 8000\njar = ")])?;
    let replacements = [("idleness_ms = 10000", "idleness_ms = 0"), ("wait_us = 800", "wait_us = 20")];
    cluster.publish_first(&replacements).await?;
    cluster.await_report(1, State::Running, Duration::from_secs(90)).await?;

    let load = Load::soon(&[(4000.0, 40.0)]);
    let arguments = load.arguments();
    let producer =
        cluster.start("event-producer", &arguments.iter().map(String::as_str).collect::<Vec<_>>())?;
    sleep(Duration::from_secs(8)).await;
    let old_job = cluster.running_job().await?.id;
    publish_wider(&cluster).await?;
    let deadline = Instant::now() + Duration::from_secs(60);
    while cluster.flink.job(&old_job).await?.state != flink::JobState::Finished {
        assert!(Instant::now() < deadline, "the old job did not end");
        sleep(Duration::from_millis(20)).await;
    }
    agent.kill().await;
    config_drop.kill().await;
    assert_eq!(submissions(&cluster).await?, 1, "the agent was too quick for this test");

    let _config_drop = cluster.start("config-drop", &[])?;
    let agent = cluster.start("config-agent", &[])?;
    cluster.await_report(2, State::Running, Duration::from_secs(90)).await?;
    assert_eq!(submissions(&cluster).await?, 2);
    assert_eq!(cluster.parallelism_of("q7-bid-item").await?, 3);

    assert!(producer.wait().await.success(), "the producer's log: {}", producer.log_file().display());
    cluster.await_all_consumed(&["auctionEvents", "bidEvents"], Duration::from_secs(120)).await?;
    agent.stop(Duration::from_secs(5)).await;
    cluster.drain(Duration::from_secs(60)).await?;
    assert_same_rows(&cluster.committed("nexmark_results")?, &load.q7(1000, 60_000)?)?;
    cluster.stage.strike().await;
    Ok(())
}

/// How many jobs were ever submitted.
async fn submissions(cluster: &Loop) -> anyhow::Result<usize> {
    Ok(cluster.flink.jobs().await?.len())
}

async fn publish_wider(cluster: &Loop) -> anyhow::Result<()> {
    let current = cluster.current().await?;
    let change = Change {
        parallelism: [("q7-bid-item".to_owned(), 3)].into(),
        default_parallelism: None,
        task_managers: None,
        reason: "the test widens the join".to_owned(),
        issued_at: Timestamp::now(),
        expires_at: None,
    };
    let next = current.document.successor(&change)?;
    let published = cluster.drop.put(&next, &Precondition::Replaces(current.entity_tag)).await?;
    assert!(matches!(published, Published::Stored(_)));
    Ok(())
}
