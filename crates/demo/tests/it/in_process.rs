//! The rescaler with embedded drop and agent, on jobs that were submitted by other programs.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use tokio::time::{Instant, sleep};

use crate::engines::Context;
use crate::harness::{E2eHarness, NEVER_IDLE, PATIENCE};
use crate::load::Load;

/// Flink's own examples on Maven Central.
const EXAMPLES: &str = "org.apache.flink:flink-examples-streaming:2.3.0";
const STATE_MACHINE: &str = "org.apache.flink.streaming.examples.statemachine.StateMachineExample";
const POLL: Duration = Duration::from_millis(200);

/// Goal: a job submitted by another program is rescaled in place, by vertex ids, by one process that is configured
/// only with Flink's URL and its intervals; the committed rows match the reference.
pub(crate) async fn one_process_scales_a_foreign_job(context: Context) -> anyhow::Result<()> {
    let harness = E2eHarness::shared(&context).await?;
    let config_drop = harness.start("config-drop", &[])?;
    let agent = harness.start("config-agent", &[])?;
    harness.run_first(&[NEVER_IDLE]).await?;
    // From here on no program of the project knows the job.
    harness.stop(agent).await;
    harness.stop(config_drop).await;
    let job = harness.running_job().await?.id;

    let load = harness.start_load(Load::until_stopped(&[(800.0, 10.0)], 2700.0))?;
    let data = harness.tenant.work_dir().join("in-process");
    let placement = format!("[placement]\nmode = \"in-process\"\ndata = {data:?}\n\n[policy]\n");
    let rescaler = harness.start_with("rescaler", &["run"], &[("[policy]\n", &placement)])?;
    let deadline = Instant::now() + PATIENCE;
    // During a rescale the job may report no parallelism.
    while harness.parallelism_of("q7-bid-item").await.unwrap_or(1) < 2 {
        ensure!(Instant::now() < deadline, "not rescaled; the log: {}", rescaler.log_file().display());
        sleep(POLL).await;
    }
    ensure!(harness.running_job().await?.id == job, "the job was not rescaled in place");
    context.note(format!("rescaled to {}", harness.parallelism_of("q7-bid-item").await?));
    harness.finish_exactly(&load, rescaler).await
}

/// Goal: an unchanged example job of Flink's distribution, too wide for its load, is scaled down in place by policy
/// `ds2`.
pub(crate) async fn an_example_of_flink_is_narrowed_by_ds2(context: Context) -> anyhow::Result<()> {
    let harness = E2eHarness::shared(&context).await?;
    let jar = harness.tenant.work_dir().join("examples.jar");
    examples(&jar).await?;
    let jar = harness.flink.upload_jar(&jar, "flink-examples.jar").await?;
    let run = flink::RunRequest {
        entry_class: Some(STATE_MACHINE.to_owned()),
        program_args_list: ["--rps", "400"].map(str::to_owned).to_vec(),
        flink_configuration: BTreeMap::from([("parallelism.default".to_owned(), "4".to_owned())]),
        ..flink::RunRequest::default()
    };
    let job = harness.flink.run_jar(&jar, &run).await?;
    let widest = async || -> anyhow::Result<u32> {
        let details = harness.flink.job(&job).await?;
        ensure!(!details.state.is_terminal(), "the example is {:?}", details.state);
        Ok(details.vertices.iter().map(|vertex| vertex.parallelism).max().unwrap_or(0))
    };
    let wide = widest().await?;
    ensure!(wide > 1, "the example is not wide: {wide}");

    let config = harness.tenant.write_config(
        "rescaler.toml",
        "job = \"example\"\n[flink]\nurl = \"http://127.0.0.1:8081\"\njob = \"State machine job\"\n\
         [placement]\nmode = \"in-process\"\ndata = \"run/in-process\"\n\
         [epoch]\nlength_ms = 4000\nsample_interval_ms = 1000\n\
         [policy]\nname = \"ds2\"\n[policy.ds2]\nstabilization_interval_s = 0\nscale_down_interval_s = 0\n\
         [journal]\npath = \"run/decisions.jsonl\"\n[http]\nlisten = \"off\"\n",
    )?;
    let program = harness.tenant.program("rescaler")?.arg("run").arg("--config").arg(config);
    let rescaler = harness.tenant.launch(&program)?;
    let deadline = Instant::now() + PATIENCE;
    while widest().await? >= wide {
        ensure!(Instant::now() < deadline, "not narrowed; the log: {}", rescaler.log_file().display());
        sleep(POLL).await;
    }
    context.note(format!("from {wide} subtasks to {}", widest().await?));
    harness.stop(rescaler).await;
    harness.cancel(&job).await
}

/// Downloads the jar of Flink's examples without its pom, which newer versions of the plugin require.
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
