//! Requests about the cluster: slots and task managers.

use serde::Deserialize;

use crate::lenient::count;
use crate::{Client, Error};

/// Overview of the cluster (`/overview`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Overview {
    /// Number of registered task managers.
    pub taskmanagers: u32,
    /// Total number of slots.
    #[serde(rename = "slots-total")]
    pub slots_total: u32,
    /// Number of free slots.
    #[serde(rename = "slots-available")]
    pub slots_available: u32,
    /// Flink's version, for example `2.3.0`.
    #[serde(rename = "flink-version", default)]
    pub flink_version: String,
}

/// One registered task manager (`/taskmanagers`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TaskManager {
    /// The resource id; a restarted task manager gets a new one unless configured.
    pub id: String,
    /// Number of slots; 0 where unknown.
    #[serde(rename = "slotsNumber", default, deserialize_with = "count")]
    pub slots: u32,
    /// Number of free slots.
    #[serde(rename = "freeSlots", default, deserialize_with = "count")]
    pub free_slots: u32,
}

impl Client {
    /// Fetches the overview of the cluster. Also the cheapest check whether the JobManager responds.
    ///
    /// # Errors
    /// Any [`Error`] of the transport.
    pub async fn overview(&self) -> Result<Overview, Error> {
        self.get("overview", &[]).await
    }

    /// Fetches all registered task managers.
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
