//! How each operator can be scaled, which no metric tells.

use std::collections::BTreeMap;

use scaling::Kind;
use serde::{Deserialize, Serialize};

use crate::sample::{Role, Vertex};

/// The operators of this project's jobs that are neither continuous, nor a source, a sink or an all-window operator.
const PRESET: [(&str, Kind); 7] = [
    ("q6-seller-average", Kind::Window),
    ("q8-new-sellers", Kind::Join),
    ("q1-best-category", Kind::Window),
    ("q2-product-median", Kind::Window),
    ("q3-owner-median", Kind::Window),
    ("q4-impressions-per-click", Kind::CoGroup),
    ("q5-searches-per-click", Kind::CoGroup),
];

/// The kind of each operator by name; what is not named is told by its place in the graph.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Kinds(BTreeMap<String, Kind>);

impl Kinds {
    /// The kind of this vertex: as configured, else as preset, else by the graph. A vertex without input is a source; one
    /// that nothing reads is a sink; one that Flink gave the maximum parallelism 1 (as it does to every operator that is not
    /// parallel by nature) in a job that has wider ones is an all-window operator.
    pub(crate) fn of(&self, vertex: &Vertex, all: &[Vertex]) -> Kind {
        if let Some(kind) = self.0.get(&vertex.name) {
            return *kind;
        }
        // Without edges, what the name says has to do.
        let has_edges = all.iter().any(|other| !other.inputs.is_empty());
        let role = vertex.role.filter(|_| !has_edges);
        if role == Some(Role::Source) || (role.is_none() && vertex.inputs.is_empty()) {
            return Kind::Source;
        }
        if vertex.max_parallelism == 1 && all.iter().any(|other| other.max_parallelism > 1) {
            return Kind::AllWindow;
        }
        if let Some((_, kind)) = PRESET.iter().find(|(name, _)| *name == vertex.name) {
            return *kind;
        }
        if let Some(role) = role {
            return if role == Role::Sink { Kind::Sink } else { Kind::Continuous };
        }
        let is_read = all.iter().flat_map(|other| &other.inputs).any(|input| input.from == vertex.name);
        if is_read { Kind::Continuous } else { Kind::Sink }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Input;

    fn vertex(name: &str, inputs: &[&str], max_parallelism: u32) -> Vertex {
        Vertex {
            name: name.to_owned(),
            parallelism: 1,
            max_parallelism,
            inputs: inputs
                .iter()
                .map(|name| Input { from: (*name).to_owned(), ..Input::default() })
                .collect(),
            ..Vertex::default()
        }
    }

    /// Goal: the graph tells most kinds, the preset some, and configuration has the last word.
    #[test]
    fn kinds_come_from_configuration_preset_and_graph() {
        let all = [
            vertex("source-bid", &[], 128),
            vertex("q7-bid-item", &["source-bid"], 128),
            vertex("q7-highest-bid", &["q7-bid-item"], 1),
            vertex("q8-new-sellers", &["source-bid"], 128),
            vertex("sink-q7", &["q7-highest-bid"], 128),
        ];
        let of = |kinds: &Kinds| all.iter().map(|vertex| kinds.of(vertex, &all)).collect::<Vec<_>>();
        let mut expected = [Kind::Source, Kind::Continuous, Kind::AllWindow, Kind::Join, Kind::Sink];
        assert_eq!(of(&Kinds::default()), expected);
        let configured = Kinds(BTreeMap::from([("q7-bid-item".to_owned(), Kind::Window)]));
        expected[1] = Kind::Window;
        assert_eq!(of(&configured), expected);
    }
}
