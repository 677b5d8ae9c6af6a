//! Slots shared under one quota: the pure sharing, and what a decision makes of its bound.

use proptest::prelude::*;
use scaling::limits::Limits;
use scaling::quota::{Bound, Claim, bound, grants, shares};
use scaling::{Action, Constraints, Decision, LocalTime, Memory, Operator, Policy, Snapshot, Traits};

fn claims(jobs: usize) -> impl Strategy<Value = Vec<Claim>> {
    let min = prop_oneof![3 => Just(None), 1 => (1_u32..12).prop_map(Some)];
    let more = prop_oneof![3 => Just(None), 1 => (0_u32..12).prop_map(Some)];
    let claim = (0_u32..20, 0_u32..40, min, more).prop_map(|(held, wanted, min, more)| Claim {
        held,
        wanted,
        min,
        max: more.map(|more| min.unwrap_or(1) + more),
    });
    proptest::collection::vec(claim, 1..jobs)
}

fn sum(slots: &[u32]) -> u32 {
    slots.iter().sum()
}

fn most(claim: &Claim) -> u32 {
    claim.max.unwrap_or(u32::MAX)
}

proptest! {
    #![proptest_config(crate::same_cases(2_000))]

    /// Goal: the grants of all jobs fit into the quota, and a job's own maximum holds.
    #[test]
    fn the_quota_is_never_exceeded(quota in 1_u32..80, claims in claims(8)) {
        let jobs = u32::try_from(claims.len()).unwrap();
        let granted = grants(quota, &claims);
        prop_assert!(sum(&granted) <= quota.max(jobs), "{granted:?}");
        prop_assert!(sum(&shares(quota, &claims)) <= quota.max(jobs));
        for (claim, own) in claims.iter().zip(&granted) {
            prop_assert!(*own <= most(claim));
        }
    }

    /// Goal: a job that wants its share gets it, however much the others have and want, and what is free goes to unmet wants.
    #[test]
    fn no_job_starves(quota in 8_u32..80, claims in claims(8)) {
        let (granted, shares) = (grants(quota, &claims), shares(quota, &claims));
        for ((claim, own), share) in claims.iter().zip(&granted).zip(&shares) {
            prop_assert!(*own >= claim.wanted.min(*share), "{claim:?} gets {own}, its share is {share}");
        }
        let is_unmet = claims.iter().zip(&granted).any(|(claim, own)| *own < claim.wanted.min(most(claim)));
        prop_assert!(!is_unmet || sum(&granted) >= quota, "{granted:?} leaves slots unused");
    }

    /// Goal: a job gives slots back only down to its share, and only while all together are above the quota.
    #[test]
    fn only_what_is_above_a_share_is_given_back(quota in 8_u32..80, claims in claims(8)) {
        let (granted, shares) = (grants(quota, &claims), shares(quota, &claims));
        let owed = claims.iter().zip(&shares).map(|(claim, share)| claim.held.max(claim.wanted.min(*share)));
        let is_tight = owed.sum::<u32>() > quota;
        for ((claim, own), share) in claims.iter().zip(&granted).zip(&shares) {
            let least = if is_tight { claim.held.min(*share) } else { claim.held };
            prop_assert!(*own >= least.min(most(claim)), "{claim:?} gets {own}, its share is {share}");
        }
    }

    /// Goal: once grants are carried out, the same wants grant the same: nothing swings.
    #[test]
    fn equal_wants_change_nothing(quota in 8_u32..80, claims in claims(8)) {
        let granted = grants(quota, &claims);
        let carried_out: Vec<Claim> =
            claims.iter().zip(&granted).map(|(claim, own)| Claim { held: *own, ..*claim }).collect();
        prop_assert_eq!(grants(quota, &carried_out), granted);
    }

    /// Goal: jobs that decide one after the other and take all that they are left never exceed the quota at any moment, unless they
    /// did before; every job has its share after two rounds, and the third changes nothing.
    #[test]
    fn deciding_in_turn_reaches_the_shares(quota in 8_u32..80, claims in claims(8)) {
        let mut claims = claims;
        for claim in &mut claims {
            claim.held = claim.held.max(1);
        }
        let mut before: u32 = claims.iter().map(|claim| claim.held).sum();
        let mut ends: Vec<Vec<u32>> = Vec::new();
        for _ in 0..3 {
            for index in 0..claims.len() {
                let left = bound(quota, &claims, index);
                let held = claims[index].held;
                // It wants what it wants, and narrows only where it must.
                claims[index].held = claims[index].wanted.max(held).min(left.slots);
                let now: u32 = claims.iter().map(|claim| claim.held).sum();
                prop_assert!(now <= quota || now <= before, "{now} of {quota} after {before}");
                before = now;
            }
            ends.push(claims.iter().map(|claim| claim.held).collect());
        }
        prop_assert_eq!(&ends[1], &ends[2]);
        for (claim, share) in claims.iter().zip(shares(quota, &claims)) {
            prop_assert!(claim.held >= claim.wanted.min(share), "{claim:?}, its share is {share}");
        }
    }
}

