//! Two event producers beside a broker that is frozen nine tenths of the time: they must leave it enough of the processors to answer.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::benchmark::Benchmark;
use crate::engines::Context;
use crate::harness::{PATIENCE, programs_dir};

const EVENTS: u64 = 16_000;
/// Times for which the broker is frozen, and then runs.
const FROZEN: Duration = Duration::from_millis(450);
const RUNNING: Duration = Duration::from_millis(50);
const FREEZES: u32 = 14;

/// Goal: every record is acknowledged. librdkafka's threads do not sleep while a broker owes them answers; with real-time priority they
/// would take all of a small machine, and the broker would not answer any more, also when it is no longer frozen.
pub(crate) async fn a_slow_broker_gets_its_share(context: Context) -> anyhow::Result<()> {
    let cluster = context.shared_cluster().await?;
    let testbed = cluster.testbed();
    let prefixes = ["slow-a.", "slow-b."];
    for prefix in prefixes {
        for topic in Benchmark::Nexmark.topics() {
            testbed.create_topic(&format!("{prefix}{topic}"), 1).await?;
        }
    }
    let slowed = async {
        for _ in 0..FREEZES {
            testbed.pause("kafka").await?;
            sleep(FROZEN).await;
            testbed.resume("kafka").await?;
            sleep(RUNNING).await;
        }
        anyhow::Ok(())
    };
    let [one, other] = prefixes.map(|prefix| produce(testbed.kafka_bootstrap(), prefix));
    let (slowed, one, other) = tokio::join!(slowed, one, other);
    slowed?;
    one?;
    other
}

/// Runs a producer to its end.
async fn produce(bootstrap: &str, prefix: &str) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("producer.toml");
    std::fs::write(&config, format!("real_time = \"auto\"\n[kafka]\ntopic_prefix = {prefix:?}\n"))?;
    let mut command = Command::new(programs_dir()?.join("event-producer"));
    command.arg("--config").arg(config).args(["--bootstrap-servers", bootstrap, "--output", "json"]);
    command.args(["--rate", "2000", "--events", &EVENTS.to_string()]).kill_on_drop(true);
    let output = timeout(PATIENCE, command.output()).await.context("the producer does not end")??;
    let log = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{prefix} {}: {}",
        output.status,
        log.lines().last().unwrap_or_default()
    );
    let totals: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(totals["acked"] == EVENTS && totals["failed"] == 0, "{prefix} {totals}");
    Ok(())
}
