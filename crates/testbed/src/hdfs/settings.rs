//! The HDFS settings as written; validated with the others in `config.rs`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Settings of HDFS. Off by default: it takes about 350 MB of memory and ten seconds of the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HdfsSettings {
    /// Whether HDFS runs, and Flink stores checkpoints and savepoints in it.
    pub enabled: bool,
    /// Port of the NameNode on 127.0.0.1 for `hdfs://`; 0: a free one.
    pub port: u16,
    /// Port of the NameNode on 127.0.0.1 for WebHDFS; 0: a free one.
    pub http_port: u16,
    /// Maximum heap of NameNode and of DataNode, in MiB.
    pub heap_mib: u32,
    /// Further JVM options of both.
    pub jvm_options: Vec<String>,
    /// Further settings of `hdfs-site.xml`, which override the testbed's.
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

/// Settings that the testbed derives itself; overriding them would disconnect it from its own services.
pub(crate) const OWNED_KEYS: [&str; 4] =
    ["fs.defaultFS", "dfs.namenode.http-address", "dfs.namenode.name.dir", "dfs.datanode.data.dir"];
