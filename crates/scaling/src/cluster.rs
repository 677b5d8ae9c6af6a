//! Load, memory and slots of the cluster: whether it should grow or may shrink, and to how many task managers.
//!
//! With ram = used heap ÷ (largest heap × heap fraction) per task manager,
//!
//! ```text
//! load      = mean of (cpu + ram) ÷ 2          memory = mean of ram
//! downtime  = state size ÷ network bandwidth × 2
//! scale out = downtime < its maximum and (memory ≥ 0.7 or load > 0.5), or load ≥ 0.7
//! scale in  = with one task manager less, the same load and memory spread over the others stay below these bounds
//! ```
//!
//! The bounds of scale-out are those of policy `latency`. Scale-in uses them against the figures as they *would* be, so that the
//! smaller cluster does not ask to grow again.

use serde::{Deserialize, Serialize};

use crate::{ClusterReport, Snapshot, TaskManager};

/// From this mean memory usage on the cluster should grow, if the downtime allows.
const MEMORY_HIGH: f64 = 0.7;
/// Above this load the cluster should grow, if the downtime allows.
const LOAD_RAISED: f64 = 0.5;
/// From this load on the cluster should grow whatever it costs.
const LOAD_HIGH: f64 = 0.7;

/// What the cluster's figures are measured against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Bandwidth at which state travels, in bytes per second.
    pub network_bytes_per_s: f64,
    /// The longest estimated downtime that a moderate load justifies, in seconds.
    pub downtime_max_s: f64,
    /// The share of the largest heap that may be filled.
    pub heap_fraction: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { network_bytes_per_s: 125_000_000.0, downtime_max_s: 180.0, heap_fraction: 0.766 }
    }
}

/// How many task managers there may be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Size {
    /// At least so many are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_managers_min: Option<u32>,
    /// At most so many are asked for. Absent: their number is not changed, and the slots that are there bound every plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_managers_max: Option<u32>,
    /// The cluster makes slots when they are asked for (Kubernetes, YARN): those that are there bound nothing.
    pub slots_on_demand: bool,
    /// How long fewer task managers must have been enough before one is given up, in seconds.
    pub scale_in_delay_s: u64,
}

impl Default for Size {
    fn default() -> Self {
        Self {
            task_managers_min: None,
            task_managers_max: None,
            slots_on_demand: false,
            scale_in_delay_s: 600,
        }
    }
}

impl Size {
    /// Every option that is out of its range, as `(option, what would be right)`.
    pub fn problems(&self) -> Vec<(&'static str, &'static str)> {
        let (min, max) = (self.task_managers_min.unwrap_or(1), self.task_managers_max.unwrap_or(u32::MAX));
        let mut problems = Vec::new();
        if min == 0 {
            problems.push(("task_managers_min", "give a number from 1 on"));
        }
        if max < min {
            problems.push(("task_managers_max", "must not be below task_managers_min, and at least 1"));
        }
        if self.slots_on_demand && self.task_managers_max.is_some() {
            problems.push((
                "slots_on_demand",
                "remove task_managers_max: the cluster itself decides on the number",
            ));
        }
        problems
    }
}

/// The cluster's figures. Each is unknown as soon as one figure that it needs is.
pub fn report(thresholds: &Thresholds, snapshot: &Snapshot) -> ClusterReport {
    let ram: Option<Vec<f64>> =
        snapshot.task_managers.iter().map(|tm| memory_usage(thresholds, tm)).collect();
    let cpu: Option<Vec<f64>> = snapshot.task_managers.iter().map(|tm| tm.cpu_load).collect();
    let memory = ram.as_deref().and_then(mean);
    let load = ram.zip(cpu).and_then(|(ram, cpu)| {
        mean(&ram.iter().zip(&cpu).map(|(ram, cpu)| (cpu + ram) / 2.0).collect::<Vec<f64>>())
    });
    let downtime = snapshot.state_size_bytes.map(|bytes| bytes / thresholds.network_bytes_per_s * 2.0);
    ClusterReport {
        cluster_load: load,
        memory_usage: memory,
        downtime_estimate_s: downtime,
        scale_out: scale_out(thresholds, memory, load, downtime),
        ..ClusterReport::default()
    }
}

fn memory_usage(thresholds: &Thresholds, tm: &TaskManager) -> Option<f64> {
    let usable_bytes = tm.heap_max_bytes.filter(|bytes| *bytes > 0.0)? * thresholds.heap_fraction;
    Some(tm.heap_used_bytes? / usable_bytes)
}

fn scale_out(
    thresholds: &Thresholds,
    memory: Option<f64>,
    load: Option<f64>,
    downtime: Option<f64>,
) -> Option<bool> {
    let (memory, load) = (memory?, load?);
    if load >= LOAD_HIGH {
        return Some(true);
    }
    Some(downtime? < thresholds.downtime_max_s && (memory >= MEMORY_HIGH || load > LOAD_RAISED))
}

/// The smallest number of task managers that would carry today's load without asking for more; unknown if the load is.
pub(crate) fn fewest(report: &ClusterReport, present: u32) -> Option<u32> {
    let (load, memory) = (report.cluster_load?, report.memory_usage?);
    let spread = |over: u32| f64::from(present) / f64::from(over);
    let enough = |over: &u32| load * spread(*over) <= LOAD_RAISED && memory * spread(*over) < MEMORY_HIGH;
    Some((1..present).find(enough).unwrap_or(present))
}

#[expect(clippy::cast_precision_loss, reason = "a cluster has far fewer than 2^52 task managers")]
fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the cluster shrinks only so far that it would not ask to grow again, and never on unknown figures.
    #[test]
    fn a_smaller_cluster_must_carry_the_load() {
        let of = |cluster_load, memory_usage| ClusterReport {
            cluster_load,
            memory_usage,
            ..ClusterReport::default()
        };
        assert_eq!(fewest(&of(Some(0.2), Some(0.2)), 4), Some(2));
        assert_eq!(fewest(&of(Some(0.1), Some(0.4)), 4), Some(3));
        assert_eq!(fewest(&of(Some(0.45), Some(0.1)), 4), Some(4));
        assert_eq!(fewest(&of(None, Some(0.1)), 4), None);
    }
}
