//! Resource requirements of jobs, and their resulting parallelism.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::scenario::{Bounds, Job, Vertex};

/// The changes of one job's requirements.
#[derive(Debug, Clone, Default)]
pub(crate) struct Required {
    by_vertex: BTreeMap<String, Bounds>,
    /// When a change last took effect, in seconds since the start of the stand-in.
    pub(crate) changed_s: Option<f64>,
}

/// Why a change is rejected, in Flink's words.
pub(crate) struct RejectedChange(pub(crate) String);

impl Required {
    /// Returns the bounds of a vertex: as last set, or from the scenario, or up to the current parallelism.
    pub(crate) fn bounds(&self, job: &Job, vertex: &Vertex) -> Bounds {
        let set = self.by_vertex.get(&vertex.id).or_else(|| job.requirements.get(&vertex.id));
        set.copied().unwrap_or(Bounds { lower_bound: 1, upper_bound: count(vertex.parallelism).max(1) })
    }

    /// Returns the parallelism of a vertex.
    pub(crate) fn parallelism(&self, job: &Job, vertex: &Vertex) -> i64 {
        match self.by_vertex.get(&vertex.id) {
            Some(bounds) => i64::from(bounds.upper_bound.min(job.slots.unwrap_or(u32::MAX))),
            None => vertex.parallelism,
        }
    }

    /// Returns the response of `GET resource-requirements`.
    pub(crate) fn answer(&self, job: &Job) -> Value {
        let one = |vertex: &Vertex| {
            let bounds = self.bounds(job, vertex);
            (vertex.id.clone(), json!({ "parallelism": bounds }))
        };
        Value::Object(job.vertices.iter().map(one).collect())
    }

    /// Applies `PUT resource-requirements`: bounds for every vertex, none above its maximum.
    pub(crate) fn change(&mut self, job: &Job, body: &[u8], elapsed_s: f64) -> Result<(), RejectedChange> {
        #[derive(serde::Deserialize)]
        struct Requirement {
            parallelism: Bounds,
        }
        let wanted: BTreeMap<String, Requirement> = serde_json::from_slice(body)
            .map_err(|error| RejectedChange(format!("Bad request received: {error}")))?;
        for vertex in &job.vertices {
            let Some(requirement) = wanted.get(&vertex.id) else {
                return Err(RejectedChange(format!(
                    "The request was incomplete, missing bounds for vertex {}.",
                    vertex.id
                )));
            };
            let Bounds { lower_bound, upper_bound } = requirement.parallelism;
            let most = vertex.max_parallelism.filter(|most| *most > 0).unwrap_or(128);
            if lower_bound > upper_bound || lower_bound == 0 {
                return Err(RejectedChange(format!(
                    "The requested lower bound {lower_bound} is not within 1..={upper_bound}."
                )));
            }
            if i64::from(upper_bound) > most {
                return Err(RejectedChange(format!(
                    "The newly requested parallelism {upper_bound} for vertex {} exceeds its maximum parallelism {most}.",
                    vertex.id
                )));
            }
        }
        if let Some(unknown) = wanted.keys().find(|id| job.vertices.iter().all(|vertex| vertex.id != **id)) {
            return Err(RejectedChange(format!("Unknown job vertex {unknown}.")));
        }
        let before: Vec<i64> = job.vertices.iter().map(|vertex| self.parallelism(job, vertex)).collect();
        self.by_vertex = wanted.into_iter().map(|(id, requirement)| (id, requirement.parallelism)).collect();
        let after: Vec<i64> = job.vertices.iter().map(|vertex| self.parallelism(job, vertex)).collect();
        if before != after {
            self.changed_s = Some(elapsed_s);
        }
        Ok(())
    }
}

/// Converts a parallelism to a count; an undecided one counts as 0.
pub(crate) fn count(parallelism: i64) -> u32 {
    u32::try_from(parallelism.max(0)).unwrap_or(u32::MAX)
}
