//! The event producer's transport `batches` with a frozen broker, and after a kill of the producer. The long form,
//! with three brokers that are killed and restarted, is `scripts/try-producer.sh`.

use std::path::Path;
use std::process::Stdio;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

use crate::benchmark::Benchmark;
use crate::engines::Context;
use crate::harness::{PATIENCE, programs_dir};

const RATE: &str = "40000";
const EVENTS: &str = "160000";

/// Goal: across a freeze of the broker no record is lost, duplicated or reordered. What a killed producer had
/// acknowledged is in Kafka, from the beginning and without a gap.
pub(crate) async fn nothing_is_lost_or_doubled(context: Context) -> anyhow::Result<()> {
    let cluster = context.shared_cluster().await?;
    let (testbed, folder) = (cluster.testbed(), tempfile::tempdir()?);
    // Kafka deletes records older than a week.
    let start_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis().to_string();

    let (mut producer, mut log) = start(&context, folder.path(), ("batches-stop.", &start_ms)).await?;
    acknowledged(&mut log, |acked, _| acked > 0).await?;
    testbed.pause("kafka").await?;
    // Enough for all records in flight, and for waiting batches.
    let waited = acknowledged(&mut log, |_, in_flight| in_flight > 40_000).await;
    testbed.resume("kafka").await?;
    waited?;
    let output = timeout(PATIENCE, rest(&mut producer, &mut log)).await??;
    let totals: Value = serde_json::from_str(&output).with_context(|| output.clone())?;
    ensure!(totals["acked"] == EVENTS.parse::<u64>()? && totals["failed"] == 0, "{totals}");
    ensure!(
        check(testbed.kafka_bootstrap(), ("batches-stop.", &start_ms), "whole").await?
            == EVENTS.parse::<u64>()?
    );

    let (mut producer, mut log) = start(&context, folder.path(), ("batches-kill.", &start_ms)).await?;
    let acked = acknowledged(&mut log, |acked, _| acked > 20_000).await?;
    producer.kill().await?;
    let found = check(testbed.kafka_bootstrap(), ("batches-kill.", &start_ms), "begin").await?;
    ensure!(found >= acked, "{found} records, {acked} acknowledged");
    Ok(())
}

async fn start(
    context: &Context,
    folder: &Path,
    (prefix, start_ms): (&str, &str),
) -> anyhow::Result<(Child, Lines<BufReader<ChildStderr>>)> {
    let cluster = context.shared_cluster().await?;
    for topic in Benchmark::Nexmark.topics() {
        cluster.testbed().create_topic(&format!("{prefix}{topic}"), 3).await?;
    }
    let config = folder.join("producer.toml");
    let text =
        format!("[kafka]\ntransport = \"batches\"\ntopic_prefix = {prefix:?}\n[report]\ninterval_ms = 20\n");
    std::fs::write(&config, text)?;
    let mut command = Command::new(programs_dir()?.join("event-producer"));
    command.args([
        "--bootstrap-servers",
        cluster.testbed().kafka_bootstrap(),
        "--output",
        "json",
        "--config",
    ]);
    command.arg(config).args(["--rate", RATE, "--events", EVENTS, "--start-time", start_ms]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("event-producer")?;
    let log = BufReader::new(child.stderr.take().context("no log")?).lines();
    Ok((child, log))
}

/// Reads the log until the numbers of acknowledged records and records in flight match; returns the number
/// acknowledged.
async fn acknowledged(
    log: &mut Lines<BufReader<ChildStderr>>,
    wanted: impl Fn(u64, u64) -> bool,
) -> anyhow::Result<u64> {
    let read = async {
        while let Some(line) = log.next_line().await? {
            ensure!(!line.contains("cannot use transport"), "{line}");
            let value = |key: &str| {
                let word = line.split_whitespace().find_map(|word| word.strip_prefix(key));
                word.and_then(|word| word.parse::<u64>().ok())
            };
            if let (Some(acked), Some(in_flight)) = (value("acked="), value("in_flight="))
                && wanted(acked, in_flight)
            {
                return Ok(acked);
            }
        }
        anyhow::bail!("the producer has ended")
    };
    timeout(PATIENCE, read).await.context("the producer's log")?
}

/// Returns the producer's output until its end; also drains its log, so that the pipe cannot fill up.
async fn rest(producer: &mut Child, log: &mut Lines<BufReader<ChildStderr>>) -> anyhow::Result<String> {
    let mut stdout = producer.stdout.take().context("no output")?;
    let mut output = String::new();
    let drained = async {
        while log.next_line().await?.is_some() {}
        anyhow::Ok(())
    };
    let (read, drained) = tokio::join!(stdout.read_to_string(&mut output), drained);
    read?;
    drained?;
    let status = producer.wait().await?;
    ensure!(status.success(), "{status}: {output}");
    Ok(output)
}

/// Compares Kafka's content with the stream; returns the number of records.
async fn check(bootstrap: &str, (prefix, start_ms): (&str, &str), extent: &str) -> anyhow::Result<u64> {
    let program = programs_dir()?.join("examples/check-records");
    let output = Command::new(program).args([bootstrap, prefix, start_ms, RATE, EVENTS, extent]).output();
    let output = timeout(PATIENCE, output).await??;
    ensure!(output.status.success(), "{prefix}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).trim().parse()?)
}
