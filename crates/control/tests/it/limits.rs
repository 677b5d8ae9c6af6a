//! Where widening does not help: at most two useless steps in 240 epochs, then the cause in words, and no cycle.

use scaling::ds2::{Ds2, Options};

use crate::world::{Limit, World};

const EPOCHS: u32 = 240;

fn fast() -> Ds2 {
    Ds2(Options {
        stabilization_interval_s: 30,
        scale_down_interval_s: 300,
        catch_up_duration_s: 60.0,
        restart_time_s: 5.0,
        ..Options::default()
    })
}

/// Runs the job under constant overload: the planned widths, and the last reasons.
fn run(limit: Limit, policy: &Ds2, width: u32, arrival_per_s: f64) -> (World, Vec<u32>, String) {
    let mut world = World::new(width, arrival_per_s, 500.0);
    world.limit = limit;
    for _ in 0..EPOCHS {
        world.epoch(policy, 15);
    }
    let plans = world.plans().into_iter().map(|(_, width)| width).collect();
    let reasons = world.records.last().unwrap().decision.to_string();
    (world, plans, reasons)
}

/// Goal: each kind of limit is met by at most two steps, and named.
#[test]
fn limits_are_found_and_named() {
    for (limit, words) in [
        (Limit::External(1000.0), "outside the job"),
        (Limit::HotKey(0.5), "subtask 0 gets"),
        (Limit::HotKey(0.2), "subtask 0 gets"),
        (Limit::Broadcast, "broadcast"),
        (Limit::Global, "one subtask"),
        (Limit::Host(4), "outside the job"),
    ] {
        for policy in [Ds2::default(), fast()] {
            let (world, plans, reasons) = run(limit, &policy, 2, 5000.0);
            assert!(plans.len() <= 2, "{limit:?}: {plans:?}");
            assert!(reasons.contains(words), "{limit:?}: {reasons}");
            let (carried, widest) = (world.carried_per_s(world.width()), world.carried_per_s(128));
            assert!(carried >= 0.7 * widest, "{limit:?} carries {carried} of {widest} at {plans:?}");
        }
    }
}

/// Goal: without a limit a constant overload is answered once, whether or not the source counts what waits; then nothing is changed.
#[test]
fn what_can_be_carried_is_carried() {
    for counts_backlog in [true, false] {
        let mut world = World::new(2, 5000.0, 500.0);
        world.counts_backlog = counts_backlog;
        for _ in 0..EPOCHS {
            world.epoch(&fast(), 15);
        }
        let plans = world.plans();
        assert!(world.carried_per_s(world.width()) > 5000.0, "{plans:?}");
        assert!(plans.len() <= if counts_backlog { 2 } else { 4 }, "{counts_backlog}: {plans:?}");
        let last = plans.last().unwrap().0;
        assert!(last < 120, "{counts_backlog}: still changed in epoch {last}: {plans:?}");
    }
}

/// Goal: when the outside limit is raised, the operator is widened again.
#[test]
fn a_raised_limit_is_noticed() {
    let (mut world, _, _) = run(Limit::External(1000.0), &fast(), 2, 5000.0);
    world.limit = Limit::Nothing;
    world.backlog = 0.0;
    for _ in 0..EPOCHS {
        world.epoch(&fast(), 15);
    }
    assert!(world.carried_per_s(world.width()) > 5000.0, "{:?}", world.plans());
}
