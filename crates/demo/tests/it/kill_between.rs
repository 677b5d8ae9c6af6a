//! Kills of the project's programs in the middle of a rescale, and their restart.

use anyhow::ensure;
use job_config::{Change, ChangeState};
use tokio::time::{Duration, Instant, sleep};

use crate::engines::Context;
use crate::harness::{E2eHarness, NEVER_IDLE, PATIENCE, change};
use crate::load::Load;

/// A poll interval so long that the agent cannot see the end of the old job before it is killed.
const SELDOM: (&str, &str) = ("jar = ", "poll_ms = 600000\njar = ");

/// Goal: agent and drop are killed (`kill -9`) when the old job has ended with its savepoint and the new one is not
/// yet submitted. After a restart they finish the change: one submission per generation, the new parallelism, and
/// every row once.
pub(crate) async fn a_killed_agent_finishes_what_it_began(context: Context) -> anyhow::Result<()> {
    let harness = E2eHarness::shared(&context).await?;
    let config_drop = harness.start("config-drop", &[])?;
    let agent = harness.start("config-agent", &[])?;
    harness.run_first(&[NEVER_IDLE, ("wait_us = 800", "wait_us = 20")]).await?;
    harness.stop(agent).await;
    let agent = harness.start_with("config-agent", &[], &[SELDOM])?;

    let load = harness.start_load(Load::until_stopped(&[], 4000.0))?;
    harness.await_checkpoints(2).await?;
    let old_job = harness.running_job().await?.id;
    harness.publish(Change { parallelism: [("q7-bid-item".to_owned(), 3)].into(), ..change() }).await?;
    let deadline = Instant::now() + PATIENCE;
    while harness.flink.job(&old_job).await?.state != flink::JobState::Finished {
        ensure!(Instant::now() < deadline, "the old job did not end");
        sleep(Duration::from_millis(20)).await;
    }
    agent.kill().await;
    config_drop.kill().await;
    ensure!(harness.jobs().await?.len() == 1, "the agent was too quick for this test");

    let _config_drop = harness.start("config-drop", &[])?;
    let agent = harness.start("config-agent", &[])?;
    harness.await_report(2, ChangeState::Running).await?;
    ensure!(harness.jobs().await?.len() == 2, "not one submission for each generation");
    let width = harness.parallelism_of("q7-bid-item").await?;
    ensure!(width == 3, "the join runs at {width}");
    harness.await_checkpoints(1).await?;
    harness.finish_exactly(&load, agent).await
}
