//! One run: a stage of its own, the loop on it, the load, a row a second, and everything that is kept.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use drop_client::{DropClient, Precondition};
use job_config::{JobDocument, State};
use stage::{ClusterOptions, Extras, Names, ProcessGroup, Tenant, TenantOptions, TestCluster};
use testbed::process::Process;
use tokio::time::{Instant, sleep};

use crate::about::About;
use crate::decisions;
use crate::experiment::{Experiment, Variant};
use crate::folder::{Kept, RunFolder};
use crate::observe::{Observer, Time};
use crate::page::ProducerPage;
use crate::plots;
use crate::row::{Row, header};
use crate::screen::Screen;
use crate::stop::Stop;
use crate::summary::{ProducerTotals, Settings, Summary, summarise};
use crate::time::now_ms;

const JOB_DEADLINE: Duration = Duration::from_secs(120);
const DROP_DEADLINE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(200);
/// The producer is started so long before its load begins: it has to reach Kafka.
const LEAD: Duration = Duration::from_secs(4);
/// A producer delivers what it has emitted before it ends.
const PRODUCER_DEADLINE: Duration = Duration::from_secs(40);
/// An answer of Flink that takes longer is a row without figures.
const FLINK_TIMEOUT: Duration = Duration::from_secs(2);

/// Where our programs and the Flink job lie.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) programs_dir: PathBuf,
    pub(crate) jar: PathBuf,
}

/// What is run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct One<'a> {
    pub(crate) experiment: &'a Experiment,
    pub(crate) variant: &'a Variant,
    pub(crate) repetition: u32,
}

/// What became of the load.
struct Played {
    began_ms: i64,
    /// Why it did not last as long as it should have.
    problem: Option<String>,
    producer: Option<ProducerTotals>,
}

/// Runs once, and keeps in `folder` whatever there is to keep, however the run ends once its load has begun.
///
/// # Errors
/// The load could not begin, or something cannot be written.
pub(crate) async fn run(
    one: One<'_>,
    folder: &Path,
    place: &Place,
    screen: &mut Screen,
    stop: &Stop,
) -> anyhow::Result<Summary> {
    let folder = RunFolder::make(folder)?;
    folder.write("experiment.toml", &one.experiment.text)?;
    let options = ClusterOptions {
        work_dir: folder.stage(),
        task_managers: one.experiment.cluster.task_managers,
        task_slots: one.experiment.cluster.task_slots,
        jobs: 1,
        extras: Extras::default(),
    };
    let tenant = TenantOptions {
        names: Names::plain(),
        folder: PathBuf::new(),
        programs_dir: place.programs_dir.clone(),
        jar: place.jar.clone(),
        partitions: one.experiment.cluster.partitions,
    };
    let tell = |line: &str| screen.say(line);
    let start = async {
        let cluster = TestCluster::start(options, &tell).await?;
        let tenant = cluster.tenant(tenant).await?;
        Ok::<_, anyhow::Error>((cluster, tenant))
    };
    let (cluster, tenant) = tokio::select! {
        started = start => started?,
        () = stop.asked() => bail!("interrupted before the load began"),
    };
    let mut programs = ProcessGroup::default();
    let played = play(one, &tenant, &mut programs, &folder, screen, stop).await;
    programs.stop().await;
    drop(tenant);
    cluster.shutdown().await;
    let played = played?;
    folder.collect()?;
    keep(one, &folder, &played)
}

/// Everything from the first document to the end of the load.
async fn play(
    one: One<'_>,
    tenant: &Tenant,
    programs: &mut ProcessGroup,
    folder: &RunFolder,
    screen: &mut Screen,
    stop: &Stop,
) -> anyhow::Result<Played> {
    let settings = flink::Settings { timeout: FLINK_TIMEOUT, ..flink::Settings::default() };
    let flink = flink::Client::new(&tenant.testbed().flink_url(), settings)?;
    let about = About::here(flink.overview().await.ok().map(|overview| overview.flink_version)).await;
    folder.write_json("about.json", &about)?;

    screen.say(&format!("the job begins, {}", widths(&one.variant.document)));
    tokio::select! {
        opened = open(one, tenant, programs) => opened?,
        () = stop.asked() => bail!("interrupted before the load began"),
    }
    let page = format!("127.0.0.1:{}", stage::free_port().context("no free port on 127.0.0.1")?);
    let mut observer =
        Observer::new(flink, one.variant.document.job().as_str(), Some(ProducerPage::new(&page)?));
    let operators = observer.await_job(JOB_DEADLINE, stop).await?;

    let began = Instant::now() + LEAD;
    let began_ms = now_ms() + i64::try_from(LEAD.as_millis()).unwrap_or_default();
    let producer = start_producer(one, tenant, &page, began_ms)?;
    if let Some(rescaler) = &one.variant.rescaler {
        let config = tenant.write_config("rescaler.toml", &with_whole_paths(rescaler)?)?;
        let program = tenant.program("rescaler")?.args(["run", "--config"]).arg(config);
        programs.insert_first(tenant.launch(&program)?);
    }
    folder.write("series.csv", &(header(&operators) + "\n"))?;
    screen.begin_rows();
    let mut take = |row: &Row| {
        screen.show(row);
        folder.append_to_series(&row.line(&operators))?;
        check(programs, &producer)
    };
    let time = Time { began, duration: one.experiment.duration, warm_up: one.experiment.warm_up };
    let problem = time.observe(&mut observer, &mut take);
    let problem = tokio::select! {
        problem = problem => problem.err().map(|error| format!("{error:#}")),
        () = stop.asked() => Some("interrupted".to_owned()),
    };
    if let Some(problem) = &problem {
        screen.say(&format!("▶ the run ends early: {problem}"));
    }
    producer.stop(PRODUCER_DEADLINE).await;
    Ok(Played { began_ms, problem, producer: totals(producer.log_file()) })
}

