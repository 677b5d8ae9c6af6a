//! `[quota]`: slots that the jobs of this process share, and what each of them holds and wants of them.
//!
//! The rules are [`scaling::quota`]'s. Here are the claims of all jobs behind one lock: between the question for a job's bound and the
//! answer what it planned ([`Member::settle`]) the job holds all that it was left, so two jobs that decide at the same time are never
//! left the same slots.

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
    /// The slots that all jobs of this process may have together; [`None`]: they are not shared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
    /// Bounds of jobs, by name or pattern.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub jobs: BTreeMap<String, JobSlots>,
}

/// `[quota.jobs."PATTERN"]`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JobSlots {
    /// The slots that are guaranteed to each of these jobs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slots_min: Option<u32>,
    /// The most slots that each of these jobs may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slots_max: Option<u32>,
}

impl Quota {
    /// Every value that is out of its range, as `key: what would be right`.
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

    /// The bounds of a job of these names: those of a name, else of the longest pattern that takes one.
    fn of(&self, names: &[&str]) -> JobSlots {
        if let Some(own) = names.iter().find_map(|name| self.jobs.get(*name)) {
            return *own;
        }
        let takes = |pattern: &str| {
            JobPattern::new(pattern).is_ok_and(|pattern| names.iter().any(|name| pattern.matches(name)))
        };
        let taken = self.jobs.iter().filter(|(pattern, _)| takes(pattern));
        taken.max_by_key(|(pattern, _)| pattern.len()).map(|(_, job)| *job).unwrap_or_default()
    }
}

/// What is known of one job.
#[derive(Debug, Default)]
struct Seen {
    /// Its bounds.
    bounds: JobSlots,
    /// The slots that it needs as it runs, or as its document says; [`None`]: it has not been seen yet.
    held: Option<u32>,
    /// Those that it needs when the change in progress succeeds.
    planned: u32,
    /// Those that its policy would use.
    wanted: u32,
    /// Whether it has asked for its bound and not yet said what it planned.
    is_deciding: bool,
    /// Whether it no longer runs, so that it takes no part.
    has_ended: bool,
}

/// The claims of all jobs of this process.
#[derive(Debug)]
pub(crate) struct SharedSlots {
    config: Quota,
    /// The slots of all jobs together.
    quota: u32,
    jobs: Mutex<BTreeMap<Key, Seen>>,
    joined: AtomicU64,
}

/// A job's name, and a number: a job that has ended may still take part when another of its name begins.
type Key = (String, u64);

/// What the metrics say of one job.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) job: String,
    pub(crate) held: u32,
    pub(crate) wanted: u32,
    pub(crate) share: u32,
}

impl SharedSlots {
    /// The slots that this configuration shares; [`None`]: it shares none.
    pub(crate) fn of(config: &Quota) -> Option<Arc<Self>> {
        let quota = config.slots?;
        let (jobs, joined) = (Mutex::default(), AtomicU64::new(0));
        Some(Arc::new(Self { config: config.clone(), quota, jobs, joined }))
    }

    /// A further job takes part, until the member is dropped. Until it is seen it holds its share, and at least the slots of its newest
    /// record, if there is one.
    pub(crate) fn join(self: &Arc<Self>, config: &Config, recorded: Option<u32>) -> Arc<Member> {
        let job = (config.job.to_string(), self.joined.fetch_add(1, Ordering::Relaxed));
        let mut bounds = self.config.of(&[config.flink_job(), &job.0]);
        let own = config.limits.quota_slots.unwrap_or(u32::MAX);
        bounds.slots_max = bounds.slots_max.or(config.limits.quota_slots).map(|max| max.min(own));
        let planned = recorded.unwrap_or_default();
        self.lock().insert(job.clone(), Seen { bounds, planned, ..Seen::default() });
        Arc::new(Member { slots: Arc::clone(self), job })
    }

    /// The quota, and the figures of each job that takes part.
    pub(crate) fn figures(&self) -> (u32, Vec<Figures>) {
        let jobs = self.lock();
        let claims = self.claims(&jobs);
        let shares = quota::shares(self.quota, &claims);
        let figures = |((job, claim), share): ((&Key, &Claim), u32)| Figures {
            job: job.0.clone(),
            held: claim.held,
            wanted: claim.wanted,
            share,
        };
        let keys = taking_part(&jobs).map(|(key, _)| key);
        (self.quota, keys.zip(&claims).zip(shares).map(figures).collect())
    }

