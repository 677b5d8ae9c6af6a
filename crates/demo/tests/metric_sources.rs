//! The same live job through all sources of metrics: Flink's REST interface, Graphite and its Whisper files (Flink's reporter,
//! real carbon), and Prometheus. And what becomes of a rescaler whose source falls silent.
//!
//! Installs Graphite from the Python package index once, into the testbed's cache. Prometheus is compared where the distribution
//! has it installed. With `RESCALER_TESTS=full` they are compared over a minute of constant load.

#![expect(clippy::print_stdout, reason = "a test that takes minutes tells how far it is")]

#[allow(dead_code, reason = "this test needs the stage and little of the loop")]
mod common;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use common::{Load, Loop, LoopOptions};
use job_config::State;
use scaling::Snapshot;
use stage::Beside;
use testbed::StoreSettings;
use testbed::process::Process;
use tokio::time::{Instant, sleep};

/// Events per second, steadily.
const RATE: f64 = 1000.0;
/// How far rates from two sources may be apart.
const TOLERANCE: f64 = 0.1;
/// Rates below this are not compared: a window that fires once a second counts single records.
const RATE_MIN: f64 = 20.0;

fn is_full() -> bool {
    std::env::var("RESCALER_TESTS").is_ok_and(|which| which == "full")
}

/// Lines of a configuration that read a store in which everything is a second old.
const STORE: &str = "interval_ms = 2000\nlookback_ms = 10000\ngraph = \"names\"\n";

/// The rescaler's section for one source.
fn section(cluster: &Loop, source: &str) -> anyhow::Result<String> {
    let testbed = cluster.stage.testbed();
    let place = match source {
        "flink-rest" => return Ok("[source]\nkind = \"flink-rest\"\n".to_owned()),
        "whisper" => format!("folder = \"{}\"", testbed.whisper_dir().context("no carbon")?.display()),
        "graphite" => format!("url = \"{}\"", testbed.graphite_url().context("no Graphite")?),
        _ => format!("url = \"{}\"", testbed.prometheus_url().context("no Prometheus")?),
    };
    Ok(format!("[source]\nkind = \"{source}\"\n{place}\n{STORE}"))
}

fn config(cluster: &Loop, source: &str) -> anyhow::Result<String> {
    let path = cluster.stage.work_dir().join(format!("journal-{source}.jsonl"));
    let common = format!(
        "job = \"nexmark\"\n[flink]\nurl = \"{}\"\n[drop]\nurl = \"{}\"\n[epoch]\nlength_ms = 4000\nsample_interval_ms = 1000\n\
         warm_up_ms = 2000\n[journal]\npath = \"{}\"\n",
        cluster.stage.testbed().flink_url(),
        cluster.stage.drop_url(),
        path.display()
    );
    Ok(common + &section(cluster, source)?)
}

/// `rescaler inspect` on one source, and what it printed.
async fn inspect(cluster: &Loop, source: &str, seconds: u64) -> anyhow::Result<Snapshot> {
    let file = cluster.stage.write_config(&format!("inspect-{source}.toml"), &config(cluster, source)?)?;
    let program =
        Path::new(&std::env::current_exe()?).ancestors().nth(2).context("no target folder")?.join("rescaler");
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

/// Fails where a snapshot says something else than the first one.
fn compare(first: &Snapshot, other: &Snapshot) -> anyhow::Result<()> {
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
            println!("{source}: {} {what} {b_rate:.1}/s, flink-rest {a_rate:.1}/s", a.name);
            ensure!(off <= TOLERANCE, "{source}: {} {what}: {b_rate} is too far from {a_rate}", a.name);
        }
    }
    ensure!(largest > 0.0, "{source}: no rate was compared");
    println!("{source}: parallelism equal, rates within {:.1} %", largest * 100.0);
    Ok(())
}

