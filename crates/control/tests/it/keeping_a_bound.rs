//! Policy `slo` under the control loop: one change per step of the load, none for noise.

use scaling::slo::{Options, Slo};

use crate::world::World;

const EPOCH_S: i64 = 5;
const MINUTE: usize = 12;

fn policy() -> Slo {
    Slo(Options::with_bound(2000.0))
}

fn epochs(world: &mut World, arrival_per_s: f64, count: usize) {
    world.arrival_per_s = arrival_per_s;
    for _ in 0..count {
        world.epoch(&policy(), EPOCH_S);
    }
}

/// Goal: a tripled load is answered by one scale-up in its first epochs, and the fall to a third by one scale-down
/// once the idle slots have cost more than the change.
#[test]
fn a_step_and_its_end_are_two_changes() {
    let mut world = World::new(3, 1000.0, 500.0);
    epochs(&mut world, 1000.0, 5 * MINUTE);
    assert_eq!(world.plans(), []);
    epochs(&mut world, 3000.0, 6 * MINUTE);
    let plans = world.plans();
    assert_eq!(plans.len(), 1, "{plans:?}");
    assert!((61..=63).contains(&plans[0].0) && plans[0].1 >= 7, "{plans:?}");
    epochs(&mut world, 1000.0, 180 * MINUTE);
    let plans = world.plans();
    assert_eq!(plans.len(), 2, "{plans:?}");
    assert!(plans[1].0 >= 132 + 96 && (3..=4).contains(&plans[1].1), "{plans:?}");
}

/// Goal: three hours of noise of ±8 % change nothing.
#[test]
fn noise_changes_nothing() {
    let mut world = World::new(3, 1000.0, 500.0);
    let mut random = 1_u32;
    for _ in 0..180 * MINUTE {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = f64::from(random >> 8) / f64::from(1_u32 << 23) - 1.0;
        epochs(&mut world, 1000.0 * (1.0 + 0.08 * noise), 1);
    }
    assert_eq!(world.plans(), []);
}

/// Goal: the load that came while a change was under way is known at its end, so that the next decision is for it.
#[test]
fn a_change_under_way_does_not_hide_the_load() {
    let mut world = World::new(3, 1000.0, 500.0);
    epochs(&mut world, 1000.0, 5 * MINUTE);
    world.arrival_per_s = 1050.0;
    for _ in 0..MINUTE {
        world.wait(&policy(), EPOCH_S);
    }
    epochs(&mut world, 1050.0, 1);
    let arrival_per_s = world.records.last().unwrap().decision.figures["arrival_per_s"];
    assert!((1049.0..1051.0).contains(&arrival_per_s), "{arrival_per_s}");
}
