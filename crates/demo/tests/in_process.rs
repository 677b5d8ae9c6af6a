//! The rescaler alone: drop and agent in its own process, on real Kafka and Flink, with jobs that it knows nothing about.

#[allow(dead_code, reason = "what the tests share; this one does not need all of it")]
mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use common::{Load, Loop, LoopOptions, assert_same_rows};
use job_config::State;
use tokio::time::{Instant, sleep};

/// Flink's own examples, as they lie at Maven Central.
const EXAMPLES: &str = "org.apache.flink:flink-examples-streaming:2.3.0";
/// Two clusters at once are too much for a small machine.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
const STATE_MACHINE: &str = "org.apache.flink.streaming.examples.statemachine.StateMachineExample";

/// Goal: a job that somebody else has started is rescaled in place, by vertex ids, by one process that is given nothing but Flink's
/// address and how often to look; the committed rows are those of the reference.
#[tokio::test(flavor = "multi_thread")]
async fn one_process_scales_a_foreign_job() -> anyhow::Result<()> {
    let _turn = ONE_AT_A_TIME.lock().await;
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

/// Goal: an example job out of Flink's own distribution, too wide for its load, is narrowed by policy `ds2` in place; nobody has
/// changed it or told anything about it.
#[tokio::test(flavor = "multi_thread")]
async fn an_example_of_flink_is_narrowed_by_ds2() -> anyhow::Result<()> {
    let _turn = ONE_AT_A_TIME.lock().await;
    let cluster = Loop::set_for(LoopOptions { job: "nexmark", partitions: 1, task_managers: 1 }).await?;
    let jar = cluster.stage.work_dir().join("examples.jar");
    examples(&jar).await?;
    let jar = cluster.flink.upload_jar(&jar, "flink-examples.jar").await?;
    let run = flink::RunRequest {
        entry_class: Some(STATE_MACHINE.to_owned()),
        program_args_list: ["--rps", "400"].map(str::to_owned).to_vec(),
        flink_configuration: BTreeMap::from([("parallelism.default".to_owned(), "4".to_owned())]),
        ..flink::RunRequest::default()
    };
    let job = cluster.flink.run_jar(&jar, &run).await?;
    let widest = async || -> anyhow::Result<u32> {
        let details = cluster.flink.job(&job).await?;
        ensure!(!details.state.is_terminal(), "the example is {:?}", details.state);
        Ok(details.vertices.iter().map(|vertex| vertex.parallelism).max().unwrap_or(0))
    };
    let wide = widest().await?;
    ensure!(wide > 1, "the example is not wide: {wide}");

    let config = cluster.stage.write_config(
        "rescaler.toml",
        &format!(
            "job = \"example\"\n[flink]\nurl = \"{}\"\njob = \"State machine job\"\n\
             [placement]\nmode = \"in-process\"\ndata = {:?}\n\
             [epoch]\nlength_ms = 4000\nsample_interval_ms = 1000\n\
             [policy]\nname = \"ds2\"\n[policy.ds2]\nstabilization_interval_s = 0\nscale_down_interval_s = 0\n\
             [journal]\npath = {:?}\n[http]\nlisten = \"off\"\n",
            cluster.stage.testbed().flink_url(),
            cluster.stage.work_dir().join("in-process"),
            cluster.stage.work_dir().join("decisions.jsonl"),
        ),
    )?;
    let program = cluster.stage.program("rescaler")?.arg("run").arg("--config").arg(config);
    let rescaler = cluster.stage.launch(&program)?;
    let deadline = Instant::now() + Duration::from_secs(90);
    while widest().await? >= wide {
        ensure!(Instant::now() < deadline, "not narrowed; the log: {}", rescaler.log_file().display());
        sleep(Duration::from_millis(200)).await;
    }
    println!("from {wide} subtasks to {}", widest().await?);
    rescaler.stop(Duration::from_secs(5)).await;
    cluster.stage.strike().await;
    Ok(())
}

/// Downloads the jar of Flink's examples. The pom that it belongs to is not needed, and newer versions of the plugin want it.
async fn examples(jar: &Path) -> anyhow::Result<()> {
    let output = tokio::process::Command::new("mvn")
        .args(["--batch-mode", "--quiet", "org.apache.maven.plugins:maven-dependency-plugin:2.8:get"])
        .args(["-Dtransitive=false", &format!("-Dartifact={EXAMPLES}"), &format!("-Ddest={}", jar.display())])
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(300), output).await??;
    ensure!(output.status.success(), "mvn: {}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}
