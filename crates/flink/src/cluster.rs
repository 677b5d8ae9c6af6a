//! The cluster: slots and task managers.

use serde::Deserialize;

use crate::lenient::count;
use crate::{Client, Error};

/// The cluster in numbers (`/overview`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Overview {
    /// Registered task managers.
    pub taskmanagers: u32,
    /// Their slots.
    #[serde(rename = "slots-total")]
    pub slots_total: u32,
    /// Slots that no job holds.
    #[serde(rename = "slots-available")]
    pub slots_available: u32,
    /// Flink's version, for example `2.3.0`.
    #[serde(rename = "flink-version", default)]
    pub flink_version: String,
}

/// One registered task manager (`/taskmanagers`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TaskManager {
    /// The resource id; a restarted task manager has a new one unless it is configured.
    pub id: String,
    /// Its slots; 0 where Flink does not tell.
    #[serde(rename = "slotsNumber", default, deserialize_with = "count")]
    pub slots: u32,
    /// Slots that no job holds.
    #[serde(rename = "freeSlots", default, deserialize_with = "count")]
    pub free_slots: u32,
}

impl Client {
    /// The cluster in numbers. Also the cheapest way to see whether the JobManager answers.
    ///
    /// # Errors
    /// Any [`Error`] of the transport.
    pub async fn overview(&self) -> Result<Overview, Error> {
        self.get("overview", &[]).await
    }

    /// All registered task managers.
    ///
    /// # Errors
    /// Any [`Error`] of the transport.
    pub async fn task_managers(&self) -> Result<Vec<TaskManager>, Error> {
        #[derive(Deserialize)]
        struct Answer {
            taskmanagers: Vec<TaskManager>,
        }
        Ok(self.get::<Answer>("taskmanagers", &[]).await?.taskmanagers)
    }
}
