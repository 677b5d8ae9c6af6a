//! One case of the fault campaign: a world, a change, injected faults, and the final assertions.

use std::path::PathBuf;
use std::time::Duration;

use config_agent::{Agent, Config, CrashPoint, Node, Phase, Pool, PoolNode, restoration_id, submission_id};
use drop_client::Access;
use job_config::{ChangeState, JobDocument, Report};

use super::faulty_drop::{Answer, FaultyDrop, key};
use crate::support::scripted_flink::{Fault, ScriptedFlink, VERTEX};
use crate::support::{JOB, PATIENCE, agent, config};

/// The kind of change, and its defect if any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing runs yet.
    First,
    Restart,
    InPlace,
    /// The new job fails.
    BadJob,
    /// There are too few slots for the new parallelism.
    NoSlots,
    /// A third task manager is started.
    NodeComes,
    /// The first node that is tried does not come up.
    NodeFails,
    /// No node comes up.
    NoNode,
    /// A task manager is stopped.
    NodeGoes,
    /// The submission times out, and takes effect when the old job runs again.
    LateSubmission,
}

impl Kind {
    pub(crate) const ALL: [Self; 10] = [
        Self::First,
        Self::Restart,
        Self::InPlace,
        Self::BadJob,
        Self::NoSlots,
        Self::NodeComes,
        Self::NodeFails,
        Self::NoNode,
        Self::NodeGoes,
        Self::LateSubmission,
    ];

    /// Whether the new job never runs, so that the case takes as long as its timeout.
    pub(crate) fn never_runs(self) -> bool {
        matches!(self, Self::NoSlots | Self::LateSubmission)
    }

    fn is_good(self) -> bool {
        !matches!(self, Self::BadJob | Self::NoSlots | Self::NoNode | Self::LateSubmission)
    }

    fn is_in_place(self) -> bool {
        matches!(self, Self::InPlace | Self::NoSlots | Self::NodeComes | Self::NodeGoes)
    }

    /// Task managers that the document wants, and those registered in the end.
    fn task_managers(self) -> (Option<u32>, usize) {
        match self {
            Self::NodeComes | Self::NodeFails => (Some(3), 3),
            Self::NoNode => (Some(4), 2),
            Self::NodeGoes => (Some(1), 1),
            _ => (None, 2),
        }
    }
}

/// Injected faults.
#[derive(Debug, Clone, Default)]
pub(crate) struct FaultPlan {
    /// Kill points of consecutive runs of the agent; the run after the last one is undisturbed.
    pub(crate) crashes: Vec<CrashPoint>,
    /// Faults of requests to Flink.
    pub(crate) flink: Vec<(u32, Fault)>,
    /// The drop's answers before the right document.
    pub(crate) answers: Vec<Answer>,
    /// Reports that are rejected at first.
    pub(crate) reports: Vec<u32>,
}

/// Result of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CaseOutcome {
    /// The kills that really happened.
    pub(crate) crashes: usize,
    pub(crate) state: ChangeState,
}

pub(crate) fn document(
    generation: u64,
    width: u32,
    in_place: bool,
    task_managers: Option<u32>,
) -> JobDocument {
    document_with(generation, width, in_place, task_managers, "")
}

pub(crate) fn document_with(
    generation: u64,
    width: u32,
    in_place: bool,
    task_managers: Option<u32>,
    more: &str,
) -> JobDocument {
    let mode = if in_place { "in-place" } else { "savepoint-restart" };
    let task_managers = task_managers.map(|n| format!("task_managers = {n}\n")).unwrap_or_default();
    JobDocument::parse(&format!(
        "format = 1\njob = \"{JOB}\"\ngeneration = {generation}\nissued_at = \"2026-01-01T00:00:00Z\"\n{more}restart_mode = \
         \"{mode}\"\n{task_managers}[parallelism]\ndefault = 1\nmax = 1000\n[parallelism.operators]\n{VERTEX} = {width}\n"
    ))
    .unwrap()
}

pub(crate) fn wanted(kind: Kind) -> JobDocument {
    document(2, 5, kind.is_in_place(), kind.task_managers().0)
}

/// A scripted cluster with two task managers, and an agent's configuration for it.
struct World {
    kind: Kind,
    flink: ScriptedFlink,
    config: Config,
    folder: tempfile::TempDir,
}

