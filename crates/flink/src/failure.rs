//! Condenses Java stack traces to one line: the failed action, and the root cause.
//!
//! Flink returns failures as complete traces of tens of kilobytes, in which the cause follows long after frames and
//! wrappers.

/// Number of characters kept of each part.
const PART_CHARS: usize = 1_000;

/// Wrapper exceptions without information.
const WRAPPERS: [&str; 3] = [
    "java.util.concurrent.CompletionException: ",
    "java.util.concurrent.ExecutionException: ",
    "org.apache.flink.runtime.rest.handler.RestHandlerException: ",
];

/// Flink's prefix of a trace in an error response.
const ON_SERVER_SIDE: &str = "<Exception on server side:";

/// Returns the first line of a stack trace and its root cause, without frames and empty wrappers, in one line.
///
/// ```
/// let trace = "java.util.concurrent.CompletionException: a.B: no way\n\tat x.Y.z(Y.java:1)\n\
///     Caused by: a.B: no way\n\tat x.Y.z(Y.java:1)\nCaused by: c.D: because\n\t... 3 more";
/// assert_eq!(flink::first_and_root_cause(trace), "a.B: no way; caused by c.D: because");
/// ```
pub fn first_and_root_cause(trace: &str) -> String {
    let is_frame = |line: &str| line.starts_with("at ") || line.starts_with("...");
    let lines = trace.lines().map(|line| line.trim().trim_start_matches(ON_SERVER_SIDE));
    let first = lines.into_iter().find(|line| !line.is_empty() && !is_frame(line));
    let root = trace.lines().filter_map(|line| line.trim().strip_prefix("Caused by: ")).next_back();
    let first = shorten(first.unwrap_or_default());
    match root.map(shorten) {
        Some(root) if !first.contains(&root) => format!("{first}; caused by {root}"),
        _ => first,
    }
}

fn shorten(line: &str) -> String {
    let mut line = line.trim();
    while let Some(rest) = WRAPPERS.iter().find_map(|wrapper| line.strip_prefix(wrapper)) {
        line = rest;
    }
    line.chars().take(PART_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the helpful sentence is found in real traces of Flink 2.3.
    #[test]
    fn the_cause_is_found() {
        let cases = [
            ("", ""),
            ("plain", "plain"),
            (
                "<Exception on server side:\na.ProgramInvocationException: `format`: is missing\n\tat a.B.c(D.java:1)",
                "a.ProgramInvocationException: `format`: is missing",
            ),
            (
                "java.util.concurrent.CompletionException: java.util.concurrent.CompletionException: java.io.FileNotFoundException: no file\n\tat a.B.c(D.java:1)\nCaused by: java.util.concurrent.CompletionException: java.io.FileNotFoundException: no file\n\tat e.F.g(H.java:2)",
                "java.io.FileNotFoundException: no file",
            ),
        ];
        for (trace, expected) in cases {
            assert_eq!(first_and_root_cause(trace), expected);
        }
    }
}
