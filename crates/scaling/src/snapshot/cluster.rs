//! One task manager.

use serde::{Deserialize, Serialize};

use super::Reading;

/// One task manager over the epoch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskManager {
    /// Its resource id.
    pub id: String,
    /// CPU load of its JVM, 0 to 1 of the machine.
    pub cpu_load: Option<f64>,
    /// Used heap, in bytes.
    pub heap_used_bytes: Option<f64>,
    /// Largest heap, in bytes.
    pub heap_max_bytes: Option<f64>,
    /// Slots, taken or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
    /// Slots that no task uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots_free: Option<u32>,
    /// Cores of its machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_cores: Option<u32>,
    /// Used managed memory, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_used_bytes: Option<f64>,
    /// Managed memory, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_max_bytes: Option<f64>,
    /// Time spent collecting garbage, in milliseconds per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gc_ms_per_s: Option<f64>,
    /// When these figures were read, and how good they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<Reading>,
}

impl TaskManager {
    /// Every figure that a formula uses.
    pub(super) fn figures(&self) -> [Option<f64>; 6] {
        [
            self.cpu_load,
            self.heap_used_bytes,
            self.heap_max_bytes,
            self.managed_used_bytes,
            self.managed_max_bytes,
            self.gc_ms_per_s,
        ]
    }

    /// The same figures, to be changed.
    pub(super) fn figures_mut(&mut self) -> [&mut Option<f64>; 6] {
        [
            &mut self.cpu_load,
            &mut self.heap_used_bytes,
            &mut self.heap_max_bytes,
            &mut self.managed_used_bytes,
            &mut self.managed_max_bytes,
            &mut self.gc_ms_per_s,
        ]
    }
}
