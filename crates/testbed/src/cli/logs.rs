//! `testbed logs`: prints the logs of one service, or of all, each line with the service's name as prefix.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::Context;
use tokio::time::sleep;

use crate::config::Config;
use crate::folder::WorkFolder;
use crate::logs::{Follower, tail as last_lines};

/// Poll interval of followed log files.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(200);

/// Prints logs: all lines or only the last ones, and with `follow` forever.
pub(super) async fn print(
    config: &Config,
    service: Option<String>,
    follow: bool,
    tail: Option<usize>,
) -> anyhow::Result<()> {
    let folder = WorkFolder::new(config.work_dir.clone());
    let names = service.map_or_else(|| log_names(&folder), |name| Ok(vec![name]))?;
    let only = names.len() == 1;
    let mut followers = Vec::new();
    for name in names {
        let path = folder.log_of(&name);
        anyhow::ensure!(
            path.exists(),
            "{} does not exist: `testbed status` shows the services",
            path.display()
        );
        let prefix = if only { String::new() } else { format!("{name:<12} | ") };
        let follower = if let Some(lines) = tail {
            // The position is taken first: a line that arrives in between is better printed twice than not at all.
            let follower = Follower::from_end(path.clone());
            if !print_lines(&prefix, last_lines(&path, lines).lines())? {
                return Ok(());
            }
            follower
        } else {
            Follower::from_start(path)
        };
        followers.push((prefix, follower));
    }
    loop {
        let mut idle = true;
        for (prefix, follower) in &mut followers {
            let lines = follower.new_lines()?;
            idle &= lines.is_empty();
            if !print_lines(prefix, lines.iter().map(String::as_str))? {
                return Ok(());
            }
        }
        match (idle, follow) {
            (true, false) => return Ok(()),
            (true, true) => sleep(FOLLOW_INTERVAL).await,
            (false, _) => {}
        }
    }
}

/// Prints lines. Returns `false` if standard output was closed.
fn print_lines<'a>(prefix: &str, mut lines: impl Iterator<Item = &'a str>) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    match lines.try_for_each(|line| writeln!(out, "{prefix}{line}")) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true),
    }
}

/// Returns the services with a log, by name.
fn log_names(folder: &WorkFolder) -> anyhow::Result<Vec<String>> {
    let logs = folder.logs();
    let entries = std::fs::read_dir(&logs).with_context(|| format!("no logs in {}", logs.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}
