//! The node pool as written: commands per node, or the nodes of a testbed.

use std::path::PathBuf;

use serde::Deserialize;

use super::Checker;
use crate::machine::PoolNode;
use crate::pool::{Node, Pool};

/// Larger than any real pool: a larger number is a typing error.
const NODES_MOST: u64 = 1_000;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNodes {
    provider: Option<Provider>,
    command_timeout_ms: Option<u64>,
    output_bytes: Option<u64>,
    testbed_program: Option<PathBuf>,
    testbed_work: Option<PathBuf>,
    testbed_most: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Provider {
    #[default]
    Commands,
    Testbed,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNode {
    name: String,
    task_manager: Option<String>,
    start: Vec<String>,
    stop: Vec<String>,
}

impl RawNodes {
    pub(super) fn check(self, nodes: Vec<RawNode>, checker: &mut Checker) -> Pool {
        let nodes = match self.provider.unwrap_or_default() {
            Provider::Commands => commands(nodes, checker),
            Provider::Testbed => {
                if !nodes.is_empty() {
                    let remedy = "not used with nodes.provider = \"testbed\"; remove the [[node]] tables";
                    checker.problems.add("node", remedy);
                }
                self.testbed(checker)
            }
        };
        Pool {
            nodes,
            command_timeout: checker.ms("nodes.command_timeout_ms", self.command_timeout_ms, 60_000),
            output_bytes: checker.number("nodes.output_bytes", self.output_bytes, 4_096, 1 << 20),
        }
    }

    /// Returns `tm-1`, `tm-2`, … of a running testbed, which names its task managers this way.
    fn testbed(&self, checker: &mut Checker) -> Vec<Node> {
        let most = checker.number("nodes.testbed_most", self.testbed_most, 8, NODES_MOST);
        let text = |path: &Option<PathBuf>, default: &str| {
            path.as_ref().map_or_else(|| default.to_owned(), |path| path.display().to_string())
        };
        let program = text(&self.testbed_program, "testbed");
        let work = text(&self.testbed_work, "run/testbed");
        let command = |what: &[&str], name: &str| -> Vec<String> {
            let all = [&[&*program, "--work", &*work], what, &[name]].concat();
            all.into_iter().map(str::to_owned).collect()
        };
        let node = |number| {
            let name = format!("tm-{number}");
            Node {
                start: command(&["add-task-manager", "--no-wait"], &name),
                stop: command(&["stop-task-manager"], &name),
                node: PoolNode { task_manager: name.clone(), name },
            }
        };
        (1..=most).map(node).collect()
    }
}

fn commands(written: Vec<RawNode>, checker: &mut Checker) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for RawNode { name, task_manager, start, stop } in written {
        if name.is_empty() || nodes.iter().any(|node| node.node.name == name) {
            let remedy = format!("{name:?} is empty or a duplicate; give each node a unique name");
            checker.problems.add("node", remedy);
        }
        for (key, command) in [("start", &start), ("stop", &stop)] {
            if command.first().is_none_or(String::is_empty) {
                let remedy = format!("{key} is not a command; write [\"program\", \"argument\", …]");
                checker.problems.add(&format!("node {name:?}"), remedy);
            }
        }
        let task_manager = task_manager.unwrap_or_else(|| name.clone());
        nodes.push(Node { node: PoolNode { name, task_manager }, start, stop });
    }
    nodes
}
