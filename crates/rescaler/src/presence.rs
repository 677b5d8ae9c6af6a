//! Whether a job of the configuration still runs: one that has ended gives its slots of a quota back, until it runs again.
//!
//! Only Flink's own list of jobs says so: a job whose metrics are missing, or whose cluster does not answer, keeps its slots. With
//! `--all-jobs` this is not needed, because a job that has ended is no longer watched (`cluster_jobs`).

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::info;

use crate::cluster_jobs::GONE_AFTER;
use crate::config::Config;
use crate::cycle::flink_client;
use crate::placement;
use crate::quota::Member;

/// Time between two looks at Flink's list of jobs. The list is small, and an end matters only after [`GONE_AFTER`].
const LOOK_INTERVAL: Duration = Duration::from_secs(15);

/// How often Flink is asked, and when a job that it does not list has ended.
#[derive(Debug, Clone, Copy)]
struct Times {
    between_looks: Duration,
    gone_after: Duration,
    /// The same while a change is in progress, during which a job may not run for a while.
    gone_after_change: Duration,
}

/// Tells the job's member of the quota whether the job has ended, forever; without a member there is nothing to tell.
pub(crate) async fn follow(config: Config, slots: Option<Arc<Member>>) {
    if let (Some(slots), Ok(flink)) = (slots, flink_client(&config)) {
        let times = Times {
            between_looks: LOOK_INTERVAL,
            gone_after: GONE_AFTER,
            gone_after_change: GONE_AFTER.max(Duration::from_secs(config.drop.applied_within_s)),
        };
        look(&flink, config.flink_job(), &slots, times).await;
    }
    std::future::pending().await
}

async fn look(flink: &flink::Client, job: &str, slots: &Member, times: Times) {
    let mut looks = interval(times.between_looks);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen_at = Instant::now();
    let mut has_ended = false;
    loop {
        looks.tick().await;
        // Without an answer nothing is known to have ended.
        let is_there = flink.jobs().await.map_or(true, |jobs| placement::is_listed(&jobs, job));
        if is_there {
            seen_at = Instant::now();
        }
        let limit = if slots.is_changing() { times.gone_after_change } else { times.gone_after };
        let now_ended = seen_at.elapsed() >= limit;
        if now_ended != has_ended {
            has_ended = now_ended;
            let what =
                if has_ended { "does not run: its slots are free for other jobs" } else { "runs again" };
            info!(job, "the job {what}");
        }
        slots.set_ended(has_ended);
    }
}

#[cfg(test)]
mod tests {
    use flink_stand_in::{Job, Pace, Scenario, Server};

    use super::*;
    use crate::quota::{Quota, SharedSlots};

    /// For what has to happen some day.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// Goal: a job that Flink no longer lists leaves the quota, and takes part again when it runs again.
    #[tokio::test]
    async fn a_job_that_has_ended_leaves_the_quota() {
        let job = Job { jid: "a".repeat(32), name: "a".to_owned(), ..Job::default() };
        let scenario = Scenario { jobs: vec![job.clone()], ..Scenario::default() };
        let server = Server::start(scenario, Pace::Real).await.unwrap();
        let text = format!("job = \"a\"\n[flink]\nurl = \"{}\"", server.url());
        let config = Config::parse(&text, "r.toml".as_ref()).unwrap();
        let slots = SharedSlots::new(&Quota { slots: Some(12), ..Quota::default() }).unwrap();
        let member = slots.join(&config, None);
        let short = Duration::from_millis(50);
        let times = Times { between_looks: short / 5, gone_after: short, gone_after_change: PATIENCE };
        let flink = flink_client(&config).unwrap();
        let until = async |jobs: usize| {
            let reached = server.wait_until(|_| slots.usage().1.len() == jobs);
            let waited = tokio::time::timeout(PATIENCE, async {
                tokio::select! {
                    () = reached => {}
                    () = look(&flink, "a", &member, times) => {}
                }
            });
            assert!(waited.await.is_ok(), "{:?}", slots.usage());
        };
        until(1).await;
        server.with(|stand_in| stand_in.scenario_mut().jobs[0].state = Some("FINISHED".to_owned()));
        until(0).await;
        server.with(|stand_in| stand_in.scenario_mut().jobs = vec![job]);
        until(1).await;
        // A change may take longer.
        member.bound(2).unwrap();
        server.with(|stand_in| stand_in.scenario_mut().jobs.clear());
        let unchanged = tokio::time::timeout(short * 4, look(&flink, "a", &member, times)).await;
        assert!(unchanged.is_err() && slots.usage().1.len() == 1);
    }
}
