//! Adding and removing a task manager under load.

use anyhow::{Context as _, ensure};
use job_config::{Change, ChangeState, Observed};

use crate::engines::Context;
use crate::harness::{E2eHarness, HarnessOptions, NEVER_IDLE, change, programs_dir};
use crate::load::Load;

/// One more than a task manager has slots.
const WIDE: u32 = 9;

/// Goal: for a document with nine subtasks and two task managers the agent starts the second one, waits for its slots
/// and rescales in place. For the next document it rescales first, which merges state below a folder with a long
/// path, and then stops a task manager. The committed rows of the whole stream match the reference, and the reports
/// contain the observations.
pub(crate) async fn a_task_manager_comes_and_goes(context: Context) -> anyhow::Result<()> {
    let cluster = context.shared_cluster_with(1).await?;
    let harness = E2eHarness::on(&context, cluster, HarnessOptions::default()).await?;
    tokio::select! {
        served = harness.tenant.testbed().serve_requests() => {
            Err(served.err().context("the testbed no longer takes requests")?.into())
        }
        outcome = out_and_in(&harness) => outcome,
    }
}

async fn out_and_in(harness: &E2eHarness) -> anyhow::Result<()> {
    let _drop = harness.start("config-drop", &[])?;
    let agent = harness.start_with("config-agent", &[], &[("[flink]\n", &pool(harness)?)])?;
    let in_place = ("restart_mode = \"savepoint-restart\"", "restart_mode = \"in-place\"");
    harness.run_first(&[NEVER_IDLE, ("wait_us = 800", "wait_us = 20"), in_place]).await?;
    let job = harness.running_job().await?.id;
    let load = harness.start_load(Load::until_stopped(&[], 2000.0))?;
    harness.await_checkpoints(1).await?;

    let testbed = harness.tenant.testbed();
    let out = change_to(harness, 2, WIDE, 2).await?;
    ensure!(testbed.task_managers().await.len() == 2, "no task manager was started");
    ensure!(out.parallelism.get("q7-bid-item") == Some(&WIDE) && out.task_managers == Some(2), "{out:?}");
    let is_this = |rescale: &&job_config::ObservedRescale| {
        let vertex = rescale.vertices.get("q7-bid-item");
        rescale.outcome.as_deref() == Some("COMPLETED")
            && vertex.is_some_and(|[_, _, after]| *after == Some(WIDE))
    };
    ensure!(
        out.rescales.iter().any(|rescale| is_this(&rescale)),
        "Flink's own record has no such rescale: {out:?}"
    );

    let back = change_to(harness, 3, 2, 1).await?;
    ensure!(testbed.task_managers().await.len() == 1, "no task manager was stopped");
    ensure!(back.parallelism.get("q7-bid-item") == Some(&2) && back.task_managers == Some(1), "{back:?}");
    ensure!(harness.running_job().await?.id == job, "the job was not rescaled in place");
    load.ensure_running()?;
    harness.finish_exactly(&load, agent).await
}

/// The agent's node pool: this testbed's task managers, started and stopped by the command.
fn pool(harness: &E2eHarness) -> anyhow::Result<String> {
    Ok(format!(
        "[nodes]\nprovider = \"testbed\"\ntestbed_program = {:?}\ntestbed_work = {:?}\ntestbed_most = 32\n\n[flink]\n",
        programs_dir()?.join("testbed"),
        harness.tenant.testbed().work_dir()
    ))
}

/// Publishes the next document, waits until it runs, and returns the observation in the final report.
async fn change_to(
    harness: &E2eHarness,
    generation: u64,
    width: u32,
    task_managers: u32,
) -> anyhow::Result<Observed> {
    let parallelism = [("q7-bid-item".to_owned(), width)].into();
    harness.publish(Change { parallelism, task_managers: Some(task_managers), ..change() }).await?;
    harness.await_report(generation, ChangeState::Running).await?;
    let reports = harness.drop.reports().await?;
    let of_change: Vec<_> = reports.into_iter().filter(|report| report.generation == generation).collect();
    for report in &of_change {
        harness.note(format!("{generation} {:?} after {:?} ms", report.state, report.previous_state_ms));
    }
    let last = of_change.into_iter().next_back().context("no report")?;
    last.observed.context("nothing was seen at the end")
}
