//! `[quota]`: the slots that the jobs of this process share, and the use and demand of each job.
//!
//! [`scaling::quota`] has the rules. This module keeps the claims of all jobs behind one lock. From [`Member::bound`] to
//! [`Member::settle`] a job reserves all slots of its bound, so jobs that decide concurrently never get the same slots.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use control::{Effect, Record};
use scaling::quota::{self, Bound, Claim};
use serde::{Deserialize, Serialize};

use crate::cluster_jobs::JobPattern;
use crate::config::Config;

/// `[quota]`. Fields are as in `configs/rescaler.toml`, which is their documentation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quota {
    /// Maximum number of slots of all jobs together; [`None`]: no quota.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
    /// Bounds of single jobs, by name or pattern.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub jobs: BTreeMap<String, JobSlots>,
}

/// `[quota.jobs."PATTERN"]`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JobSlots {
    /// Number of slots guaranteed to each of these jobs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slots_min: Option<u32>,
    /// Maximum number of slots of each of these jobs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slots_max: Option<u32>,
}

impl Quota {
    /// Returns every invalid value, as `key: valid values`.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.slots == Some(0) {
            problems.push("quota.slots: must be at least 1, or absent".to_owned());
        }
        if self.slots.is_none() && !self.jobs.is_empty() {
            problems
                .push("quota.slots: set the slots of all jobs together, or remove [quota.jobs]".to_owned());
        }
        for (name, job) in &self.jobs {
            let (min, max) = (job.slots_min.unwrap_or(1), job.slots_max.unwrap_or(u32::MAX));
            if min == 0 || max < min {
                problems.push(format!(
                    "quota.jobs.{name:?}: slots_min must be at least 1, and slots_max not below it"
                ));
            }
            if self.slots.is_some_and(|slots| job.slots_min.is_some_and(|min| min > slots)) {
                problems.push(format!("quota.jobs.{name:?}: slots_min must not be above quota.slots"));
            }
            problems.extend(
                JobPattern::new(name)
                    .err()
                    .map(|error: regex::Error| format!("quota.jobs.{name:?}: {error}")),
            );
        }
        problems
    }

    /// Returns the bounds of a job with these names: those configured for a name, else for the longest matching pattern.
    fn job_slots(&self, names: &[&str]) -> JobSlots {
        if let Some(own) = names.iter().find_map(|name| self.jobs.get(*name)) {
            return *own;
        }
        let matches = |pattern: &str| {
            JobPattern::new(pattern).is_ok_and(|pattern| names.iter().any(|name| pattern.matches(name)))
        };
        let matching = self.jobs.iter().filter(|(pattern, _)| matches(pattern));
        matching.max_by_key(|(pattern, _)| pattern.len()).map(|(_, job)| *job).unwrap_or_default()
    }
}

/// Use and demand of one job.
#[derive(Debug, Default)]
struct Allocation {
    /// Bounds from the configuration.
    bounds: JobSlots,
    /// Number of slots that the job needs as it runs, or by its document; [`None`]: the job has not been observed yet.
    held: Option<u32>,
    /// Number of slots that it needs when the change in progress succeeds.
    planned: u32,
    /// Number of slots that its policy would use without a quota.
    wanted: u32,
    /// Whether the job is between [`Member::bound`] and [`Member::settle`].
    is_deciding: bool,
    /// Whether it no longer runs, so that it takes no part.
    has_ended: bool,
}

/// The slots that all jobs of this process share.
#[derive(Debug)]
pub(crate) struct SharedSlots {
    config: Quota,
    /// Maximum number of slots of all jobs together.
    quota: u32,
    jobs: Mutex<BTreeMap<Key, Allocation>>,
    joined: AtomicU64,
}

/// A job's name and a serial number, because a successor with the same name may start before the job is removed.
type Key = (String, u64);

/// Use and demand of one job, for the metrics.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SlotUsage {
    pub(crate) job: String,
    /// Number of slots of the job, or of its change in progress.
    pub(crate) held: u32,
    /// Number of slots that its policy would use without a quota.
    pub(crate) wanted: u32,
    /// Number of slots that the job gets on demand.
    pub(crate) share: u32,
}