impl World {
    async fn new(kind: Kind) -> Self {
        let (flink, _faults) = ScriptedFlink::start().await;
        // In memory if possible: disk behaviour is tested elsewhere.
        let shared = PathBuf::from("/dev/shm");
        let folder = if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() };
        let folder = folder.unwrap();
        let nodes = folder.path().join("nodes");
        std::fs::create_dir(&nodes).unwrap();
        for name in ["tm-1", "tm-2"] {
            std::fs::write(nodes.join(name), "").unwrap();
        }
        flink.with(|world| world.nodes = Some(nodes.clone()));
        let mut config = config(folder.path(), "http://127.0.0.1:1", &flink.url);
        config.flink_settings = flink::ClientSettings {
            timeout: Duration::from_millis(400),
            submit_timeout: Duration::from_millis(400),
            max_body_bytes: 1 << 20,
            ..flink::ClientSettings::default()
        };
        config.drop_settings.timeout = Duration::from_millis(400);
        config.drop_wait = Duration::from_millis(100);
        config.document_source.access = Access::default().with_public_keys(vec![key().public_key()]);
        config.rules.running_within = Duration::from_secs(20);
        config.rules.restored_within = Duration::from_secs(60);
        config.rules.nodes_within = Duration::from_secs(20);
        config.rules.stopped_within = Duration::from_secs(20);
        config.rules.stoppable_within = Duration::from_secs(20);
        if kind.never_runs() {
            // The first job must run within it on a busy machine.
            config.rules.running_within = Duration::from_secs(4);
        }
        let mut world = Self { kind, flink, config, folder };
        world.add_pool();
        world
    }

    /// tm-2 can be stopped; tm-3 to tm-5 can be started, except where the case makes them fail.
    fn add_pool(&mut self) {
        let command = |program: &str, name: &str| {
            vec![program.to_owned(), self.folder.path().join("nodes").join(name).display().to_string()]
        };
        let node = |name: &str| {
            let fails = match self.kind {
                Kind::NodeFails => name == "tm-3",
                Kind::NoNode => name != "tm-3",
                _ => false,
            };
            let start = if fails { vec!["false".to_owned()] } else { command("touch", name) };
            let mut stop = command("rm", name);
            stop.insert(1, "-f".to_owned());
            Node { node: PoolNode { name: name.to_owned(), task_manager: name.to_owned() }, start, stop }
        };
        let nodes: Vec<Node> = ["tm-2", "tm-3", "tm-4"].into_iter().map(node).collect();
        self.config.rules.pool = nodes.iter().map(|node| node.node.clone()).collect();
        self.config.pool = Pool { nodes, ..Pool::default() };
    }

    /// Brings generation 1 up without faults, and resets the counters.
    async fn bring_up(&mut self, first: &JobDocument) {
        let drop = FaultyDrop::start(vec![Answer::Good(first.clone())], Vec::new()).await;
        self.config.drop_url = drop.url.as_str().into();
        let agent = agent(&self.config).await;
        let phase = run_to_end(&agent, 1).await;
        assert!(matches!(phase, Phase::Running { .. }), "{phase:?}");
        std::mem::drop(agent);
        let kind = self.kind;
        self.flink.with(|world| {
            (world.requests, world.stops, world.submissions, world.rescales) = (0, 0, 0, 0);
            match kind {
                Kind::BadJob => {
                    world.jobs_fail = Some("a.B: cannot start".to_owned());
                    world.bad = vec![2];
                }
                Kind::NoSlots => world.slots = Some(3),
                Kind::LateSubmission => world.holds_submissions_of = Some(2),
                _ => {}
            }
        });
    }
}

async fn run_to_end(agent: &Agent, generation: u64) -> Phase {
    let ended = crate::support::ended(agent.journal(), generation);
    tokio::select! {
        result = agent.run() => panic!("{result:?}"),
        phase = ended => phase,
    }
}

