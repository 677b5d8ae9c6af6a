//! A recorded load: CSV with a second and a rate in each line.

use std::collections::BTreeSet;

use thiserror::Error;

use super::Shape;

/// Why a text is not a recorded load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TraceError {
    /// The line with this number is not valid.
    #[error("line {0}: write SECOND,RATE with increasing seconds")]
    Line(usize),
    /// No line has a rate.
    #[error("no line with a rate")]
    Empty,
}

/// Parses a recorded load, as the event producer reads one: each rate holds until the next line. A line of words may come first.
///
/// # Errors
/// See [`TraceError`].
pub(crate) fn parse(text: &str) -> Result<Shape, TraceError> {
    let wrong = TraceError::Line;
    let mut points: Vec<(f64, f64)> = Vec::new();
    for (line, row) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let row = row.trim();
        let is_heading = line == 1 && row.starts_with(char::is_alphabetic);
        if is_heading || row.is_empty() || row.starts_with('#') {
            continue;
        }
        let (second, rate) = row.split_once(',').ok_or_else(|| wrong(line))?;
        let number = |text: &str| text.trim().parse::<f64>().map_err(|_| wrong(line));
        let (second, rate) = (number(second)?, number(rate)?);
        let is_right = (0.0..f64::from(u32::MAX)).contains(&second) && rate >= 0.0 && rate.is_finite();
        if !is_right || points.last().is_some_and(|last| last.0 >= second) {
            return Err(wrong(line));
        }
        points.push((second, rate));
    }
    if points.is_empty() {
        return Err(TraceError::Empty);
    }
    Ok(Shape::Steps { levels: by_second(&points) })
}

/// The rates of whole seconds: the mean of those that hold within one.
fn by_second(points: &[(f64, f64)]) -> Vec<(u32, f64)> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be in the range of u32"
    )]
    let seconds: BTreeSet<u32> =
        points.iter().flat_map(|(second, _)| [second.floor() as u32, second.ceil() as u32]).collect();
    let mean = |second: u32| {
        let (from, until) = (f64::from(second), f64::from(second) + 1.0);
        let first = points.partition_point(|point| point.0 <= from).saturating_sub(1);
        let parts = points[first..].iter().take_while(|point| point.0 < until).enumerate();
        let share = |(index, (begin, rate)): (usize, &(f64, f64))| {
            let end = points.get(first + index + 1).map_or(until, |next| next.0.min(until));
            rate * (end - begin.max(from))
        };
        parts.map(share).sum::<f64>()
    };
    seconds.into_iter().map(|second| (second, mean(second))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a rate that holds for a part of a second counts for that part, and a mark at the beginning of the file is no part of it.
    #[test]
    fn parts_of_seconds_are_averaged() {
        let shape = parse("\u{feff}second,rate\n0,100\n1.5,300\n1.75,700\n4,0\n").unwrap();
        assert_eq!(shape, Shape::Steps { levels: vec![(0, 100.0), (1, 300.0), (2, 700.0), (4, 0.0)] });
    }

    /// Goal: a recorded load is read with its heading, and the line that is wrong is named.
    #[test]
    fn traces_are_read() {
        let shape = parse("second,rate\n0, 100\n\n60,250.5\n").unwrap();
        assert_eq!(shape, Shape::Steps { levels: vec![(0, 100.0), (60, 250.5)] });
        for (text, line) in [
            ("0,1\nx,2\n", "line 2"),
            ("5,1\n5,2\n", "line 2"),
            ("s,r\n1,-1\n", "line 2"),
            ("0;20000\n", "line 1"),
            ("0,nan\n", "line 1"),
            ("0,1\n9999999999,1\n", "line 2"),
            ("second,rate\n", "no line with a rate"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(line), "{error}");
        }
    }
}
