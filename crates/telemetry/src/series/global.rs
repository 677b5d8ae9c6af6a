//! What a store knows beside the readings of tasks: partitions of sources, task managers, the size of the state.

use std::collections::{BTreeMap, BTreeSet};

use flink::graphite_component;

use super::{Assembler, Point};
use crate::mapping::{GlobalMetric, Subject};
use crate::names;
use crate::sample::{TaskManager, Vertex};

impl Assembler {
    /// Counts the partitions that the subtasks of a source read. As long as one subtask is silent, it may read some that are not known.
    pub(super) fn count_partitions(
        &self,
        vertex: &mut Vertex,
        newest: &BTreeMap<&Subject, &[Point]>,
        now_ms: i64,
    ) {
        let name = graphite_component(&vertex.name);
        let mut all = BTreeSet::new();
        let mut of_subtask: BTreeMap<usize, BTreeSet<&str>> = BTreeMap::new();
        for (subject, points) in newest {
            let Subject::Partition { job, operator, subtask, partition } = subject else { continue };
            let is_same =
                || names::chain(operator).0.first().is_some_and(|head| graphite_component(head) == name);
            if self.is_job(job) && self.fresh_value(points, now_ms).is_some() && is_same() {
                all.insert(partition.as_str());
                of_subtask.entry(*subtask as usize).or_default().insert(partition);
            }
        }
        if all.is_empty() || vertex.subtasks.iter().any(|subtask| subtask.at_ms.is_none()) {
            return;
        }
        let count = |set: Option<&BTreeSet<&str>>| u32::try_from(set.map_or(0, BTreeSet::len)).ok();
        vertex.source_partitions = count(Some(&all));
        for (index, subtask) in vertex.subtasks.iter_mut().enumerate() {
            subtask.partitions = count(of_subtask.get(&index));
        }
    }

    pub(super) fn task_managers(
        &self,
        newest: &BTreeMap<&Subject, &[Point]>,
        now_ms: i64,
    ) -> Vec<TaskManager> {
        let mut by_id: BTreeMap<&str, TaskManager> = BTreeMap::new();
        for (subject, points) in newest {
            let Subject::TaskManager { id, figure } = subject else { continue };
            let value = self.fresh_value(points, now_ms).filter(|value| names::is_plausible(*value));
            let Some(value) = value else { continue };
            let entry =
                by_id.entry(id).or_insert_with(|| TaskManager { id: id.clone(), ..TaskManager::default() });
            let field = match figure {
                GlobalMetric::CpuLoad => &mut entry.cpu_load,
                GlobalMetric::HeapUsed => &mut entry.heap_used_bytes,
                GlobalMetric::HeapMax => &mut entry.heap_max_bytes,
                GlobalMetric::ManagedUsed => &mut entry.managed_used_bytes,
                GlobalMetric::ManagedMax => &mut entry.managed_max_bytes,
                GlobalMetric::GcMs => &mut entry.gc_ms,
                GlobalMetric::StateSize | GlobalMetric::StoredSize => continue,
            };
            *field = Some(value);
        }
        by_id.into_values().collect()
    }

    /// The job's own figure, once, however many series hold it; Flink writes −1 before the first checkpoint.
    pub(super) fn state_size_bytes(&self, newest: &BTreeMap<&Subject, &[Point]>, now_ms: i64) -> Option<f64> {
        newest.iter().find_map(|(subject, points)| match subject {
            Subject::Job { job, figure: GlobalMetric::StateSize } if self.is_job(job) => {
                self.fresh_value(points, now_ms).filter(|bytes| names::is_plausible(*bytes))
            }
            _ => None,
        })
    }

    /// What a state probe has written. It looks more rarely than metrics are reported, so anything within the lookback counts.
    pub(super) fn stored_size_bytes(&self, newest: &BTreeMap<&Subject, &[Point]>) -> Option<f64> {
        newest.iter().find_map(|(subject, points)| match subject {
            Subject::Job { job, figure: GlobalMetric::StoredSize } if self.is_job(job) => {
                points.last().map(|(_, bytes)| *bytes).filter(|bytes| names::is_plausible(*bytes))
            }
            _ => None,
        })
    }
}
