//! The graph as the JobManager's picture of a job tells it: what the vertices are called, and what feeds them.

use std::collections::BTreeSet;

use flink::{JobDetails, VertexId};

use crate::names;
use crate::sample::{Input, Role, Vertex};

/// A vertex without readings.
pub(super) fn bare(details: &JobDetails, vertex: &flink::Vertex) -> Vertex {
    let has_unknown_inputs = !knows_inputs(details, vertex);
    Vertex {
        name: name(details, vertex),
        id: Some(vertex.id.to_string()),
        parallelism: vertex.parallelism,
        max_parallelism: vertex.max_parallelism,
        inputs: inputs(details, &vertex.id),
        has_unknown_inputs,
        slot_sharing_group: vertex.slot_sharing_group.clone(),
        // Without edges, its name has to do.
        role: has_unknown_inputs.then(|| names::chain(&vertex.name).1),
        ..Vertex::default()
    }
}

/// Whether the plan tells what feeds this vertex. A job of one vertex needs no plan. In one of several, a vertex that is missing in
/// the plan, or that the plan has edges to nowhere for, is fed in a way that is not known; so is one without inputs in a plan without a
/// single edge, unless its name says that it is a source.
fn knows_inputs(details: &JobDetails, vertex: &flink::Vertex) -> bool {
    if details.vertices.len() <= 1 {
        return true;
    }
    let Some(node) = details.plan().iter().find(|node| node.id == vertex.id) else { return false };
    let is_vertex = |edge: &flink::Edge| details.vertices.iter().any(|other| other.id == edge.id);
    let has_edges = details.plan().iter().any(|node| !node.inputs.is_empty());
    node.inputs.iter().all(is_vertex) && (has_edges || names::chain(&vertex.name).1 == Role::Source)
}

/// The name of its first operator; of several vertices with the same one, each has the beginning of its id behind it.
pub(super) fn name(details: &JobDetails, vertex: &flink::Vertex) -> String {
    let head = vertex.head_operator();
    if details.vertices.iter().filter(|other| other.head_operator() == head).count() == 1 {
        return head.to_owned();
    }
    let id: String = vertex.id.to_string().chars().take(8).collect();
    format!("{head} {id}")
}

/// The vertices that feed this one, each once: two edges from the same vertex carry the same records.
fn inputs(details: &JobDetails, vertex: &VertexId) -> Vec<Input> {
    let node = details.plan().iter().find(|node| node.id == *vertex);
    let by_id = |id: &VertexId| details.vertices.iter().find(|vertex| vertex.id == *id);
    let edges = node.map_or(&[][..], |node| node.inputs.as_slice());
    let mut seen = BTreeSet::new();
    let named = edges.iter().filter_map(|edge| {
        let from = name(details, by_id(&edge.id)?);
        Some(Input { from, ship_strategy: edge.ship_strategy.clone() })
    });
    named.filter(|input| seen.insert(input.from.clone())).collect()
}
