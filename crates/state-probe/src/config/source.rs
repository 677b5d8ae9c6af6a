//! One source: as written in a `[[source]]` table or in flags, then validated. Keys of other kinds are rejected.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use http_client::Access;
use secrets::{Address, HttpUrl, without_credentials};
use serde::Deserialize;
use service::settings::{out_of_range, refusal};

use crate::sample::Kind;
use crate::series::Template;
use crate::source::du_options;
use crate::source::webhdfs::WebhdfsConfig;

/// Default timeout of a command, in milliseconds. `hdfs dfs` starts a JVM, and a NameNode may pause long for garbage
/// collection.
const COMMAND_TIMEOUT_MS: u64 = 60_000;
const OTHER_TIMEOUT_MS: u64 = 10_000;
/// Maximum number of NameNodes of one file system; more than two are rare.
const NAMENODES_MAX: usize = 16;
/// Default limit of entries in a local folder.
const ENTRIES_MAX: u64 = 1_000_000;

/// A single value, or a list of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum OneOrMore<T> {
    /// One value.
    One(T),
    /// Several.
    More(Vec<T>),
}

/// A source as written; its kind determines the valid keys.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawSource {
    /// Kind of the source.
    pub kind: Option<Kind>,
    /// Name in samples and series; default: its kind.
    pub name: Option<String>,
    /// The job whose state it is; default: the probe's. Kind `flink`: the job to find.
    pub job: Option<String>,
    /// Sampling interval, in milliseconds; default: the probe's.
    pub interval_ms: Option<u64>,
    /// Timeout of one sample (`webhdfs`: per NameNode), in milliseconds.
    pub timeout_ms: Option<u64>,
    /// `command`: the command, either one text, split like in a shell, or a list of arguments.
    pub command: Option<OneOrMore<String>>,
    /// `command`, `webhdfs`, `local`: the path.
    pub path: Option<String>,
    /// `webhdfs`: URLs of the NameNodes. `flink`: URL of the REST interface.
    pub url: Option<OneOrMore<Address>>,
    /// `webhdfs`: user name.
    pub user: Option<String>,
    /// `webhdfs`: trusted certificates, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Credentials and trusted authorities.
    pub access: Option<Access>,
    /// `local`: limit of files and folders.
    pub entries_max: Option<u64>,
}

/// A validated source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceConfig {
    /// Name in samples and series.
    pub name: String,
    /// The job whose state it is.
    pub job: String,
    /// Sampling interval.
    pub interval: Duration,
    /// Timeout of one sample (or of one NameNode).
    pub timeout: Duration,
    /// What is measured.
    pub target: SourceTarget,
}

/// What a source measures.
#[derive(Clone, PartialEq, Eq)]
pub enum SourceTarget {
    /// A command with the output of `du`.
    Command {
        /// Program and arguments.
        argv: Vec<String>,
    },
    /// The HTTP interface of HDFS.
    Webhdfs(WebhdfsConfig),
    /// Flink's checkpoint statistics.
    Flink {
        /// URL of the REST interface.
        url: Address,
        /// Name or id of the job; `None`: the only one.
        job: Option<String>,
        /// Credentials and trusted authorities.
        access: Access,
    },
    /// A local folder.
    Local {
        /// Path of the folder.
        path: PathBuf,
        /// Limit of entries.
        entries_max: u64,
    },
}

impl fmt::Debug for SourceTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command { argv } => {
                // A command may contain a URL with a password.
                let words: Vec<String> = argv.iter().map(|word| without_credentials(word)).collect();
                f.debug_struct("Command").field("argv", &words).finish()
            }
            Self::Webhdfs(webhdfs) => fmt::Debug::fmt(webhdfs, f),
            Self::Flink { url, job, .. } => {
                f.debug_struct("Flink").field("url", url).field("job", job).finish()
            }
            Self::Local { path, entries_max } => {
                f.debug_struct("Local").field("path", path).field("entries_max", entries_max).finish()
            }
        }
    }
}

impl SourceTarget {
    /// Returns its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Command { .. } => Kind::Command,
            Self::Webhdfs(_) => Kind::Webhdfs,
            Self::Flink { .. } => Kind::Flink,
            Self::Local { .. } => Kind::Local,
        }
    }
}

impl SourceConfig {
    /// Returns the Graphite series of one value of this source.
    pub fn series(&self, template: &Template, figure: &str) -> String {
        let source = self.target.kind().as_str();
        template.fill(&[("job", &self.job), ("name", &self.name), ("source", source), ("figure", figure)])
    }
}

