//! The graph as the JobManager's picture of a job tells it: what the vertices are called, and what feeds them.

use std::collections::BTreeSet;

use flink::{JobDetails, VertexId};

use crate::names;
use crate::sample::{Input, Role, Vertex};

/// Of vertices with the same name so many letters of the id are shown at least.
const ID_LETTERS_MIN: usize = 8;

/// The vertices that still read: those that have read a bounded input to its end are not scaled any more.
pub(super) fn alive(details: &JobDetails) -> impl Iterator<Item = &flink::Vertex> {
    details.vertices.iter().filter(|vertex| !vertex.is_finished())
}

/// A vertex without readings.
pub(super) fn bare(details: &JobDetails, vertex: &flink::Vertex) -> Vertex {
    let inputs = inputs(details, &vertex.id);
    let node = details.plan().iter().find(|node| node.id == vertex.id);
    // A vertex whose inputs have all ended is no source.
    let has_lost_inputs = inputs.is_empty() && node.is_some_and(|node| !node.inputs.is_empty());
    let has_unknown_inputs = has_lost_inputs || !knows_inputs(details, vertex);
    Vertex {
        name: name(details, vertex),
        id: Some(vertex.id.to_string()),
        parallelism: vertex.parallelism,
        max_parallelism: vertex.max_parallelism,
        inputs,
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
    let twins =
        || details.vertices.iter().filter(|other| other.id != vertex.id && other.head_operator() == head);
    if twins().next().is_none() {
        return head.to_owned();
    }
    let id = vertex.id.as_str();
    let is_own = |length: &usize| twins().all(|twin| !twin.id.as_str().starts_with(&id[..*length]));
    let length = (ID_LETTERS_MIN..id.len()).find(is_own).unwrap_or(id.len());
    format!("{head} {}", &id[..length])
}

/// The vertices that feed this one, each once: two edges from the same vertex carry the same records.
fn inputs(details: &JobDetails, vertex: &VertexId) -> Vec<Input> {
    let node = details.plan().iter().find(|node| node.id == *vertex);
    let by_id = |id: &VertexId| alive(details).find(|vertex| vertex.id == *id);
    let edges = node.map_or(&[][..], |node| node.inputs.as_slice());
    let mut seen = BTreeSet::new();
    let named = edges.iter().filter_map(|edge| {
        let from = name(details, by_id(&edge.id)?);
        Some(Input { from, ship_strategy: edge.ship_strategy.clone() })
    });
    named.filter(|input| seen.insert(input.from.clone())).collect()
}
