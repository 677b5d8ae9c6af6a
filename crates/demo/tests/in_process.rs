//! The rescaler alone: drop and agent in its own process, on real Kafka and Flink, with a job that it knows nothing about.

#[allow(dead_code, reason = "what the tests share; this one does not need all of it")]
mod common;

use std::time::Duration;

use anyhow::ensure;
use common::{Load, Loop, assert_same_rows};
use job_config::State;
use tokio::time::{Instant, sleep};

/// Goal: a job that somebody else has started is rescaled in place, by vertex ids, by one process that is given nothing but Flink's
/// address and how often to look; the committed rows are those of the reference.
#[tokio::test(flavor = "multi_thread")]
async fn one_process_scales_a_foreign_job() -> anyhow::Result<()> {
    let cluster = Loop::set().await?;
    let config_drop = cluster.start("config-drop", &[])?;
    let agent = cluster.start("config-agent", &[])?;
    cluster.publish_first(&[("idleness_ms = 10000", "idleness_ms = 0")]).await?;
    cluster.await_report(1, State::Running, Duration::from_secs(90)).await?;
    // From here on nobody knows the job.
    agent.stop(Duration::from_secs(5)).await;
    config_drop.stop(Duration::from_secs(5)).await;
    let job = cluster.running_job().await?.id;

    let load = Load::soon(&[(800.0, 12.0), (2700.0, 45.0)]);
    let arguments = load.arguments();
    let producer =
        cluster.start("event-producer", &arguments.iter().map(String::as_str).collect::<Vec<_>>())?;
    let data = cluster.stage.work_dir().join("in-process");
    let placement = format!("[placement]\nmode = \"in-process\"\ndata = {data:?}\n\n[policy]\n");
    let rescaler = cluster.start_with("rescaler", &["run"], &[("[policy]\n", &placement)])?;
    let deadline = Instant::now() + Duration::from_secs(90);
    while cluster.parallelism_of("q7-bid-item").await.unwrap_or(1) < 2 {
        ensure!(Instant::now() < deadline, "not rescaled; the log: {}", rescaler.log_file().display());
        sleep(Duration::from_millis(200)).await;
    }
    ensure!(cluster.running_job().await?.id == job, "the job was not rescaled in place");

    ensure!(producer.wait().await.success(), "the producer's log: {}", producer.log_file().display());
    cluster.await_all_consumed(&["auctionEvents", "bidEvents"], Duration::from_secs(120)).await?;
    rescaler.stop(Duration::from_secs(5)).await;
    cluster.drain(Duration::from_secs(60)).await?;
    assert_same_rows(&cluster.committed("nexmark_results")?, &load.q7(1000, 60_000)?)?;
    cluster.stage.strike().await;
    Ok(())
}
