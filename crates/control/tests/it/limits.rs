//! Limits that a scale-up cannot overcome: at most two useless steps in 240 epochs, then the cause as a message, and
//! no oscillation.

use scaling::ds2::{Ds2, Options};
use scaling::limits::Bounds;

use crate::world::{LIMITS, Limit, World};

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

/// Runs the job under constant overload and returns the planned parallelisms and the last reasons.
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

/// Goal: each kind of limit causes at most two steps, and is named.
#[test]
fn limits_are_found_and_named() {
    for (limit, words) in LIMITS {
        for policy in [Ds2::default(), fast()] {
            let (world, plans, reasons) = run(limit, &policy, 2, 5000.0);
            assert!(plans.len() <= 2, "{limit:?}: {plans:?}");
            assert!(reasons.contains(words), "{limit:?}: {reasons}");
            let (carried, widest) = (world.carried_per_s(world.width()), world.carried_per_s(128));
            assert!(carried >= 0.7 * widest, "{limit:?} carries {carried} of {widest} at {plans:?}");
        }
    }
}

/// Goal: without a limit a constant overload is answered once, whether or not the source reports its backlog; then
/// nothing changes.
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

/// Goal: when the external limit is raised, the operator is scaled up again.
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

/// Goal: an operator outside its bounds is brought within them, once, with the reason, under constant load and every
/// policy's waits; then nothing changes in 200 epochs.
#[test]
fn what_runs_outside_its_bounds_is_brought_within() {
    for (width, bounds, within) in [
        (8, Bounds { min: 1, max: 5 }, 5),
        (2, Bounds { min: 4, max: 9 }, 4),
        (6, Bounds { min: 4, max: 9 }, 6),
    ] {
        let mut world = World::new(width, 500.0 * f64::from(width) * 0.6, 500.0);
        world.bound(bounds);
        for _ in 0..200 {
            world.epoch(&Ds2::default(), 15);
        }
        let widths: Vec<u32> = world.plans().iter().map(|(_, width)| *width).collect();
        let expected = if width == within { vec![] } else { vec![within] };
        assert_eq!(widths, expected, "{bounds:?}");
        let is_told = world
            .records
            .iter()
            .any(|record| record.decision.to_string().contains("bound: map has parallelism"));
        assert_eq!(is_told, width != within);
    }
}
