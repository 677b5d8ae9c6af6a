//! Checks of the settings that decide whether and how fast the scheduler rescales.

use std::time::Duration;

use super::{Answer, CheckInput, RESTART, RESTART_AND_SUBMIT, Wrong, answer};
use crate::{Harm, InPlace, Version, duration};

/// Longest acceptable wait: a rescale itself takes a second or two.
const WAIT_MOST: Duration = Duration::from_secs(10);

const COOLDOWN: &str = "jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling";
const INTERVAL_MIN: &str = "jobmanager.adaptive-scheduler.scaling-interval.min";
const STABILIZATION: &str = "jobmanager.adaptive-scheduler.executing.resource-stabilization-timeout";
const STABILIZATION_BEFORE_2: &str = "jobmanager.adaptive-scheduler.resource-stabilization-timeout";
const INCREASE: &str = "jobmanager.adaptive-scheduler.min-parallelism-increase";
const HISTORY: &str = "web.adaptive-scheduler.rescale-history.size";

/// Keys with the version that introduced them. Older versions silently ignore them.
const NEW_KEYS: [(&str, Version); 5] = [
    (COOLDOWN, Version::TWO),
    (STABILIZATION, Version::TWO),
    ("jobmanager.adaptive-scheduler.submission.resource-stabilization-timeout", Version::TWO),
    (INTERVAL_MIN, Version::INTERVAL),
    (HISTORY, Version::HISTORY),
];

pub(super) fn version(seen: &CheckInput<'_>) -> Answer {
    answer(|| {
        let version = seen.known_version()?;
        if version >= Version::IN_PLACE {
            return Ok(Answer::Right);
        }
        Ok(Answer::Wrong(Wrong {
            harm: Harm::Prevents,
            found: format!("Flink {} cannot change the parallelism of a running job", seen.facts.version),
            cost: "plans are only recommended, unless a config agent with the jar restarts the job from a savepoint"
                .to_owned(),
            change: vec!["Flink 1.18 or newer".to_owned()],
            then: RESTART_AND_SUBMIT,
        }))
    })
}

pub(super) fn scheduler(seen: &CheckInput<'_>) -> Answer {
    answer(|| {
        let shown = seen.facts.configuration.as_ref();
        let is_reactive = shown.is_some_and(|shown| shown.is("scheduler-mode", "reactive"));
        let in_place = seen.facts.job.as_ref().map_or(InPlace::Unknown, |job| job.in_place);
        let set = shown.and_then(|shown| shown.get(&["jobmanager.scheduler"]));
        let is_adaptive = match (in_place, set) {
            (InPlace::Possible | InPlace::Reactive, _) => true,
            (InPlace::OtherScheduler, _) => false,
            (InPlace::Unknown, Some(set)) => set.eq_ignore_ascii_case("adaptive"),
            (InPlace::Unknown, None) => seen.configuration().map(|_| false)?,
        };
        if is_adaptive || is_reactive {
            return Ok(Answer::Right);
        }
        let found = match set {
            Some(set) if set.eq_ignore_ascii_case("adaptive") => {
                "the job was submitted before jobmanager.scheduler was set to adaptive".to_owned()
            }
            Some(set) => format!("jobmanager.scheduler is {set}"),
            None => "jobmanager.scheduler is not set, so it is the default scheduler".to_owned(),
        };
        Ok(Answer::Wrong(Wrong {
            harm: Harm::Prevents,
            found,
            cost: "Flink refuses to change the parallelism of a running job; plans are only recommended, unless a config agent with the jar restarts the job from a savepoint"
                .to_owned(),
            change: vec!["jobmanager.scheduler: adaptive".to_owned()],
            then: RESTART_AND_SUBMIT,
        }))
    })
}

pub(super) fn reactive_mode(seen: &CheckInput<'_>) -> Answer {
    let shown = seen.facts.configuration.as_ref();
    let is_set = shown.is_some_and(|shown| shown.is("scheduler-mode", "reactive"));
    let is_refused = seen.facts.job.as_ref().is_some_and(|job| job.in_place == InPlace::Reactive);
    if !is_set && !is_refused {
        return match shown {
            Some(_) => Answer::Right,
            None => Answer::Unknown("Flink does not show its configuration"),
        };
    }
    Answer::Wrong(Wrong {
        harm: Harm::Prevents,
        found: "scheduler-mode is reactive".to_owned(),
        cost: "Flink itself takes all available slots and refuses any other parallelism".to_owned(),
        change: vec![
            "remove scheduler-mode: reactive".to_owned(),
            "jobmanager.scheduler: adaptive".to_owned(),
        ],
        then: RESTART_AND_SUBMIT,
    })
}