fn claim(held: u32, wanted: u32) -> Claim {
    Claim { held, wanted, ..Claim::default() }
}

/// Goal: the rules in figures: a job above its share gives back to one below, jobs above their shares leave each other alone, what is
/// free is divided, and guarantees count.
#[test]
fn the_rules_in_figures() {
    assert_eq!(grants(12, &[claim(10, 10), claim(2, 9)]), [6, 6]);
    assert_eq!(grants(12, &[claim(7, 20), claim(1, 1), claim(4, 20)]), [7, 1, 4]);
    assert_eq!(grants(12, &[claim(2, 9), claim(4, 9)]), [6, 6]);
    assert_eq!(grants(12, &[claim(2, 3), claim(4, 20)]), [3, 9]);
    let guaranteed = Claim { min: Some(8), ..claim(1, 8) };
    assert_eq!(grants(12, &[claim(10, 10), guaranteed]), [4, 8]);
    assert_eq!(grants(12, &[Claim { max: Some(3), ..claim(2, 9) }, claim(2, 9)]), [3, 9]);
    // More jobs than slots: each has one.
    assert_eq!(grants(2, &[claim(1, 9), claim(1, 9), claim(1, 9)]), [1, 1, 1]);
    // It is owed 6, of which the other one still has 4.
    let Bound { slots, later, share, .. } = bound(12, &[claim(10, 10), claim(2, 9)], 1);
    assert_eq!((slots, later, share), (2, 4, 6));
}

/// Wants this parallelism of every operator.
#[derive(Debug)]
struct Wants(u32);

impl Policy for Wants {
    fn name(&self) -> &'static str {
        "wants"
    }

    fn traits(&self) -> Traits {
        Traits { may_narrow: true, keeps_forward: false, reports_cluster: false }
    }

    fn decide(&self, _: &Memory, snapshot: &Snapshot, _: i64) -> Decision {
        self.plan(snapshot)
    }

    fn plan(&self, snapshot: &Snapshot) -> Decision {
        let mut decision = Decision::nothing("wants", "more");
        decision.parallelism = snapshot.operators.iter().map(|o| (o.name.clone(), self.0)).collect();
        decision.action = Action::Rescale;
        decision
    }
}

fn decided(wanted: u32, operators: &[(&str, &str, u32)], slots: u32, limits: Limits) -> Decision {
    let operator = |(name, group, parallelism): &(&str, &str, u32)| Operator {
        name: (*name).to_owned(),
        slot_sharing_group: Some((*group).to_owned()),
        parallelism: *parallelism,
        ..Operator::default()
    };
    let mut snapshot =
        Snapshot { operators: operators.iter().map(operator).collect(), ..Snapshot::default() };
    snapshot.job.max_parallelism = 128;
    let quota = Some(Bound { slots, later: 0, share: 4, quota: 12 });
    let constraints = Constraints { limits, quota, ..Constraints::default() };
    scaling::decide(&Wants(wanted), &constraints, &mut Memory::default(), &snapshot, LocalTime::utc(0))
}

/// Goal: a plan is cut to what the quota leaves, a job above it gives back the rest, the reason names the quota, and the decision
/// tells how many slots the job would use.
#[test]
fn decisions_keep_the_bound() {
    let one = [("source", "", 1), ("map", "", 3)];
    let widened = decided(9, &one, 5, Limits::default());
    assert_eq!((widened.parallelism["map"], widened.cluster.slots_wanted), (5, Some(9)), "{widened}");
    assert!(widened.to_string().contains("the quota of 12 slots leaves the job 5"), "{widened}");
    let narrowed = decided(9, &[("source", "", 2), ("map", "", 7)], 5, Limits::default());
    assert_eq!(narrowed.parallelism["map"], 5, "{narrowed}");
    assert_eq!((narrowed.action, narrowed.cluster.slots_needed), (Action::Rescale, Some(5)));
    assert!(narrowed.to_string().contains("the job has 7 slots, but the quota"), "{narrowed}");
    let groups = [("a", "x", 6), ("b", "y", 2)];
    let narrowed = decided(9, &groups, 5, Limits::default());
    assert_eq!(narrowed.cluster.slots_needed, Some(5), "{narrowed}");
    // Nothing is wanted that the job's own bounds forbid.
    let bounded = decided(9, &one, 5, Limits { max: Some(4), ..Limits::default() });
    assert_eq!((bounded.parallelism["map"], bounded.cluster.slots_wanted), (4, Some(4)), "{bounded}");
    let held =
        decided(9, &[("map", "", 7)], 5, Limits { exclude: vec!["map".to_owned()], ..Limits::default() });
    assert_eq!(held.action, Action::None, "{held}");
}
