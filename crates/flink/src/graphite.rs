//! Names of series in the format of Flink's Graphite reporter.

/// Converts a name (of a job, an operator, a host) to one component of a series' name.
///
/// As in Flink's Graphite reporter, dots and runs of white space become dashes and double quotes are removed. The two
/// characters with a special meaning in carbon, `/` (a folder) and `;` (a tag), become dashes, too. Control
/// characters are removed, because carbon's protocol is line-based. Writers and readers of a series must both use
/// this function, or a job is not found by its name.
pub fn graphite_component(name: &str) -> String {
    let mut component = String::with_capacity(name.len());
    let mut was_space = false;
    for character in name.trim().chars() {
        let is_space = character.is_whitespace();
        match character {
            '.' | '/' | ';' => component.push('-'),
            '"' => {}
            _ if is_space && was_space => {}
            _ if is_space => component.push('-'),
            control if control.is_control() => {}
            other => component.push(other),
        }
        was_space = is_space;
    }
    component
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a job is found under the reporter's name, apostrophes included, and no name breaks carbon's protocol.
    #[test]
    fn names_become_components_as_in_the_reporter() {
        for (name, expected) in [
            ("My  Job 1.2 \"x\"", "My-Job-1-2-x"),
            ("nexmark's test", "nexmark's-test"),
            ("a;b=c", "a-b=c"),
            ("a/b", "a-b"),
            (" a\nb\u{1}c ", "a-bc"),
            ("Source:-bid", "Source:-bid"),
        ] {
            assert_eq!(graphite_component(name), expected, "{name:?}");
            assert_eq!(graphite_component(expected), expected, "applied again it changes nothing");
        }
    }
}
