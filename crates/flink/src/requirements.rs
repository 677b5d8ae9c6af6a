//! Resource requirements: bounds of each vertex' parallelism, and whether a job can be rescaled by them.

use std::collections::BTreeMap;
use std::fmt;

use http_client::Method;
use serde::{Deserialize, Serialize};

use crate::{Client, Error, JobId, VertexId};

/// Bounds of a vertex' parallelism. Flink starts the job if there are slots for all lower bounds, and uses as many as
/// there are up to the upper ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// Lower bound, at least 1.
    #[serde(rename = "lowerBound")]
    pub lower: u32,
    /// Upper bound.
    #[serde(rename = "upperBound")]
    pub upper: u32,
}

/// Whether a job can be rescaled in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InPlace {
    /// Possible; these are its current requirements.
    Possible(BTreeMap<VertexId, Requirement>),
    /// Permanently impossible.
    Impossible(Obstacle),
}

/// Why a job cannot be rescaled in place, with the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// Another scheduler than the adaptive one.
    Scheduler,
    /// The adaptive scheduler in reactive mode, which uses all slots by itself.
    Reactive,
    /// A Flink version without resource requirements.
    Version(String),
}

impl Obstacle {
    /// Returns the obstacle in an error of Flink, if it is one.
    pub fn from_error(error: &Error) -> Option<Self> {
        let Error::Status { message, .. } = error else { return None };
        if message.contains("running in reactive mode") {
            return Some(Self::Reactive);
        }
        let is_unsupported = message.contains("UnsupportedOperationException")
            || message.contains("does not support changing the parallelism");
        is_unsupported.then_some(Self::Scheduler)
    }

    /// Whether a message (of a config agent, for example) contains one of these reasons.
    pub fn is_named_in(message: &str) -> bool {
        [Self::Scheduler, Self::Reactive].iter().any(|obstacle| message.contains(&obstacle.to_string()))
            || message.contains("cannot rescale a job in place")
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheduler => f.write_str(
                "the cluster does not use the adaptive scheduler, so Flink cannot rescale this job in place; \
                 set `jobmanager.scheduler: adaptive` in Flink's configuration and submit the job again",
            ),
            Self::Reactive => f.write_str(
                "the cluster runs in reactive mode, in which Flink itself takes all slots; \
                 remove `scheduler-mode: reactive` and set `jobmanager.scheduler: adaptive` in Flink's configuration",
            ),
            Self::Version(version) => write!(
                f,
                "Flink {version} cannot rescale a job in place; use Flink 1.18 or newer with `jobmanager.scheduler: adaptive`, \
                 or a config agent that restarts the job"
            ),
        }
    }
}

impl Client {
    /// Fetches the bounds of each vertex' parallelism (adaptive scheduler only).
    ///
    /// # Errors
    /// Any [`Error`] of the transport; with another scheduler 500, before Flink 1.18 404.
    pub async fn requirements(&self, job: &JobId) -> Result<BTreeMap<VertexId, Requirement>, Error> {
        let answer: BTreeMap<VertexId, Wrapped> =
            self.get(&format!("jobs/{job}/resource-requirements"), &[]).await?;
        Ok(answer.into_iter().map(|(id, wrapped)| (id, wrapped.parallelism)).collect())
    }

    /// Sets the bounds of each vertex' parallelism in a running job (adaptive scheduler only). Every vertex must be
    /// named. Idempotent.
    ///
    /// # Errors
    /// [`Error::Status`] with 400 if a vertex is missing, unknown or above its maximum, else any [`Error`] of the
    /// transport.
    pub async fn require(
        &self,
        job: &JobId,
        requirements: &BTreeMap<VertexId, Requirement>,
    ) -> Result<(), Error> {
        let wrapped = requirements.iter().map(|(id, bounds)| (id.as_str(), Wrapped { parallelism: *bounds }));
        let body: BTreeMap<&str, Wrapped> = wrapped.collect();
        let path = format!("jobs/{job}/resource-requirements");
        self.send::<serde_json::Value>(Method::PUT, &path, &body).await.map(drop)
    }

    /// Checks whether the job can be rescaled in place, without a change.
    ///
    /// # Errors
    /// Any [`Error`] of the transport that leaves it unknown.
    pub async fn in_place(&self, job: &JobId) -> Result<InPlace, Error> {
        let requirements = match self.requirements(job).await {
            Ok(requirements) => requirements,
            Err(error) => {
                let obstacle = match Obstacle::from_error(&error) {
                    None if error.is_not_found() => self.too_old().await?,
                    obstacle => obstacle,
                };
                return obstacle.map(InPlace::Impossible).ok_or(error);
            }
        };
        Ok(match self.is_reactive(job).await {
            Some(true) => InPlace::Impossible(Obstacle::Reactive),
            _ => InPlace::Possible(requirements),
        })
    }

    async fn too_old(&self) -> Result<Option<Obstacle>, Error> {
        let version = self.overview().await?.flink_version;
        let is_old = has_no_requirements(&version);
        Ok(is_old.then_some(Obstacle::Version(version)))
    }

    /// Whether the configuration enables reactive mode; `None` if it is not shown.
    async fn is_reactive(&self, job: &JobId) -> Option<bool> {
        let shown = self.configuration(Some(job)).await.ok()??;
        Some(shown.get("scheduler-mode").is_some_and(|mode| mode.eq_ignore_ascii_case("reactive")))
    }
}

#[derive(Serialize, Deserialize)]
struct Wrapped {
    parallelism: Requirement,
}

/// Whether this version is older than 1.18. An unreadable one is not.
fn has_no_requirements(version: &str) -> bool {
    let mut parts = version.split('.').map(str::parse::<u32>);
    matches!((parts.next(), parts.next()), (Some(Ok(1)), Some(Ok(minor))) if minor < 18)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: permanent rejections are distinguished from transient ones, with the remedy.
    #[test]
    fn obstacles_are_recognised() {
        let status = |status, message: &str| Error::Status {
            url: "http://x".to_owned(),
            status,
            message: message.to_owned(),
        };
        let default = "java.lang.UnsupportedOperationException: The DefaultScheduler does not support changing the parallelism";
        assert_eq!(Obstacle::from_error(&status(500, default)), Some(Obstacle::Scheduler));
        let reactive = "Cannot change the parallelism of a job running in reactive mode.";
        assert_eq!(Obstacle::from_error(&status(500, reactive)), Some(Obstacle::Reactive));
        assert_eq!(Obstacle::from_error(&status(503, "leader election")), None);
        for (version, is_old) in
            [("1.17.2", true), ("1.18.0", false), ("2.3.0", false), ("", false), ("1.x", false)]
        {
            assert_eq!(has_no_requirements(version), is_old, "{version}");
        }
        assert!(Obstacle::Scheduler.to_string().contains("jobmanager.scheduler: adaptive"));
    }
}
