//! Policy `ds2` scales down once after its interval, and acts again as soon as its waits are over.

use scaling::ds2::{Ds2, Options};

use crate::world::World;

const EPOCH_S: i64 = 120;

/// Goal: four quiet hours with default options cause exactly one scale-down, in the first epoch in which the operator
/// has been too wide for an hour: the first epoch sees it, the 31st is 3,600 s later.
#[test]
fn four_quiet_hours_narrow_once() {
    let mut world = World::new(8, 1000.0, 500.0);
    let widths: Vec<u32> = (0..120).map(|_| world.epoch(&Ds2::default(), EPOCH_S)).collect();
    assert_eq!(world.plans(), [(31, 4)]);
    assert_eq!((widths[29], widths[30], widths[119]), (8, 4, 4));
}

/// Goal: 240 epochs of a load that rises and falls cause a scale-up as soon as it rises, a scale-down an hour after
/// it fell, and nothing else.
#[test]
fn a_rise_and_a_fall_are_two_changes() {
    let mut world = World::new(4, 1000.0, 500.0);
    for epoch in 1..=240 {
        world.arrival_per_s = if (60..120).contains(&epoch) { 3000.0 } else { 1000.0 };
        world.epoch(&Ds2::default(), EPOCH_S);
    }
    let plans = world.plans();
    assert_eq!(plans.len(), 2, "{plans:?}");
    assert_eq!(plans[0].0, 60);
    assert!((150..=151).contains(&plans[1].0) && plans[1].1 == 4, "{plans:?}");
}

/// Goal: an epoch without a plan is not an action: an overload right after it is answered in the same epoch.
#[test]
fn an_overload_after_a_quiet_epoch_is_answered_at_once() {
    let options = Options { stabilization_interval_s: 20, scale_down_interval_s: 40, ..Options::default() };
    let mut world = World::new(2, 500.0, 500.0);
    world.epoch(&Ds2(options.clone()), 5);
    world.arrival_per_s = 3000.0;
    world.epoch(&Ds2(options), 5);
    assert_eq!(world.plans().len(), 1);
}
