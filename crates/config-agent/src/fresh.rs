//! A state of now for a change in place, before Flink 2.0.
//!
//! From 2.0 on the scheduler itself waits for a checkpoint before it restarts the tasks. Before that it restarts them at once from the
//! newest checkpoint, however old it is, and everything since then is computed again; a checkpoint that is asked for after the change
//! fails. In 1.19 and 1.20 it also waits until `jobmanager.adaptive-scheduler.scaling-interval.min` has passed since the last restart.
//! So the agent waits out this interval first, has a checkpoint made, and asks for the change as soon as it is complete.

use std::time::Duration;

use doctor::Version;
use flink::{CheckpointStatus, Client, JobId};
use tokio::time::{Instant, sleep};

use crate::condition::chain;

/// The shortest time between two changes, and what it is unless configured.
const INTERVAL: (&str, Duration) =
    ("jobmanager.adaptive-scheduler.scaling-interval.min", Duration::from_secs(30));
/// Time between two looks at a checkpoint: what arrives meanwhile is computed again.
const LOOK: Duration = Duration::from_millis(50);
/// The scheduler measures its interval by a clock of its own.
const MARGIN: Duration = Duration::from_millis(200);

/// Whether a change itself waits for a checkpoint. One whose version cannot be read does.
pub(crate) fn waits_for_a_checkpoint(version: &str) -> bool {
    Version::parse(version).is_none_or(|version| version >= Version::TWO)
}

/// Returns when a change that is asked for now restores a state of now, or at the deadline. What goes wrong with it is logged: the
/// change itself is possible all the same.
///
/// # Errors
/// Flink does not answer.
pub(crate) async fn prepare(
    client: &Client,
    job: &JobId,
    version: &str,
    within: Duration,
) -> Result<(), flink::Error> {
    let deadline = Instant::now() + within;
    let details = client.job(job).await?;
    if !details.is_fully_running() {
        return Ok(());
    }
    let runs_for = details.running_ms().and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis);
    let interval = interval(client, job, version).await?;
    let left = interval.saturating_sub(runs_for.unwrap_or(interval));
    if !left.is_zero() {
        tracing::info!("waiting {:.1} s for Flink's shortest time between two changes", left.as_secs_f64());
        sleep((left + MARGIN).min(deadline.saturating_duration_since(Instant::now()))).await;
    }
    if let Err(reason) = checkpoint(client, job, deadline).await {
        tracing::warn!("the change restores an older checkpoint: {reason}");
    }
    Ok(())
}

/// The shortest time between two changes of this version.
async fn interval(client: &Client, job: &JobId, version: &str) -> Result<Duration, flink::Error> {
    if Version::parse(version).is_none_or(|version| version < Version::INTERVAL) {
        return Ok(Duration::ZERO);
    }
    let (key, default) = INTERVAL;
    let set = client.configuration(Some(job)).await?.and_then(|set| set.get(key).cloned());
    Ok(set.and_then(|set| doctor::parse_duration(&set)).unwrap_or(default))
}

/// Has a checkpoint made and waits until it is complete.
async fn checkpoint(client: &Client, job: &JobId, deadline: Instant) -> Result<(), String> {
    let began = Instant::now();
    let trigger = client.trigger_checkpoint(job).await.map_err(|error| chain(&error))?;
    let trigger = trigger.ok_or("Flink does not tell the id of the checkpoint")?;
    loop {
        match client.checkpoint_status(job, &trigger).await {
            Ok(CheckpointStatus::Completed) => {
                tracing::info!("a checkpoint is complete after {:.1} s", began.elapsed().as_secs_f64());
                return Ok(());
            }
            Ok(CheckpointStatus::Failed { cause }) => return Err(cause),
            Ok(CheckpointStatus::InProgress) => {}
            Err(error) if error.is_transient() => {}
            Err(error) => return Err(chain(&error)),
        }
        if Instant::now() >= deadline {
            return Err(format!("its checkpoint is not complete after {} s", began.elapsed().as_secs()));
        }
        sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: only versions that restart at once are prepared for.
    #[test]
    fn versions_are_told_apart() {
        for (version, waits) in
            [("1.18.1", false), ("1.20.5", false), ("2.0.2", true), ("2.3.0", true), ("", true)]
        {
            assert_eq!(waits_for_a_checkpoint(version), waits, "{version}");
        }
    }
}
