//! Policy `latency` under the control loop: what the published algorithm keeps, and where it ends.
//!
//! It only ever widens, and looks only at rising latency; that is its nature. So a backlog that neither grows nor shrinks is left, and
//! a limit that widening does not help against is met by steps up to the maximum.

use scaling::latency::{Latency, Options};

use crate::world::{Limit, World};

const EPOCHS: u32 = 240;
/// The steps of a runaway are at least so many epochs apart: the wait after an action, and as many rises as it takes.
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

/// Goal: a constant load that is carried changes nothing, wide or narrow; a fall narrows nothing.
#[test]
fn a_constant_load_changes_nothing() {
    let mut world = world(2, 900.0);
    epochs(&mut world);
    assert_eq!(world.plans(), []);
    world.arrival_per_s = 10.0;
    epochs(&mut world);
    assert_eq!((world.plans().len(), world.width()), (0, 2));
}

/// Goal: a step is answered once, in the third epoch of rising latency, with what the formula gives; what has gathered until then stays,
/// and the decision says that only rising latency counts.
#[test]
fn a_step_is_answered_once() {
    let mut world = world(2, 900.0);
    epochs(&mut world);
    world.arrival_per_s = 3000.0;
    epochs(&mut world);
    assert_eq!(world.plans(), [(u64::from(EPOCHS) + 3, 6)]);
    // A flat latency is counted as one violation and as none in turn.
    let newest = world.records.iter().rev().take(2);
    let reasons: Vec<String> = newest.map(|record| record.decision.to_string()).collect();
    assert!(reasons.iter().any(|reasons| reasons.contains("only rising latency counts")), "{reasons:?}");
}

/// Goal: where widening does not help, the steps never come faster than the wait allows, never go back, and end at the maximum; the
/// decision then tells that the formulae want no more.
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
        let wants_no_more = |text: &str| text.contains("as wide as the formulae want them");
        assert!(told.map(|record| record.decision.to_string()).any(|text| wants_no_more(&text)), "{limit:?}");
    }
}