impl RawSource {
    /// Validates a source; `job` and `interval_ms` are defaults.
    ///
    /// # Errors
    /// Every problem, as `key: valid values`.
    pub fn check(&self, job: &str, interval_ms: u64) -> Result<SourceConfig, Vec<String>> {
        let Some(kind) = self.kind else {
            return Err(vec!["kind: use command, webhdfs, flink or local".to_owned()]);
        };
        let mut problems = self.foreign_keys(kind);
        let target = match kind {
            Kind::Command => self.command(),
            Kind::Webhdfs => self.webhdfs(),
            Kind::Flink => self.flink(),
            Kind::Local => self.local(),
        };
        let target = target.map_err(|problem| problems.push(problem)).ok();
        let timeout_ms = if kind == Kind::Command { COMMAND_TIMEOUT_MS } else { OTHER_TIMEOUT_MS };
        let mut milliseconds = |key: &str, value: u64, least: u64| {
            problems.extend(out_of_range(key, value, &(least..=86_400_000)));
            Duration::from_millis(value)
        };
        let timeout = milliseconds("timeout_ms", self.timeout_ms.unwrap_or(timeout_ms), 1);
        let interval = milliseconds("interval_ms", self.interval_ms.unwrap_or(interval_ms), 100);
        let name = self.name.clone().unwrap_or_else(|| kind.to_string());
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || !name.chars().all(is_name) {
            problems.push("name: letters, digits, - and _ only".to_owned());
        }
        match target {
            Some(target) if problems.is_empty() => {
                let job = self.job.clone().unwrap_or_else(|| job.to_owned());
                Ok(SourceConfig { name, job, interval, timeout, target })
            }
            _ => Err(problems),
        }
    }

    fn foreign_keys(&self, kind: Kind) -> Vec<String> {
        let keys: [(&str, bool, &[Kind]); 7] = [
            ("command", self.command.is_some(), &[Kind::Command]),
            ("path", self.path.is_some(), &[Kind::Command, Kind::Webhdfs, Kind::Local]),
            ("url", self.url.is_some(), &[Kind::Webhdfs, Kind::Flink]),
            ("user", self.user.is_some(), &[Kind::Webhdfs]),
            ("ca_file", self.ca_file.is_some(), &[Kind::Webhdfs]),
            ("access", self.access.is_some(), &[Kind::Webhdfs, Kind::Flink]),
            ("entries_max", self.entries_max.is_some(), &[Kind::Local]),
        ];
        let foreign = keys.iter().filter(|(_, is_set, kinds)| *is_set && !kinds.contains(&kind));
        foreign.map(|(key, ..)| format!("{key}: not a key of kind {kind}, remove it")).collect()
    }

    fn command(&self) -> Result<SourceTarget, String> {
        let argv = match (&self.command, &self.path) {
            (Some(_), Some(_)) => {
                return Err("path: conflicts with command; write it into the command".to_owned());
            }
            (Some(OneOrMore::More(words)), None) => words.clone(),
            (Some(OneOrMore::One(line)), None) => {
                shlex::split(line).ok_or("command: unclosed quote, or \\ at the end")?
            }
            (None, Some(path)) if path.starts_with('/') || path.contains("://") => {
                ["hdfs", "dfs", "-du", "-s", path].map(str::to_owned).into()
            }
            (None, Some(_)) => return Err("path: must start with / or hdfs://".to_owned()),
            (None, None) => return Err("command: set it, or path for hdfs dfs -du -s".to_owned()),
        };
        if argv.first().is_none_or(String::is_empty) {
            return Err("command: empty; start with the program".to_owned());
        }
        match du_options::problem(&argv) {
            Some(problem) => Err(problem),
            None => Ok(SourceTarget::Command { argv }),
        }
    }

    fn webhdfs(&self) -> Result<SourceTarget, String> {
        let path = self.path.clone().ok_or("path: set a path of HDFS, for example /flink/checkpoints")?;
        if !path.starts_with('/') || path.split('/').any(|part| matches!(part, "." | "..")) {
            return Err("path: must start with / and not contain . or ..".to_owned());
        }
        let urls = match self.url.clone().unwrap_or(OneOrMore::One("http://127.0.0.1:9870".into())) {
            OneOrMore::One(url) => vec![url],
            OneOrMore::More(urls) => urls,
        };
        let checked =
            urls.iter().map(|url| url.http().map_err(|remedy| refusal("url", format!("{url:?}"), remedy)));
        let urls: Vec<HttpUrl> = checked.collect::<Result<_, _>>()?;
        if urls.is_empty() || urls.len() > NAMENODES_MAX {
            return Err(format!("url: set 1 to {NAMENODES_MAX} NameNodes, each like http://namenode:9870"));
        }
        Ok(SourceTarget::Webhdfs(WebhdfsConfig {
            urls,
            path,
            user: self.user.clone(),
            access: self.access()?,
        }))
    }

    fn flink(&self) -> Result<SourceTarget, String> {
        let url = match self.url.clone() {
            None => "http://127.0.0.1:8081".into(),
            Some(OneOrMore::One(url)) => url,
            // The JobManagers of one cluster.
            Some(OneOrMore::More(urls)) => {
                urls.iter().map(Address::reveal).collect::<Vec<_>>().join(",").into()
            }
        };
        url.http_list().map_err(|remedy| refusal("url", format!("{url:?}"), remedy))?;
        Ok(SourceTarget::Flink { url, job: self.job.clone(), access: self.access()? })
    }

