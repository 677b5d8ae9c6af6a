//! One round of an experiment: its own cluster, one or several control loops, the load, the observation, and the
//! results.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use drop_client::{DropClient, Precondition};
use flink::Client;
use futures_util::future::{join_all, try_join_all};
use job_config::{ChangeState, JobDocument};
use scaling::Snapshot;
use test_cluster::{ClusterOptions, Extras, ProcessGroup, Tenant, TenantNames, TenantOptions, TestCluster};
use testbed::process::Process;
use tokio::time::{Instant, sleep};

use crate::about::MachineInfo;
use crate::changes::ParallelismChange;
use crate::contender::{Placeholders, Variant};
use crate::evaluate::{LoadOutcome, evaluate};
use crate::experiment::Experiment;
use crate::folder::RunFolder;
use crate::observe::{LoadTime, Observer};
use crate::page::ProducerPage;
use crate::row::{Row, header};
use crate::screen::Screen;
use crate::stop::ShutdownSignal;
use crate::summary::{ProducerTotals, Summary};
use crate::time::now_ms;
use crate::timetable::{self, TimetablePublisher};
use crate::watch::Watch;

const JOB_DEADLINE: Duration = Duration::from_secs(120);
const DROP_DEADLINE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(200);
/// How long before the load the producer starts: it has to connect to Kafka.
const LEAD: Duration = Duration::from_secs(4);
/// Timeout of the producer's end: it delivers all emitted records first.
const PRODUCER_DEADLINE: Duration = Duration::from_secs(40);
/// Timeout of a request to Flink; a slower response leaves the row without values.
const FLINK_TIMEOUT: Duration = Duration::from_secs(2);

/// Paths of the project's programs, the Flink job and the program that drives Flink's autoscaler.
#[derive(Debug, Clone)]
pub(crate) struct ProgramPaths {
    pub(crate) programs_dir: PathBuf,
    pub(crate) jar: PathBuf,
    pub(crate) autoscaler: PathBuf,
}

/// One run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunSpec<'a> {
    pub(crate) experiment: &'a Experiment,
    pub(crate) variant: &'a Variant,
    pub(crate) repetition: u32,
}

impl RunSpec<'_> {
    /// Returns the label that distinguishes it from the experiment's other runs.
    pub(crate) fn label(&self) -> String {
        format!("{}-{}", self.variant.name, self.repetition)
    }
}

/// One control loop on the cluster, and what is known of it before the load begins.
struct LoopSetup<'a> {
    one: RunSpec<'a>,
    folder: RunFolder,
    tenant: Tenant,
    programs: ProcessGroup,
    screen: Screen,
    /// Name of the job on this cluster.
    job: String,
}

/// A loop whose job runs.
struct RunningLoop {
    observer: Observer,
    operators: Vec<String>,
    watch: Watch,
    timetable: Option<TimetablePublisher>,
    job_id: String,
    page: String,
}

