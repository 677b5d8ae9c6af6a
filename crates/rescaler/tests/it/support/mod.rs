//! A recorded job, and the server of the page over it.

pub(crate) mod browser;
pub(crate) mod played;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use control::{ChangeOutcome, Effect, PhaseDuration, Record};
use jiff::{SignedDuration, Timestamp};
use rescaler::http::{Guard, Http, serve};
use rescaler::status::{JobInfo, JobStatus, Retention, Status, Switches};
use scaling::{
    Action, Decision, Distribution, Edge, Kind, Operator, OperatorReport, Partitioning, Query, SCHEMA,
    Snapshot, Subtask, TaskManager,
};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// Epochs of the recording. The plan is made in [`PLAN`].
pub(crate) const EPOCHS: u64 = 60;
pub(crate) const PLAN: u64 = 40;
/// The time between two epochs.
pub(crate) const EPOCH: Duration = Duration::from_secs(4);

/// The program of this name, which is built into the same folder as the rescaler.
pub(crate) fn program(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_rescaler")).with_file_name(name);
    assert!(path.exists(), "{} is missing; run `cargo build --workspace --bins`", path.display());
    path
}

fn operator(name: &str, kind: Kind, parallelism: u32, inputs: &[&str]) -> Operator {
    let edge = |from: &&str| Edge { from: (*from).to_owned(), partitioning: Partitioning::Hash };
    Operator {
        name: name.to_owned(),
        kind,
        parallelism,
        inputs: inputs.iter().map(|input| (*input).to_owned()).collect(),
        edges: inputs.iter().map(edge).collect(),
        latency_ms: Some(12.5 * f64::from(parallelism)),
        throughput_per_s: Some(1234.0),
        input_rate_per_s: Some(1300.0),
        output_rate_per_s: Some(617.0),
        busy_ratio: Some(0.6),
        backpressured_ratio: Some(0.1),
        waiting_ms: Some(Distribution { mean: Some(3.0), ..Distribution::default() }),
        subtasks: (0..parallelism).map(subtask).collect(),
        ..Operator::default()
    }
}

fn subtask(index: u32) -> Subtask {
    Subtask {
        records_in: Some(4000.0 + 100.0 * f64::from(index)),
        interval_ms: Some(4000),
        busy_ratio: Some(0.6),
        backpressured_ratio: Some(0.05),
        task_manager: Some(format!("tm-{}", index % 2)),
        ..Subtask::default()
    }
}

/// What was seen in one epoch: a rising load that is too much until the plan is carried out.
pub(crate) fn snapshot(job: &str, epoch: u64, at: Timestamp) -> Snapshot {
    #[expect(clippy::cast_precision_loss, reason = "a handful of epochs")]
    let load = 600.0 + 30.0 * epoch.min(50) as f64 + if epoch.is_multiple_of(3) { 25.0 } else { 0.0 };
    let width = if epoch > PLAN { 3 } else { 1 };
    let is_late = (30..=PLAN + 3).contains(&epoch);
    let latency_ms =
        if is_late { 300.0 + 180.0 * f64::from(u32::try_from(epoch - 29).unwrap()) } else { 320.0 };
    let mut bids = operator("source-bid", Kind::Source, 2, &[]);
    bids.arrival_rate_per_s = Some(load);
    bids.backlog_records = Some(if is_late { load * 3.0 } else { 0.0 });
    let mut auctions = operator("source-auction", Kind::Source, 1, &[]);
    auctions.arrival_rate_per_s = Some(100.0);
    auctions.backlog_records = Some(0.0);
    Snapshot {
        schema: SCHEMA,
        at_ms: Some(at.as_millisecond()),
        interval_ms: Some(4000),
        source: Some("flink-rest".to_owned()),
        job: scaling::Job {
            name: job.to_owned(),
            parallelism: 1,
            max_parallelism: 128,
            ..scaling::Job::default()
        },
        queries: vec![Query {
            name: "q7".to_owned(),
            overall_latency_ms: Some(latency_ms),
            ..Query::default()
        }],
        operators: vec![
            auctions,
            bids,
            operator("q7-bid-item", Kind::Continuous, width, &["source-auction", "source-bid"]),
            operator("q7-max", Kind::Window, 1, &["q7-bid-item"]),
            operator("sink-q7", Kind::Sink, 1, &["q7-max"]),
        ],
        task_managers: vec![TaskManager { id: "tm-0".to_owned(), slots: Some(4), ..TaskManager::default() }],
        state_size_bytes: Some(5_500_000.0),
        stored_size_bytes: Some(7_340_032.0),
        ..Snapshot::default()
    }
}

/// The records of the whole recording, oldest first; the last one is of just now.
pub(crate) fn records(job: &str) -> Vec<Record> {
    let now = Timestamp::now();
    (1..=EPOCHS).map(|epoch| record(job, epoch, now)).collect()
}

