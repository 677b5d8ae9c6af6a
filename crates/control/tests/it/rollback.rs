//! After a rollback the rejected content never returns.

use scaling::ds2::Ds2;

use crate::world::{AgentBehaviour, World};

/// Goal: after the rollback of a document that changed the job's own section, every successor over 200 epochs has the
/// running section, and the parallelism of the next decision.
#[test]
fn rejected_content_does_not_come_back() {
    let mut world = World::new(4, 1000.0, 500.0);
    world.agent = AgentBehaviour::RollsBack;
    let text = world.newest().document.text().replace("topic = \"results\"", "topic = \"rejected\"");
    world.store(job_config::JobDocument::parse(&text.replace("generation = 1", "generation = 2")).unwrap());
    world.agent = AgentBehaviour::Applies;
    for epoch in 1..=200 {
        world.arrival_per_s = if epoch % 100 < 50 { 3000.0 } else { 1000.0 };
        world.epoch(&Ds2::default(), 120);
    }
    assert!(world.history.len() > 4, "{:?}", world.plans());
    for document in &world.history[2..] {
        assert!(document.text().contains("topic = \"results\""), "{}", document.text());
    }
}
