//! Replaces default addresses and names in configuration texts by a tenant's.
//!
//! The files in `configs` are written for the default ports and names, so that each is valid as it stands. Texts
//! without them stay unchanged.

use std::path::Path;

const DEFAULT_KAFKA: &str = "127.0.0.1:9092";
const DEFAULT_FLINK: &str = "http://127.0.0.1:8081";
const DEFAULT_DROP: &str = "http://127.0.0.1:8460";
const DEFAULT_PAGE: &str = "127.0.0.1:8462";
/// Names of the benchmarks, which are also the names of their jobs and consumer groups in the files.
const BENCHMARKS: [&str; 2] = ["nexmark", "psm"];

/// Names that separate the tenants of one cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TenantNames {
    tenant: Option<String>,
}

impl TenantNames {
    /// Returns the default names, for the only tenant of a cluster.
    pub fn plain() -> Self {
        Self::default()
    }

    /// Returns names with the tenant's prefix.
    pub fn new(tenant: &str) -> Self {
        Self { tenant: Some(tenant.to_owned()) }
    }

    /// Returns this tenant's name of a topic, job or consumer group.
    pub fn own(&self, name: &str) -> String {
        format!("{}{name}", self.prefix())
    }

    fn prefix(&self) -> String {
        self.tenant.as_ref().map(|tenant| format!("{tenant}-")).unwrap_or_default()
    }

    /// Replaces names in a text. Transactional ids begin with the job's name, and so need no replacement.
    fn replace(&self, mut text: String) -> String {
        if self.tenant.is_none() {
            return text;
        }
        for benchmark in BENCHMARKS {
            for key in ["job", "group_id"] {
                let own = format!("{key} = \"{}\"", self.own(benchmark));
                text = text.replace(&format!("{key} = \"{benchmark}\""), &own);
            }
            for topic in ["results", "dead_letters"].map(|topic| format!("{benchmark}_{topic}")) {
                text = text.replace(&format!("\"{topic}\""), &format!("\"{}\"", self.own(&topic)));
            }
        }
        // The rescaler finds the topics in Flink's metrics.
        if text.contains("\n[flink]\n") {
            return text;
        }
        let servers = format!("bootstrap_servers = \"{DEFAULT_KAFKA}\"\n");
        text.replace(&servers, &format!("{servers}topic_prefix = \"{}\"\n", self.prefix()))
    }
}

/// Addresses of a tenant's programs.
#[derive(Debug)]
pub(crate) struct Addresses<'a> {
    pub(crate) names: &'a TenantNames,
    pub(crate) kafka: &'a str,
    pub(crate) flink: &'a str,
    /// `http://host:port` of the config drop.
    pub(crate) drop: &'a str,
    /// `host:port` of the rescaler's HTTP server.
    pub(crate) page: &'a str,
    /// Folder that replaces `run/`.
    pub(crate) folder: &'a Path,
    /// The Flink job's jar.
    pub(crate) jar: &'a Path,
}

impl Addresses<'_> {
    /// Replaces default addresses and names in a text.
    pub(crate) fn localise(&self, text: &str) -> String {
        self.names
            .replace(text.to_owned())
            .replace(DEFAULT_KAFKA, self.kafka)
            .replace(DEFAULT_FLINK, self.flink)
            .replace(DEFAULT_DROP, self.drop)
            .replace(DEFAULT_DROP.trim_start_matches("http://"), self.drop.trim_start_matches("http://"))
            .replace(DEFAULT_PAGE, self.page)
            .replace("\"run/", &format!("\"{}/", self.folder.display()))
            .replace("\"flink-jobs/target/flink-jobs.jar\"", &format!("\"{}\"", self.jar.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "job = \"nexmark\"\nbenchmark = \"nexmark\"\ngroup_id = \"nexmark\"\n\
                        bootstrap_servers = \"127.0.0.1:9092\"\nresult_topic = \"nexmark_results\"\n\
                        url = \"http://127.0.0.1:8081\"\ndata = \"run/config-drop\"\n";

    fn localised(names: &TenantNames, text: &str) -> String {
        let (folder, jar) = (Path::new("/w"), Path::new("/j.jar"));
        let (kafka, flink, drop, page) =
            ("127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3", "127.0.0.1:4");
        Addresses { names, kafka, flink, drop, page, folder, jar }.localise(text)
    }

    /// Goal: two tenants of one cluster share no job, group or topic, and the benchmark keeps its name.
    #[test]
    fn names_are_those_of_the_tenant() {
        let text = localised(&TenantNames::new("a"), TEXT);
        for line in [
            "job = \"a-nexmark\"",
            "benchmark = \"nexmark\"",
            "group_id = \"a-nexmark\"",
            "bootstrap_servers = \"127.0.0.1:1\"",
            "topic_prefix = \"a-\"",
            "result_topic = \"a-nexmark_results\"",
            "url = \"http://127.0.0.1:2\"",
            "data = \"/w/config-drop\"",
        ] {
            assert!(text.lines().any(|candidate| candidate == line), "{line} is missing in\n{text}");
        }
    }

    /// Goal: the rescaler gets only Kafka's address; its configuration has no topics.
    #[test]
    fn the_rescaler_has_no_topics() {
        let text = localised(&TenantNames::new("a"), &format!("{TEXT}\n[flink]\n"));
        assert!(
            text.contains("bootstrap_servers = \"127.0.0.1:1\"") && !text.contains("topic_prefix"),
            "{text}"
        );
    }

    /// Goal: the only tenant of a cluster has the names of the files.
    #[test]
    fn the_only_tenant_keeps_the_names() {
        let text = localised(&TenantNames::plain(), TEXT);
        assert!(text.contains("job = \"nexmark\"") && !text.contains("topic_prefix"), "{text}");
    }
}
