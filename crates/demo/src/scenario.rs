//! The demo's scenario: normal load, overload, a decision, a rescale, recovery.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use drop_client::DropClient;
use job_config::ChangeState;
use test_cluster::{ProcessGroup, Tenant};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use crate::screen::Screen;
use crate::watch::{Watch, WatchSample};

/// The bottleneck operator, which the job document slows down on purpose.
const OPERATOR: &str = "q7-bid-item";
/// Total events per second before and after the load is raised. One subtask handles about 1,200.
const CALM_PER_S: u32 = 800;
const LOAD_PER_S: u32 = 2_700;
/// No hot auction. With half of all bids for one auction at a time, one of three subtasks has two thirds of the work,
/// and the catch-up takes longer than the half minute that the demo shows.
const EVEN_KEYS: &str = "\n[nexmark]\nhot_auction_ratio = 1\n";
/// The policy's latency bound, which also defines recovery.
const LATENCY_MAX_MS: f64 = 1_000.0;
/// Number of consecutive samples within the bound that count as recovery.
const CALM_MOMENTS: usize = 3;

const JOB_DEADLINE: Duration = Duration::from_secs(90);
const RECOVERY_DEADLINE: Duration = Duration::from_secs(240);

/// How long the demo shows the normal load before raising it: policy `slo` decides once it knows 30 s of the load, in whole bins of 10 s.
const CALM: Duration = Duration::from_secs(45);

/// Runs the scenario on a running cluster. `Ok` only if the latency returned below its bound.
pub(crate) async fn run(tenant: &Tenant, screen: &Screen, keep: bool) -> anyhow::Result<()> {
    let mut programs = ProcessGroup::default();
    let outcome = steps(tenant, screen, &mut programs).await;
    if outcome.is_ok() && keep {
        addresses(tenant, screen);
        tokio::signal::ctrl_c().await.context("cannot wait for Ctrl-C")?;
    }
    programs.stop().await;
    outcome
}

async fn steps(tenant: &Tenant, screen: &Screen, programs: &mut ProcessGroup) -> anyhow::Result<()> {
    let mut watch = open(tenant, screen, programs).await?;
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    wait_for_job(screen, programs, &mut watch, &mut ticks).await?;

    let load = format!("{}{EVEN_KEYS}", include_str!("../../../configs/demo/event-producer.toml"));
    let producer = tenant.write_config("event-producer.toml", &load)?;
    let rescaler =
        tenant.write_config("rescaler.toml", include_str!("../../../configs/demo/rescaler.toml"))?;
    let steps = format!("{CALM_PER_S}:{},{LOAD_PER_S}:3600", CALM.as_secs());
    let program = tenant.program("event-producer")?.arg("--config").arg(producer).arg("--steps").arg(steps);
    programs.insert_first(tenant.launch(&program)?);
    programs.push(tenant.launch(&tenant.program("rescaler")?.args(["run", "--config"]).arg(rescaler))?);
    screen.announce("PAGE", &tenant.page_url());
    screen.announce("LOAD", &format!("{CALM_PER_S} events/s, within the capacity of parallelism 1"));
    screen.print_headers();
    let columns = watch_until_recovered(screen, programs, &mut watch, &mut ticks).await?;
    screen.table(&[
        ("calm", &columns.calm),
        ("overloaded", &columns.overloaded),
        ("recovered", &columns.recovered),
    ]);
    screen.print_line(&format!(
        "recovered: event latency is below {LATENCY_MAX_MS:.0} ms again at the higher load"
    ));
    Ok(())
}

