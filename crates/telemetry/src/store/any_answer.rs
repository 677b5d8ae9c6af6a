//! What must hold for whatever a metric store answers, for the property tests and the fuzz targets.

use std::sync::LazyLock;

use super::{graphite, prometheus};
use crate::error::StoreError;
use crate::mapping::{Mapping, MappingSettings};
use crate::series::MatchedSeries;

/// Maximum number of series.
const SERIES: usize = 8;
/// Latest time of a point, in milliseconds.
const LATEST_MS: i64 = 1_000_000_000_000_000;

/// Built once: a fuzz target makes thousands of runs a second.
#[expect(clippy::expect_used, reason = "the default mapping is valid")]
static MAPPING: LazyLock<Mapping> =
    LazyLock::new(|| Mapping::new(&MappingSettings::default()).expect("the default is valid"));

/// Parses a body as one of graphite-web and checks the result.
pub fn graphite(body: &[u8]) {
    check(graphite::parse(body.to_vec(), &MAPPING, SERIES));
}

/// Parses a body as one of Prometheus and checks the result.
pub fn prometheus(body: &[u8]) {
    check(prometheus::parse(body, &MAPPING, SERIES));
}

fn check(found: Result<Vec<MatchedSeries>, StoreError>) {
    match found {
        Ok(found) => {
            assert!(found.len() <= SERIES);
            for series in &found {
                assert!(series.points.is_sorted_by_key(|(at_ms, _)| *at_ms), "{series:?}");
                assert!(
                    series.points.iter().all(|(at_ms, value)| at_ms.abs() <= LATEST_MS && value.is_finite())
                );
            }
        }
        // An error is shown to people.
        Err(error) => assert!(error.to_string().len() < 10_000, "{error}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    /// Parts of the answers of both stores.
    fn parts() -> impl Strategy<Value = String> {
        let part = prop::sample::select(vec![
            "[",
            "]",
            "{",
            "}",
            ",",
            ":",
            "\"target\":\"h.taskmanager.tm.j.op.0.numRecordsIn.count\"",
            "\"datapoints\":[[1,2],[null,3]]",
            "\"datapoints\":",
            "\"values\":[[1,\"2\"],[1e999,\"NaN\"]]",
            "\"metric\":{\"__name__\":\"flink_taskmanager_job_task_numRecordsIn\",\"tm_id\":\"t\",\"job_name\":\"j\",\"task_name\":\"a\",\"subtask_index\":\"0\"}",
            "\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[",
            "\"status\":\"error\",\"error\":\"no\"",
            "\"warnings\":[\"w\"]",
            "NaN",
            "-Infinity",
            "1e9999",
            "-1e300",
            "null",
            "\"\\ud800\"",
            "\"",
            "\\",
            "\u{0}",
        ]);
        prop::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
    }

    /// An answer with one series, with a part replaced.
    fn damaged() -> impl Strategy<Value = Vec<u8>> {
        let valid = prop::sample::select(vec![
            "[{\"target\":\"h.taskmanager.tm.j.op.0.numRecordsIn.count\",\"datapoints\":[[5.0,20],[7.0,30]]}]",
            "{\"status\":\"success\",\"data\":{\"result\":[{\"metric\":{\"__name__\":\"flink_taskmanager_job_task_numRecordsIn\",\
             \"tm_id\":\"t\",\"job_name\":\"j\",\"task_name\":\"a\",\"subtask_index\":\"0\"},\"values\":[[10,\"1\"],[11,\"2\"]]}]}}",
        ]);
        let foreign = prop::collection::vec(any::<u8>(), 0..4);
        (valid, any::<prop::sample::Index>(), 0_usize..4, foreign).prop_map(|(valid, at, cut, foreign)| {
            let bytes = valid.as_bytes();
            let at = at.index(bytes.len());
            [&bytes[..at], &foreign, &bytes[(at + cut).min(bytes.len())..]].concat()
        })
    }

    proptest! {
        /// Goal: any answer of a metric store is refused with a short message, or gives finite points in the order of time.
        #[test]
        fn any_answer_is_refused_or_gives_finite_points_in_order(
            body in prop_oneof![parts().prop_map(String::into_bytes), damaged()],
        ) {
            super::graphite(&body);
            super::prometheus(&body);
        }
    }
}
