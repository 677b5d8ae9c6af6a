//! The same live job through all sources of metrics: Flink's REST interface, Graphite and its Whisper files (Flink's
//! reporter, real carbon), and Prometheus. Also the rescaler's behaviour when its source fails.
//!
//! Installs Graphite from the Python package index once, into the testbed's cache. Prometheus is compared where it is
//! installed. The ignored test compares them over a minute of constant load.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use scaling::Snapshot;
use test_cluster::Extras;
use testbed::StoreSettings;
use testbed::process::Process;
use tokio::time::{Instant, sleep};

use crate::engines::Context;
use crate::harness::{E2eHarness, HarnessOptions, PATIENCE};
use crate::load::Load;

/// Constant rate of events per second.
const RATE: f64 = 1000.0;
/// Tolerated relative difference of rates from two sources.
const TOLERANCE: f64 = 0.1;
/// Rates below this are not compared: a window that fires once per second counts single records.
const RATE_MIN: f64 = 20.0;

/// Configuration of a store in which all data is one second old.
const STORE: &str = "interval_ms = 2000\nlookback_ms = 10000\ngraph = \"names\"\n";

/// The rescaler's section for one source.
fn section(harness: &E2eHarness, source: &str) -> anyhow::Result<String> {
    let testbed = harness.tenant.testbed();
    let place = match source {
        "flink-rest" => return Ok("[source]\nkind = \"flink-rest\"\n".to_owned()),
        "whisper" => format!("folder = \"{}\"", testbed.whisper_dir().context("no carbon")?.display()),
        "graphite" => format!("url = \"{}\"", testbed.graphite_url().context("no Graphite")?),
        _ => format!("url = \"{}\"", testbed.prometheus_url().context("no Prometheus")?),
    };
    Ok(format!("[source]\nkind = \"{source}\"\n{place}\n{STORE}"))
}

fn config(harness: &E2eHarness, source: &str) -> anyhow::Result<String> {
    let path = harness.tenant.work_dir().join(format!("journal-{source}.jsonl"));
    let common = format!(
        "job = \"nexmark\"\n[flink]\nurl = \"{}\"\n[drop]\nurl = \"{}\"\n[epoch]\nlength_ms = 4000\nsample_interval_ms = 1000\n\
         warm_up_ms = 2000\n[journal]\npath = \"{}\"\n",
        harness.tenant.testbed().flink_url(),
        harness.tenant.drop_url(),
        path.display()
    );
    Ok(common + &section(harness, source)?)
}

