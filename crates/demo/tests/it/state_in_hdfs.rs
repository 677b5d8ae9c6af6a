//! State of a running NexMark job in a real HDFS, measured by all sources of the real state probe.

use std::process::Output;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use test_cluster::Extras;
use tokio::time::{Instant, sleep};

use crate::engines::Context;
use crate::harness::{E2eHarness, HarnessOptions, PATIENCE, programs_dir};
use crate::load::Load;

const POLL: Duration = Duration::from_millis(100);
/// The sources of the running probe, in the order of its configuration.
const RUNNING: [&str; 3] = ["hdfs", "hdfs-command", "job"];

/// A job whose checkpoints are in HDFS, taken only when this test requests one, so that the files are stable.
struct HdfsSetup {
    harness: E2eHarness,
    context: Context,
}

impl HdfsSetup {
    async fn new(context: Context) -> anyhow::Result<Self> {
        let cluster = context.own_cluster(1, Extras { hdfs: true, ..Extras::default() }).await?;
        let options = HarnessOptions { partitions: 2, ..HarnessOptions::default() };
        let harness = E2eHarness::on(&context, cluster, options).await?;
        harness.keep(harness.start("config-drop", &[])?);
        harness.keep(harness.start("config-agent", &[])?);
        harness.run_first(&[("interval_ms = 5000", "interval_ms = 500000")]).await?;
        harness.start_load(Load::soon(&[(600.0, 5.0)]))?.finish().await?;
        let site = Self { harness, context };
        site.checkpoint(1).await?;
        site.checkpoint(2).await?;
        Ok(site)
    }

    async fn checkpoint(&self, number: u64) -> anyhow::Result<()> {
        let job = self.harness.running_job().await?.id;
        self.harness.flink.trigger_checkpoint(&job).await?;
        self.harness.await_checkpoints(number).await
    }

    fn webhdfs(&self) -> anyhow::Result<String> {
        self.harness.tenant.testbed().webhdfs_url().context("no HDFS")
    }

    /// Runs the probe's `once`, with the testbed's `hdfs` first in the path, configured by arguments alone.
    async fn look(&self, arguments: &[&str], user: &str) -> anyhow::Result<Output> {
        let hdfs = self.harness.tenant.testbed().hdfs_command();
        let bin = hdfs.parent().context("no folder of commands")?.to_owned();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(std::iter::once(bin).chain(std::env::split_paths(&path)))?;
        let mut command = tokio::process::Command::new(programs_dir()?.join("state-probe"));
        command.args(["once", "--output", "json"]).args(arguments).env("PATH", path);
        Ok(command.env("HADOOP_USER_NAME", user).kill_on_drop(true).output().await?)
    }

    async fn figures(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let output = self.look(arguments, "root").await?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{arguments:?}: {said}");
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Expects a failure without values, whose only line contains this part.
    async fn refused(&self, arguments: &[&str], user: &str, part: &str) -> anyhow::Result<()> {
        let output = self.look(arguments, user).await?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.code() == Some(1) && output.stdout.is_empty(), "{arguments:?}: {output:?}");
        ensure!(said.lines().count() == 1 && said.contains(part), "{part:?} is missing in {said}");
        self.context.note(said.trim_end());
        Ok(())
    }

