//! Several jobs under one quota of slots, over many epochs: each has its share when it needs it, the quota holds at every moment, and
//! nothing swings.

use scaling::Policy;
use scaling::ds2::{self, Ds2};
use scaling::quota::{Claim, bound};
use scaling::slo::{self, Slo};

use crate::world::World;

const QUOTA: u32 = 12;
const SUBTASK_PER_S: f64 = 500.0;

/// Jobs with their claims, which decide one after the other.
struct Cluster {
    jobs: Vec<World>,
    claims: Vec<Claim>,
}

impl Cluster {
    fn new(widths: &[u32]) -> Self {
        let job = |width: &u32| World::new(*width, 100.0, SUBTASK_PER_S);
        let claim = |width: &u32| Claim { held: *width, wanted: *width, ..Claim::default() };
        Self { jobs: widths.iter().map(job).collect(), claims: widths.iter().map(claim).collect() }
    }

    fn widths(&self) -> Vec<u32> {
        self.jobs.iter().map(World::width).collect()
    }

    /// Runs epochs at these loads, and checks the quota after every decision. Returns the number of plans in the second half.
    fn run(&mut self, policy: &dyn Policy, length_s: i64, epochs: u64, loads: &[f64]) -> usize {
        let mut late = 0;
        for epoch in 0..epochs {
            for (index, load) in loads.iter().enumerate() {
                let job = &mut self.jobs[index];
                job.arrival_per_s = *load;
                job.control.set_quota(Some(bound(QUOTA, &self.claims, index)));
                let before = job.plans().len();
                let held = job.epoch(policy, length_s);
                late += if epoch >= epochs / 2 { job.plans().len() - before } else { 0 };
                let wanted = job.records.last().unwrap().decision.cluster.slots_wanted;
                let claim = &mut self.claims[index];
                (claim.held, claim.wanted) = (held, wanted.unwrap_or(held));
                let all: u32 = self.widths().iter().sum();
                assert!(all <= QUOTA, "epoch {epoch}: {:?}", self.widths());
            }
        }
        late
    }

    /// Whether one of a job's newest decisions names the quota.
    fn is_told(&self, index: usize) -> bool {
        let newest = self.jobs[index].records.iter().rev().take(40);
        newest.map(|record| record.decision.to_string()).any(|text| text.contains("the quota of 12 slots"))
    }
}

/// The policies, with the length of their epochs and the epochs of half an hour or more, within which all their waits are over.
fn policies() -> [(Box<dyn Policy>, i64, u64); 2] {
    let ds2 = Ds2(ds2::Options {
        stabilization_interval_s: 30,
        scale_down_interval_s: 300,
        restart_time_s: 5.0,
        ..ds2::Options::default()
    });
    [(Box::new(ds2), 15, 240), (Box::new(Slo(slo::Options::with_bound(2000.0))), 5, 2000)]
}

/// Goal: a busy job may take what the others do not need; when the load of another rises that one gets its share, from the job above its
/// share; when the load falls the slots are used again. In the second half of each phase nothing changes, although two jobs want more
/// than there is.
#[test]
fn each_job_has_its_share_when_it_needs_it() {
    for (policy, length_s, epochs) in policies() {
        let mut cluster = Cluster::new(&[3, 2, 2]);
        let name = policy.name();
        let late = cluster.run(&*policy, length_s, epochs, &[8000.0, 600.0, 600.0]);
        let widths = cluster.widths();
        assert_eq!((late, widths.iter().sum::<u32>()), (0, QUOTA), "{name}: {widths:?}");
        assert!(widths[0] >= 7 && cluster.is_told(0), "{name}: {widths:?}");

        let late = cluster.run(&*policy, length_s, epochs, &[8000.0, 8000.0, 600.0]);
        let widths = cluster.widths();
        assert_eq!((late, widths[1]), (0, 4), "{name}: {widths:?}");
        let told = [cluster.is_told(0), cluster.is_told(1)];
        assert!(widths[0] >= 4 && told == [true; 2], "{name}: {widths:?} {told:?}");

        // The backlog of the two is gone by then.
        (cluster.jobs[0].backlog, cluster.jobs[1].backlog) = (0.0, 0.0);
        let late = cluster.run(&*policy, length_s, 4 * epochs, &[8000.0, 300.0, 600.0]);
        let widths = cluster.widths();
        assert!(late == 0 && widths[1] <= 2 && widths[0] >= 7, "{name}: {late} {widths:?}");
    }
}