/// Drop and agent, the first document, and the job running.
async fn open(one: One<'_>, tenant: &Tenant, programs: &mut ProcessGroup) -> anyhow::Result<()> {
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
    let drop = DropClient::new(tenant.drop_url(), document.job().clone(), drop_client::Settings::default())?;
    let deadline = Instant::now() + DROP_DEADLINE;
    while let Err(error) = drop.put(&document, &Precondition::Nothing).await {
        programs.check()?;
        if Instant::now() > deadline {
            return Err(error).context("the config drop takes no document");
        }
        sleep(POLL).await;
    }
    let deadline = Instant::now() + JOB_DEADLINE;
    while Instant::now() < deadline {
        programs.check()?;
        for report in drop.reports().await.unwrap_or_default() {
            let detail = report.message.as_deref().unwrap_or("no reason given");
            ensure!(report.state != State::Failed, "the first document was not carried out: {detail}");
            if report.state == State::Running {
                return Ok(());
            }
        }
        sleep(POLL).await;
    }
    bail!("the job did not run within {} s; see logs/config-agent.log", JOB_DEADLINE.as_secs())
}

fn start_producer(one: One<'_>, tenant: &Tenant, page: &str, began_ms: i64) -> anyhow::Result<Process> {
    let config = tenant.write_config("event-producer.toml", &with_whole_paths(&one.experiment.producer)?)?;
    let program = tenant.program("event-producer")?.arg("--config").arg(config);
    let start_time = began_ms.to_string();
    let program = program.args(["--start-time", start_time.as_str(), "--listen", page, "--output", "json"]);
    Ok(tenant.launch(&program)?)
}

/// Nobody may end before the load does, except a producer that has delivered everything.
fn check(programs: &ProcessGroup, producer: &Process) -> anyhow::Result<()> {
    programs.check()?;
    if let Some(status) = producer.status().filter(|status| !status.success()) {
        let tail = testbed::logs::tail(producer.log_file(), 5);
        bail!("the event producer has ended ({status}); its log ends with:\n{tail}");
    }
    Ok(())
}

/// Writes everything that follows from what was observed.
fn keep(one: One<'_>, folder: &RunFolder, played: &Played) -> anyhow::Result<Summary> {
    let decisions = decisions::of_journal(&folder.journal(), played.began_ms)?;
    folder.write("decisions.csv", &decisions::text(&decisions))?;
    let rows = crate::row::read_series(&folder.series())?;
    let settings = Settings {
        duration_s: one.experiment.duration.as_secs_f64(),
        warm_up_s: one.experiment.warm_up.as_secs_f64(),
        latency_max_ms: one.experiment.latency_max_ms,
        schedule_delay_max_ms: one.experiment.schedule_delay_max_ms,
    };
    let began_at = jiff::Timestamp::from_millisecond(played.began_ms).unwrap_or_default();
    let mut summary = Summary {
        experiment: one.experiment.name.clone(),
        variant: one.variant.name.clone(),
        policy: one.variant.policy.clone(),
        repetition: one.repetition,
        began_at: began_at.to_string(),
        version: version::VERSION.to_owned(),
        is_complete: played.problem.is_none(),
        ..summarise(&rows, &decisions, played.producer.as_ref(), &settings)
    };
    if let Some(problem) = &played.problem {
        summary.add_problem(format!("ended early: {problem}"));
    }
    folder.write_json("summary.json", &summary)?;
    let kept = Kept { summary, rows, decisions };
    plots::of_run(&kept, folder.path())?;
    Ok(kept.summary)
}

/// The producer's totals: the last line of its log that is a JSON object.
fn totals(log: &Path) -> Option<ProducerTotals> {
    let text = files::read_text(log, crate::folder::RESULT_BYTES).ok()?;
    text.lines().rev().find_map(|line| serde_json::from_str(line).ok())
}

/// Files of the tree by their whole paths: our programs have another working folder than the one that configurations are
/// written for.
fn with_whole_paths(config: &str) -> anyhow::Result<String> {
    let tree = std::env::current_dir().context("cannot tell the current folder")?;
    Ok(config.replace("\"configs/", &format!("\"{}/configs/", tree.display())))
}

fn widths(document: &JobDocument) -> String {
    let parallelism = document.parallelism();
    let own = parallelism.operators.iter().map(|(name, p)| format!(", {name} at {p}"));
    format!("default parallelism {}{}", parallelism.default, own.collect::<String>())
}
