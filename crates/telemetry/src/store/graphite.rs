//! Graphite's render interface: series by their paths, `[value, time]` newest last.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use secrets::HttpUrl;
use serde::Deserialize;
use serde::Deserializer as _;
use serde::de::{SeqAccess, Visitor};

use super::points::Points;
use super::{MetricStore, Read, Reading};
use crate::error::StoreError;
use crate::http::{Bounds, Http, successful};
use crate::mapping::Mapping;
use crate::origins::{Origin, Origins};
use crate::series::MatchedSeries;

#[derive(Debug)]
pub(crate) struct Graphite {
    pub(crate) http: Http,
    pub(crate) base: HttpUrl,
    pub(crate) targets: Vec<String>,
    pub(crate) bounds: Bounds,
}

#[derive(Deserialize)]
struct Rendered<'a> {
    #[serde(borrow)]
    target: Cow<'a, str>,
    datapoints: Points<true>,
}

impl MetricStore for Graphite {
    fn kind(&self) -> &'static str {
        "graphite"
    }

    fn place(&self) -> String {
        self.base.to_string()
    }

    fn remedy_for_ambiguity(&self) -> &'static str {
        "select the hosts of one with source.targets"
    }

    fn read<'a>(&'a mut self, mapping: &'a Mapping, _now_ms: i64, lookback: Duration) -> Read<'a> {
        Box::pin(async move {
            let from = format!("-{}s", lookback.as_secs().max(1));
            let fixed =
                [("format", "json"), ("noNullPoints", "true"), ("from", from.as_str()), ("until", "now")];
            let targets = self.targets.iter().map(|target| ("target", target.as_str()));
            let url = self.base.url().join("render");
            let url = url.map_err(|_| StoreError::Refused(self.base.to_string()))?;
            let body = successful(self.http.get(url, targets.chain(fixed)).await?)?;
            parse(body, mapping, self.bounds.max_series).map(Reading::whole)
        })
    }
}

/// Returns the series that a pattern matches.
pub(crate) fn parse(
    mut body: Vec<u8>,
    mapping: &Mapping,
    max_series: usize,
) -> Result<Vec<MatchedSeries>, StoreError> {
    replace_foreign_numbers(&mut body);
    let mut list = List { mapping, max_series, count: 0, found: Vec::new(), origins: Origins::default() };
    let mut json = serde_json::Deserializer::from_slice(&body);
    let read = json.deserialize_seq(&mut list).and_then(|()| json.end());
    if list.count > max_series {
        return Err(StoreError::TooMany { limit: max_series });
    }
    read.map_err(StoreError::Unreadable)?;
    Ok(list.found)
}

/// Converts the series of a response one by one, so that at most one is in memory as text.
struct List<'m> {
    mapping: &'m Mapping,
    max_series: usize,
    count: usize,
    found: Vec<MatchedSeries>,
    origins: Origins,
}

impl<'de> Visitor<'de> for &mut List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of series")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(Rendered { target, datapoints }) = list.next_element()? {
            self.count += 1;
            if self.count > self.max_series {
                return Err(serde::de::Error::custom("too many series"));
            }
            let Some((subject, origin)) = self.mapping.subject_and_origin(&target) else { continue };
            self.found.push(MatchedSeries {
                subject,
                points: datapoints.points,
                has_unreadable: datapoints.has_unreadable,
                origin: Some(self.origins.keep(Origin::of_name(origin))),
            });
        }
        Ok(())
    }
}

/// Quotes the numbers that Python writes and JSON does not allow.
fn replace_foreign_numbers(body: &mut [u8]) {
    const FOREIGN: [(&[u8], &[u8]); 3] =
        [(b"NaN", b"\"\" "), (b"Infinity", b"\"\"      "), (b"-Infinity", b"\"\"       ")];
    let (mut at, mut is_text) = (0, false);
    while at < body.len() {
        match body[at] {
            b'\\' if is_text => at += 1,
            b'"' => is_text = !is_text,
            b'N' | b'I' | b'-' if !is_text => {
                if let Some((word, text)) = FOREIGN.iter().find(|(word, _)| body[at..].starts_with(word)) {
                    body[at..at + word.len()].copy_from_slice(text);
                    at += word.len() - 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::MappingSettings;

    fn parsed(body: &str, max_series: usize) -> Result<Vec<MatchedSeries>, StoreError> {
        let mapping = Mapping::new(&MappingSettings::default()).unwrap();
        parse(body.as_bytes().to_vec(), &mapping, max_series)
    }

    /// Goal: what graphite-web answers becomes points; garbage and too much are refused.
    #[test]
    fn answers_are_read() {
        let body = r#"[{"target":"h.taskmanager.tm-1.j.op.0.numRecordsIn.count","tags":{"name":"x"},
            "datapoints":[[null,10],[5.0,20],[7.0,30]]},{"target":"h.other","datapoints":[]}]"#;
        let found = parsed(body, 10).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].points, [(20_000, 5.0), (30_000, 7.0)]);
        assert!(!found[0].has_unreadable);
        assert!(parsed("[]", 10).unwrap().is_empty());
        for garbage in ["<html>", "[", "[]]", "{}", "", r#"[{"target":null,"datapoints":[]}]"#] {
            assert!(matches!(parsed(garbage, 10), Err(StoreError::Unreadable(_))), "{garbage}");
        }
        assert!(matches!(parsed(body, 1), Err(StoreError::TooMany { limit: 1 })));
    }

    /// Goal: one value that is no JSON number, of any series, makes that point unknown and nothing else.
    #[test]
    fn one_foreign_value_costs_one_point() {
        for value in ["1e9999", "-1e9999", "Infinity", "-Infinity", "NaN", "\"none\"", "true", "[1]"] {
            let body = format!(
                r#"[{{"target":"h.taskmanager.tm.other \"NaN\".op.0.latency.max","datapoints":[[{value},10]]}},
                {{"target":"h.taskmanager.tm.j.op.0.numRecordsIn.count","datapoints":[[5.0,20.0],[{value},30.25]]}}]"#
            );
            let found = parsed(&body, 10).unwrap_or_else(|error| panic!("{value}: {error:?}"));
            assert_eq!(found.len(), 2, "{value}");
            assert!(found[0].points.is_empty() && found[0].has_unreadable, "{value}");
            assert_eq!(
                (&found[1].points[..], found[1].has_unreadable),
                (&[(20_000, 5.0)][..], true),
                "{value}"
            );
        }
        let floats =
            r#"[{"target":"h.taskmanager.tm.j.op.0.numRecordsIn.count","datapoints":[[5.0,20.5],[6,1e3]]}]"#;
        assert_eq!(parsed(floats, 10).unwrap()[0].points, [(20_500, 5.0), (1_000_000, 6.0)]);
    }
}
