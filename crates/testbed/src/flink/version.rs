//! Differences between Flink versions: the jars, and the names of settings.
//!
//! The testbed's settings have the names of the newest version. Older ones silently ignore unknown names.

use std::borrow::Cow;

use crate::jars::JarSet;

/// The default version: the one in the list of jars, which the project's jobs are built against.
pub(crate) const DEFAULT: &str = "2.3.0";
const REPORTERS: [&str; 2] = ["flink-metrics-prometheus", "flink-metrics-graphite"];
const POM: &str = include_str!("../../assets/flink/pom.xml");

/// Major and minor version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Release(u32, u32);

impl Release {
    const OLDEST: Self = Self(1, 18);
    const YAML: Self = Self(1, 19);
    const CHECKPOINT_NAMES: Self = Self(1, 20);
    const TWO: Self = Self(2, 0);
    const HISTORY: Self = Self(2, 3);

    /// Parses `MAJOR.MINOR.PATCH`; [`None`] if it is malformed, or older than the testbed supports.
    pub(crate) fn parse(version: &str) -> Option<Self> {
        let parts: Option<Vec<u32>> = version.split('.').map(|part| part.parse().ok()).collect();
        match parts?.as_slice() {
            [major, minor, _] => Some(Self(*major, *minor)).filter(|release| *release >= Self::OLDEST),
            _ => None,
        }
    }

    /// Returns the name of the configuration file.
    pub(crate) fn file(self) -> &'static str {
        if self < Self::YAML { "flink-conf.yaml" } else { "config.yaml" }
    }

    /// Formats a line of the configuration file. Before YAML, quotes were part of the value.
    pub(crate) fn line(self, key: &str, value: &str) -> String {
        match self < Self::YAML {
            true => format!("{key}: {value}\n"),
            // A JSON string is a YAML string.
            false => format!("{key}: {}\n", serde_json::Value::from(value)),
        }
    }

    /// Returns the version's name of a setting; [`None`]: it does not exist.
    pub(crate) fn named(self, key: &'static str) -> Option<&'static str> {
        let since =
            |release: Self, before: Option<&'static str>| if self < release { before } else { Some(key) };
        match key {
            "jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling" => {
                let interval = Some("jobmanager.adaptive-scheduler.scaling-interval.min");
                since(Self::TWO, interval.filter(|_| self >= Self::YAML))
            }
            "jobmanager.adaptive-scheduler.executing.resource-stabilization-timeout" => {
                since(Self::TWO, None)
            }
            "jobmanager.adaptive-scheduler.submission.resource-stabilization-timeout" => {
                since(Self::TWO, Some("jobmanager.adaptive-scheduler.resource-stabilization-timeout"))
            }
            "web.adaptive-scheduler.rescale-history.size" => since(Self::HISTORY, None),
            "execution.checkpointing.dir" => since(Self::CHECKPOINT_NAMES, Some("state.checkpoints.dir")),
            "execution.checkpointing.savepoint-dir" => {
                since(Self::CHECKPOINT_NAMES, Some("state.savepoints.dir"))
            }
            "execution.checkpointing.incremental" => {
                since(Self::CHECKPOINT_NAMES, Some("state.backend.incremental"))
            }
            "state.backend.type" => since(Self::YAML, Some("state.backend")),
            "restart-strategy.type" => since(Self::YAML, Some("restart-strategy")),
            key => Some(key),
        }
    }
}

/// Returns the jars of all Flink processes of a version.
pub(crate) fn jars(version: &str) -> JarSet {
    if version == DEFAULT {
        return JarSet { name: "flink", pom: Cow::Borrowed(POM) };
    }
    let property = |version: &str| format!("<flink.version>{version}</flink.version>");
    let pom = POM.replacen(&property(DEFAULT), &property(version), 1);
    // Reporters are for the metrics stores, which only the default version supports.
    let pom = REPORTERS.iter().fold(pom, |pom, reporter| without(&pom, reporter));
    // The connector is built for 2.x.
    let is_before_two = Release::parse(version).is_some_and(|release| release < Release::TWO);
    let pom = if is_before_two { without(&pom, "flink-connector-kafka") } else { pom };
    JarSet { name: "flink", pom: Cow::Owned(pom) }
}

/// Removes a jar from a list.
fn without(pom: &str, artifact: &str) -> String {
    const END: &str = "</dependency>";
    let of_it = |part: &&str| !part.contains(&format!("<artifactId>{artifact}</artifactId>"));
    pom.split_inclusive(END).filter(of_it).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: supported versions are parsed, and no others.
    #[test]
    fn versions_are_read() {
        assert_eq!(Release::parse("1.18.1"), Some(Release(1, 18)));
        assert_eq!(Release::parse(DEFAULT), Some(Release(2, 3)));
        for wrong in ["1.17.2", "2", "2.3", "latest", "", "2.3.0-SNAPSHOT"] {
            assert_eq!(Release::parse(wrong), None, "{wrong}");
        }
    }

    /// Goal: every version has its own jars, the default ones are those of the list, and before 2.0 there is no
    /// connector of 2.x.
    #[test]
    fn each_version_has_its_jars() {
        let pom = |version: &str| jars(version).pom.into_owned();
        assert_eq!(pom(DEFAULT), POM);
        for version in ["1.20.5", "2.1.3"] {
            let pom = pom(version);
            assert!(
                pom.contains(&format!("<flink.version>{version}<")) && !pom.contains("<flink.version>2.3.0<")
            );
            assert!(
                pom.contains("flink-runtime-web")
                    && pom.contains("log4j-slf4j-impl")
                    && pom.ends_with("</project>\n")
            );
        }
        assert!(
            pom("2.1.3").contains("flink-connector-kafka")
                && !pom("1.20.5").contains("flink-connector-kafka")
        );
    }

    /// Goal: settings have the names of each version.
    #[test]
    fn settings_have_the_names_of_the_version() {
        let named = |version: &str, key| Release::parse(version).unwrap().named(key);
        let cooldown = "jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling";
        assert_eq!(named("1.18.1", cooldown), None);
        assert_eq!(named("1.20.5", cooldown), Some("jobmanager.adaptive-scheduler.scaling-interval.min"));
        assert_eq!(named("2.0.2", cooldown), Some(cooldown));
        assert_eq!(named("1.19.3", "execution.checkpointing.dir"), Some("state.checkpoints.dir"));
        assert_eq!(named("2.2.1", "web.adaptive-scheduler.rescale-history.size"), None);
        assert_eq!(named("1.18.1", "jobmanager.scheduler"), Some("jobmanager.scheduler"));
        let line = |version: &str| Release::parse(version).unwrap().line("a", "b \"c\"");
        assert_eq!(
            (line("1.18.1"), line("1.19.3")),
            ("a: b \"c\"\n".to_owned(), "a: \"b \\\"c\\\"\"\n".to_owned())
        );
    }
}