/// Executes one run, or several side by side on one cluster. Once the load has begun, writes each run's results into
/// a folder of `out`, however it ends.
///
/// # Errors
/// The load could not begin, or a file cannot be written.
pub(crate) async fn run(
    ones: &[RunSpec<'_>],
    out: &Path,
    place: &ProgramPaths,
    screen: &Screen,
    stop: &ShutdownSignal,
) -> anyhow::Result<Vec<Summary>> {
    let folders: Vec<RunFolder> =
        ones.iter().map(|one| RunFolder::make(&out.join(one.label()))).collect::<anyhow::Result<_>>()?;
    let Some(first) = folders.first() else { return Ok(Vec::new()) };
    let cluster_dir = first.cluster_dir();
    let begun = begin(ones, &folders, &cluster_dir, place, screen, stop).await?;
    let (cluster, mut loops) = begun;
    let outcomes = run_load(&mut loops, place, stop).await;
    for one in &mut loops {
        std::mem::take(&mut one.programs).stop().await;
    }
    let tenants: Vec<(RunSpec<'_>, PathBuf)> =
        loops.iter().map(|one| (one.one, one.tenant.work_dir().to_owned())).collect();
    drop(loops);
    cluster.shutdown().await;
    let outcomes = outcomes?;
    let mut summaries = Vec::new();
    for ((outcome, folder), (one, work_dir)) in outcomes.iter().zip(&folders).zip(&tenants) {
        folder.collect(work_dir)?;
        summaries.push(evaluate(*one, folder, outcome)?);
    }
    first.clear(&cluster_dir)?;
    Ok(summaries)
}

/// Starts Kafka and Flink, and a tenant for each loop.
async fn begin<'a>(
    ones: &[RunSpec<'a>],
    folders: &[RunFolder],
    cluster_dir: &Path,
    place: &ProgramPaths,
    screen: &Screen,
    stop: &ShutdownSignal,
) -> anyhow::Result<(TestCluster, Vec<LoopSetup<'a>>)> {
    let Some(experiment) = ones.first().map(|one| one.experiment) else { bail!("there is nothing to run") };
    let contenders = u32::try_from(ones.len()).unwrap_or(u32::MAX);
    let options = ClusterOptions {
        work_dir: cluster_dir.to_owned(),
        task_managers: experiment.cluster.task_managers.saturating_mul(contenders),
        task_slots: experiment.cluster.task_slots,
        // Subtasks of a loop may share task managers with those of the others.
        jobs: contenders.min(2),
        extras: Extras::default(),
    };
    let tell = |line: &str| screen.print_line(line);
    let start = async {
        let cluster = TestCluster::start(options, &tell).await?;
        let mut loops = Vec::new();
        for (one, folder) in ones.iter().zip(folders) {
            folder.write("experiment.toml", &experiment.text)?;
            let (names, label) = if ones.len() == 1 {
                (TenantNames::plain(), "")
            } else {
                (TenantNames::new(&one.variant.name), one.variant.name.as_str())
            };
            let tenant = TenantOptions {
                names,
                folder: PathBuf::from(label),
                programs_dir: place.programs_dir.clone(),
                jar: place.jar.clone(),
                partitions: experiment.cluster.partitions,
            };
            let tenant = cluster.tenant(tenant).await?;
            let job = tenant.own(one.variant.document.job().as_str());
            let screen = screen.labelled(label);
            let programs = ProcessGroup::default();
            loops.push(LoopSetup { one: *one, folder: folder.clone(), tenant, programs, screen, job });
        }
        Ok::<_, anyhow::Error>((cluster, loops))
    };
    tokio::select! {
        started = start => started,
        () = stop.asked() => bail!("interrupted before the load began"),
    }
}

/// Runs everything from the first documents to the end of the load, which begins for all loops at the same time.
async fn run_load(
    loops: &mut [LoopSetup<'_>],
    place: &ProgramPaths,
    stop: &ShutdownSignal,
) -> anyhow::Result<Vec<LoadOutcome>> {
    let is_shared = loops.len() > 1;
    let opening = try_join_all(loops.iter_mut().map(|one| open(one, is_shared, stop)));
    let ready = tokio::select! {
        opened = opening => opened?,
        () = stop.asked() => bail!("interrupted before the load began"),
    };
    let began = Instant::now() + LEAD;
    let began_ms = now_ms() + i64::try_from(LEAD.as_millis()).unwrap_or_default();
    let all =
        loops.iter_mut().zip(ready).map(|(one, ready)| watch(one, ready, place, (began, began_ms), stop));
    join_all(all).await.into_iter().collect()
}

/// Starts drop and agent, publishes the first document, and waits until the job runs and is observed.
async fn open(
    one: &mut LoopSetup<'_>,
    is_shared: bool,
    stop: &ShutdownSignal,
) -> anyhow::Result<RunningLoop> {
    let settings = flink::ClientSettings { timeout: FLINK_TIMEOUT, ..flink::ClientSettings::default() };
    let flink = Client::new(&one.tenant.testbed().flink_url(), settings)?;
    let about = MachineInfo::here(flink.overview().await.ok().map(|overview| overview.flink_version)).await;
    one.folder.write_json("about.json", &about)?;
    one.screen.print_line(&format!("the job starts, {}", widths(&one.one.variant.document)));
    let drop = start_loop(one).await?;
    let timetable = one.one.variant.timetable.clone().map(|times| TimetablePublisher::new(times, drop));
    let page = format!("127.0.0.1:{}", test_cluster::free_port().context("no free port on 127.0.0.1")?);
    let mut observer =
        Observer::new(flink.clone(), &one.job, Some(ProducerPage::new(&page)?)).of_stage(is_shared);
    let operators = observer.await_job(JOB_DEADLINE, stop).await?;
    let jobs = flink.jobs().await?;
    let job_id = jobs.iter().find(|job| job.name == one.job && !job.state.is_terminal());
    let job_id = job_id.map(|job| job.id.to_string()).unwrap_or_default();
    let watch = Watch::new(flink, &one.job);
    Ok(RunningLoop { observer, operators, watch, timetable, job_id, page })
}

/// Runs the load and the program that scales the job, until the load is over.
async fn watch(
    one: &mut LoopSetup<'_>,
    mut ready: RunningLoop,
    place: &ProgramPaths,
    (began, began_ms): (Instant, i64),
    stop: &ShutdownSignal,
) -> anyhow::Result<LoadOutcome> {
    let producer = start_producer(one, &ready.page, began_ms)?;
    start_contender(one, &ready.job_id, place)?;
    one.folder.write("series.csv", &(header(&ready.operators) + "\n"))?;
    one.screen.begin_rows();
    let LoopSetup { screen, folder, programs, .. } = one;
    let mut take = |row: &Row, snapshot: Option<&Snapshot>| {
        screen.show(row);
        folder.append_row(row, &ready.operators, snapshot)?;
        check(programs, &producer)
    };
    let experiment = one.one.experiment;
    let time = LoadTime { began, duration: experiment.duration, warm_up: experiment.warm_up };
    let problem = tokio::select! {
        observed = time.observe(&mut ready.observer, &mut take) => observed.err().map(|error| format!("{error:#}")),
        () = ready.watch.poll(began) => None,
        problem = follow(ready.timetable.as_mut(), began) => Some(problem),
        () = stop.asked() => Some("interrupted".to_owned()),
    };
    if let Some(problem) = &problem {
        one.screen.print_line(&format!("▶ the run ends early: {problem}"));
    }
    let changes: Vec<ParallelismChange> = ready.watch.changes(began_ms).await;
    if let Some(timetable) = &ready.timetable {
        one.folder.write(timetable::FILE, &timetable.text())?;
    }
    producer.stop(PRODUCER_DEADLINE).await;
    Ok(LoadOutcome { began_ms, problem, producer: totals(producer.log_file()), changes })
}

/// Starts the program that scales the job in this variant.
fn start_contender(one: &mut LoopSetup<'_>, job_id: &str, place: &ProgramPaths) -> anyhow::Result<()> {
    let tenant = &one.tenant;
    if let Some(rescaler) = &one.one.variant.rescaler {
        let config = tenant.write_config("rescaler.toml", &with_whole_paths(rescaler)?)?;
        let program = tenant.program("rescaler")?.args(["run", "--config"]).arg(config);
        one.programs.insert_first(tenant.launch(&program)?);
    }
    if let Some(contender) = &one.one.variant.program {
        let folder = tenant.work_dir().join("contender");
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let flink = tenant.testbed().flink_url();
        let places = Placeholders {
            flink: &flink,
            job: &one.job,
            job_id,
            folder: &folder,
            autoscaler: &place.autoscaler,
        };
        if let Some(program) = contender.program(tenant, &places) {
            one.programs.insert_first(tenant.launch(&program)?);
        }
    }
    Ok(())
}

/// Follows a timetable, if there is one; returns a problem, and otherwise never.
async fn follow(timetable: Option<&mut TimetablePublisher>, began: Instant) -> String {
    match timetable {
        Some(timetable) => timetable.follow(began).await,
        None => std::future::pending().await,
    }
}

/// Starts drop and agent, publishes the first document, waits until the job runs, and returns a client of the drop.
async fn start_loop(one: &mut LoopSetup<'_>) -> anyhow::Result<DropClient> {
    let LoopSetup { one, tenant, programs, .. } = one;
    let job = one.variant.document.job().as_str();
    let configs = [
        ("config-drop", "listen = \"127.0.0.1:8460\"\ndata = \"run/config-drop\"\n".to_owned()),
        (
            "config-agent",
            format!(
                "job = \"{job}\"\ndata = \"run/config-agent\"\n\n[drop]\nurl = \"http://127.0.0.1:8460\"\n\n\
                 [flink]\nurl = \"http://127.0.0.1:8081\"\njar = \"flink-jobs/target/flink-jobs.jar\"\n"
            ),
        ),
    ];
    for (name, text) in configs {
        let config = tenant.write_config(&format!("{name}.toml"), &text)?;
        programs.insert_first(tenant.launch(&tenant.program(name)?.arg("--config").arg(config))?);
    }
    tenant.write_config("document.toml", one.variant.document.text())?;
    let document = JobDocument::parse(&tenant.localise(one.variant.document.text()))?;
    let drop =
        DropClient::new(tenant.drop_url(), document.job().clone(), drop_client::ClientSettings::default())?;
    let deadline = Instant::now() + DROP_DEADLINE;
    while let Err(error) = drop.put(&document, &Precondition::Nothing).await {
        programs.check()?;
        if Instant::now() > deadline {
            return Err(error).context("cannot publish the first document at the config drop");
        }
        sleep(POLL).await;
    }
    let deadline = Instant::now() + JOB_DEADLINE;
    while Instant::now() < deadline {
        programs.check()?;
        for report in drop.reports().await.unwrap_or_default() {
            let detail = report.message.as_deref().unwrap_or("no reason reported");
            ensure!(report.state != ChangeState::Failed, "the first document was not applied: {detail}");
            if report.state == ChangeState::Running {
                return Ok(drop);
            }
        }
        sleep(POLL).await;
    }
    bail!("the job did not run within {} s; see logs/config-agent.log", JOB_DEADLINE.as_secs())
}

fn start_producer(one: &LoopSetup<'_>, page: &str, began_ms: i64) -> anyhow::Result<Process> {
    let config = with_whole_paths(&one.one.experiment.producer)?;
    let config = one.tenant.write_config("event-producer.toml", &config)?;
    let program = one.tenant.program("event-producer")?.arg("--config").arg(config);
    let start_time = began_ms.to_string();
    let program = program.args(["--start-time", start_time.as_str(), "--listen", page, "--output", "json"]);
    Ok(one.tenant.launch(&program)?)
}

/// Checks that no process has ended early, except a producer that has delivered everything.
fn check(programs: &ProcessGroup, producer: &Process) -> anyhow::Result<()> {
    programs.check()?;
    if let Some(status) = producer.status().filter(|status| !status.success()) {
        let tail = testbed::logs::tail(producer.log_file(), 5);
        bail!("the event producer exited ({status}); the end of its log:\n{tail}");
    }
    Ok(())
}

/// Parses the producer's totals: the last line of its log that is a JSON object.
fn totals(log: &Path) -> Option<ProducerTotals> {
    let text = files::read_text(log, crate::folder::RESULT_BYTES).ok()?;
    text.lines().rev().find_map(|line| serde_json::from_str(line).ok())
}

/// Makes paths in a configuration absolute: the programs have another working folder than the one it is written for.
fn with_whole_paths(config: &str) -> anyhow::Result<String> {
    let tree = std::env::current_dir().context("cannot read the current folder")?;
    Ok(config.replace("\"configs/", &format!("\"{}/configs/", tree.display())))
}

fn widths(document: &JobDocument) -> String {
    let parallelism = document.parallelism();
    let own = parallelism.operators.iter().map(|(name, p)| format!(", {name} at {p}"));
    format!("default parallelism {}{}", parallelism.default, own.collect::<String>())
}
