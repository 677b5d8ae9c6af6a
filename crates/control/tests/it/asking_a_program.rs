//! Policy `external` under the control loop, with a scripted program: its plans are applied, and useless ones are not
//! repeated. (The rescaler's tests cover the call of a real program.)

use std::collections::BTreeMap;

use scaling::external::{Answer, External};
use scaling::{Policy, Snapshot};

use crate::world::{LIMITS, Limit, OPERATOR, World};

const EPOCHS: u32 = 240;

/// A stateless program: doubles the map while its busiest subtask is always busy, and halves it while all are nearly
/// idle.
fn program(snapshot: &Snapshot) -> Box<dyn Policy> {
    let map = snapshot.operator(OPERATOR).unwrap();
    let busy = map.subtasks.iter().filter_map(|subtask| subtask.busy_ratio).fold(0.0, f64::max);
    let wanted = match busy {
        busy if busy >= 0.9 => (2 * map.parallelism).min(128),
        busy if busy < 0.2 => (map.parallelism / 2).max(1),
        _ => map.parallelism,
    };
    let parallelism = BTreeMap::from([(OPERATOR.to_owned(), wanted)]);
    Box::new(External(Ok(Answer { parallelism, ..Answer::default() })))
}

fn epochs(world: &mut World, count: u32) {
    for _ in 0..count {
        world.epoch_by(program, 15);
    }
}

/// The plans from `first` on that gained less than a fifth of the promised capacity.
fn useless_steps(world: &World, first: u32) -> usize {
    let widths: Vec<u32> =
        std::iter::once(first).chain(world.plans().iter().map(|(_, width)| *width)).collect();
    let is_useless = |step: &&[u32]| {
        let (before, after) = (world.carried_per_s(step[0]), world.carried_per_s(step[1]));
        after - before < 0.2 * before * (f64::from(step[1]) / f64::from(step[0]) - 1.0)
    };
    widths.windows(2).filter(is_useless).count()
}

/// Goal: a program that ignores the failure of its scale-ups gets two of them, then the cause as a message.
#[test]
fn useless_widenings_end_after_two() {
    for (limit, words) in LIMITS {
        let mut world = World::new(2, 5000.0, 500.0);
        world.limit = limit;
        epochs(&mut world, EPOCHS);
        let reasons = world.records.last().unwrap().decision.to_string();
        assert!(useless_steps(&world, 2) <= 2, "{limit:?}: {:?}", world.plans());
        assert!(reasons.contains(words) && reasons.contains("not widened again"), "{limit:?}: {reasons}");
        let (carried, widest) = (world.carried_per_s(world.width()), world.carried_per_s(128));
        assert!(carried >= 0.7 * widest, "{limit:?} carries {carried} of {widest}: {:?}", world.plans());
    }
}

/// Goal: useful plans are applied: a rise and a fall are answered, and a constant load then changes nothing.
#[test]
fn plans_that_help_are_carried_out() {
    let mut world = World::new(2, 5000.0, 500.0);
    epochs(&mut world, EPOCHS);
    assert_eq!(world.plans().iter().map(|(_, width)| *width).collect::<Vec<_>>(), [4, 8, 16, 32]);
    world.arrival_per_s = 500.0;
    epochs(&mut world, EPOCHS);
    assert_eq!(world.plans().iter().map(|(_, width)| *width).collect::<Vec<_>>(), [4, 8, 16, 32, 16, 8, 4]);
}

/// Goal: when the external limit is raised, the program is followed again.
#[test]
fn a_raised_limit_is_noticed() {
    let mut world = World::new(2, 5000.0, 500.0);
    world.limit = Limit::External(1000.0);
    epochs(&mut world, EPOCHS);
    assert_eq!(world.width(), 8);
    world.limit = Limit::Nothing;
    epochs(&mut world, EPOCHS);
    assert!(world.carried_per_s(world.width()) > 5000.0, "{:?}", world.plans());
}

/// Goal: a program that fails in every epoch changes nothing, and each decision states the error.
#[test]
fn a_failing_program_changes_nothing() {
    let mut world = World::new(2, 5000.0, 500.0);
    for _ in 0..EPOCHS {
        world.epoch(&External(Err("it ended with exit status: 3".to_owned())), 15);
    }
    assert_eq!(world.plans(), []);
    let told = |record: &control::Record| record.decision.to_string().contains("exit status: 3");
    assert!(world.records.iter().all(told));
}