/// Starts drop and agent, and publishes the first document.
async fn open(tenant: &Tenant, screen: &Screen, programs: &mut ProcessGroup) -> anyhow::Result<Watch> {
    let configs = [
        ("config-drop", include_str!("../../../configs/demo/config-drop.toml")),
        ("config-agent", include_str!("../../../configs/demo/config-agent.toml")),
    ];
    for (name, text) in configs {
        let config = tenant.write_config(&format!("{name}.toml"), text)?;
        programs.push(tenant.launch(&tenant.program(name)?.arg("--config").arg(config))?);
    }
    let text = tenant.localise(include_str!("../../../configs/demo/nexmark.toml"));
    let document = job_config::JobDocument::parse(&text)?;
    let drop =
        DropClient::new(tenant.drop_url(), document.job().clone(), drop_client::ClientSettings::default())?;
    let deadline = Instant::now() + JOB_DEADLINE;
    while let Err(error) = drop.put(&document, &drop_client::Precondition::Nothing).await {
        programs.check()?;
        ensure!(
            Instant::now() < deadline,
            "the config drop does not accept a document: {}",
            service::with_causes(&error)
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    screen.announce("DOCUMENT", &format!("generation 1: {OPERATOR} at parallelism 1"));
    let flink = flink::Client::new(&tenant.testbed().flink_url(), flink::ClientSettings::default())?;
    Ok(Watch::new(flink, drop, OPERATOR))
}

async fn wait_for_job(
    screen: &Screen,
    programs: &ProcessGroup,
    watch: &mut Watch,
    ticks: &mut Interval,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + JOB_DEADLINE;
    watch.new_document().await;
    while Instant::now() < deadline {
        ticks.tick().await;
        programs.check()?;
        if tell_reports(screen, watch).await?.contains(&ChangeState::Running) {
            return Ok(());
        }
    }
    bail!("the job did not run within {} s; see logs/config-agent.log", JOB_DEADLINE.as_secs())
}

/// Prints new reports and returns their states; a failed change ends the demo.
async fn tell_reports(screen: &Screen, watch: &mut Watch) -> anyhow::Result<Vec<ChangeState>> {
    let mut states = Vec::new();
    for report in watch.new_reports().await {
        let text = format!("{:?}", report.state).to_lowercase();
        let savepoint = report.savepoint.filter(|_| report.state == ChangeState::Stopped);
        let detail = report.message.or(savepoint).map_or(String::new(), |detail| format!(": {detail}"));
        screen.announce("AGENT", &format!("generation {}: {text}{detail}", report.generation));
        let undone = matches!(report.state, ChangeState::Failed | ChangeState::RolledBack);
        ensure!(!undone, "generation {} was not applied{detail}", report.generation);
        states.push(report.state);
    }
    Ok(states)
}

struct Columns {
    calm: WatchSample,
    overloaded: WatchSample,
    recovered: WatchSample,
}

async fn watch_until_recovered(
    screen: &Screen,
    programs: &ProcessGroup,
    watch: &mut Watch,
    ticks: &mut Interval,
) -> anyhow::Result<Columns> {
    let (deadline, raised_at) = (Instant::now() + RECOVERY_DEADLINE, Instant::now() + CALM);
    let (mut calm, mut overloaded, mut is_raised) = (WatchSample::default(), None, false);
    let (mut newest, mut rescaled, mut under_bound) = (WatchSample::default(), false, 0);
    while Instant::now() < deadline {
        ticks.tick().await;
        programs.check()?;
        if !is_raised && Instant::now() >= raised_at {
            screen.announce(
                "LOAD",
                &format!("raised to {LOAD_PER_S} events/s, about twice the capacity of parallelism 1"),
            );
            is_raised = true;
        }
        if let Some(document) = watch.new_document().await {
            screen.announce(
                "DECISION",
                &format!("generation {}: {}", document.generation(), document.reason()),
            );
            overloaded.get_or_insert(newest.clone());
        }
        let states = tell_reports(screen, watch).await?;
        rescaled |= overloaded.is_some() && states.contains(&ChangeState::Running);
        let sample = watch.sample().await;
        screen.show(&sample);
        let is_under = sample.event_latency_ms.is_some_and(|ms| ms < LATENCY_MAX_MS);
        if !is_raised && sample.event_latency_ms.is_some() {
            calm = sample.clone();
        }
        under_bound = if rescaled && is_under { under_bound + 1 } else { 0 };
        if let (Some(overloaded), true) = (&overloaded, under_bound >= CALM_MOMENTS) {
            return Ok(Columns { calm, overloaded: overloaded.clone(), recovered: sample });
        }
        newest = sample;
    }
    let what = match (overloaded.is_some(), rescaled) {
        (false, _) => "the rescaler did not act; see logs/rescaler.log",
        (true, false) => "the change was not applied; see logs/config-agent.log",
        (true, true) => "the latency did not return below its bound",
    };
    bail!("not recovered within {} s: {what}", RECOVERY_DEADLINE.as_secs())
}

fn addresses(tenant: &Tenant, screen: &Screen) {
    screen.print_line("everything keeps running until Ctrl-C:");
    screen.print_line(&format!("  page    {}", tenant.page_url()));
    screen.print_line(&format!("  Flink   {}", tenant.testbed().flink_url()));
    screen.print_line(&format!("  Kafka   {}", tenant.testbed().kafka_bootstrap()));
    screen.print_line(&format!("  drop    {}/v1/jobs/nexmark/document", tenant.drop_url()));
    screen.print_line(&format!("  logs    {}", tenant.work_dir().join("logs").display()));
}
