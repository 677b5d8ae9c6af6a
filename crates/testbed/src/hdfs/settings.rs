//! Settings of HDFS as a person writes them; checked together with the others in `config.rs`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Settings of HDFS. Off by default: it takes some 350 MB of memory and ten seconds of a start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HdfsSettings {
    /// Whether HDFS runs, and Flink keeps checkpoints and savepoints in it.
    pub enabled: bool,
    /// Port of the NameNode on 127.0.0.1 for `hdfs://`; 0 takes a free one.
    pub port: u16,
    /// Port of the NameNode on 127.0.0.1 for WebHDFS; 0 takes a free one.
    pub http_port: u16,
    /// Largest heap of NameNode and of DataNode, MiB.
    pub heap_mib: u32,
    /// Further options of both JVMs.
    pub jvm_options: Vec<String>,
    /// Further settings of `hdfs-site.xml`; they win over the testbed's own.
    pub settings: BTreeMap<String, String>,
}

impl Default for HdfsSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            port: 0,
            http_port: 0,
            heap_mib: 192,
            jvm_options: ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"].map(str::to_owned).into(),
            settings: BTreeMap::new(),
        }
    }
}

/// Settings that the testbed derives itself; setting them by hand would cut it off from its own services.
pub(crate) const OWNED_KEYS: [&str; 4] =
    ["fs.defaultFS", "dfs.namenode.http-address", "dfs.namenode.name.dir", "dfs.datanode.data.dir"];