    /// Runs the command `hdfs dfs`.
    async fn hdfs(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let hdfs = self.harness.tenant.testbed().hdfs_command();
        let output = tokio::process::Command::new(hdfs).arg("dfs").args(arguments).output().await?;
        ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Number and total size of the files in a listing.
    async fn listed(&self) -> anyhow::Result<(u64, u64)> {
        let listing = self.hdfs(&["-ls", "-R", "/flink/checkpoints"]).await?;
        let mut sum = (0, 0);
        for line in listing.lines().filter(|line| line.starts_with('-')) {
            let size: u64 = line.split_ascii_whitespace().nth(4).context(line.to_owned())?.parse()?;
            sum = (sum.0 + 1, sum.1 + size);
        }
        Ok(sum)
    }
}

fn number(figures: &Value, key: &str) -> anyhow::Result<u64> {
    figures[key].as_u64().with_context(|| format!("no {key} in {figures}"))
}

/// Goal: on a real HDFS with real checkpoints, command, WebHDFS and listing agree to the byte, Flink's own value is
/// consistent with them, and a file unknown to Flink appears in one and not in the other. Every failure gives one
/// line, no values, and values again when it is over.
pub(crate) async fn all_sources_weigh_the_same_state(context: Context) -> anyhow::Result<()> {
    let site = HdfsSetup::new(context).await?;
    side_by_side(&site).await?;
    trouble_by_once(&site).await?;
    trouble_while_running(&site).await?;
    let HdfsSetup { harness, context } = site;
    let cluster = harness.leave();
    context.end(cluster).await
}

async fn side_by_side(site: &HdfsSetup) -> anyhow::Result<()> {
    let command = ["--source", "command", "--command", "hdfs dfs -du -s /flink/checkpoints"];
    let url = site.webhdfs()?;
    let webhdfs = ["--source", "webhdfs", "--url", &url, "--path", "/flink/checkpoints", "--user", "root"];
    let flink_url = site.harness.tenant.testbed().flink_url();
    let flink = ["--source", "flink", "--url", &flink_url];
    let end = Instant::now() + PATIENCE;
    let ((files, listed), by_command, by_webhdfs, by_flink) = loop {
        let before = site.listed().await?;
        let by_command = site.figures(&command).await?;
        let by_webhdfs = site.figures(&webhdfs).await?;
        let by_flink = site.figures(&flink).await?;
        // Flink deletes the files of the checkpoint before the newest one some time after it.
        if site.listed().await? == before {
            break (before, by_command, by_webhdfs, by_flink);
        }
        ensure!(Instant::now() < end, "the files in HDFS go on changing");
    };
    site.context.note(format!("{files} files listed, {listed} bytes"));
    ensure!(files > 1 && number(&by_command, "size_bytes")? == listed, "du is not the sum of what is listed");
    ensure!(number(&by_webhdfs, "size_bytes")? == listed && number(&by_webhdfs, "files")? == files);
    // One copy of each block: the testbed's configuration has reached Flink's HDFS client.
    ensure!(number(&by_command, "size_with_replicas_bytes")? == listed);
    ensure!(number(&by_webhdfs, "size_with_replicas_bytes")? == listed);
    let state = number(&by_flink, "size_bytes")?;
    ensure!(0 < state && state <= listed, "Flink's state is more than what lies there");
    ensure!(number(&by_flink, "checkpoint_id")? >= 2 && number(&by_flink, "checkpointed_bytes")? <= state);

    // An orphan: du grows by it, the state does not.
    let orphan = site.harness.tenant.work_dir().join("orphan");
    std::fs::write(&orphan, vec![7; 123_456])?;
    site.hdfs(&["-put", &orphan.display().to_string(), "/flink/checkpoints/orphan of nobody"]).await?;
    ensure!(number(&site.figures(&webhdfs).await?, "size_bytes")? == listed + 123_456);
    ensure!(number(&site.figures(&flink).await?, "size_bytes")? == state);
    Ok(())
}

async fn trouble_by_once(site: &HdfsSetup) -> anyhow::Result<()> {
    let url = site.webhdfs()?;
    let command = |path: &'static str| ["--source", "command", "--path", path, "--timeout-ms", "30000"];
    let webhdfs =
        |path: &'static str| ["--source", "webhdfs", "--url", &url, "--path", path, "--user", "eve"];
    site.refused(&command("/nowhere"), "root", "`/nowhere': No such file or directory").await?;
    site.refused(&webhdfs("/nowhere"), "root", "path missing: File does not exist: /nowhere").await?;
    site.hdfs(&["-chmod", "700", "/flink"]).await?;
    site.refused(&command("/flink/checkpoints"), "eve", "Permission denied: user=eve").await?;
    site.refused(&webhdfs("/flink/checkpoints"), "root", "Permission denied: user=eve").await?;
    Ok(())
}

/// The page `/samples` of a running probe.
async fn samples(address: &str) -> anyhow::Result<Vec<Value>> {
    Ok(reqwest::get(format!("http://{address}/samples")).await?.json().await?)
}

/// Waits until exactly these sources have values, and the others a reason that contains this part.
async fn until_known(address: &str, known: &[&str], reason: &str) -> anyhow::Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        let all = samples(address).await.unwrap_or_default();
        let is_right = |source: &Value| {
            let name = source["name"].as_str().unwrap_or_default();
            let failed = source["error"].as_str().is_some_and(|error| error.contains(reason));
            if known.contains(&name) { source["sample"]["size_bytes"].is_u64() } else { failed }
        };
        if all.len() == RUNNING.len() && all.iter().all(is_right) {
            return Ok(());
        }
        ensure!(Instant::now() < end, "not in time: {known:?} known, the others {reason:?}: {all:?}");
        sleep(POLL).await;
    }
}

async fn trouble_while_running(site: &HdfsSetup) -> anyhow::Result<()> {
    let testbed = site.harness.tenant.testbed();
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let address = format!("127.0.0.1:{port}");
    let config = format!(
        "interval_ms = 500\n[http]\nlisten = \"{address}\"\n\
         [[source]]\nname = \"hdfs\"\nkind = \"webhdfs\"\nurl = \"{}\"\npath = \"/flink/checkpoints\"\nuser = \"root\"\n\
         timeout_ms = 4000\n\
         [[source]]\nname = \"hdfs-command\"\nkind = \"command\"\n\
         command = [\"{}\", \"dfs\", \"-du\", \"-s\", \"/flink/checkpoints\"]\ntimeout_ms = 8000\n\
         [[source]]\nname = \"job\"\nkind = \"flink\"\nurl = \"{}\"\n",
        site.webhdfs()?,
        testbed.hdfs_command().display(),
        testbed.flink_url(),
    );
    let config = site.harness.tenant.write_config("state-probe.toml", &config)?;
    let program = site.harness.tenant.program("state-probe")?.arg("run").arg("--config").arg(config);
    let probe = site.harness.tenant.launch(&program)?;
    until_known(&address, &RUNNING, "").await?;

    testbed.stop_namenode().await?;
    until_known(&address, &["job"], "onnect").await?;
    testbed.start_namenode().await?;
    until_known(&address, &RUNNING, "").await?;

    testbed.pause("namenode").await?;
    until_known(&address, &["job"], "s").await?;
    let frozen = samples(&address).await?;
    ensure!(frozen[0]["error"].as_str().is_some_and(|error| error.contains("no complete answer within 4s")));
    ensure!(frozen[1]["error"].as_str().is_some_and(|error| error.contains("did not exit within 8s")));
    testbed.resume("namenode").await?;
    until_known(&address, &RUNNING, "").await?;

    probe.stop(Duration::from_secs(5)).await;
    let log = std::fs::read_to_string(probe.log_file())?;
    let told: Vec<&str> = log.lines().filter(|line| line.contains("igures")).collect();
    let failures = told.iter().filter(|line| line.contains("no figures")).count();
    ensure!((4..=8).contains(&failures), "not one line for each trouble of each source: {told:#?}");
    Ok(())
}