    /// Returns the access settings; `ca_file` is a short form of `access.authorities_file`.
    fn access(&self) -> Result<Access, String> {
        let mut access = self.access.clone().unwrap_or_default();
        access.authorities_file = self.ca_file.clone().or(access.authorities_file);
        access.check().map_err(|problem| format!("access.{problem}"))?;
        Ok(access)
    }

    fn local(&self) -> Result<SourceTarget, String> {
        let path = self.path.clone().filter(|path| !path.is_empty()).ok_or("path: set a folder")?;
        let entries_max = self.entries_max.unwrap_or(ENTRIES_MAX);
        if entries_max == 0 {
            return Err(refusal("entries_max", entries_max, "give a number from 1 on"));
        }
        Ok(SourceTarget::Local { path: PathBuf::from(path), entries_max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<SourceConfig, Vec<String>> {
        toml::from_str::<RawSource>(text).unwrap().check("nexmark", 60_000)
    }

    fn argv(text: &str) -> Vec<String> {
        match parse(text).unwrap().target {
            SourceTarget::Command { argv } => argv,
            other => panic!("{other:?}"),
        }
    }

    /// Goal: a command is split like in a shell, and the default one consists of the path alone.
    #[test]
    fn commands_are_split_without_a_shell() {
        let default = argv("kind = \"command\"\npath = \"/flink/my job\"");
        assert_eq!(default, ["hdfs", "dfs", "-du", "-s", "/flink/my job"]);
        let line = argv(
            r#"kind = "command"
            command = "sh -c 'echo 10 30 /x' \"a b\" c\\ d $HOME""#,
        );
        assert_eq!(line, ["sh", "-c", "echo 10 30 /x", "a b", "c d", "$HOME"]);
        assert_eq!(argv("kind = \"command\"\ncommand = [\"du\", \"-sb\", \"/a b\"]"), ["du", "-sb", "/a b"]);
    }

    #[test]
    fn mistakes_are_named() {
        for (text, expected) in [
            ("", "kind: use"),
            ("kind = \"command\"", "command: set it"),
            ("kind = \"command\"\ncommand = \"sh -c 'echo\"", "quote"),
            ("kind = \"command\"\ncommand = \"\"", "command: empty"),
            ("kind = \"command\"\ncommand = []", "command: empty"),
            ("kind = \"command\"\ncommand = \"x\"\npath = \"/x\"", "path: conflicts"),
            ("kind = \"command\"\npath = \"x\"", "must start with /"),
            ("kind = \"command\"\ncommand = \"du -sm ./x\"", "du -sb PATH"),
            ("kind = \"command\"\ncommand = [\"sh\", \"-c\", \"du -s .\"]", "du -sb PATH"),
            ("kind = \"webhdfs\"\npath = \"/x\"\nurl = \"http://a b\"", "url = \"http://a b\": write it as"),
            (
                "kind = \"webhdfs\"\npath = \"/x\"\nurl = \"http://ann:hunter2@a b\"",
                "url = \"http://a b\": write it as",
            ),
            ("kind = \"flink\"\naccess.user = \"ann\"", "access.user and password"),
            ("kind = \"local\"\npath = \"/x\"\naccess.user = \"ann\"", "access: not a key of kind local"),
            ("kind = \"webhdfs\"", "path: set a path"),
            ("kind = \"webhdfs\"\npath = \"/a/../b\"", ".."),
            ("kind = \"webhdfs\"\npath = \"/x\"\nurl = \"nn:9870\"", "url = "),
            ("kind = \"webhdfs\"\npath = \"/x\"\nurl = []", "url: "),
            ("kind = \"flink\"\npath = \"/x\"", "path: not a key of kind flink"),
            ("kind = \"flink\"\nurl = \"localhost\"", "url = "),
            ("kind = \"local\"", "path: set a folder"),
            ("kind = \"local\"\npath = \"/x\"\nname = \"a.b\"", "name: letters"),
            ("kind = \"local\"\npath = \"/x\"\ntimeout_ms = 0", "timeout_ms = 0: give"),
            ("kind = \"local\"\npath = \"/x\"\ninterval_ms = 5", "interval_ms = 5: give"),
            ("kind = \"local\"\npath = \"/x\"\nentries_max = 0", "entries_max"),
        ] {
            let problems = parse(text).unwrap_err().join("; ");
            assert!(problems.contains(expected), "{text:?} gave {problems:?}");
            assert!(!problems.contains("hunter2"), "{problems}");
        }
    }

    /// Goal: no source shows a password of its URL or of its command.
    #[test]
    fn no_source_shows_a_password() {
        for text in [
            "kind = \"webhdfs\"\npath = \"/x\"\nurl = [\"https://ann:hunter2@knox\"]",
            "kind = \"flink\"\nurl = \"http://ann:hunter2@jm\"",
            "kind = \"command\"\ncommand = \"weigh --at http://ann:hunter2@nn/x\"",
        ] {
            let shown =
                format!("{:?} {:?}", parse(text).unwrap(), toml::from_str::<RawSource>(text).unwrap().url);
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
}
