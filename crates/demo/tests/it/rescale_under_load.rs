//! The rescaler's own decision under overload, and the agent's savepoint restart.

use anyhow::ensure;
use job_config::ChangeState;

use crate::engines::Context;
use crate::harness::{E2eHarness, NEVER_IDLE};
use crate::load::Load;

/// Goal: under load, the rescaler sees the latency rise and scales up the join. Killed (`kill -9`) while its change
/// is being applied and restarted, it neither forgets nor repeats the change. The committed results of the whole
/// stream match the reference, row for row.
pub(crate) async fn a_rescale_loses_nothing(context: Context) -> anyhow::Result<()> {
    let harness = E2eHarness::shared(&context).await?;
    let _drop = harness.start("config-drop", &[])?;
    let agent = harness.start("config-agent", &[])?;
    let document = harness.run_first(&[NEVER_IDLE]).await?;

    let load = harness.start_load(Load::until_stopped(&[(800.0, 10.0)], 2700.0))?;
    let rescaler = harness.start("rescaler", &["run"])?;
    harness.await_report(2, ChangeState::Received).await?;
    rescaler.kill().await;
    let rescaler = harness.start("rescaler", &["run"])?;
    harness.await_report(2, ChangeState::Running).await?;
    harness.stop(rescaler).await;
    let generation = harness.current().await?.document.generation();
    ensure!(generation == 2, "the rescaler acted again while it should have waited");
    let width = harness.parallelism_of("q7-bid-item").await?;
    ensure!(width > document.parallelism().of("q7-bid-item"), "the join runs at {width}");
    context.note(format!("rescaled to {width}"));
    harness.await_checkpoints(1).await?;
    harness.finish_exactly(&load, agent).await
}