    /// The claims of the jobs that take part, in their order.
    fn claims(&self, jobs: &BTreeMap<Key, Seen>) -> Vec<Claim> {
        let claim = |seen: &Seen| Claim {
            held: seen.held.unwrap_or_default().max(seen.planned),
            wanted: seen.wanted,
            min: seen.bounds.slots_min,
            max: seen.bounds.slots_max,
        };
        let mut claims: Vec<Claim> = taking_part(jobs).map(|(_, seen)| claim(seen)).collect();
        let shares = quota::shares(self.quota, &claims);
        for ((claim, share), (_, seen)) in claims.iter_mut().zip(shares).zip(taking_part(jobs)) {
            if seen.held.is_none() {
                (claim.held, claim.wanted) = (share.max(seen.planned), share);
            }
        }
        claims
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Seen>> {
        // What a task that panicked has left is corrected with the job's next decision.
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The jobs that have not ended.
fn taking_part(jobs: &BTreeMap<Key, Seen>) -> impl Iterator<Item = (&Key, &Seen)> {
    jobs.iter().filter(|(_, seen)| !seen.has_ended)
}

/// One job among those that share slots; it leaves them when this is dropped.
#[derive(Debug)]
pub(crate) struct Member {
    slots: Arc<SharedSlots>,
    job: Key,
}

impl Member {
    /// The slots that the job may have now, which needs this many as it runs. Until [`Member::settle`] it holds all of them.
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
            *own = Seen { bounds: own.bounds, has_ended, ..Seen::default() };
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
        SharedSlots::of(&quota).unwrap()
    }

    fn config(job: &str) -> Config {
        Config::parse(&format!("job = \"{job}\""), "r.toml".as_ref()).unwrap()
    }

    fn join(slots: &Arc<SharedSlots>, job: &str) -> Arc<Member> {
        slots.join(&config(job), None)
    }

    /// Goal: jobs that decide at the same time are not left the same slots; what was not planned is free again; a plan that is published
    /// is held until the job is seen with it.
    #[test]
    fn slots_are_left_to_one_job_at_a_time() {
        let slots = slots("slots = 12");
        let (a, b) = (join(&slots, "a"), join(&slots, "b"));
        // The other one has not been seen, so its share is kept for it.
        assert_eq!(a.bound(2).unwrap().slots, 6);
        a.settle(Some(2), None);
        assert_eq!(b.bound(1).unwrap().slots, 10);
        assert_eq!(a.bound(2).unwrap().slots, 2);
        b.settle(Some(5), Some(5));
        a.settle(Some(9), None);
        assert_eq!(a.bound(2).unwrap().slots, 7);
        a.settle(Some(9), Some(7));
        // The change of b is in progress, then it has failed.
        assert_eq!(slots.figures().1[1], Figures { job: "b".to_owned(), held: 5, wanted: 5, share: 6 });
        assert_eq!(b.bound(1).unwrap().slots, 5);
        b.settle(None, None);
        assert_eq!(slots.figures().1[1].held, 1);
    }

    /// Goal: after a restart a job holds what its newest record says until it is seen; a job that has ended leaves without another of
    /// its name; a refused plan holds nothing.
    #[test]
    fn recorded_slots_are_held_until_the_job_is_seen() {
        let slots = slots("slots = 12");
        let (a, b) = (join(&slots, "a"), slots.join(&config("b"), Some(9)));
        assert_eq!(a.bound(1).unwrap().slots, 3);
        a.settle(Some(9), Some(3));
        a.not_published();
        assert_eq!(slots.figures().1[0].held, 1);
        let again = slots.join(&config("b"), None);
        drop(b);
        assert_eq!(again.bound(2).unwrap().slots, 6);
    }

    /// Goal: bounds are those of the job's name, else of the longest pattern; a job that has left gives its slots free.
    #[test]
    fn jobs_have_bounds_by_name_and_leave() {
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
            let own = slots.figures().1.remove(0);
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
        assert_eq!((bound.slots, bound.share, slots.figures().1.len()), (12, 12, 1));
        b.settle(Some(4), None);
        a.set_ended(false);
        assert_eq!(slots.figures().1[0], Figures { job: "a".to_owned(), held: 6, wanted: 6, share: 6 });
        a.set_ended(true);
        // A decision is the best sign that it runs.
        assert_eq!(a.bound(1).unwrap().slots, 8);
    }

    /// Goal: what makes no sense is named.
    #[test]
    fn mistakes_are_named() {
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
