//! `[notify]`: where events are sent, which, and within which bounds.

use std::path::Path;

use http_client::{Access, HeaderSource};
use serde::{Deserialize, Serialize};
use service::with_causes;
use url::Url;

use super::event::Kind;

/// `[notify]`. Fields are as in `configs/rescaler.toml`, which is their documentation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Notify {
    /// The web hook that gets each event by POST. Its path is often a secret, so it is not shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<HeaderSource>,
    /// The program, with its arguments, that gets each event on its standard input.
    pub command: Vec<String>,
    /// The kinds of events that are sent.
    pub events: Vec<Kind>,
    /// Timeout of one attempt, in milliseconds.
    pub timeout_ms: u64,
    /// Attempts to deliver an event.
    pub attempts: u32,
    /// Pause before the second attempt, in milliseconds; it doubles with each further one.
    pub retry_pause_ms: u64,
    /// Events that may wait, for each of web hook and program; further ones are dropped.
    pub queue_events: usize,
    /// How to log in at the web hook, and whom to trust.
    pub access: Access,
}

impl Default for Notify {
    fn default() -> Self {
        Self {
            url: None,
            command: Vec::new(),
            events: Kind::ALL.to_vec(),
            timeout_ms: 10_000,
            attempts: 3,
            retry_pause_ms: 1_000,
            queue_events: 256,
            access: Access::default(),
        }
    }
}

impl Notify {
    /// Every value that is out of its range, as `key: what would be right`.
    pub(crate) fn problems(&self) -> Vec<String> {
        let checks = [
            ((1..=600_000).contains(&self.timeout_ms), "timeout_ms: must be within 1..=600000"),
            ((1..=10).contains(&self.attempts), "attempts: must be within 1..=10"),
            (self.retry_pause_ms <= 60_000, "retry_pause_ms: must be at most 60000"),
            ((1..=100_000).contains(&self.queue_events), "queue_events: must be within 1..=100000"),
        ];
        let wrong = checks.iter().filter(|(right, _)| !right).map(|(_, problem)| (*problem).to_owned());
        let mut problems: Vec<String> = wrong.collect();
        problems.extend(self.address().err().map(|problem| format!("url: {problem}")));
        problems.extend(self.access.load().err().map(|e| format!("access.{}", with_causes(&e))));
        if let Some(program) = self.command.first().filter(|program| !is_executable(program)) {
            problems
                .push(format!("command: {program} is not a program that can be run; name it with its path"));
        }
        problems.iter().map(|problem| format!("notify.{problem}")).collect()
    }

    /// The web hook's address.
    ///
    /// # Errors
    /// It cannot be read, or is no address. The message does not show it.
    pub(super) fn address(&self) -> Result<Option<Url>, String> {
        let text = match &self.url {
            None => return Ok(None),
            Some(HeaderSource::Text(text)) => text.clone(),
            Some(HeaderSource::Kept(source)) => {
                let secret = source.first_line().map_err(|e| with_causes(&e))?;
                secret.reveal().to_owned()
            }
        };
        let form = || "write it like https://hooks.example.org/path".to_owned();
        let url: Url = text.parse().map_err(|_| form())?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(form());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("put user and password into [notify.access]".to_owned());
        }
        Ok(Some(url))
    }
}

/// Whether this is an executable file, looked for in `PATH` where it has no folder.
fn is_executable(program: &str) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    let runs = |path: &Path| {
        path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    if program.contains('/') {
        return runs(Path::new(program));
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| runs(&folder.join(program)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(toml: &str) -> String {
        toml::from_str::<Notify>(toml).unwrap().problems().join("\n")
    }

    /// Goal: what cannot work is named with its key before anything is sent, and no message shows the address.
    #[test]
    fn mistakes_are_named_without_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hook");
        secrets::write_new(&path, "ftp://hooks.example.org/hunter2\n").unwrap();
        let file = format!("url.file = '{}'", path.display());
        for (toml, key) in [
            ("timeout_ms = 0", "notify.timeout_ms"),
            ("attempts = 0", "notify.attempts"),
            ("queue_events = 0", "notify.queue_events"),
            ("url = \"hunter2\"", "notify.url: write it like"),
            ("url = \"https://a:hunter2@h/\"", "notify.url: put user and password into [notify.access]"),
            (file.as_str(), "notify.url: write it like"),
            ("url.env = 'NOT_SET_AT_ALL'", "NOT_SET_AT_ALL is not set"),
            ("access.token.env = 'NOT_SET_AT_ALL'", "notify.access.token.env"),
            ("command = ['./no-such-program']", "notify.command: ./no-such-program"),
            ("command = ['no-such-program-at-all']", "notify.command: no-such-program-at-all"),
        ] {
            let found = problems(toml);
            assert!(found.contains(key) && !found.contains("hunter2"), "{toml}: {found}");
        }
        assert_eq!(problems("url = 'https://h/a?b=c'\ncommand = ['sh', '-c', 'cat']"), "");
        let unknown = toml::from_str::<Notify>("events = ['decisions']").unwrap_err().to_string();
        assert!(unknown.contains("cannot-help"), "{unknown}");
        let shown: Notify = toml::from_str("url = 'https://h/hunter2'").unwrap();
        assert!(!format!("{shown:?}{}", serde_json::to_string(&shown).unwrap()).contains("hunter2"));
    }
}
