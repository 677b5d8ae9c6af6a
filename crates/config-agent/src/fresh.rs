//! Takes a fresh checkpoint before a change in place, for Flink before 2.0.
//!
//! From 2.0 on the scheduler itself waits for a checkpoint before it restarts the tasks. Older versions restart them
//! at once from the newest checkpoint, however old, and reprocess everything since; a checkpoint triggered after the
//! change fails. 1.19 and 1.20 also wait until `jobmanager.adaptive-scheduler.scaling-interval.min` has passed since
//! the last restart. So the agent waits out this interval, triggers a checkpoint, and requests the change as soon as
//! it completes.

use std::time::Duration;

use doctor::Version;
use flink::{CheckpointStatus, Client, JobId};
use service::with_causes;
use tokio::time::{Instant, sleep};

/// Configuration key and default of the shortest time between two changes.
const INTERVAL: (&str, Duration) =
    ("jobmanager.adaptive-scheduler.scaling-interval.min", Duration::from_secs(30));
/// Poll interval of a checkpoint; records that arrive in between are reprocessed.
const POLL: Duration = Duration::from_millis(50);
/// Margin for the scheduler's own clock.
const MARGIN: Duration = Duration::from_millis(200);

/// Whether this version's rescale itself waits for a checkpoint. Unreadable versions count as yes.
pub(crate) fn waits_for_a_checkpoint(version: &str) -> bool {
    Version::parse(version).is_none_or(|version| version >= Version::TWO)
}

/// Waits until a change requested now would restore a fresh checkpoint, or until the timeout. Failures of the
/// checkpoint are only logged: the change is possible without it.
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
        tracing::info!("waiting {:.1} s for Flink's minimum time between changes", left.as_secs_f64());
        sleep((left + MARGIN).min(deadline.saturating_duration_since(Instant::now()))).await;
    }
    if let Err(reason) = checkpoint(client, job, deadline).await {
        tracing::warn!("the change will restore an older checkpoint: {reason}");
    }
    Ok(())
}

/// Returns this version's shortest time between two changes.
async fn interval(client: &Client, job: &JobId, version: &str) -> Result<Duration, flink::Error> {
    if Version::parse(version).is_none_or(|version| version < Version::INTERVAL) {
        return Ok(Duration::ZERO);
    }
    let (key, default) = INTERVAL;
    let set = client.configuration(Some(job)).await?.and_then(|set| set.get(key).cloned());
    Ok(set.and_then(|set| doctor::parse_duration(&set)).unwrap_or(default))
}

/// Triggers a checkpoint and waits until it completes.
async fn checkpoint(client: &Client, job: &JobId, deadline: Instant) -> Result<(), String> {
    let began = Instant::now();
    let trigger = client.trigger_checkpoint(job).await.map_err(|error| with_causes(&error))?;
    let trigger = trigger.ok_or("Flink did not return the id of the checkpoint")?;
    loop {
        match client.checkpoint_status(job, &trigger).await {
            Ok(CheckpointStatus::Completed) => {
                tracing::info!("checkpoint completed after {:.1} s", began.elapsed().as_secs_f64());
                return Ok(());
            }
            Ok(CheckpointStatus::Failed { cause }) => return Err(cause),
            Ok(CheckpointStatus::InProgress) => {}
            Err(error) if error.is_transient() => {}
            Err(error) => return Err(with_causes(&error)),
        }
        if Instant::now() >= deadline {
            return Err(format!("checkpoint not completed after {} s", began.elapsed().as_secs()));
        }
        sleep(POLL).await;
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