impl SharedSlots {
    /// Returns the slots of a configuration with a quota.
    pub(crate) fn new(config: &Quota) -> Option<Arc<Self>> {
        let quota = config.slots?;
        let (jobs, joined) = (Mutex::default(), AtomicU64::new(0));
        Some(Arc::new(Self { config: config.clone(), quota, jobs, joined }))
    }

    /// Registers a job, until the member is dropped. Before its first observation the job counts as using its share, or the slots of
    /// its newest record if those are more.
    pub(crate) fn join(self: &Arc<Self>, config: &Config, recorded: Option<u32>) -> Arc<Member> {
        let job = (config.job.to_string(), self.joined.fetch_add(1, Ordering::Relaxed));
        let mut bounds = self.config.job_slots(&[config.flink_job(), &job.0]);
        let own = config.limits.quota_slots.unwrap_or(u32::MAX);
        bounds.slots_max = bounds.slots_max.or(config.limits.quota_slots).map(|max| max.min(own));
        let planned = recorded.unwrap_or_default();
        self.lock().insert(job.clone(), Allocation { bounds, planned, ..Allocation::default() });
        Arc::new(Member { slots: Arc::clone(self), job })
    }

    /// Returns the quota, and the use and demand of each job.
    pub(crate) fn usage(&self) -> (u32, Vec<SlotUsage>) {
        let jobs = self.lock();
        let claims = self.claims(&jobs);
        let shares = quota::shares(self.quota, &claims);
        let usage = |((job, claim), share): ((&Key, &Claim), u32)| SlotUsage {
            job: job.0.clone(),
            held: claim.held,
            wanted: claim.wanted,
            share,
        };
        let keys = taking_part(&jobs).map(|(key, _)| key);
        (self.quota, keys.zip(&claims).zip(shares).map(usage).collect())
    }

