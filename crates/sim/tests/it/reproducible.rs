//! Reproducibility: a run depends on nothing but its inputs.

use sim::contender::{Contender, OwnPolicyOptions};
use sim::scenario::{JobSpec, Scenario, Template, Trial};
use sim::{Run, Score, run};

fn scenario(name: &str) -> Scenario {
    Scenario::all().into_iter().find(|scenario| scenario.name == name).unwrap()
}

fn of(trial: &Trial, contender: Contender) -> Run {
    run(trial, contender.controller(trial, &OwnPolicyOptions::default()).as_mut())
}

/// Goal: the same seed gives the same run to the last bit, and another seed another run.
#[test]
fn the_same_seed_gives_the_same_bits() {
    for name in ["join", "noise", "failing-rescales"] {
        let scenario = scenario(name);
        for contender in [Contender::Ds2Fast, Contender::FlipTuned, Contender::Oracle] {
            let (first, second, other) = (
                of(&scenario.trial(1).unwrap(), contender),
                of(&scenario.trial(1).unwrap(), contender),
                of(&scenario.trial(2).unwrap(), contender),
            );
            let bits = |run: &Run| run.latency_s.iter().map(|s| s.to_bits()).collect::<Vec<u64>>();
            assert_eq!(bits(&first), bits(&second), "{name} under {contender}");
            assert_eq!(first, second);
            assert_ne!(bits(&first), bits(&other), "{name} under {contender}");
        }
    }
}

/// Goal: the order in which operators are listed has no influence.
#[test]
fn the_order_of_operators_is_irrelevant() {
    let written = scenario("join");
    let of_operators = |operators| {
        let job = JobSpec { template: None, operators, ..written.job.clone() };
        let trial = Scenario { job, ..written.clone() }.trial(1).unwrap();
        of(&trial, Contender::Ds2Fast)
    };
    let operators = Template::Join.operators();
    let mut reversed = operators.clone();
    reversed.reverse();
    assert_eq!(of_operators(operators), of_operators(reversed));
}

/// Goal: policies do not see the future: a later load changes no earlier decision.
#[test]
fn policies_do_not_see_the_future() {
    let scenario = scenario("sine");
    let moment = 5000;
    let trial = scenario.trial(1).unwrap();
    let mut shifted = trial.clone();
    for rates in &mut shifted.load.rates_per_s {
        rates[moment..].iter_mut().for_each(|rate| *rate *= 3.0);
    }
    let sighted = [Contender::Static, Contender::Oracle];
    for contender in Contender::ALL.into_iter().filter(|contender| !sighted.contains(contender)) {
        let (as_it_is, otherwise) = (of(&trial, contender), of(&shifted, contender));
        assert_eq!(as_it_is.latency_s[..moment], otherwise.latency_s[..moment], "{contender}");
        assert_eq!(as_it_is.slots[..moment], otherwise.slots[..moment], "{contender}");
        let requested = |run: &Run| {
            let before = run.changes.iter().take_while(|change| change.requested_s < moment);
            before.map(|change| (change.requested_s, change.wanted.clone())).collect::<Vec<_>>()
        };
        assert_eq!(requested(&as_it_is), requested(&otherwise), "{contender}");
    }
}

/// Goal: a score survives serialisation.
#[test]
fn scores_survive_json() {
    let trial = scenario("step").trial(3).unwrap();
    let score = Score::new(&trial, &of(&trial, Contender::FlipFast));
    let text = serde_json::to_string(&score).unwrap();
    assert_eq!(serde_json::from_str::<Score>(&text).unwrap(), score);
    assert!(score.carried_after_s.is_some() && score.widest_over_needed.is_some_and(|wide| wide >= 1.0));
}