/// Waits until two looks in a row at the job see the same rates: what happened at the start is over.
async fn await_steady(cluster: &Loop) -> anyhow::Result<()> {
    let end = Instant::now() + Duration::from_secs(60);
    let mut before = None;
    while Instant::now() < end {
        let snapshot = inspect(cluster, "flink-rest", 6).await;
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
fn rescaler(cluster: &Loop, source: &str) -> anyhow::Result<Process> {
    let file = cluster.stage.write_config(&format!("run-{source}.toml"), &config(cluster, source)?)?;
    let program = cluster.stage.program("rescaler")?.args(["run", "--dry-run", "--config"]).arg(file);
    Ok(cluster.stage.launch(&program)?)
}

/// Waits until the newest decision of a rescaler rests on a complete snapshot; or on none, with a reason that has this text.
async fn await_decision(cluster: &Loop, source: &str, reason: Option<&str>) -> anyhow::Result<()> {
    let path = cluster.stage.work_dir().join(format!("journal-{source}.jsonl"));
    let end = Instant::now() + Duration::from_secs(90);
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
                println!("{source}: {reasons}");
                return Ok(());
            }
            last = reasons;
        }
        sleep(Duration::from_millis(200)).await;
    }
    anyhow::bail!("{source}: no decision with {reason:?}; the newest says {last}")
}

/// Goal: the sources agree on parallelism exactly and on rates within 10 % over a time of constant load; with carbon stopped,
/// or all task managers killed, there is no decision, its reason is in the journal, and it is over when the fault is.
#[tokio::test(flavor = "multi_thread")]
async fn all_sources_see_the_same_job() -> anyhow::Result<()> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let prometheus = std::env::split_paths(&paths).any(|folder| folder.join("prometheus").is_file());
    if !prometheus {
        println!("not compared with Prometheus: install it (Debian package prometheus)");
    }
    let stores = StoreSettings { graphite: true, prometheus, ..StoreSettings::default() };
    let options = LoopOptions { job: "nexmark", partitions: 4, task_managers: 2 };
    let cluster = Loop::set_beside(options, Beside { stores, ..Beside::default() }).await?;
    let _drop = cluster.start("config-drop", &[])?;
    let _agent = cluster.start("config-agent", &[])?;
    cluster.publish_first(&[]).await?;
    cluster.await_report(1, State::Running, Duration::from_secs(90)).await?;
    // Only now, so that there is nothing to catch up with: the load is constant.
    let load = Load::soon(&[(RATE, 600.0)]);
    let arguments = load.arguments();
    let _producer =
        cluster.start("event-producer", &arguments.iter().map(String::as_str).collect::<Vec<_>>())?;
    await_steady(&cluster).await?;

    let seconds = if is_full() { 60 } else { 15 };
    let (rest, whisper, graphite, prometheus) = tokio::join!(
        inspect(&cluster, "flink-rest", seconds),
        inspect(&cluster, "whisper", seconds),
        inspect(&cluster, "graphite", seconds),
        async { if prometheus { Some(inspect(&cluster, "prometheus", seconds).await) } else { None } },
    );
    let rest = rest?;
    ensure!(rest.missing.is_empty(), "flink-rest lacks {:?}", rest.missing);
    for other in [Some(whisper), Some(graphite), prometheus].into_iter().flatten() {
        compare(&rest, &other?)?;
    }

    let _rescaler = rescaler(&cluster, "whisper")?;
    await_decision(&cluster, "whisper", None).await?;
    cluster.stage.testbed().pause("carbon").await?;
    await_decision(&cluster, "whisper", Some("metrics")).await?;
    cluster.stage.testbed().resume("carbon").await?;
    await_decision(&cluster, "whisper", None).await?;

    let _rescaler = rescaler(&cluster, "flink-rest")?;
    await_decision(&cluster, "flink-rest", None).await?;
    let testbed = cluster.stage.testbed();
    for id in testbed.task_managers().await {
        testbed.kill_task_manager(&id).await?;
    }
    await_decision(&cluster, "flink-rest", Some("")).await?;
    testbed.start_task_manager().await?;
    await_decision(&cluster, "flink-rest", None).await?;
    cluster.stage.strike().await;
    Ok(())
}
