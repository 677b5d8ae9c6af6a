//! A plan starts the policy's waits only if the drop stored its document.

use control::{Pending, ResumedState, Unconfirmed};
use scaling::ds2::Ds2;

use crate::world::{DropBehaviour, World};

const EPOCH_S: i64 = 120;

fn epochs(world: &mut World, count: u32) {
    for _ in 0..count {
        world.epoch(&Ds2::default(), EPOCH_S);
    }
}

/// Goal: a plan that the drop rejected is repeated in the next epoch and starts no wait.
#[test]
fn a_refused_plan_is_made_again() {
    let mut world = World::new(1, 2000.0, 500.0);
    world.drop = DropBehaviour::Refuses;
    epochs(&mut world, 3);
    assert_eq!(world.plans().len(), 3);
    world.drop = DropBehaviour::Stores;
    epochs(&mut world, 10);
    assert!(world.width() >= 6 && world.history.len() <= 3, "{:?}", world.plans());
}

/// Goal: a plan whose response was lost counts as published if the drop has it, and as never made otherwise.
#[test]
fn a_lost_answer_is_resolved_by_the_drop() {
    for (drop, documents) in [(DropBehaviour::StoresAndIsSilent, 2), (DropBehaviour::IsSilent, 1)] {
        let mut world = World::new(1, 2000.0, 500.0);
        world.drop = drop;
        world.epoch(&Ds2::default(), EPOCH_S);
        assert_eq!((world.history.len(), world.plans().len()), (documents, 1));
        assert!(world.control.pending().is_some_and(|pending| pending.unconfirmed.is_some()));
        world.epoch(&Ds2::default(), EPOCH_S);
        let plans = world.plans().len();
        assert_eq!(plans, if drop == DropBehaviour::StoresAndIsSilent { 1 } else { 2 }, "{drop:?}");
        let reasons = world.records.last().unwrap().decision.to_string();
        assert_eq!(
            reasons.contains("settles after a change"),
            drop == DropBehaviour::StoresAndIsSilent,
            "{reasons}"
        );
    }
}

/// Goal: a rescaler killed between its record and the response asks the drop, and waits if the drop has the document.
#[test]
fn a_kill_before_the_answer_is_resolved_by_the_drop() {
    let mut world = World::new(1, 2000.0, 500.0);
    world.drop = DropBehaviour::StoresAndIsSilent;
    world.epoch(&Ds2::default(), EPOCH_S);
    let record = world.records.last().unwrap().clone();
    let unconfirmed = Unconfirmed { decision: record.decision.clone(), at: record.at, entity_tag: None };
    let generation = record.effect.generation().unwrap();
    let pending =
        Some(Pending { epoch: record.epoch, generation, unconfirmed: Some(unconfirmed), is_restore: false });
    world.restart(ResumedState {
        epoch: record.epoch,
        memory: record.state,
        pending,
        ..ResumedState::default()
    });
    world.epoch(&Ds2::default(), EPOCH_S);
    let last = world.records.last().unwrap();
    assert_eq!(world.plans().len(), 1);
    assert!(last.decision.to_string().contains("settles after a change"), "{}", last.decision);
}

/// Goal: the plans of a dry run end with it, in the same process and after a restart: the real run does not wait for a
/// change that never started.
#[test]
fn a_dry_run_leaves_no_wait() {
    for restarts in [false, true] {
        let mut world = World::new(1, 2000.0, 500.0);
        world.switches.dry_run = true;
        epochs(&mut world, 2);
        let last = world.records.last().unwrap().clone();
        assert!(last.decision.to_string().contains("settles after a change"), "{}", last.decision);
        assert!(last.imagined && world.history.len() == 1);
        if restarts {
            let line = serde_json::to_string(&last).unwrap();
            world.restart(control::resume([serde_json::from_str(&line).unwrap()]));
        }
        world.switches.dry_run = false;
        epochs(&mut world, 1);
        let last = world.records.last().unwrap();
        assert!(!last.imagined && world.history.len() == 2, "{}", last.decision);
    }
}
