//! Recorded loads: CSV of second and rate, as text.

use super::config::{HIGHEST_RATE, LONGEST_S, MOST_STEPS, ProfileStep};

/// The header row of a trace.
const HEADER: &str = "second,rate";

/// An invalid line of a trace, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct TraceError {
    /// Line number, from 1.
    pub line: usize,
    /// The problem.
    pub problem: String,
}

/// Parses the lines into steps. Before the first second nothing is due.
pub(super) fn parse_trace(text: &str) -> Result<Vec<ProfileStep>, TraceError> {
    let refuse = |line: usize, problem: String| Err(TraceError { line, problem });
    let mut lines = (1..).zip(text.lines());
    match lines.next() {
        Some((_, header)) if header.trim_start_matches('\u{feff}').trim() == HEADER => {}
        found => {
            let found = found.map_or("", |(_, text)| text);
            return refuse(1, format!("{found:?} is not the header {HEADER:?}"));
        }
    }
    let mut points: Vec<(f64, f64)> = Vec::new();
    // Editors and spreadsheets append empty lines.
    let written = text.trim_end().lines().count();
    for (line, text) in lines.take_while(|(line, _)| *line <= written) {
        let point = text.split_once(',').and_then(|(second, rate)| {
            Some((second.trim().parse::<f64>().ok()?, rate.trim().parse::<f64>().ok()?))
        });
        match (point, points.last()) {
            (None, _) => return refuse(line, format!("{text:?} is not {HEADER}")),
            (Some((second, _)), _) if second.is_nan() || second < 0.0 => {
                return refuse(line, format!("second {second} is not 0 or more"));
            }
            (Some((second, _)), Some((last, _))) if second <= *last => {
                return refuse(
                    line,
                    format!("second {second} does not follow {last}; sort the trace by time"),
                );
            }
            (Some((second, _)), _) if second > LONGEST_S => return refuse(line, too_late(second)),
            (Some((_, rate)), _) if rate.is_nan() || rate < 0.0 => {
                return refuse(line, format!("rate {rate} is not 0 or more"));
            }
            (Some((_, rate)), _) if rate > HIGHEST_RATE => {
                return refuse(line, format!("rate {rate} is more than {HIGHEST_RATE} events/s"));
            }
            (Some(point), _) => points.push(point),
        }
        if points.len() > MOST_STEPS {
            return refuse(line, format!("more than {MOST_STEPS} lines"));
        }
    }
    if points.is_empty() {
        return refuse(1, "no rates after the header".to_owned());
    }
    Ok(steps(&points))
}

/// Traces with such seconds usually contain the time of day instead of the time since their start.
fn too_late(second: f64) -> String {
    let remedy = "a trace counts seconds from its start; if these are seconds since 1970, subtract the first one from all";
    format!("second {second} is more than ten years after the start; {remedy}")
}

fn steps(points: &[(f64, f64)]) -> Vec<ProfileStep> {
    let mut steps = Vec::with_capacity(points.len() + 1);
    if points[0].0 > 0.0 {
        steps.push(ProfileStep { rate: 0.0, duration_s: points[0].0 });
    }
    for pair in points.windows(2) {
        steps.push(ProfileStep { rate: pair[0].1, duration_s: pair[1].0 - pair[0].0 });
    }
    let last = points[points.len() - 1];
    let duration_s = if points.len() > 1 { last.0 - points[points.len() - 2].0 } else { 1.0 };
    steps.push(ProfileStep { rate: last.1, duration_s });
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rate_holds_until_the_next_line() {
        let steps = parse_trace("second,rate\n2,10\n5, 20.5\n6,0\n").unwrap();
        let found: Vec<(f64, f64)> = steps.iter().map(|step| (step.rate, step.duration_s)).collect();
        assert_eq!(found, [(0.0, 2.0), (10.0, 3.0), (20.5, 1.0), (0.0, 1.0)]);
    }

    #[test]
    fn unusable_lines_are_named() {
        let check = |text: &str, expected: &str| {
            assert_eq!(parse_trace(text).unwrap_err().to_string(), expected, "{text:?}");
        };
        check("", "line 1: \"\" is not the header \"second,rate\"");
        check("0,1\n", "line 1: \"0,1\" is not the header \"second,rate\"");
        check("second,rate\n", "line 1: no rates after the header");
        check("second,rate\n0,1\nx,1", "line 3: \"x,1\" is not second,rate");
        check("second,rate\n5,1\n4,1", "line 3: second 4 does not follow 5; sort the trace by time");
        check("second,rate\n5,1\n5,1", "line 3: second 5 does not follow 5; sort the trace by time");
        check("second,rate\n0,-1", "line 2: rate -1 is not 0 or more");
        check("second,rate\n0,nan", "line 2: rate NaN is not 0 or more");
        check("second,rate\n0,1e9", "line 2: rate 1000000000 is more than 100000000 events/s");
        check("second,rate\n0,1\n\n5,1", "line 3: \"\" is not second,rate");
    }

    /// Goal: a trace in seconds since 1970, or milliseconds, is rejected with its line and the remedy.
    #[test]
    fn the_time_of_day_is_no_second_of_a_trace() {
        for text in ["1700000000,10\n1700000060,20\n", "0,10\n1700000060000,20\n"] {
            let error = parse_trace(&format!("second,rate\n{text}")).unwrap_err();
            assert_eq!(error.line, if text.starts_with('1') { 2 } else { 3 });
            assert!(error.problem.contains("subtract the first one"), "{error}");
        }
        assert_eq!(parse_trace("second,rate\n1000000,5\n").unwrap()[0].duration_s, 1_000_000.0);
    }

    /// Goal: empty lines at the end are ignored.
    #[test]
    fn empty_lines_at_the_end_are_passed_over() {
        for end in ["", "\n", "\n\n", "\r\n\r\n", "\n  \n\t\n"] {
            assert_eq!(parse_trace(&format!("second,rate\n0,1\n5,2{end}")).unwrap().len(), 2, "{end:?}");
        }
    }
}
