//! The names of a job's operators in documents, where they differ from those in snapshots.

use std::collections::BTreeMap;

use scaling::{Decision, Snapshot};

use crate::status::RunningDocument;

/// The operators' names in documents, by operator name, for operators without a uid.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OperatorNames(BTreeMap<String, String>);

impl OperatorNames {
    /// Creates the map from operator name to name in documents.
    pub fn new(names: BTreeMap<String, String>) -> Self {
        Self(names)
    }

    /// Returns whether both have the same operators, whatever their names in documents.
    pub fn has_same_operators(&self, other: &Self) -> bool {
        self.0.keys().eq(other.0.keys())
    }

    /// Returns the name of an operator in documents.
    pub(crate) fn in_documents<'n>(&'n self, operator: &'n String) -> &'n String {
        self.0.get(operator).unwrap_or(operator)
    }

    /// Returns the decision with the current parallelism added for every operator that it leaves alone and that runs
    /// wider than its entry in the document. After a partial change or a manual rescale, the entry would otherwise
    /// scale it down without a plan.
    pub(crate) fn with_what_runs(
        &self,
        decision: &Decision,
        running: &RunningDocument,
        snapshot: &Snapshot,
    ) -> Decision {
        let mut decision = decision.clone();
        let entries = &running.document().parallelism().operators;
        for operator in &snapshot.operators {
            let entry = entries.get(self.in_documents(&operator.name));
            if entry.is_some_and(|entry| *entry < operator.parallelism) {
                decision.parallelism.entry(operator.name.clone()).or_insert(operator.parallelism);
            }
        }
        decision
    }

    /// Returns the decision with the document's operator names. An operator named by its vertex id gets an entry of
    /// its own instead of the default.
    pub fn in_document(&self, decision: &Decision) -> Decision {
        let mut decision = decision.clone();
        if !self.0.is_empty() {
            decision.default_parallelism = None;
            let named = decision.parallelism.iter();
            decision.parallelism = named.map(|(name, p)| (self.in_documents(name).clone(), *p)).collect();
        }
        decision
    }
}