/// Runs the case and panics with the reason if an assertion fails.
pub(crate) async fn run_case(kind: Kind, trouble: FaultPlan) -> CaseOutcome {
    let mut world = World::new(kind).await;
    let first = document(1, 2, kind.is_in_place(), None);
    if kind != Kind::First {
        world.bring_up(&first).await;
    }
    let wanted = wanted(kind);
    let mut answers = trouble.answers.clone();
    answers.push(Answer::Good(wanted.clone()));
    let drop = FaultyDrop::start(answers, trouble.reports.clone()).await;
    world.config.drop_url = drop.url.as_str().into();
    world.flink.with(|flink| flink.faults.clone_from(&trouble.flink));

    let mut crashes = 0;
    for crash_point in &trouble.crashes {
        let agent = agent(&world.config).await;
        agent.journal().crash_at(*crash_point);
        tokio::select! {
            result = agent.run() => panic!("{result:?}"),
            () = agent.journal().reached_crash_point() => crashes += 1,
            _ = crate::support::ended(agent.journal(), 2) => break,
        }
    }
    // No more kills from here on; planned faults may still come.
    let agent = agent(&world.config).await;
    let phase = run_to_end(&agent, 2).await;
    if kind == Kind::LateSubmission {
        assert!(matches!(phase, Phase::RolledBack { .. }), "it ended as {phase:?}");
        the_rival_goes(&world, &agent).await;
    }
    let reports = drop.state.lock().unwrap().reports.clone();
    check(&world, &first, &wanted, &phase, &reports);
    CaseOutcome { crashes, state: phase.state() }
}

/// The abandoned job appears when the old one runs again; the agent cancels it.
async fn the_rival_goes(world: &World, agent: &Agent) {
    world.flink.with(crate::support::scripted_flink::World::release);
    let gone = async {
        while world.flink.with(|flink| flink.jobs.values().filter(|job| is_alive(job.state)).count()) != 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        result = agent.run() => panic!("{result:?}"),
        gone = tokio::time::timeout(PATIENCE, gone) => gone.unwrap(),
    }
}

fn is_alive(state: &str) -> bool {
    !matches!(state, "FAILED" | "FINISHED" | "CANCELED")
}

fn check(world: &World, first: &JobDocument, wanted: &JobDocument, phase: &Phase, reports: &[Report]) {
    let kind = world.kind;
    let is_running = matches!(phase, Phase::Running { .. });
    assert!(is_running || matches!(phase, Phase::RolledBack { .. }), "it ended as {phase:?}");
    assert_eq!(is_running, kind.is_good(), "{phase:?}");
    world.flink.with(|flink| {
        for job in flink.jobs.values() {
            assert!(
                [first.text(), wanted.text()].contains(&job.document.as_str()),
                "applied:\n{}",
                job.document
            );
        }
        let ids: Vec<&String> = flink.order.iter().filter(|id| is_alive(flink.jobs[*id].state)).collect();
        assert_eq!(ids.len(), 1, "jobs that are alive: {ids:?}");
        let width = flink.jobs[ids[0]].width;
        assert_eq!(width, if is_running { 5 } else { 2 }, "the job is {width} wide");
        let rolled_back = u32::from(matches!(kind, Kind::BadJob | Kind::LateSubmission));
        let restarts = u32::from(!kind.is_in_place() && kind != Kind::First && kind != Kind::NoNode);
        let submissions = restarts + rolled_back + u32::from(kind == Kind::First);
        let rescales = match kind {
            Kind::NoSlots => 2,
            kind => u32::from(kind.is_in_place()),
        };
        let done = (flink.stops, flink.submissions, flink.rescales);
        assert_eq!(done, (restarts, submissions, rescales), "stops, submissions, rescales");
        let expected = match (kind.is_in_place() || kind == Kind::NoNode, rolled_back) {
            (true, _) => submission_id(first),
            (false, 0) => submission_id(wanted),
            (false, _) => restoration_id(wanted),
        };
        assert_eq!(ids[0], expected.as_str());
        assert!(!flink.two_at_a_time || kind == Kind::LateSubmission, "two jobs ran at a time");
        let nodes = flink.nodes.as_ref().unwrap().read_dir().unwrap().count();
        assert_eq!(nodes, kind.task_managers().1, "task managers");
    });
    let of_wanted: Vec<&Report> = reports.iter().filter(|report| report.generation == 2).collect();
    let sequences: Vec<u32> = of_wanted.iter().map(|report| report.sequence).collect();
    let most = u32::try_from(sequences.len()).unwrap();
    assert_eq!(sequences, (1..=most).collect::<Vec<_>>(), "reports in order, each once");
    let finals = of_wanted.iter().filter(|report| report.state.is_final()).count();
    assert!(finals == 1 && of_wanted.last().unwrap().state == phase.state(), "one last report");
    let running = of_wanted.last().unwrap().running_generation;
    assert_eq!(running, Some(if is_running { 2 } else { 1 }));
}
