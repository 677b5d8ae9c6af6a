//! Nodes: which are started before a change, which are stopped after it, and what happens if they do not obey.

use super::*;
use crate::machine::Observation;
use crate::machine::fixture::{
    Situation, document, ended, job, jobs, pool, starting, submission, task_manager,
};

/// A busy task manager with four slots.
fn busy(id: &str) -> TaskManager {
    task_manager(id, 4, 0)
}

/// The jobs to begin with: none. These task managers are registered.
fn nothing_runs(registered: &[&str]) -> Observation {
    let registered = registered.iter().map(|id| busy(id)).collect();
    Observation::Jobs { alive: Vec::new(), last: None, registered, wanted: None }
}

fn seen(registered: &[TaskManager]) -> Observation {
    Observation::Nodes { registered: registered.to_vec(), submission: None }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// Generation 1, with a pool.
fn situation(document_has: &str, nodes: &[&str]) -> Situation {
    let mut situation = Situation::first(&document(1, document_has));
    situation.rules.pool = pool(nodes);
    situation
}

fn failure(node: &str) -> NodeFailure {
    NodeFailure { node: node.to_owned(), reason: "exit 1".to_owned() }
}

fn starting_nodes(nodes: &[&str], failed: &[NodeFailure]) -> Phase {
    Phase::StartingNodes { job: None, nodes: names(nodes), failed: failed.to_vec(), before: 1 }
}

/// Goal: a node owns the task manager of its name, whose id may go on after a colon.
#[test]
fn a_node_knows_its_task_manager() {
    let pool = pool(&["a"]);
    for (id, expected) in
        [("tm-a", true), ("tm-a:6122-0a1b", true), ("tm-ab", false), ("tm-b", false), ("x-tm-a", false)]
    {
        assert_eq!(pool[0].owns(&busy(id)), expected, "{id}");
    }
}

/// Goal: before the job is touched, as many nodes are started as are missing, from those that are not up.
#[test]
fn missing_nodes_are_started_first() {
    let begins = "enter phase submitting, job";
    for (wants, nodes, registered, expected) in [
        ("task_managers = 3", &["a", "b", "c"] as &[_], &["x"] as &[_], "enter phase starting-nodes: a, b"),
        ("task_managers = 3", &["a", "b", "c"], &[], "enter phase starting-nodes: a, b, c"),
        ("task_managers = 3", &["a", "b", "c"], &["tm-a"], "enter phase starting-nodes: b, c"),
        ("task_managers = 3", &["a", "b", "c"], &["x", "y", "z"], begins),
        ("task_managers = 3", &["a", "b", "c"], &["w", "x", "y", "z"], begins),
        (
            "task_managers = 3",
            &["a", "b"],
            &[],
            "enter phase failed: the document requires 3 task managers, 0 are registered, and the pool has only 2 more nodes",
        ),
        ("task_managers = 3", &[], &[], begins),
        ("", &["a"], &[], begins),
    ] {
        situation(wants, nodes).check(&nothing_runs(registered), expected);
    }
    let mut unchecked = situation("task_managers = 3", &["a", "b", "c"]);
    unchecked.attempt.checked = false;
    unchecked.check(&nothing_runs(&[]), "check that Flink can build");
    let mut started = situation("task_managers = 3", &["a", "b", "c"]);
    started.enter(Phase::NodesStarted { message: None });
    started.check(&nothing_runs(&[]), begins);
    let counted = situation("task_managers = 3", &["a", "b", "c"]).next(&nothing_runs(&["x", "y"]));
    let expected = Phase::StartingNodes { job: None, nodes: names(&["a"]), failed: Vec::new(), before: 2 };
    assert_eq!(counted, NextStep::Enter(expected));
}

/// Goal: each node is started once and waited for until it offers slots; those that do not come up are named in the report.
#[test]
fn started_nodes_are_waited_for() {
    let start = |started: &[&str], registered: &[TaskManager], expected: &str| {
        let mut situation = situation("task_managers = 3", &["a", "b", "c"]).waited(9);
        situation.enter(starting_nodes(&["a", "b"], &[]));
        situation.attempt.started = started.iter().map(|name| ((*name).to_owned(), None)).collect();
        situation.check(&seen(registered), expected);
    };
    start(&[], &[busy("x")], "start the task manager of node a");
    start(&["a"], &[busy("x")], "start the task manager of node b");
    start(&[], &[busy("tm-b")], "start the task manager of node a");
    start(&[], &[busy("tm-a")], "start the task manager of node b");
    start(&["a", "b"], &[busy("x")], "wait");
    start(&["a", "b"], &[busy("x"), busy("tm-a")], "wait");
    start(&["a", "b"], &[busy("tm-a"), task_manager("tm-b", 0, 0)], "wait");
    start(&["a", "b"], &[busy("tm-a"), task_manager("tm-b", 1, 1)], "enter phase starting-nodes");

    let up = [busy("tm-b")];
    for (failed, message) in
        [(vec![], None), (vec![failure("a")], Some("node a did not start: exit 1".to_owned()))]
    {
        let mut situation = situation("task_managers = 2", &["a", "b"]);
        situation.enter(starting_nodes(&["b"], &failed));
        assert_eq!(situation.next(&seen(&up)), NextStep::Enter(Phase::NodesStarted { message }));
    }
}

/// Goal: a node whose command fails, or that offers no slots in time, is stopped, so that it does not come up later, and replaced by one
/// that has not been tried. Without another one the change ends.
#[test]
fn a_node_that_does_not_come_up_is_replaced() {
    let both = ["a", "b"].map(str::to_owned);
    let replace = |nodes: &[&str], in_pool: &[&str], waited_s, stopped: &[&str]| {
        let mut situation = situation("task_managers = 3", in_pool).waited(waited_s);
        situation.enter(starting_nodes(nodes, &[]));
        let reason = |name: &String| (name == "a").then(|| "exit 1".to_owned());
        situation.attempt.started = both.iter().map(|name| (name.clone(), reason(name))).collect();
        situation.attempt.stopped = stopped.iter().map(|name| ((*name).to_owned(), None)).collect();
        situation.next(&seen(&[busy("tm-c")]))
    };
    let stop = |node: &str| NextStep::Act(Effect::StopNode { node: node.to_owned() });
    let all = ["a", "b", "c", "d"];
    assert_eq!(replace(&["a", "b"], &all, 0, &[]), stop("a"));
    let without_a = NextStep::Enter(starting_nodes(&["b", "d"], &[failure("a")]));
    assert_eq!(replace(&["a", "b"], &all, 0, &["a"]), without_a);
    assert_eq!(replace(&["b"], &all, 9, &[]), NextStep::Wait);
    assert_eq!(replace(&["b"], &all, 10, &[]), stop("b"));
    assert_eq!(replace(&["a", "b"], &all, 10, &["a"]), stop("b"));
    let step = replace(&["a", "b"], &all, 10, &["a", "b"]);
    let NextStep::Enter(Phase::StoppingNodes { end, .. }) = step else { panic!("{step:?}") };
    let given_up = "failed: node a did not start: exit 1; node b did not start: no slots within 10s; the pool has no other node; \
                    the job was not changed";
    assert_eq!(end.to_string(), given_up);

    let mut tried = situation("task_managers = 3", &["a", "b", "d"]);
    tried.enter(starting_nodes(&["b"], &[failure("a")]));
    tried.attempt.started = [("b".to_owned(), Some("exit 1".to_owned()))].into();
    tried.attempt.stopped = [("b".to_owned(), None)].into();
    let with_d = NextStep::Enter(starting_nodes(&["d"], &[failure("a"), failure("b")]));
    assert_eq!(tried.next(&seen(&[])), with_d);
}

/// Goal: a change ends with the stop of surplus nodes: those that the document does not want or, after a failure, those that were started
/// for it. A step that is not the last one, and a change without nodes, are not held up.
#[test]
fn surplus_nodes_are_stopped_at_the_end() {
    let submitting = |situation: &mut Situation| {
        situation.enter(Phase::Submitting { job: job(8), savepoint: None });
    };
    let with_nodes = |situation: &mut Situation| {
        situation.enter(starting_nodes(&["a"], &[]));
        situation.enter(Phase::NodesStarted { message: None });
    };
    let (runs, fails) = (submission(Submission::Running), submission(ended(JobState::Failed, None)));
    let (stops_nodes, running, failed) =
        ("enter phase stopping-nodes", "enter phase running", "enter phase failed");
    for (wants, nodes, is_started, seen, expected) in [
        ("task_managers = 1", &["a"] as &[_], false, &runs, stops_nodes),
        ("task_managers = 1", &[], false, &runs, running),
        ("", &["a"], false, &runs, running),
        ("", &["a"], true, &runs, running),
        ("task_managers = 1", &["a"], false, &fails, failed),
        ("task_managers = 2", &["a"], true, &fails, stops_nodes),
        ("task_managers = 2", &[], true, &fails, failed),
    ] {
        let mut situation = situation(wants, nodes);
        if is_started {
            with_nodes(&mut situation);
        }
        submitting(&mut situation);
        situation.check(seen, expected);
    }
    let mut begun = situation("task_managers = 2", &["a"]);
    with_nodes(&mut begun);
    begun.check(&jobs(&[]), "enter phase submitting, job");
    submitting(&mut begun);
    let step = begun.next(&fails);
    let NextStep::Enter(Phase::StoppingNodes { wanted, .. }) = step else { panic!("{step:?}") };
    assert_eq!(wanted, 1, "as many as before");
}

/// Generation 1 runs, and these nodes are to be stopped; `None`: not chosen yet.
fn stopping(wanted: u32, nodes: Option<&[&str]>) -> Situation {
    let mut situation = situation("task_managers = 1", &["a", "b", "c"]);
    let end = Box::new(Phase::Running { job: job(8), message: None });
    situation.enter(Phase::StoppingNodes { wanted, nodes: nodes.map(names), end });
    situation
}

/// Goal: idle nodes are stopped before busy ones, then the last of the pool before the first; not more than there are too many.
#[test]
fn idle_nodes_go_first() {
    let nodes = |a: u32, b: u32| [task_manager("tm-a", 4, a), task_manager("tm-b", 4, b), busy("x")];
    for (wanted, registered, expected) in [
        (2, nodes(4, 4), &["b"] as &[_]),
        (2, nodes(0, 0), &["b"]),
        (2, nodes(4, 1), &["a"]),
        (2, nodes(4, 3), &["a"]),
        (2, nodes(3, 4), &["b"]),
        (1, nodes(4, 1), &["a", "b"]),
        (0, nodes(4, 1), &["a", "b"]),
    ] {
        let step = stopping(wanted, None).next(&seen(&registered));
        let NextStep::Enter(Phase::StoppingNodes { nodes, .. }) = &step else { panic!("{step:?}") };
        assert_eq!(nodes.as_ref(), Some(&names(expected)), "{registered:?}");
    }
    for wanted in [3, 4] {
        stopping(wanted, None).check(&seen(&nodes(4, 4)), "enter phase running, job 08080808");
    }
}

/// Goal: each node is stopped once, and the change ends when they are gone and the job runs again, or when the time for it is over. What
/// did not work is in the report.
#[test]
fn the_end_waits_for_stopped_nodes() {
    let stop =
        |stopped: &[(&str, Option<&str>)], waited_s, registered: &[&str], job_state, expected: &str| {
            let mut situation = stopping(1, Some(&["a", "b"])).waited(waited_s);
            let outcome =
                |(name, error): &(&str, Option<&str>)| ((*name).to_owned(), error.map(str::to_owned));
            situation.attempt.stopped = stopped.iter().map(outcome).collect();
            let registered = registered.iter().map(|id| busy(id)).collect();
            let step = situation.next(&Observation::Nodes { registered, submission: job_state }).to_string();
            assert_eq!(step, expected, "{stopped:?}, {waited_s} s");
        };
    let good: &[_] = &[("a", None), ("b", None)];
    let bad: &[_] = &[("a", Some("exit 1")), ("b", None)];
    let (runs, end) = (Some(Submission::Running), "enter phase running, job 08080808");
    stop(&[], 0, &["tm-a", "tm-b"], runs.clone(), "stop the task manager of node a");
    stop(&good[..1], 0, &["tm-b"], runs.clone(), "stop the task manager of node b");
    stop(good, 0, &["tm-a", "tm-c"], runs.clone(), "wait");
    stop(good, 9, &["tm-a", "tm-c"], runs.clone(), "wait");
    let lingering = format!("{end}: still registered after 10s: a");
    stop(good, 10, &["tm-a", "tm-c"], runs.clone(), &lingering);
    stop(good, 11, &["tm-a", "tm-c"], runs.clone(), &lingering);
    stop(good, 0, &["tm-c"], runs.clone(), end);
    stop(good, 0, &["tm-c"], None, end);
    stop(good, 0, &["tm-c"], Some(starting()), "wait");
    stop(good, 10, &["tm-c"], Some(starting()), end);
    let problem = format!("{end}: node a was not stopped: exit 1");
    stop(bad, 0, &["tm-a", "tm-c"], runs.clone(), &problem);
    stop(bad, 0, &["tm-a", "tm-b"], runs.clone(), "wait");
    stop(bad, 10, &["tm-a", "tm-b"], runs, &format!("{problem}; still registered after 10s: b"));
}

/// Goal: a job that runs while nodes are started keeps running if none can be.
#[test]
fn a_running_job_is_left_alone_without_nodes() {
    let alive = vec![(job(7), JobState::Running)];
    let seen = Observation::Jobs { alive, last: None, registered: Vec::new(), wanted: None };
    let mut situation = situation("task_managers = 2", &["a"]);
    situation.check(&seen, "enter phase rolled-back, job 07070707: the document requires 2 task managers");
    situation.rules.pool = pool(&["a", "b"]);
    situation.check(&seen, "enter phase starting-nodes, job 07070707: a, b");
}
