//! Each program's response to a bad configuration: exit code 2, and a message that names file, key and remedy.

use std::process::Command;

use anyhow::{Context, ensure};

use crate::harness::{programs_dir, root};

/// Runs a program on one of the repository's files with one text replaced.
fn check(program: &[&str], file: &str, replacement: (&str, &str), expected: &[&str]) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(root().join("configs").join(file))?;
    ensure!(text.contains(replacement.0), "{file} no longer contains {:?}", replacement.0);
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("bad.toml");
    std::fs::write(&path, text.replacen(replacement.0, replacement.1, 1))?;
    let output = Command::new(programs_dir()?.join(program[0]))
        .args(&program[1..])
        .arg(&path)
        .current_dir(folder.path())
        .output()
        .with_context(|| format!("{} cannot be run; build it first", program[0]))?;
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.code() == Some(2), "{program:?} ended with {}: {message}", output.status);
    for part in expected.iter().chain(&["bad.toml"]) {
        ensure!(message.contains(part), "{program:?} does not say {part:?}: {message}");
    }
    Ok(())
}

/// Goal: every program rejects an unknown key.
pub(crate) fn unknown_keys_are_refused() -> anyhow::Result<()> {
    check(&["event-producer", "--config"], "event-producer.toml", ("seed =", "sead ="), &["sead"])?;
    check(&["rescaler", "run", "--config"], "rescaler.toml", ("timeout_ms =", "time_ms ="), &["time_ms"])?;
    check(&["config-drop", "--config"], "config-drop.toml", ("listen =", "listens ="), &["listens"])?;
    check(&["config-agent", "--config"], "config-agent.toml", ("wait_ms =", "waits_ms ="), &["waits_ms"])?;
    let publish = ["rescaler", "publish", "--document"];
    check(&publish, "jobs/nexmark.toml", ("reason =", "raison ="), &["raison"])
}

/// Goal: a negative rate in a load profile is rejected.
pub(crate) fn a_negative_rate_is_refused() -> anyhow::Result<()> {
    let bad = ("rate = 1000.0", "rate = -1.0");
    check(&["event-producer", "--config"], "event-producer.toml", bad, &["profile.rate", "-1"])
}

/// Goal: a parallelism above the maximum is rejected before anything is sent, with the remedy.
pub(crate) fn a_parallelism_above_the_maximum_is_refused() -> anyhow::Result<()> {
    let bad = ("q7-bid-item = 1", "q7-bid-item = 129");
    let expected = ["parallelism.operators.q7-bid-item", "129 is above parallelism.max = 128", "lower it"];
    check(&["rescaler", "publish", "--document"], "jobs/nexmark.toml", bad, &expected)
}

/// Goal: an epoch too short for its samples is rejected.
pub(crate) fn a_senseless_epoch_is_refused() -> anyhow::Result<()> {
    let bad = ("# length_ms = 120000", "length_ms = 10");
    check(&["rescaler", "run", "--config"], "rescaler.toml", bad, &["epoch.length_ms", "at least twice"])
}
