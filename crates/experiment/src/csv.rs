//! CSV lines: quoted where needed (RFC 4180); an unknown value is an empty field. One line is one record.

/// Formats a record as one line, without the line end.
pub(crate) fn line<S: AsRef<str>>(fields: impl IntoIterator<Item = S>) -> String {
    let quoted = |field: S| {
        let field = field.as_ref().replace(['\n', '\r'], " ");
        if field.contains([',', '"']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field }
    };
    fields.into_iter().map(quoted).collect::<Vec<_>>().join(",")
}

/// Splits a line into fields.
pub(crate) fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => field.extend(characters.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            other => field.push(other),
        }
    }
    fields.push(field);
    fields
}

/// Formats a number with its significant decimals; unknown is empty.
pub(crate) fn number(value: Option<f64>) -> String {
    let Some(value) = value.filter(|value| value.is_finite()) else { return String::new() };
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: records survive a round trip, whatever the text; unknown is empty and never 0.
    #[test]
    fn fields_survive() {
        let written = ["plain", "", "with, comma", "a \"quote\"", "3.25"];
        assert_eq!(fields(&line(written)), written);
        assert_eq!(line(["two\nlines"]), "two lines");
        assert_eq!([number(None), number(Some(0.0)), number(Some(12.5))], ["", "0", "12.5"]);
        assert_eq!([number(Some(100.0)), number(Some(f64::NAN))], ["100", ""]);
    }
}
