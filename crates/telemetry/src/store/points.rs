//! Parses the points of a series in responses of Graphite and Prometheus: pairs of value and time.
//!
//! A response contains many series. A value that is not a JSON number (`Infinity`, `NaN`, `1e9999`, a text), or a pair of another
//! shape, makes only that point unknown.

use std::fmt;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::series::Point;

/// Latest valid time, in seconds: year 33,658.
const LATEST_S: f64 = 1e12;

/// The points of one series. `VALUE_FIRST`: `[value, time]` as Graphite writes it, else `[time, value]`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Points<const VALUE_FIRST: bool> {
    /// Known values, in the order of time.
    pub(crate) points: Vec<Point>,
    /// Whether there was anything else than known values and `null`.
    pub(crate) has_unreadable: bool,
}

/// Content of a pair.
#[derive(Debug, PartialEq)]
enum Read {
    Known(Point),
    Absent,
    Unreadable,
}

fn read(value: &str, time: &str) -> Read {
    if value == "null" {
        return Read::Absent;
    }
    match (number(value), number(time)) {
        (Some(value), Some(time_s)) if time_s.abs() <= LATEST_S =>
        {
            #[expect(clippy::cast_possible_truncation, reason = "bounded above")]
            Read::Known(((time_s * 1000.0).round() as i64, value))
        }
        _ => Read::Unreadable,
    }
}

/// Parses a finite number, also in quotes.
fn number(text: &str) -> Option<f64> {
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

impl<'de, const VALUE_FIRST: bool> Deserialize<'de> for Points<VALUE_FIRST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PointsVisitor::<VALUE_FIRST>)
    }
}

struct PointsVisitor<const VALUE_FIRST: bool>;

impl<'de, const VALUE_FIRST: bool> Visitor<'de> for PointsVisitor<VALUE_FIRST> {
    type Value = Points<VALUE_FIRST>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of points")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut read_points = Points::default();
        while let Some(pair) = list.next_element::<&RawValue>()? {
            let found = match serde_json::from_str::<(&RawValue, &RawValue)>(pair.get()) {
                Ok((value, time)) if VALUE_FIRST => read(value.get(), time.get()),
                Ok((time, value)) => read(value.get(), time.get()),
                Err(_) => Read::Unreadable,
            };
            match found {
                Read::Known(point) => read_points.points.push(point),
                Read::Absent => {}
                Read::Unreadable => read_points.has_unreadable = true,
            }
        }
        if !read_points.points.is_sorted_by_key(|(time_ms, _)| *time_ms) {
            read_points.points.sort_by_key(|(time_ms, _)| *time_ms);
        }
        read_points.points.shrink_to_fit();
        Ok(read_points)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(unreadable())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(unreadable())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(unreadable())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(unreadable())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(unreadable())
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(unreadable())
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(unreadable())
    }
}

fn unreadable<const VALUE_FIRST: bool>() -> Points<VALUE_FIRST> {
    Points { points: Vec::new(), has_unreadable: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: each kind of foreign value makes its own point unknown and no other.
    #[test]
    fn foreign_values_are_unknown() {
        let text = r#"[[1.5,10],[null,20],[1e9999,30],["x",40],["2.5",50],[3,60.5],[4,"x"],[5],[6,70,1],7,null,{"a":[1]},[-1e400,80]]"#;
        let points: Points<true> = serde_json::from_str(text).unwrap();
        assert_eq!(points.points, [(10_000, 1.5), (50_000, 2.5), (60_500, 3.0)]);
        assert!(points.has_unreadable);
        let nulls: Points<true> = serde_json::from_str("[[null,10],[1,5],[2,1]]").unwrap();
        assert_eq!((nulls.points, nulls.has_unreadable), (vec![(1_000, 2.0), (5_000, 1.0)], false));
        for other in ["null", "1", "true", "\"x\"", "{\"a\":1}", "-1", "1.5"] {
            assert_eq!(serde_json::from_str::<Points<false>>(other).unwrap(), unreadable(), "{other}");
        }
    }
}
