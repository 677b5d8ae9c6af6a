//! Policy `latency` under the control loop: what the published algorithm guarantees, and its limits.
//!
//! By design it only scales up, and reacts only to rising latency. So a constant backlog remains, and a limit that a
//! scale-up cannot overcome leads to steps up to the maximum.

use scaling::latency::{Latency, Options};

use crate::world::{Limit, World};

const EPOCHS: u32 = 240;
/// Minimum distance of runaway steps, in epochs: the wait after an action, and the required number of rises.
const APART: u64 = 9;

fn world(parallelism: u32, arrival_per_s: f64) -> World {
    let mut world = World::new(parallelism, arrival_per_s, 500.0);
    world.tells_latency = true;
    world
}

fn epochs(world: &mut World) {
    for _ in 0..EPOCHS {
        world.epoch(&Latency::default(), 15);
    }
}

/// Goal: a constant load within capacity changes nothing, at high or low parallelism; a fall scales nothing down.
#[test]
fn a_constant_load_changes_nothing() {
    let mut world = world(2, 900.0);
    epochs(&mut world);
    assert_eq!(world.plans(), []);
    world.arrival_per_s = 10.0;
    epochs(&mut world);
    assert_eq!((world.plans().len(), world.width()), (0, 2));
}

/// Goal: a step of the load is answered once, in the third epoch of rising latency, with the formula's result; the
/// backlog until then remains, and the decision says that only rising latency counts.
#[test]
fn a_step_is_answered_once() {
    let mut world = world(2, 900.0);
    epochs(&mut world);
    world.arrival_per_s = 3000.0;
    epochs(&mut world);
    assert_eq!(world.plans(), [(u64::from(EPOCHS) + 3, 6)]);
    // A flat latency alternates between one counted violation and none.
    let newest = world.records.iter().rev().take(2);
    let reasons: Vec<String> = newest.map(|record| record.decision.to_string()).collect();
    assert!(reasons.iter().any(|reasons| reasons.contains("only rising latency counts")), "{reasons:?}");
}

/// Goal: where a scale-up does not help, the steps respect the wait, never reverse, and end at the maximum; the
/// decision then says that the formulae want no more.
#[test]
fn a_runaway_ends_at_the_maximum() {
    for limit in [Limit::External(1000.0), Limit::HotKey(0.5), Limit::Host(4)] {
        let mut world = world(2, 5000.0);
        world.limit = limit;
        epochs(&mut world);
        let plans = world.plans();
        assert!(plans.is_sorted_by(|a, b| a.0 + APART <= b.0 && a.1 < b.1), "{limit:?}: {plans:?}");
        assert!(
            plans.len() <= 4 && world.width() <= Options::default().parallelism_max,
            "{limit:?}: {plans:?}"
        );
        let last = plans.last().unwrap().0;
        assert!(last < u64::from(EPOCHS) / 2, "{limit:?}: {plans:?}");
        let told = world.records.iter().filter(|record| record.epoch > last);
        let wants_no_more = |text: &str| text.contains("the parallelism that the formulae give");
        assert!(told.map(|record| record.decision.to_string()).any(|text| wants_no_more(&text)), "{limit:?}");
    }
}