pub(super) fn ignored_keys(seen: &CheckInput<'_>) -> Answer {
    answer(|| {
        let (shown, version) = (seen.configuration()?, seen.known_version()?);
        let ignored: Vec<&str> = NEW_KEYS
            .iter()
            .filter(|(key, since)| version < *since && shown.get(&[*key]).is_some())
            .map(|(key, _)| *key)
            .collect();
        if ignored.is_empty() {
            return Ok(Answer::Right);
        }
        let change = match version {
            version if version >= Version::TWO => Vec::new(),
            version if version >= Version::INTERVAL => vec![format!("{INTERVAL_MIN}: 1 s")],
            _ => Vec::new(),
        };
        let removed = ignored.iter().map(|key| format!("remove {key}"));
        Ok(Answer::Wrong(Wrong {
            harm: Harm::Slows,
            found: format!("Flink {version} does not know {} and ignores it", ignored.join(", ")),
            cost: "the setting has no effect, and Flink does not log that".to_owned(),
            change: removed.chain(change).collect(),
            then: RESTART,
        }))
    })
}

pub(super) fn interval(seen: &CheckInput<'_>) -> Answer {
    let keys: &[&str] = match seen.version {
        Some(version) if version >= Version::TWO => &[COOLDOWN, INTERVAL_MIN],
        Some(version) if version >= Version::INTERVAL => &[INTERVAL_MIN],
        _ => return Answer::NotApplicable,
    };
    wait(seen, keys, Duration::from_secs(30), "minimum time between changes")
}

pub(super) fn stabilization(seen: &CheckInput<'_>) -> Answer {
    let (key, default) = match seen.version {
        Some(version) if version >= Version::TWO => (STABILIZATION, Duration::from_secs(60)),
        Some(version) if version >= Version::IN_PLACE => (STABILIZATION_BEFORE_2, Duration::from_secs(10)),
        _ => return Answer::NotApplicable,
    };
    wait(seen, &[key], default, "time that a change waits for missing slots")
}

/// Returns a finding if the first of these keys that is set, or the default, is a long wait.
fn wait(seen: &CheckInput<'_>, keys: &[&str], default: Duration, what: &str) -> Answer {
    answer(|| {
        let shown = seen.configuration()?;
        let set = shown.get(keys);
        let found = match set {
            Some(set) => duration::parse(set).ok_or(Answer::Unknown("its value is not a duration"))?,
            None => default,
        };
        if found <= WAIT_MOST {
            return Ok(Answer::Right);
        }
        let key = keys.first().copied().unwrap_or_default();
        let seconds = found.as_secs();
        let by_default = if set.is_none() { " by default" } else { "" };
        Ok(Answer::Wrong(Wrong {
            harm: Harm::Slows,
            found: format!("{key} is {seconds} s{by_default}"),
            cost: format!("{what}: scaling reacts up to {seconds} s late"),
            change: vec![format!("{key}: 1 s")],
            then: RESTART,
        }))
    })
}

pub(super) fn minimum_increase(seen: &CheckInput<'_>) -> Answer {
    if seen.version.is_none_or(|version| version >= Version::TWO) {
        return Answer::NotApplicable;
    }
    answer(|| {
        let least = seen.configuration()?.get(&[INCREASE]).and_then(|set| set.trim().parse::<u32>().ok());
        let Some(least) = least.filter(|least| *least > 1) else { return Ok(Answer::Right) };
        Ok(Answer::Wrong(Wrong {
            harm: Harm::Slows,
            found: format!("{INCREASE} is {least}"),
            cost: format!(
                "Flink ignores an increase of fewer than {least} subtasks until it gets more slots"
            ),
            change: vec![format!("{INCREASE}: 1")],
            then: RESTART,
        }))
    })
}
