//! Checks of the settings that decide how well the job can be observed.

use std::time::Duration;

use super::{Answer, CheckInput, RESTART, Wrong, answer};
use crate::{Harm, Version, duration};

/// Highest acceptable age of metrics.
const AGE_MOST: Duration = Duration::from_secs(5);
const FETCHER: &str = "metrics.fetcher.update-interval";
const HISTORY: &str = "web.adaptive-scheduler.rescale-history.size";

pub(super) fn metrics_refresh(seen: &CheckInput<'_>) -> Answer {
    answer(|| {
        let set = seen.configuration()?.get(&[FETCHER]);
        let found = match set {
            Some(set) => duration::parse(set).ok_or(Answer::Unknown("its value is not a duration"))?,
            None => Duration::from_secs(10),
        };
        if found <= AGE_MOST && !found.is_zero() {
            return Ok(Answer::Right);
        }
        // Before 2.0 the value is a number of milliseconds.
        let value = if seen.version.is_some_and(|version| version < Version::TWO) { "1000" } else { "1 s" };
        let seconds = found.as_secs();
        let by_default = if set.is_none() { " by default" } else { "" };
        let (harm, cost) = match found.is_zero() {
            true => (
                Harm::Prevents,
                "the JobManager collects no metrics, so no decisions are possible".to_owned(),
            ),
            false => (
                Harm::Blinds,
                format!(
                    "metrics from Flink's REST interface are up to {seconds} s old, which delays decisions"
                ),
            ),
        };
        Ok(Answer::Wrong(Wrong {
            harm,
            found: format!("{FETCHER} is {seconds} s{by_default}"),
            cost,
            change: vec![format!("{FETCHER}: {value}")],
            then: RESTART,
        }))
    })
}

pub(super) fn rescale_history(seen: &CheckInput<'_>) -> Answer {
    if seen.version.is_none_or(|version| version < Version::HISTORY) {
        return Answer::NotApplicable;
    }
    answer(|| {
        let size = seen.configuration()?.get(&[HISTORY]).and_then(|set| set.trim().parse::<u32>().ok());
        if size.unwrap_or(0) > 0 {
            return Ok(Answer::Right);
        }
        Ok(Answer::Wrong(Wrong {
            harm: Harm::Blinds,
            found: format!("{HISTORY} is 0"),
            cost: "the downtime of changes is estimated instead of measured, and reasons of ignored changes are missing"
                .to_owned(),
            change: vec![format!("{HISTORY}: 20")],
            then: RESTART,
        }))
    })
}
