//! A third task manager comes and goes while events flow, on real Kafka and Flink.

#![expect(clippy::print_stdout, reason = "a test that takes minutes tells how far it is")]

#[allow(dead_code, reason = "what the tests share; this one does not need all of it")]
mod common;

use std::time::Duration;

use anyhow::{Context, ensure};
use common::{Load, Loop, assert_same_rows};
use drop_client::{Precondition, Published};
use jiff::Timestamp;
use job_config::{Change, Observed, State};
use tokio::time::sleep;

/// Goal: a document that wants nine subtasks and three task managers has the agent start the third one, wait for its slots and
/// rescale in place; the next one has it rescale first and then stop a task manager. The committed rows of the whole
/// stream are those of the reference, and the reports tell what was seen.
#[tokio::test(flavor = "multi_thread")]
async fn a_third_task_manager_comes_and_goes() -> anyhow::Result<()> {
    let cluster = Loop::set().await?;
    let played = tokio::select! {
        served = cluster.stage.testbed().serve_requests() => Err(served.err().context("it serves for ever")?.into()),
        played = play(&cluster) => played,
    };
    cluster.stage.strike().await;
    played
}

async fn play(cluster: &Loop) -> anyhow::Result<()> {
    let _drop = cluster.start("config-drop", &[])?;
    let agent = cluster.start_with("config-agent", &[], &[("[flink]\n", &pool(cluster)?)])?;
    cluster
        .publish_first(&[
            ("idleness_ms = 10000", "idleness_ms = 0"),
            ("wait_us = 800", "wait_us = 20"),
            ("restart_mode = \"savepoint-restart\"", "restart_mode = \"in-place\""),
        ])
        .await?;
    cluster.await_report(1, State::Running, Duration::from_secs(90)).await?;
    let job = cluster.running_job().await?.id;

    let load = Load::soon(&[(2000.0, 40.0)]);
    let arguments = load.arguments();
    let producer =
        cluster.start("event-producer", &arguments.iter().map(String::as_str).collect::<Vec<_>>())?;
    sleep(Duration::from_secs(6)).await;

    let out = change(cluster, 2, 9, 3).await?;
    ensure!(cluster.stage.testbed().task_managers().await == ["tm-1", "tm-2", "tm-3"]);
    ensure!(out.parallelism.get("q7-bid-item") == Some(&9) && out.task_managers == Some(3), "{out:?}");
    let is_this = |rescale: &&job_config::ObservedRescale| {
        let vertex = rescale.vertices.get("q7-bid-item");
        rescale.outcome.as_deref() == Some("COMPLETED")
            && vertex.is_some_and(|[_, _, after]| *after == Some(9))
    };
    ensure!(
        out.rescales.iter().any(|rescale| is_this(&rescale)),
        "Flink's own record has no such rescale: {out:?}"
    );

    let back = change(cluster, 3, 2, 2).await?;
    ensure!(cluster.stage.testbed().task_managers().await.len() == 2);
    ensure!(back.parallelism.get("q7-bid-item") == Some(&2) && back.task_managers == Some(2), "{back:?}");
    ensure!(cluster.running_job().await?.id == job, "the job was not rescaled in place");
    let unread = cluster.unread(&cluster.consumer()?, &["auctionEvents", "bidEvents"])?;
    ensure!(unread > 0, "the stream had been read before both changes were over");

    ensure!(producer.wait().await.success(), "the producer's log: {}", producer.log_file().display());
    cluster.await_all_consumed(&["auctionEvents", "bidEvents"], Duration::from_secs(120)).await?;
    agent.stop(Duration::from_secs(5)).await;
    cluster.drain(Duration::from_secs(60)).await?;
    ensure!(cluster.committed("nexmark_dead_letters")?.is_empty());
    assert_same_rows(&cluster.committed("nexmark_results")?, &load.q7(1000, 60_000)?)
}

/// The agent's node pool: the task managers of this testbed, started and stopped by the command.
fn pool(cluster: &Loop) -> anyhow::Result<String> {
    let test = std::env::current_exe()?;
    let programs = test.parent().and_then(std::path::Path::parent).context("no target folder")?;
    Ok(format!(
        "[nodes]\nprovider = \"testbed\"\ntestbed_program = {:?}\ntestbed_work = {:?}\ntestbed_most = 4\n\n[flink]\n",
        programs.join("testbed"),
        cluster.stage.testbed().work_dir()
    ))
}

/// Publishes the next document, waits until it runs, and gives what the last report has seen.
async fn change(cluster: &Loop, generation: u64, width: u32, task_managers: u32) -> anyhow::Result<Observed> {
    let current = cluster.current().await?;
    let change = Change {
        parallelism: [("q7-bid-item".to_owned(), width)].into(),
        default_parallelism: None,
        task_managers: Some(task_managers),
        reason: "the test wants another size".to_owned(),
        issued_at: Timestamp::now(),
        expires_at: None,
    };
    let next = current.document.successor(&change)?;
    let published = cluster.drop.put(&next, &Precondition::Replaces(current.entity_tag)).await?;
    ensure!(matches!(published, Published::Stored(_)));
    cluster.await_report(generation, State::Running, Duration::from_secs(90)).await?;
    let reports = cluster.drop.reports().await?;
    let of_change: Vec<_> = reports.into_iter().filter(|report| report.generation == generation).collect();
    for report in &of_change {
        println!("{generation} {:?} after {:?} ms", report.state, report.previous_state_ms);
    }
    let last = of_change.into_iter().next_back().context("no report")?;
    last.observed.context("nothing was seen at the end")
}
