//! `docs/options.md`: every option of every command line and every key of every configuration, with its default.
//!
//! Command lines are asked for theirs. Configurations are read as their commented examples in `configs`: a key, its default and the
//! comment behind it are one line there, and tests of the programs hold these to be the defaults.

use std::fmt::Write as _;

use clap::{Arg, Command};

/// The example configuration of each program.
const CONFIGURATIONS: [(&str, &str); 6] = [
    ("config-agent", include_str!("../../../configs/config-agent.toml")),
    ("config-drop", include_str!("../../../configs/config-drop.toml")),
    ("event-producer", include_str!("../../../configs/event-producer.toml")),
    ("rescaler", include_str!("../../../configs/rescaler.toml")),
    ("state-probe", include_str!("../../../configs/state-probe.toml")),
    ("testbed", include_str!("../../../configs/testbed.toml")),
];

const OPENING: &str = "# Options and keys

Generated from the programs' command lines and the examples in `configs`, which have more details; `docs/operating.md` describes how.
A key with a dash for its default may be absent; the value is an example. `--help` and `--version` are omitted.
";

/// The whole document.
pub fn page(programs: &[Command]) -> String {
    let mut text = OPENING.to_owned();
    for program in programs {
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(text, "\n## {}", program.get_name());
        command(&mut text, program.get_name(), program);
        if let Some((name, example)) = CONFIGURATIONS.iter().find(|(name, _)| *name == program.get_name()) {
            let _ = write!(
                text,
                "\nConfiguration, `configs/{name}.toml`:\n\n| key | default | |\n|---|---|---|\n"
            );
            for key in keys(example) {
                let _ =
                    writeln!(text, "| `{}` | {} | {} |", cell(&key.name), key.default(), words(&key.comment));
            }
        }
    }
    text
}

fn command(text: &mut String, path: &str, command_line: &Command) {
    let arguments: Vec<_> = command_line.get_arguments().filter(|argument| is_told(argument)).collect();
    if !arguments.is_empty() {
        let about = command_line.get_about().map(ToString::to_string).unwrap_or_default();
        let _ = write!(text, "\n`{path}`: {about}\n\n| option | default | |\n|---|---|---|\n");
        for argument in arguments {
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            let _ =
                writeln!(text, "| `{}` | {} | {} |", cell(&name(argument)), default(argument), words(&help));
        }
    }
    for inner in command_line.get_subcommands().filter(|inner| inner.get_name() != "help") {
        command(text, &format!("{path} {}", inner.get_name()), inner);
    }
}

fn is_told(argument: &Arg) -> bool {
    !["help", "version"].contains(&argument.get_id().as_str()) && !argument.is_hide_set()
}

fn name(argument: &Arg) -> String {
    let values: Vec<_> =
        argument.get_value_names().unwrap_or_default().iter().map(ToString::to_string).collect();
    let value = if argument.get_action().takes_values() { values.join(" ") } else { String::new() };
    let long = argument.get_long().map(|long| format!("--{long}")).unwrap_or_default();
    format!("{long} {value}").trim().to_owned()
}

fn default(argument: &Arg) -> String {
    let values: Vec<_> = argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if values.is_empty() || !argument.get_action().takes_values() {
        String::new()
    } else {
        format!("`{}`", cell(&values.join(" ")))
    }
}

/// A key of an example configuration.
#[derive(Debug, PartialEq, Eq)]
struct Key {
    name: String,
    value: String,
    /// It stands in a comment: without it something else happens than with this value.
    is_absent: bool,
    comment: String,
}

impl Key {
    fn default(&self) -> String {
        let value = cell(&self.value);
        if self.is_absent { format!("– `{value}`") } else { format!("`{value}`") }
    }
}

fn keys(example: &str) -> Vec<Key> {
    let mut keys: Vec<Key> = Vec::new();
    let mut section = String::new();
    for line in example.lines() {
        let (content, is_absent) = match line.strip_prefix("#: ").or_else(|| line.strip_prefix("# ")) {
            Some(content) => (content, true),
            None => (line, false),
        };
        if let Some(found) = header(content) {
            section = found;
        } else if let Some((name, rest)) = assignment(content) {
            let (value, comment) = rest.split_once(" # ").unwrap_or((rest, ""));
            let name = if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") };
            let (value, comment) = (value.trim().to_owned(), comment.trim().to_owned());
            keys.push(Key { name, value, is_absent, comment });
        } else if let (true, Some(key)) = (line.starts_with("    "), keys.last_mut()) {
            // A comment that goes on below its key.
            let more = line.trim().trim_start_matches('#').trim();
            let _ = write!(key.comment, " {more}");
        }
    }
    keys.dedup_by(|later, earlier| later.name == earlier.name);
    keys
}

/// The section that a header opens; a list of tables has brackets behind its name.
fn header(line: &str) -> Option<String> {
    let inner = line.split(" #").next().unwrap_or(line).trim_end().strip_prefix('[')?.strip_suffix(']')?;
    let name = |text: &str| !text.is_empty() && !text.contains([' ', '"', ',', '[', ']']);
    match inner.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        Some(list) if name(list) => Some(format!("{list}[]")),
        None if name(inner) => Some(inner.to_owned()),
        _ => None,
    }
}

fn assignment(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.split_once(" = ")?;
    let quoted = name.starts_with('"') && name.ends_with('"');
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
    (quoted || (!name.is_empty() && name.chars().all(plain))).then_some((name, rest))
}

/// Words of a cell that are not code: what looks like a tag is none.
fn words(text: &str) -> String {
    cell(text).replace('<', "\\<")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: keys are found with their sections, in comments too, and prose is not taken for one.
    #[test]
    fn keys_are_found() {
        let example = "# A file.\n#   [prose]\n#   x = 1 is an example in prose\njob = \"a\"   # its name\n                 # in Flink\n\n\
                       [limits]  # bounds\n# most = 3        # absent: none\n#: [[source]]\n#: kind = \"x\"\n[a.b]\nlist = [1, 2]\n";
        let found: Vec<_> =
            keys(example).into_iter().map(|key| (key.name, key.value, key.is_absent, key.comment)).collect();
        let key = |name: &str, value: &str, is_absent, comment: &str| {
            (name.to_owned(), value.to_owned(), is_absent, comment.to_owned())
        };
        assert_eq!(
            found,
            [
                key("job", "\"a\"", false, "its name in Flink"),
                key("limits.most", "3", true, "absent: none"),
                key("source[].kind", "\"x\"", true, ""),
                key("a.b.list", "[1, 2]", false, ""),
            ]
        );
    }
}
