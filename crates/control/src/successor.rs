//! Builds the next generation of a document from a decision's plan.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use job_config::{Change, DocumentError, JobDocument};
use scaling::Decision;

/// Returns the successor of `running` that carries out a decision, valid for `lifetime`.
///
/// # Errors
/// The resulting document is invalid, for example because a parallelism exceeds its maximum.
pub fn successor(
    running: &JobDocument,
    decision: &Decision,
    now: Timestamp,
    lifetime: Duration,
) -> Result<JobDocument, DocumentError> {
    let lifetime = SignedDuration::try_from(lifetime).unwrap_or(SignedDuration::MAX);
    // A join or co-group without its own parallelism follows the default, which the policy raises.
    let follows_default = |name: &str| {
        decision.default_parallelism.is_some()
            && !running.parallelism().operators.contains_key(name)
            && decision.operators.iter().any(|operator| {
                operator.name == name && matches!(operator.kind, scaling::Kind::Join | scaling::Kind::CoGroup)
            })
    };
    let change = Change {
        parallelism: decision
            .parallelism
            .iter()
            .filter(|(name, _)| !follows_default(name))
            .map(|(name, p)| (name.clone(), *p))
            .collect(),
        default_parallelism: decision.default_parallelism,
        task_managers: decision.cluster.task_managers,
        reason: decision.to_string(),
        issued_at: now,
        expires_at: now.checked_add(lifetime).ok(),
    };
    running.successor(&change)
}

#[cfg(test)]
mod tests {
    use super::*;
    use scaling::{Action, Kind, OperatorReport};

    const EXAMPLE: &str = include_str!("../../../configs/jobs/nexmark.toml");

    fn decision(name: &str, kind: Kind, new: u32, default: Option<u32>) -> Decision {
        let mut decision = Decision::nothing("latency", "q7 is slow");
        decision.action = Action::Rescale;
        decision.parallelism.insert(name.to_owned(), new);
        decision.default_parallelism = default;
        decision.operators.push(OperatorReport {
            name: name.to_owned(),
            kind,
            latency_ms: None,
            parallelism: 1,
            new_parallelism: Some(new),
            because: String::new(),
            figures: std::collections::BTreeMap::new(),
        });
        decision
    }

    /// Goal: a plan becomes the next generation, with its reason and expiry.
    #[test]
    fn a_plan_becomes_the_next_generation() {
        let current = JobDocument::parse(EXAMPLE).unwrap();
        let now: Timestamp = "2026-02-03T04:05:06Z".parse().unwrap();
        let plan = decision("q7-bid-item", Kind::Continuous, 3, None);
        let next = successor(&current, &plan, now, Duration::from_secs(60)).unwrap();
        assert_eq!((next.generation(), next.parallelism().of("q7-bid-item")), (2, 3));
        assert_eq!(next.reason(), "rescale q7-bid-item 1 → 3: q7 is slow");
        assert_eq!(next.expires_at(), Some("2026-02-03T04:06:06Z".parse().unwrap()));
    }

    /// Goal: a join without its own parallelism is raised through the default, without an entry.
    #[test]
    fn joins_follow_the_default() {
        let current = JobDocument::parse(EXAMPLE).unwrap();
        let plan = decision("q8-new-sellers", Kind::Join, 3, Some(3));
        let next = successor(&current, &plan, Timestamp::UNIX_EPOCH, Duration::from_secs(60));
        let parallelism = next.unwrap().parallelism().clone();
        assert_eq!(parallelism.default, 3);
        assert!(!parallelism.operators.contains_key("q8-new-sellers"));
    }
}