    fn claims(&self, jobs: &BTreeMap<Key, Allocation>) -> Vec<Claim> {
        let claim = |job: &Allocation| Claim {
            held: job.held.unwrap_or_default().max(job.planned),
            wanted: job.wanted,
            min: job.bounds.slots_min,
            max: job.bounds.slots_max,
        };
        let mut claims: Vec<Claim> = taking_part(jobs).map(|(_, seen)| claim(seen)).collect();
        let shares = quota::shares(self.quota, &claims);
        for ((claim, share), (_, job)) in claims.iter_mut().zip(shares).zip(taking_part(jobs)) {
            if job.held.is_none() {
                (claim.held, claim.wanted) = (share.max(job.planned), share);
            }
        }
        claims
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Allocation>> {
        // After a panic, the next decision of each job corrects its allocation.
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The jobs that have not ended.
fn taking_part(jobs: &BTreeMap<Key, Allocation>) -> impl Iterator<Item = (&Key, &Allocation)> {
    jobs.iter().filter(|(_, seen)| !seen.has_ended)
}

/// One job among those that share slots; it leaves them when this is dropped.
#[derive(Debug)]
pub(crate) struct Member {
    slots: Arc<SharedSlots>,
    job: Key,
}

impl Member {
    /// Returns the slots that a job may use that runs with `held`, and reserves them until [`Member::settle`].
    pub(crate) fn bound(&self, held: u32) -> Option<Bound> {
        let mut jobs = self.slots.lock();
        let own = jobs.get_mut(&self.job)?;
        (own.held, own.planned, own.is_deciding, own.has_ended) = (Some(held), 0, true, false);
        let index = taking_part(&jobs).position(|(job, _)| *job == self.job)?;
        let bound = quota::bound(self.slots.quota, &self.slots.claims(&jobs), index);
        jobs.get_mut(&self.job)?.planned = bound.slots;
        Some(bound)
    }

    /// The epoch is decided, with this record. `may_use`: whether plans of the job are carried out, so that it could use slots which
    /// others give back; otherwise it wants no more than it has.
    pub(crate) fn decided(&self, record: &Record, may_use: bool) {
        let cluster = &record.decision.cluster;
        let is_published = matches!(record.effect, Effect::Publishing { .. });
        self.settle(cluster.slots_wanted.filter(|_| may_use), cluster.slots_needed.filter(|_| is_published));
    }

    /// The slots that the job's policy would use, where it has said so, and those that the plan needs which is published.
    fn settle(&self, wanted: Option<u32>, planned: Option<u32>) {
        let mut jobs = self.slots.lock();
        let Some(own) = jobs.get_mut(&self.job) else { return };
        if std::mem::take(&mut own.is_deciding) {
            own.planned = planned.unwrap_or(0);
        }
        own.wanted = wanted.unwrap_or_else(|| own.held.unwrap_or_default().max(own.planned));
    }

    /// Whether a plan was published since the job was seen last.
    pub(crate) fn is_changing(&self) -> bool {
        self.slots.lock().get(&self.job).is_some_and(|own| own.planned > 0)
    }

    /// The job has ended, so that its slots are free and its share is divided among the others; or it runs again, and counts as one that
    /// has not been seen.
    pub(crate) fn set_ended(&self, has_ended: bool) {
        if let Some(own) = self.slots.lock().get_mut(&self.job).filter(|own| own.has_ended != has_ended) {
            *own = Allocation { bounds: own.bounds, has_ended, ..Allocation::default() };
        }
    }

    /// The published plan was refused: its slots are free again.
    pub(crate) fn not_published(&self) {
        if let Some(own) = self.slots.lock().get_mut(&self.job) {
            own.planned = 0;
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.slots.lock().remove(&self.job);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(toml: &str) -> Arc<SharedSlots> {
        let quota: Quota = toml::from_str(toml).unwrap();
        assert_eq!(quota.problems(), Vec::<String>::new());
        SharedSlots::new(&quota).unwrap()
    }

    fn config(job: &str) -> Config {
        Config::parse(&format!("job = \"{job}\""), "r.toml".as_ref()).unwrap()
    }

    fn join(slots: &Arc<SharedSlots>, job: &str) -> Arc<Member> {
        slots.join(&config(job), None)
    }

    /// Goal: jobs that decide concurrently do not get the same slots; slots without a plan are released; those of a published plan stay
    /// reserved until the job is observed with it.
    #[test]
    fn concurrent_decisions_do_not_get_the_same_slots() {
        let slots = slots("slots = 12");
        let (a, b) = (join(&slots, "a"), join(&slots, "b"));
        // The share of the other job stays reserved, because it has not been observed yet.
        assert_eq!(a.bound(2).unwrap().slots, 6);
        a.settle(Some(2), None);
        assert_eq!(b.bound(1).unwrap().slots, 10);
        assert_eq!(a.bound(2).unwrap().slots, 2);
        b.settle(Some(5), Some(5));
        a.settle(Some(9), None);
        assert_eq!(a.bound(2).unwrap().slots, 7);
        a.settle(Some(9), Some(7));
        // The change of b is in progress, and then fails.
        assert_eq!(slots.usage().1[1], SlotUsage { job: "b".to_owned(), held: 5, wanted: 5, share: 6 });
        assert_eq!(b.bound(1).unwrap().slots, 5);
        b.settle(None, None);
        assert_eq!(slots.usage().1[1].held, 1);
    }

    /// Goal: after a restart a job reserves the slots of its newest record until it is observed; the end of a job does not affect a
    /// successor with its name; a refused plan reserves nothing.
    #[test]
    fn recorded_slots_are_reserved_until_the_job_is_observed() {
        let slots = slots("slots = 12");
        let (a, b) = (join(&slots, "a"), slots.join(&config("b"), Some(9)));
        assert_eq!(a.bound(1).unwrap().slots, 3);
        a.settle(Some(9), Some(3));
        a.not_published();
        assert_eq!(slots.usage().1[0].held, 1);
        let again = slots.join(&config("b"), None);
        drop(b);
        assert_eq!(again.bound(2).unwrap().slots, 6);
    }

    /// Goal: bounds are those of the job's name, else of the longest pattern; the end of a job releases its slots.
    #[test]
    fn jobs_have_bounds_by_name() {
        let slots =
            slots("slots = 12\n[jobs]\n'etl-*'.slots_max = 3\n'*'.slots_min = 1\netl-9.slots_min = 6");
        let (small, guaranteed) = (join(&slots, "etl-1"), join(&slots, "etl-9"));
        assert_eq!(small.bound(1).unwrap().slots, 3);
        small.settle(Some(9), None);
        let bound = guaranteed.bound(1).unwrap();
        assert_eq!((bound.share, bound.slots), (6, 9));
        guaranteed.settle(Some(1), None);
        drop(small);
        assert_eq!(guaranteed.bound(1).unwrap().slots, 12);
    }

    fn record(effect: Effect, wanted: Option<u32>) -> Record {
        let mut decision = scaling::Decision::nothing("ds2", "because");
        (decision.cluster.slots_wanted, decision.cluster.slots_needed) = (wanted, Some(5));
        Record {
            epoch: 1,
            at: jiff::Timestamp::UNIX_EPOCH,
            job: "a".to_owned(),
            effect,
            decision,
            snapshot: None,
            state: Arc::default(),
            imagined: false,
            restored: Vec::new(),
            outcome: None,
        }
    }

    /// Goal: a job in a dry run and a paused one want what they have, so that no other gives slots back to them; what a published plan needs
    /// is held.
    #[test]
    fn jobs_that_use_nothing_want_nothing() {
        let slots = slots("slots = 12");
        let a = join(&slots, "a");
        let figures = |record: &Record, may_use| {
            a.bound(2).unwrap();
            a.decided(record, may_use);
            let own = slots.usage().1.remove(0);
            (own.held, own.wanted)
        };
        let wants = |effect| record(effect, Some(9));
        assert_eq!(figures(&wants(Effect::Publishing { generation: 1 }), true), (5, 9));
        assert_eq!(figures(&wants(Effect::Nothing), true), (2, 9));
        assert_eq!(figures(&wants(Effect::DryRun), false), (2, 2));
        // In a run with --dry-run nothing is changed at all, so it plans as if its plans were carried out.
        assert_eq!(figures(&wants(Effect::DryRun), true), (2, 9));
        // A paused job's policy is not asked.
        assert_eq!(figures(&record(Effect::Nothing, None), true), (2, 2));
    }

    /// Goal: a job that has ended leaves its slots and its share to the others; when it runs again its share is kept for it until it is seen.
    #[test]
    fn ended_jobs_take_no_part() {
        let slots = slots("slots = 12");
        let (a, b) = (join(&slots, "a"), join(&slots, "b"));
        a.bound(9).unwrap();
        a.settle(Some(9), Some(10));
        assert!(a.is_changing());
        assert_eq!(b.bound(1).unwrap().slots, 2);
        a.set_ended(true);
        assert!(!a.is_changing());
        let bound = b.bound(1).unwrap();
        assert_eq!((bound.slots, bound.share, slots.usage().1.len()), (12, 12, 1));
        b.settle(Some(4), None);
        a.set_ended(false);
        assert_eq!(slots.usage().1[0], SlotUsage { job: "a".to_owned(), held: 6, wanted: 6, share: 6 });
        a.set_ended(true);
        // A decision is the best sign that it runs.
        assert_eq!(a.bound(1).unwrap().slots, 8);
    }

    /// Goal: what makes no sense is named.
    #[test]
    fn invalid_values_are_reported() {
        for (toml, key) in [
            ("slots = 0", "quota.slots"),
            ("jobs.a.slots_min = 1", "quota.slots"),
            ("slots = 4\njobs.a.slots_min = 5", "quota.jobs.\"a\""),
            ("slots = 4\njobs.a = { slots_min = 3, slots_max = 2 }", "quota.jobs.\"a\""),
        ] {
            let found = toml::from_str::<Quota>(toml).unwrap().problems().join("; ");
            assert!(found.contains(key), "{toml}: {found}");
        }
    }
}
