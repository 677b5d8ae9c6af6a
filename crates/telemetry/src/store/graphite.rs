//! Graphite's render interface: series by their paths, `[value, time]` newest last.

use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;

use crate::error::StoreError;
use crate::http::{Bounds, Http, successful};
use crate::mapping::Mapping;
use crate::series::{Found, Point};

#[derive(Debug)]
pub(crate) struct Graphite {
    pub(crate) http: Http,
    pub(crate) base: Url,
    pub(crate) targets: Vec<String>,
    pub(crate) bounds: Bounds,
}

#[derive(Deserialize)]
struct Rendered {
    target: String,
    datapoints: Vec<(Option<f64>, i64)>,
}

impl Graphite {
    pub(crate) async fn read(&self, mapping: &Mapping, lookback: Duration) -> Result<Vec<Found>, StoreError> {
        let from = format!("-{}s", lookback.as_secs().max(1));
        let fixed = [("format", "json"), ("noNullPoints", "true"), ("from", from.as_str()), ("until", "now")];
        let targets = self.targets.iter().map(|target| ("target", target.as_str()));
        let query: Vec<(&str, &str)> = targets.chain(fixed).collect();
        let url = self.base.join("render").map_err(|_| StoreError::Refused(self.base.to_string()))?;
        let body = successful(self.http.answer(self.http.get(url).query(&query)).await?)?;
        parse(&body, mapping, self.bounds.max_series)
    }
}

/// The series that a pattern knows.
pub(crate) fn parse(body: &[u8], mapping: &Mapping, max_series: usize) -> Result<Vec<Found>, StoreError> {
    let rendered: Vec<Rendered> = serde_json::from_slice(body).map_err(StoreError::Unreadable)?;
    if rendered.len() > max_series {
        return Err(StoreError::TooMany { limit: max_series });
    }
    let found = rendered.into_iter().filter_map(|series| {
        let points = series.datapoints.into_iter().filter_map(point).collect();
        Some(Found { subject: mapping.subject(&series.target)?, points })
    });
    Ok(found.collect())
}

/// A point with a value that is a number.
fn point((value, time_s): (Option<f64>, i64)) -> Option<Point> {
    Some((time_s.checked_mul(1000)?, value.filter(|value| value.is_finite())?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::MappingSettings;

    /// Goal: what graphite-web answers becomes points; garbage and too much are refused.
    #[test]
    fn answers_are_read() {
        let mapping = Mapping::new(&MappingSettings::default()).unwrap();
        let body = br#"[{"target":"h.taskmanager.tm-1.j.op.0.numRecordsIn.count","tags":{"name":"x"},
            "datapoints":[[null,10],[5.0,20],[7.0,30]]},{"target":"h.other","datapoints":[]}]"#;
        let found = parse(body, &mapping, 10).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].points, [(20_000, 5.0), (30_000, 7.0)]);
        assert!(parse(b"[]", &mapping, 10).unwrap().is_empty());
        assert!(matches!(parse(b"<html>", &mapping, 10), Err(StoreError::Unreadable(_))));
        assert!(matches!(parse(body, &mapping, 1), Err(StoreError::TooMany { limit: 1 })));
    }
}
