//! The job graph from Flink's REST interface: names of the vertices and their inputs.

use std::collections::{BTreeMap, BTreeSet};

use flink::{JobDetails, VertexId};

use crate::names;
use crate::sample::{Input, Role, Vertex};

/// Minimum number of characters of the id behind a name that several vertices share.
const ID_LETTERS_MIN: usize = 8;

/// The graph of a job, which is derived again only when it or the state of a task changes: with many vertices that is more work than the
/// rest of a sample.
#[derive(Debug, Default)]
pub(super) struct Graph {
    derived_of: Option<JobDetails>,
    vertices: Vec<Vertex>,
    names: BTreeMap<VertexId, String>,
}

impl Graph {
    pub(super) fn renew(&mut self, details: &JobDetails) {
        if self.derived_of.as_ref().is_some_and(|before| before.has_same_graph(details)) {
            return;
        }
        self.vertices = alive(details).map(|vertex| bare(details, vertex)).collect();
        let named = |vertex: &flink::Vertex| (vertex.id.clone(), name(details, vertex));
        self.names = details.vertices.iter().map(named).collect();
        self.derived_of = Some(details.clone());
    }

    /// Returns the vertices without readings, in the order of [`alive`].
    pub(super) fn vertices(&self) -> &[Vertex] {
        &self.vertices
    }

    /// Returns the name of a vertex.
    pub(super) fn name(&self, id: &str) -> Option<String> {
        self.names.get(&id.parse::<VertexId>().ok()?).cloned()
    }
}

/// Returns the vertices that are not finished: a vertex at the end of a bounded input is not scaled any more.
pub(super) fn alive(details: &JobDetails) -> impl Iterator<Item = &flink::Vertex> {
    details.vertices.iter().filter(|vertex| !vertex.is_finished())
}

/// Returns a vertex without readings.
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

/// Whether the inputs of this vertex are known from the plan. A job with one vertex needs no plan. Otherwise they are unknown if the
/// vertex is missing in the plan, has edges to unknown vertices, or has no inputs in a plan without any edge, unless its name is that of a
/// source.
fn knows_inputs(details: &JobDetails, vertex: &flink::Vertex) -> bool {
    if details.vertices.len() <= 1 {
        return true;
    }
    let Some(node) = details.plan().iter().find(|node| node.id == vertex.id) else { return false };
    let is_vertex = |edge: &flink::Edge| details.vertices.iter().any(|other| other.id == edge.id);
    let has_edges = details.plan().iter().any(|node| !node.inputs.is_empty());
    node.inputs.iter().all(is_vertex) && (has_edges || names::chain(&vertex.name).1 == Role::Source)
}

/// Returns the name of the vertex's first operator, followed by the beginning of the id if several vertices share it.
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

/// Returns the vertices that feed this one, without duplicates: two edges from the same vertex carry the same records.
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
