//! Detects a command line that runs the system's `du` in a unit that its output does not show.
//!
//! `hdfs dfs -du` prints bytes. The system's `du` prints blocks of 1 KiB (GNU), 512 bytes (BSD, or with
//! `POSIXLY_CORRECT`), or whatever `BLOCK_SIZE` says, and `du -sm` prints MiB; in each case as bare numbers, which
//! look like bytes. So the command must request bytes, or sizes with their unit. A `du` within a script file is not
//! detected.

/// Hadoop's command-line clients, whose own `-du` prints bytes.
const HADOOP: [&str; 3] = ["hdfs", "hadoop", "ozone"];
/// Separators of commands within a script.
const OPERATORS: [&str; 6] = ["|", "||", "&&", ";", "&", ">"];
/// Units that are printed after the number if they are requested by their letter.
const LETTERS: [&str; 6] = ["K", "M", "G", "T", "P", "E"];
/// One-letter options of GNU's `du` whose value may be the next word; `B` is the unit.
const WITH_VALUE: [char; 4] = ['B', 'd', 't', 'X'];

/// The unit of `du`'s output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    /// None requested.
    Default,
    /// Bytes, or a number with its unit.
    Shown,
    /// Another unit, as a bare number.
    Hidden,
}

/// Returns why the sizes of a command would be misread, if so.
pub(crate) fn problem(argv: &[String]) -> Option<String> {
    if argv.first().is_some_and(|program| HADOOP.contains(&name(program))) {
        return None;
    }
    for (index, word) in argv.iter().enumerate() {
        let is_du = word == "du" || word.ends_with("/bin/du") || (index == 0 && name(word) == "du");
        if is_du && unit(&argv[index + 1..]) != Unit::Shown {
            return Some(
                "command: du would print blocks instead of bytes; write du -sb PATH, with -b after -k and -m, or use kind local"
                    .to_owned(),
            );
        }
        // A script passed to a shell is one word.
        if word.contains(char::is_whitespace)
            && let Some(problem) = shlex::split(word).and_then(|inner| problem(&inner))
        {
            return Some(problem);
        }
    }
    None
}

fn name(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

/// Returns the unit requested by these options; the last one counts.
fn unit(options: &[String]) -> Unit {
    let mut unit = Unit::Default;
    let mut words =
        options.iter().map(String::as_str).take_while(|word| !OPERATORS.contains(word)).peekable();
    while let Some(word) = words.next() {
        let Some(option) = word.strip_prefix('-') else { continue };
        if option == "-" {
            break;
        }
        let Some(long) = option.strip_prefix('-') else {
            for (at, letter) in option.char_indices() {
                let value = &option[at + letter.len_utf8()..];
                match letter {
                    'b' | 'h' => unit = Unit::Shown,
                    'k' | 'm' => unit = Unit::Hidden,
                    'B' if value.is_empty() => unit = of_size(words.peek().copied().unwrap_or_default()),
                    'B' => unit = of_size(value),
                    _ => {}
                }
                if WITH_VALUE.contains(&letter) {
                    if value.is_empty() {
                        words.next();
                    }
                    break;
                }
            }
            continue;
        };
        match long.split_once('=') {
            Some(("block-size", size)) => unit = of_size(size),
            None if long == "block-size" => unit = of_size(words.next().unwrap_or_default()),
            None if matches!(long, "bytes" | "human-readable") => unit = Unit::Shown,
            None if long == "si" => unit = Unit::Hidden,
            _ => {}
        }
    }
    unit
}

fn of_size(size: &str) -> Unit {
    if size == "1" || LETTERS.contains(&size) { Unit::Shown } else { Unit::Hidden }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(line: &str) -> bool {
        problem(&shlex::split(line).unwrap()).is_some()
    }

    /// Goal: a du that prints blocks is rejected with the remedy, however it is started.
    #[test]
    fn blocks_are_refused() {
        for line in [
            "du -s .",
            "du -sm ./x",
            "du -sk /x",
            "/usr/bin/du -s /x",
            "du -sbm /x",
            "du -b -k /x",
            "du -s -B1M /x",
            "du -s -B 1024 /x",
            "du -s --block-size=KB /x",
            "du -s --block-size 1K /x",
            "du -s --si /x",
            "du -s -- -b",
            "du -d 1 /x",
            "du -sX -b /x",
            "sudo -u flink du -s /x",
            "sh -c 'cd /x && du -s . | tail -n 1'",
            "ssh host \"du -sk /x\"",
            "busybox du -s /x",
        ] {
            assert!(is_refused(line), "{line}");
        }
        assert!(problem(&["du".to_owned()]).unwrap().contains("du -sb PATH"));
    }

    /// Goal: bytes, sizes with their unit, Hadoop's own -du and other commands are accepted.
    #[test]
    fn bytes_are_accepted() {
        for line in [
            "du -sb /x",
            "du -b -s ./x",
            "du -s --bytes /x",
            "du -sh /x",
            "du -mb /x",
            "du -s -B1 /x",
            "du -s -B 1 /x",
            "du -sBM /x",
            "du -s --block-size=1 /x",
            "du --apparent-size --block-size 1 -s /x",
            "sh -c 'du -sb /x | tail -n 1'",
            "hdfs dfs -du -s /flink",
            "hdfs dfs -du -s /data/bin/du",
            "/opt/hadoop/bin/hdfs dfs -du -s -h du",
            "sh -c 'echo 10 30 /x'",
            "./weigh.sh /du",
            "cat /data/du",
        ] {
            assert!(!is_refused(line), "{line}");
        }
    }
}
