//! `expected.toml`: the outcome that a scenario requires.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

/// The least and the most of something, both included.
pub(super) type Range = [u32; 2];

/// The required outcome. Each entry is one command on the scenario's input.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expected {
    /// What the situation is, for people.
    #[expect(dead_code, reason = "for people")]
    situation: String,
    /// `rescaler inspect` (of a `scenario.json`) and `rescaler decide` on what it saw.
    #[serde(default)]
    pub(super) decide: Vec<Decide>,
    /// `rescaler run --flink`.
    #[serde(default)]
    pub(super) run: Vec<Run>,
    /// `rescaler replay`.
    #[serde(default)]
    pub(super) replay: Vec<Replay>,
    /// `rescaler explain`.
    #[serde(default)]
    pub(super) explain: Vec<Explain>,
    /// A command line of one of the programs.
    #[serde(default)]
    pub(super) command: Vec<Command>,
    /// The situation over many epochs, which crate `control` plays.
    #[serde(default)]
    #[expect(dead_code, reason = "of another crate's tests")]
    rounds: Vec<toml::Value>,
}

impl Expected {
    pub(super) fn is_empty(&self) -> bool {
        let of_rescaler = self.decide.is_empty() && self.run.is_empty() && self.replay.is_empty();
        of_rescaler && self.explain.is_empty() && self.command.is_empty()
    }
}

/// What must and what must not be in a text; letters count alike in both cases.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Words {
    /// Must be in it.
    says: Vec<String>,
    /// Must be in it exactly once.
    says_once: Vec<String>,
    /// Must not be in it.
    does_not_say: Vec<String>,
}

impl Words {
    /// Everything in which the text differs.
    pub(super) fn problems(&self, text: &str) -> Vec<String> {
        let lower = text.to_lowercase();
        let count = |words: &String| lower.matches(&words.to_lowercase()).count();
        let mut problems: Vec<String> = self
            .says
            .iter()
            .filter(|words| count(words) == 0)
            .map(|words| format!("does not say {words:?}"))
            .collect();
        let not_once = self.says_once.iter().filter(|words| count(words) != 1);
        problems.extend(not_once.map(|words| format!("says {words:?} {} times, not once", count(words))));
        let surplus = self.does_not_say.iter().filter(|words| count(words) > 0);
        problems.extend(surplus.map(|words| format!("says {words:?}")));
        if !problems.is_empty() {
            problems.push(format!("the text was: {}", text.chars().take(3_000).collect::<String>()));
        }
        problems
    }
}

/// One decision.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Decide {
    /// The policy.
    pub(super) policy: String,
    /// Plan as if the trigger had been met.
    pub(super) assume_violation: bool,
    /// How long `inspect` watches, in seconds.
    pub(super) seconds: u32,
    /// More arguments of `inspect`, with `{address}` as in `url` and `{folder}` for the scenario's folder.
    pub(super) arguments: Vec<String>,
    /// Flink's address, with `{address}` for the stand-in's host and port.
    pub(super) url: String,
    /// The exit code of the first command that fails, else 0.
    pub(super) exit: u8,
    /// `none` or `rescale`.
    pub(super) action: Option<String>,
    /// The parallelism of operators when the plan is carried out.
    pub(super) after: BTreeMap<String, Range>,
    /// No operator gets less than it has.
    pub(super) never_narrows: bool,
    /// In what is missing, in the decision, in the error.
    pub(super) says: Vec<String>,
    /// In none of them.
    pub(super) does_not_say: Vec<String>,
}

impl Default for Decide {
    fn default() -> Self {
        Self {
            policy: "ds2".to_owned(),
            assume_violation: true,
            seconds: 4,
            arguments: Vec::new(),
            url: "http://{address}".to_owned(),
            exit: 0,
            action: None,
            after: BTreeMap::new(),
            never_narrows: false,
            says: Vec::new(),
            does_not_say: Vec::new(),
        }
    }
}

impl Decide {
    pub(super) fn words(&self) -> Words {
        Words { says: self.says.clone(), does_not_say: self.does_not_say.clone(), ..Words::default() }
    }
}

