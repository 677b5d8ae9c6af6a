//! Threads that the system runs as soon as they are ready, where that is wanted and permitted.
//!
//! On a machine that is shared with a broker, a thread of normal priority may wait for a processor for longer than a load
//! profile allows. The thread that emits, and below it those of the Kafka client, which it waits for at their locks, therefore
//! ask for the policy `SCHED_RR` (`man 7 sched`). They sleep most of the time: what they take from others is when they
//! run, not how much. Where that is not so, `client_priority` takes the priority from the client's threads.

use std::io;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use thread_priority::{
    Error, RealtimeThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};
use tokio::sync::oneshot;
use tracing::info;

/// Whether threads ask for real-time priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RealTime {
    /// They do, and go on without where the system does not permit it.
    #[default]
    Auto,
    /// They do not.
    Off,
    /// They do, and the run does not begin without.
    Required,
}

/// Which thread runs first, if both have real-time priority.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Level {
    /// The Kafka client's own.
    Client = 1,
    /// The one that emits.
    Emitter = 2,
}

impl RealTime {
    /// Runs `work` on a thread of its own, and says whether that, and every thread begun by it, is a real-time one.
    ///
    /// # Errors
    /// There is no thread to be had, it panics, or what is required is not permitted.
    pub(crate) async fn run<T: Send + 'static>(
        self,
        level: Level,
        work: impl FnOnce(bool) -> T + Send + 'static,
    ) -> anyhow::Result<T> {
        let (done, result) = oneshot::channel();
        let thread = std::thread::Builder::new().name(level.name().to_owned());
        let body = move || {
            let result = self.enter(level).map(work);
            // Nobody waits any more if the run has failed meanwhile.
            let _unwanted = done.send(result);
        };
        thread.spawn(body).context("cannot start a producer thread")?;
        result.await.with_context(|| format!("thread {} ended unexpectedly", level.name()))?
    }

    fn enter(self, level: Level) -> anyhow::Result<bool> {
        if self == RealTime::Off {
            return Ok(false);
        }
        match (level.take(), self) {
            (Ok(()), _) => Ok(true),
            (Err(error), RealTime::Required) => bail!(
                "real_time: \"required\", but this process may not set it: {error}; grant CAP_SYS_NICE, or RLIMIT_RTPRIO 2 (ulimit -r 2; LimitRTPRIO=2 in a systemd unit)"
            ),
            (Err(error), _) => {
                info!(%error, thread = level.name(), "running without real-time priority; the schedule may be kept less precisely");
                Ok(false)
            }
        }
    }
}

impl Level {
    const fn name(self) -> &'static str {
        match self {
            Level::Client => "kafka-client",
            Level::Emitter => "emitter",
        }
    }

    fn take(self) -> Result<(), io::Error> {
        let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::RoundRobin);
        let value = ThreadPriorityValue::try_from(self as u8).map_err(io::Error::other)?;
        set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Crossplatform(value), policy)
            .map_err(|error| match error {
                Error::OS(code) => io::Error::from_raw_os_error(code),
                error => io::Error::other(error),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the system permits it depends on the machine; it must be told as it is.
    #[tokio::test]
    async fn a_thread_says_what_it_is() {
        let is_real_time = || {
            let policy = thread_priority::thread_schedule_policy().unwrap();
            matches!(policy, ThreadSchedulePolicy::Realtime(_))
        };
        let ask = move |said| {
            let inherited = std::thread::spawn(is_real_time).join().unwrap();
            (said, is_real_time(), inherited)
        };
        let auto = RealTime::Auto.run(Level::Client, ask).await.unwrap();
        assert!(auto == (true, true, true) || auto == (false, false, false), "{auto:?}");
        assert_eq!(RealTime::Off.run(Level::Emitter, ask).await.unwrap(), (false, false, false));
        match RealTime::Required.run(Level::Emitter, ask).await {
            Ok(all) => assert_eq!((all, auto.0), ((true, true, true), true)),
            Err(refused) => assert!(!auto.0 && refused.to_string().contains("RLIMIT_RTPRIO"), "{refused}"),
        }
    }

    #[tokio::test]
    async fn a_panic_is_an_error() {
        let ended = RealTime::Off.run(Level::Emitter, |_| panic!("broken")).await;
        assert_eq!(ended.unwrap_err().to_string(), "thread emitter ended unexpectedly");
    }
}
