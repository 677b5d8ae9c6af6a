//! Names of series as Flink's Graphite reporter writes them.

/// A name (of a job, an operator, a host) as one component of a series' name.
///
/// As in Flink's Graphite reporter, dots and runs of white space become dashes and double quotes go. So do the two characters that
/// carbon gives a meaning of its own, `/` (a folder) and `;` (a tag), and control characters go, because a line is a value in carbon's
/// protocol. Whoever writes and whoever looks for a series must use this function, else a job is not found by its name.
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

    /// Goal: a job is found under the name that the reporter gives it, apostrophes included, and no name breaks carbon's protocol.
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