/// One run of the rescaler beside the stand-in, with epochs of two seconds, until all that must happen has happened.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Run {
    /// More arguments: `--dry-run`, `--job`.
    pub(super) arguments: Vec<String>,
    /// Flink's address, with `{address}` for the stand-in's host and port.
    pub(super) url: String,
    /// How many decisions are waited for.
    pub(super) decisions: u32,
    /// The exit code, where it ends by itself.
    pub(super) exit: Option<u8>,
    /// Requests other than `GET`.
    pub(super) writes: Option<Range>,
    /// `PUT resource-requirements`.
    pub(super) puts: Option<Range>,
    /// In the bodies of these.
    pub(super) puts_say: Vec<String>,
    /// Decisions that plan something.
    pub(super) plans: Option<Range>,
    /// The parallelism of vertices by id in the end.
    pub(super) after: BTreeMap<String, Range>,
    /// In the log or in the journal.
    pub(super) says: Vec<String>,
    /// Once in the log.
    pub(super) logs_once: Vec<String>,
    /// In neither.
    pub(super) does_not_say: Vec<String>,
}

impl Default for Run {
    fn default() -> Self {
        Self {
            arguments: Vec::new(),
            url: "http://{address}".to_owned(),
            decisions: 3,
            exit: None,
            writes: None,
            puts: None,
            puts_say: Vec::new(),
            plans: None,
            after: BTreeMap::new(),
            says: Vec::new(),
            logs_once: Vec::new(),
            does_not_say: Vec::new(),
        }
    }
}

impl Run {
    pub(super) fn words(&self) -> Words {
        Words { says: self.says.clone(), does_not_say: self.does_not_say.clone(), ..Words::default() }
    }

    pub(super) fn words_of_log(&self) -> Words {
        Words { says_once: self.logs_once.clone(), ..Words::default() }
    }
}

/// One replay of a journal.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Replay {
    /// The policy.
    pub(super) policy: String,
    /// The exit code.
    pub(super) exit: u8,
    /// How many epochs there are.
    pub(super) epochs: Option<Range>,
    /// The first epoch in which some operator gets less than it has.
    pub(super) narrows_in: Option<Range>,
    /// The first epoch in which some operator gets more than it has.
    pub(super) widens_in: Option<Range>,
    /// No operator gets less than it has, in any epoch.
    pub(super) never_narrows: bool,
    /// In the decisions or in the error.
    pub(super) says: Vec<String>,
    /// In neither.
    pub(super) does_not_say: Vec<String>,
}

impl Default for Replay {
    fn default() -> Self {
        Self {
            policy: "ds2".to_owned(),
            exit: 0,
            epochs: None,
            narrows_in: None,
            widens_in: None,
            never_narrows: false,
            says: Vec::new(),
            does_not_say: Vec::new(),
        }
    }
}

impl Replay {
    pub(super) fn words(&self) -> Words {
        Words { says: self.says.clone(), does_not_say: self.does_not_say.clone(), ..Words::default() }
    }
}

/// One look into a journal.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Explain {
    /// The epoch; absent: the newest.
    pub(super) epoch: Option<u64>,
    /// The exit code.
    pub(super) exit: u8,
    /// In the answer or in the error.
    pub(super) says: Vec<String>,
    /// In neither.
    pub(super) does_not_say: Vec<String>,
}

impl Explain {
    pub(super) fn words(&self) -> Words {
        Words { says: self.says.clone(), does_not_say: self.does_not_say.clone(), ..Words::default() }
    }
}

/// One command line. The working directory is the scenario's folder.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Command {
    /// Which of this repository's programs.
    pub(super) program: String,
    /// Its arguments, with `{address}` for the stand-in's host and port.
    pub(super) arguments: Vec<String>,
    /// The file that is its standard input.
    pub(super) stdin: Option<String>,
    /// The exit code.
    pub(super) exit: u8,
    /// In what it prints.
    pub(super) says: Vec<String>,
    /// Not in what it prints.
    pub(super) does_not_say: Vec<String>,
}

impl Default for Command {
    fn default() -> Self {
        Self {
            program: "rescaler".to_owned(),
            arguments: Vec::new(),
            stdin: None,
            exit: 0,
            says: Vec::new(),
            does_not_say: Vec::new(),
        }
    }
}

impl Command {
    pub(super) fn words(&self) -> Words {
        Words { says: self.says.clone(), does_not_say: self.does_not_say.clone(), ..Words::default() }
    }
}

/// Reads a file.
pub(super) fn load(path: &Path) -> Result<Expected, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("expected.toml: {e}"))?;
    toml::from_str(&text).map_err(|e| format!("expected.toml: {e}"))
}

/// The problem with a number outside its range.
pub(super) fn outside(what: &str, found: u32, range: Option<Range>) -> Option<String> {
    let [least, most] = range?;
    (!(least..=most).contains(&found)).then(|| format!("{what}: {found}, not {least} to {most}"))
}
