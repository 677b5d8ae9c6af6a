//! Names of Graphite series, from a pattern with placeholders such as `{job}`.
//!
//! Values are sanitised by [`flink::graphite_component`], as in the rescaler's queries, so that a job has the same
//! name in both.

use flink::graphite_component;
use thiserror::Error;

/// A pattern with known placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Place(String),
}

/// Why a pattern is invalid.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// An unknown placeholder.
    #[error("{{{place}}} is unknown; known: {known}")]
    Unknown {
        /// Name of the placeholder.
        place: String,
        /// The known placeholders.
        known: String,
    },
    /// An unpaired brace.
    #[error("unbalanced brace")]
    Brace,
    /// A character that is invalid in a series name.
    #[error("only printable characters without white space are allowed")]
    Character,
    /// All values would share one series.
    #[error("{{figure}} is missing; without it all figures would share a series")]
    NoFigure,
}

impl Template {
    /// Parses a pattern; `known` are the valid placeholders.
    ///
    /// # Errors
    /// See [`TemplateError`].
    pub fn parse(pattern: &str, known: &[&str]) -> Result<Self, TemplateError> {
        if !pattern.chars().all(|c| c.is_ascii_graphic()) {
            return Err(TemplateError::Character);
        }
        let mut parts = Vec::new();
        let mut rest = pattern;
        while let Some((text, after)) = rest.split_once('{') {
            let (place, after) = after.split_once('}').ok_or(TemplateError::Brace)?;
            if !known.contains(&place) {
                let known = known.iter().map(|place| format!("{{{place}}}")).collect::<Vec<_>>().join(", ");
                return Err(TemplateError::Unknown { place: place.to_owned(), known });
            }
            parts.extend([Part::Text(text.to_owned()), Part::Place(place.to_owned())]);
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        let texts =
            parts.iter().filter_map(|part| if let Part::Text(text) = part { Some(text) } else { None });
        if texts.into_iter().any(|text| text.contains('}')) {
            return Err(TemplateError::Brace);
        }
        if !parts.contains(&Part::Place("figure".to_owned())) {
            return Err(TemplateError::NoFigure);
        }
        Ok(Self { parts })
    }

    /// Returns the name with these values filled in.
    pub fn fill(&self, values: &[(&str, &str)]) -> String {
        let value =
            |place: &str| values.iter().find(|(name, _)| *name == place).map_or("", |(_, value)| *value);
        let text = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Place(place) => graphite_component(value(place)),
        };
        self.parts.iter().map(text).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 3] = ["job", "name", "figure"];

    #[test]
    fn places_are_filled_with_clean_values() {
        let template = Template::parse("rescaler.{job}.state.{name}.{figure}", &KNOWN).unwrap();
        let filled =
            template.fill(&[("job", "my job v1.2 \"x\""), ("name", "hdfs"), ("figure", "size_bytes")]);
        assert_eq!(filled, "rescaler.my-job-v1-2-x.state.hdfs.size_bytes");
        for (job, component) in
            [("nexmark's test", "nexmark's-test"), ("a;b=c", "a-b=c"), ("a/b\n1 2", "a-b-1-2")]
        {
            let filled = template.fill(&[("job", job), ("name", "hdfs"), ("figure", "size_bytes")]);
            assert_eq!(filled, format!("rescaler.{component}.state.hdfs.size_bytes"));
        }
    }

    #[test]
    fn wrong_patterns_are_refused() {
        use TemplateError::{Brace, Character, NoFigure};
        for (pattern, expected) in [
            ("a.{figure", Brace),
            ("a}.{figure}", Brace),
            ("a b.{figure}", Character),
            ("ä.{figure}", Character),
            ("a.{job}", NoFigure),
            ("", NoFigure),
        ] {
            assert_eq!(Template::parse(pattern, &KNOWN), Err(expected), "{pattern}");
        }
        let unknown = Template::parse("{jop}.{figure}", &KNOWN).unwrap_err();
        assert_eq!(unknown.to_string(), "{jop} is unknown; known: {job}, {name}, {figure}");
    }
}