fn record(job: &str, epoch: u64, now: Timestamp) -> Record {
    let back = SignedDuration::try_from(EPOCH).unwrap() * i32::try_from(EPOCHS - epoch).unwrap();
    let at = now - back;
    let (effect, decision) = match epoch {
        PLAN => (Effect::Published { generation: 2 }, plan()),
        epoch if epoch > PLAN && epoch <= PLAN + 6 => {
            let reason = format!("waiting after an action: {} epochs left", PLAN + 7 - epoch);
            (Effect::Nothing, Decision::nothing("latency", reason))
        }
        _ => (Effect::Nothing, Decision::nothing("latency", "no query is at or above 1000 ms")),
    };
    let (job, snapshot) = (job.to_owned(), Some(snapshot(job, epoch, at)));
    let outcome = (epoch == PLAN).then(|| outcome(at));
    let (state, imagined, restored) = (Arc::default(), false, Vec::new());
    Record { epoch, at, job, effect, decision, snapshot, state, imagined, restored, outcome }
}

/// How the published plan went.
fn outcome(at: Timestamp) -> ChangeOutcome {
    let step = |state, duration_ms| PhaseDuration { state, at, duration_ms };
    ChangeOutcome {
        generation: 2,
        state: job_config::ChangeState::Running,
        duration_ms: Some(5_400),
        message: None,
        steps: vec![
            step(job_config::ChangeState::Stopping, Some(2_100)),
            step(job_config::ChangeState::Submitting, Some(3_300)),
            step(job_config::ChangeState::Running, None),
        ],
        observed: None,
    }
}

/// A plan whose words try to be markup.
pub(crate) fn plan() -> Decision {
    let because = "q7 at 2280 ms counts 3 of 3; ceil(2375.3/s ÷ (1166.6/s ÷ 1)) = 3";
    let mut decision = Decision::nothing("latency", because);
    decision.reasons.push("<img src=x onerror=\"document.title='attacked'\"><b>bold</b>".to_owned());
    decision.action = Action::Rescale;
    decision.parallelism.insert("q7-bid-item".to_owned(), 3);
    decision.cluster.cluster_load = Some(0.42);
    decision.cluster.scale_out = Some(false);
    decision.operators.push(OperatorReport {
        name: "q7-bid-item".to_owned(),
        kind: Kind::Continuous,
        latency_ms: Some(2280.0),
        parallelism: 1,
        new_parallelism: Some(3),
        because: because.to_owned(),
        figures: std::collections::BTreeMap::default(),
    });
    decision
}

/// A job of which nothing is known, with switches that lie in `file`.
pub(crate) fn job(name: &str, file: Option<PathBuf>) -> Arc<JobStatus> {
    let info = JobInfo {
        name: name.to_owned(),
        flink_url: "http://127.0.0.1:8081".to_owned(),
        policy: "latency".to_owned(),
        latency_max_ms: Some(1000.0),
        epoch_length: EPOCH,
        sample_interval: Duration::from_secs(1),
        started_at: Timestamp::now(),
    };
    let switches = Switches::open(file, false).unwrap();
    Arc::new(JobStatus::new(info, switches, Retention { points: 1440, decisions: 200 }))
}

/// A job with the recording, and a sample of just now.
pub(crate) fn recorded(name: &str) -> Arc<JobStatus> {
    let job = job(name, None);
    let records = records(name);
    let (last, earlier) = records.split_last().unwrap();
    job.remember(earlier);
    job.sampled(Ok(()), Timestamp::now());
    job.decided(last);
    job
}

/// A running server; it ends with this value.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) address: std::net::SocketAddr,
    _stop: oneshot::Sender<()>,
}

/// Serves these jobs on a free port. `as_if_on` is the address that the guard is told.
pub(crate) async fn server(jobs: Vec<Arc<JobStatus>>, as_if_on: &str, token: Option<&str>) -> Server {
    server_on("127.0.0.1:0", jobs, as_if_on, token).await
}

/// The same on an address of the caller's choice.
pub(crate) async fn server_on(
    address: &str,
    jobs: Vec<Arc<JobStatus>>,
    as_if_on: &str,
    token: Option<&str>,
) -> Server {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    let guard = Guard::new(as_if_on.parse().unwrap(), &["rescaler.example".to_owned()], token);
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async move {
        // An error only says that the other end is gone, which is the signal.
        let _ended = stopped.await;
    };
    let settings = Http { request_timeout_ms: 3_000, ..Http::default() };
    tokio::spawn(serve(listener, Arc::new(Status::new(jobs)), settings, guard, None, shutdown));
    Server { url: format!("http://{address}"), address, _stop: stop }
}

/// The server of one recorded job on this machine.
pub(crate) async fn recorded_server(name: &str) -> (Arc<JobStatus>, Server) {
    let job = recorded(name);
    let server = server(vec![Arc::clone(&job)], "127.0.0.1:0", None).await;
    (job, server)
}