/// Runs `rescaler inspect` on one source, and returns its output.
async fn inspect(harness: &E2eHarness, source: &str, seconds: u64) -> anyhow::Result<Snapshot> {
    let file = harness.tenant.write_config(&format!("inspect-{source}.toml"), &config(harness, source)?)?;
    let program = crate::harness::programs_dir()?.join("rescaler");
    let seconds = seconds.to_string();
    let output = tokio::process::Command::new(program)
        .args(["inspect", "--output", "json", "--seconds", &seconds, "--config"])
        .arg(file)
        .kill_on_drop(true)
        .output()
        .await?;
    ensure!(output.status.success(), "inspect {source}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Fails if a snapshot differs from the first one.
fn compare(first: &Snapshot, other: &Snapshot) -> anyhow::Result<String> {
    let source = other.source.as_deref().unwrap_or_default();
    ensure!(other.missing.is_empty(), "{source} lacks {:?}", other.missing);
    let shape = |snapshot: &Snapshot| -> Vec<(String, u32)> {
        snapshot.operators.iter().map(|o| (o.name.clone(), o.parallelism)).collect()
    };
    ensure!(shape(first) == shape(other), "{source}: {:?}, not {:?}", shape(other), shape(first));
    let mut largest = 0.0_f64;
    for (a, b) in first.operators.iter().zip(&other.operators) {
        let rates = [
            ("in", a.throughput_per_s, b.throughput_per_s),
            ("out", a.output_rate_per_s, b.output_rate_per_s),
        ];
        for (what, a_rate, b_rate) in rates {
            let (Some(a_rate), Some(b_rate)) = (a_rate, b_rate) else { continue };
            if a_rate < RATE_MIN {
                continue;
            }
            let off = (b_rate / a_rate - 1.0).abs();
            largest = largest.max(off);
            ensure!(off <= TOLERANCE, "{source}: {} {what}: {b_rate} is too far from {a_rate}", a.name);
        }
    }
    ensure!(largest > 0.0, "{source}: no rate was compared");
    Ok(format!("{source}: parallelism equal, rates within {:.1} %", largest * 100.0))
}

/// Waits until two consecutive samples of the job have the same rates, after the start-up phase.
async fn await_steady(harness: &E2eHarness) -> anyhow::Result<()> {
    let end = Instant::now() + PATIENCE;
    let mut before = None;
    while Instant::now() < end {
        let snapshot = inspect(harness, "flink-rest", 6).await;
        let rates = snapshot.ok().map(|s| s.operators.iter().filter_map(|o| o.throughput_per_s).sum::<f64>());
        let is_steady =
            |before: f64, now: f64| now > RATE_MIN && (before / now - 1.0).abs() < TOLERANCE / 3.0;
        if before.flatten().zip(rates).is_some_and(|(before, now)| is_steady(before, now)) {
            return Ok(());
        }
        before = Some(rates);
    }
    anyhow::bail!("the load does not become steady")
}

/// A rescaler that decides every four seconds and publishes nothing.
fn rescaler(harness: &E2eHarness, source: &str) -> anyhow::Result<Process> {
    let file = harness.tenant.write_config(&format!("run-{source}.toml"), &config(harness, source)?)?;
    let program = harness.tenant.program("rescaler")?.args(["run", "--dry-run", "--config"]).arg(file);
    Ok(harness.tenant.launch(&program)?)
}

/// Waits until a rescaler's newest decision is based on a complete snapshot; or on none, with a reason that contains
/// this text.
async fn await_decision(harness: &E2eHarness, source: &str, reason: Option<&str>) -> anyhow::Result<()> {
    let path = harness.tenant.work_dir().join(format!("journal-{source}.jsonl"));
    let end = Instant::now() + PATIENCE;
    let mut last = String::new();
    while Instant::now() < end {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let newest: Option<serde_json::Value> =
            text.lines().rev().find_map(|line| serde_json::from_str(line).ok());
        if let Some(record) = newest {
            let has_snapshot = record["snapshot"].is_object() && record["snapshot"]["missing"].is_null();
            let reasons = record["decision"]["reasons"].to_string();
            let holds = match reason {
                None => has_snapshot,
                Some(text) => {
                    let action = &record["decision"]["action"];
                    !has_snapshot && action == "none" && reasons.contains(text)
                }
            };
            if holds {
                harness.note(format!("{source}: {reasons}"));
                return Ok(());
            }
            last = reasons;
        }
        sleep(Duration::from_millis(200)).await;
    }
    anyhow::bail!("{source}: no decision with {reason:?}; the newest says {last}")
}

/// Goal: under constant load the sources agree exactly on parallelism and within 10 % on rates. With carbon stopped,
/// or all task managers killed, there is no decision, the journal has the reason, and decisions resume after the
/// fault.
pub(crate) async fn all_sources_see_the_same_job(context: Context) -> anyhow::Result<()> {
    let harness = observed_job(&context).await?;
    let _load = harness.start_load(Load::until_stopped(&[], RATE))?;
    compare_all(&harness, 15).await?;

    let _rescaler = rescaler(&harness, "whisper")?;
    await_decision(&harness, "whisper", None).await?;
    let testbed = harness.tenant.testbed();
    testbed.pause("carbon").await?;
    await_decision(&harness, "whisper", Some("metrics")).await?;
    testbed.resume("carbon").await?;
    await_decision(&harness, "whisper", None).await?;

    let _rescaler = rescaler(&harness, "flink-rest")?;
    await_decision(&harness, "flink-rest", None).await?;
    for id in testbed.task_managers().await {
        testbed.kill_task_manager(&id).await?;
    }
    await_decision(&harness, "flink-rest", Some("")).await?;
    testbed.start_task_manager().await?;
    await_decision(&harness, "flink-rest", None).await
}

/// Goal: the sources also agree over a minute.
pub(crate) async fn all_sources_agree_over_a_minute(context: Context) -> anyhow::Result<()> {
    let harness = observed_job(&context).await?;
    let _load = harness.start_load(Load::until_stopped(&[], RATE))?;
    compare_all(&harness, 60).await
}

/// The demo's job on a cluster that reports to all stores.
async fn observed_job(context: &Context) -> anyhow::Result<E2eHarness> {
    if !has_prometheus() {
        context.note("not compared with Prometheus: install it (Debian package prometheus)");
    }
    let stores = StoreSettings { graphite: true, prometheus: has_prometheus(), ..StoreSettings::default() };
    let cluster = context.own_cluster(2, Extras { stores, ..Extras::default() }).await?;
    let harness = E2eHarness::on(context, cluster, HarnessOptions::default()).await?;
    // Both are stopped with the testbed.
    harness.keep(harness.start("config-drop", &[])?);
    harness.keep(harness.start("config-agent", &[])?);
    harness.run_first(&[]).await?;
    Ok(harness)
}

fn has_prometheus() -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join("prometheus").is_file())
}

/// Fails if two sources disagree over some seconds of constant load.
async fn compare_all(harness: &E2eHarness, seconds: u64) -> anyhow::Result<()> {
    await_steady(harness).await?;
    let (rest, whisper, graphite, prometheus) = tokio::join!(
        inspect(harness, "flink-rest", seconds),
        inspect(harness, "whisper", seconds),
        inspect(harness, "graphite", seconds),
        async { if has_prometheus() { Some(inspect(harness, "prometheus", seconds).await) } else { None } },
    );
    let rest = rest?;
    ensure!(rest.missing.is_empty(), "flink-rest lacks {:?}", rest.missing);
    for other in [Some(whisper), Some(graphite), prometheus].into_iter().flatten() {
        harness.note(compare(&rest, &other?)?);
    }
    Ok(())
}
