//! The kind of each operator, which determines how it is scaled: from the configuration, else from its metrics and the graph.

use std::collections::BTreeMap;

use scaling::Kind;
use serde::{Deserialize, Serialize};

use crate::sample::{Role, Vertex};

/// Configured kinds by operator name; other operators get theirs from the graph.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Kinds(BTreeMap<String, Kind>);

impl Kinds {
    /// The kind of this vertex: as configured, else by its metrics and the graph. A vertex without input is a source; one that
    /// Flink gave the maximum parallelism 1 (as it does to every operator that is not parallel by nature) in a job that has wider
    /// ones is an all-window operator; one with metrics that only windows have is a window, or a co-group if it has two inputs;
    /// of the others, one that nothing reads is a sink. (A window join is a co-group that pairs what it has collected, and is scaled
    /// as one.)
    pub(crate) fn kind_of(&self, vertex: &Vertex, all: &[Vertex]) -> Kind {
        if let Some(kind) = self.0.get(&vertex.name) {
            return *kind;
        }
        // Without known edges only the name remains.
        let has_edges = all.iter().any(|other| !other.inputs.is_empty());
        let role = vertex.role.filter(|_| !has_edges || vertex.has_unknown_inputs);
        let has_no_inputs = vertex.inputs.is_empty() && !vertex.has_unknown_inputs;
        if role == Some(Role::Source) || (role.is_none() && has_no_inputs) {
            return Kind::Source;
        }
        if vertex.max_parallelism == 1 && all.iter().any(|other| other.max_parallelism > 1) {
            return Kind::AllWindow;
        }
        if is_windowed(vertex) {
            return if has_two_inputs(vertex) { Kind::CoGroup } else { Kind::Window };
        }
        if let Some(role) = role {
            return if role == Role::Sink { Kind::Sink } else { Kind::Continuous };
        }
        let is_read = all.iter().flat_map(|other| &other.inputs).any(|input| input.from == vertex.name);
        if is_read { Kind::Continuous } else { Kind::Sink }
    }
}

/// Whether the operator has metrics of windows: Flink's own counter of late records, or the sizes of windows of this project's jobs.
fn is_windowed(vertex: &Vertex) -> bool {
    vertex.is_windowed || has_histogram(vertex, "windowSize")
}

fn has_two_inputs(vertex: &Vertex) -> bool {
    vertex.inputs.len() > 1 || has_histogram(vertex, "waitingTimeInput2")
}

fn has_histogram(vertex: &Vertex, name: &str) -> bool {
    let mut all = vertex.subtasks.iter();
    all.any(|subtask| subtask.histograms.contains_key(name) || subtask.means.contains_key(name))
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

    fn windowed(vertex: Vertex) -> Vertex {
        Vertex { is_windowed: true, ..vertex }
    }

    /// Goal: the graph tells most kinds, metrics of windows the others, and configuration has the last word.
    #[test]
    fn kinds_come_from_configuration_metrics_and_graph() {
        let all = [
            vertex("source-bid", &[], 128),
            vertex("q7-bid-item", &["source-bid"], 128),
            windowed(vertex("q7-highest-bid", &["q7-bid-item"], 1)),
            windowed(vertex("new-sellers", &["source-bid", "source-other"], 128)),
            windowed(vertex("average", &["source-bid"], 128)),
            vertex("sink-q7", &["q7-highest-bid"], 128),
        ];
        let of = |kinds: &Kinds| all.iter().map(|vertex| kinds.kind_of(vertex, &all)).collect::<Vec<_>>();
        let mut expected =
            [Kind::Source, Kind::Continuous, Kind::AllWindow, Kind::CoGroup, Kind::Window, Kind::Sink];
        assert_eq!(of(&Kinds::default()), expected);
        let configured = Kinds(BTreeMap::from([
            ("q7-bid-item".to_owned(), Kind::Window),
            ("new-sellers".to_owned(), Kind::Join),
        ]));
        (expected[1], expected[3]) = (Kind::Window, Kind::Join);
        assert_eq!(of(&configured), expected);
    }

    /// Goal: this project's windows are told by the sizes that they count, in a store as well, where names tell no edges.
    #[test]
    fn sizes_of_windows_tell_windows() {
        let with = |names: &[&str]| {
            let means = names.iter().map(|name| ((*name).to_owned(), 1.0)).collect();
            let subtasks = vec![crate::sample::Subtask { means, ..Default::default() }];
            Vertex { role: Some(Role::Inner), subtasks, ..vertex("q", &[], 0) }
        };
        let kind = |vertex: Vertex| Kinds::default().kind_of(&vertex, std::slice::from_ref(&vertex));
        assert_eq!(kind(with(&["windowSize"])), Kind::Window);
        assert_eq!(kind(with(&["windowSize", "waitingTimeInput2"])), Kind::CoGroup);
        assert_eq!(kind(with(&["latency"])), Kind::Continuous);
    }

    /// Goal: a vertex whose inputs are not known is a source only if its name says so.
    #[test]
    fn an_unknown_graph_makes_no_sources() {
        let unknown = |name: &str, role| Vertex {
            has_unknown_inputs: true,
            role: Some(role),
            ..vertex(name, &[], 128)
        };
        let all = [unknown("a", Role::Source), unknown("b", Role::Inner), unknown("c", Role::Sink)];
        let kinds: Vec<Kind> = all.iter().map(|vertex| Kinds::default().kind_of(vertex, &all)).collect();
        assert_eq!(kinds, [Kind::Source, Kind::Continuous, Kind::Sink]);
    }
}
