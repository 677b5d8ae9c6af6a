//! Test harness of one control loop: a tenant on a cluster, clients of its drop and of Flink, and the project's
//! programs with the configurations of `configs/demo`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use drop_client::{Current, DropClient, Fetched, Precondition, Published};
use jiff::Timestamp;
use job_config::{Change, ChangeState, JobDocument};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use test_cluster::{Tenant, TenantNames, TenantOptions, TestCluster};
use testbed::process::Process;
use tokio::time::{Instant, sleep};

use crate::engines::Context;
use crate::load::{Load, RunningLoad};

/// Timeout of all waits. A quiet machine needs a tenth of it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);
const KAFKA_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(100);
/// Timeout of a program's shutdown.
const STOP_DEADLINE: Duration = Duration::from_secs(10);
/// Input topics of the demo's job.
pub(crate) const Q7_TOPICS: &[&str] = &["auctionEvents", "bidEvents"];
/// Disables idleness: records of a partition considered idle would be late, and rightly missing from the results.
pub(crate) const NEVER_IDLE: (&str, &str) = ("idleness_ms = 10000", "idleness_ms = 0");

/// Differences between harnesses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HarnessOptions {
    /// Name of the benchmark, which is also the job's name without the tenant's prefix.
    pub(crate) benchmark: &'static str,
    /// Partitions of each input topic.
    pub(crate) partitions: u16,
}

impl Default for HarnessOptions {
    fn default() -> Self {
        Self { benchmark: "nexmark", partitions: 4 }
    }
}

/// A control loop on real Kafka and Flink.
pub(crate) struct E2eHarness {
    pub(crate) cluster: Arc<TestCluster>,
    pub(crate) tenant: Tenant,
    pub(crate) drop: DropClient,
    pub(crate) flink: flink::Client,
    job: String,
    context: Context,
    kept: Mutex<Vec<Process>>,
}

impl E2eHarness {
    /// A tenant of the shared cluster for the demo's job.
    pub(crate) async fn shared(context: &Context) -> anyhow::Result<Self> {
        let cluster = context.shared_cluster().await?;
        Self::on(context, cluster, HarnessOptions::default()).await
    }

    /// A tenant of a cluster for any job. A test has at most one per benchmark.
    pub(crate) async fn on(
        context: &Context,
        cluster: Arc<TestCluster>,
        options: HarnessOptions,
    ) -> anyhow::Result<Self> {
        let name = format!("{}-{}", context.test(), options.benchmark).replace('_', "-");
        let tenant_options = TenantOptions {
            names: TenantNames::new(&name),
            folder: PathBuf::from(&name),
            programs_dir: programs_dir()?,
            jar: root().join("flink-jobs/target/flink-jobs.jar"),
            partitions: options.partitions,
        };
        let tenant = cluster.tenant(tenant_options).await?;
        context.keep_logs_of(tenant.work_dir().to_owned());
        let job = tenant.own(options.benchmark);
        let drop = DropClient::new(tenant.drop_url(), job.parse()?, drop_client::ClientSettings::default())?;
        let flink = flink::Client::new(&tenant.testbed().flink_url(), flink::ClientSettings::default())?;
        Ok(Self { cluster, tenant, drop, flink, job, context: context.clone(), kept: Mutex::default() })
    }

    /// Name of the job in Flink and at the drop.
    pub(crate) fn job(&self) -> &str {
        &self.job
    }

    /// Prints the progress of the test.
    pub(crate) fn note(&self, text: impl std::fmt::Display) {
        self.context.note(text);
    }

    /// Starts a program with its configuration from `configs/demo`.
    pub(crate) fn start(&self, name: &str, arguments: &[&str]) -> anyhow::Result<Process> {
        self.start_with(name, arguments, &[])
    }

    /// The same with these replacements in the configuration.
    pub(crate) fn start_with(
        &self,
        name: &str,
        arguments: &[&str],
        replacements: &[(&str, &str)],
    ) -> anyhow::Result<Process> {
        let text = demo_config(name, replacements)?;
        let config = self.tenant.write_config(&format!("{name}.toml"), &text)?;
        let program = self.tenant.program(name)?.args(arguments).arg("--config").arg(config);
        Ok(self.tenant.launch(&program)?)
    }

    /// Starts the producer with a load of auctions and bids.
    pub(crate) fn start_load(&self, load: Load) -> anyhow::Result<RunningLoad> {
        self.start_load_with(load, &[], &[])
    }

    /// The same with further arguments, and with these replacements in the configuration.
    pub(crate) fn start_load_with(
        &self,
        load: Load,
        more: &[&str],
        replacements: &[(&str, &str)],
    ) -> anyhow::Result<RunningLoad> {
        let arguments = load.arguments();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(more.iter().copied()).collect();
        let process = self.start_with("event-producer", &arguments, replacements)?;
        Ok(RunningLoad::new(load, process))
    }

    /// Keeps a program running as long as this value lives.
    pub(crate) fn keep(&self, process: Process) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(process);
    }

    /// Stops the kept programs, and returns the cluster.
    pub(crate) fn leave(self) -> Arc<TestCluster> {
        self.cluster
    }

    /// Stops a program.
    pub(crate) async fn stop(&self, process: Process) {
        process.stop(STOP_DEADLINE).await;
    }

    /// Publishes the demo's job document with these replacements as the first one, and waits until the job runs.
    pub(crate) async fn run_first(&self, replacements: &[(&str, &str)]) -> anyhow::Result<JobDocument> {
        self.run_first_text(&demo_config("nexmark", replacements)?).await
    }

    /// The same with this document.
    pub(crate) async fn run_first_text(&self, text: &str) -> anyhow::Result<JobDocument> {
        let document = JobDocument::parse(&self.tenant.localise(text))?;
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = self.drop.put(&document, &Precondition::Nothing).await {
            ensure!(Instant::now() < deadline, "the drop takes no document: {error}");
            sleep(POLL).await;
        }
        self.await_report(1, ChangeState::Running).await?;
        self.note("the job runs");
        Ok(document)
    }

    /// Publishes the successor of the current document with these changes.
    pub(crate) async fn publish(&self, change: Change) -> anyhow::Result<()> {
        let current = self.current().await?;
        let next = current.document.successor(&change)?;
        let published = self.drop.put(&next, &Precondition::Replaces(current.entity_tag)).await?;
        ensure!(matches!(published, Published::Stored(_)), "the drop refused the document: {published:?}");
        Ok(())
    }

    /// Waits for a report; a reported failure is an error immediately.
    pub(crate) async fn await_report(&self, generation: u64, state: ChangeState) -> anyhow::Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            let reports = self.drop.reports().await.unwrap_or_default();
            let of_generation = || reports.iter().filter(|report| report.generation == generation);
            if of_generation().any(|report| report.state == state) {
                return Ok(());
            }
            let undone = |report: &&job_config::Report| {
                matches!(report.state, ChangeState::Failed | ChangeState::RolledBack)
            };
            let failed = of_generation().find(undone);
            ensure!(failed.is_none(), "generation {generation} was not carried out: {failed:?}");
            ensure!(
                Instant::now() < end,
                "generation {generation} was not reported as {state:?}: {reports:?}"
            );
            sleep(POLL).await;
        }
    }

    /// All jobs that were ever submitted under the tenant's name.
    pub(crate) async fn jobs(&self) -> anyhow::Result<Vec<flink::JobOverview>> {
        let jobs = self.flink.jobs().await?;
        Ok(jobs.into_iter().filter(|job| job.name == self.job).collect())
    }

    /// The unfinished job.
    pub(crate) async fn running_job(&self) -> anyhow::Result<flink::JobDetails> {
        let jobs = self.jobs().await?;
        let alive: Vec<_> = jobs.into_iter().filter(|job| !job.state.is_terminal()).collect();
        ensure!(alive.len() == 1, "there is not exactly one job {}: {alive:?}", self.job);
        Ok(self.flink.job(&alive[0].id).await?)
    }

    /// The current document and its entity tag.
    pub(crate) async fn current(&self) -> anyhow::Result<Current> {
        match self.drop.get(None, None).await? {
            Fetched::Document(current) => Ok(*current),
            other => anyhow::bail!("the drop has no document: {other:?}"),
        }
    }

    /// The parallelism of an operator of the running job.
    pub(crate) async fn parallelism_of(&self, operator: &str) -> anyhow::Result<u32> {
        let job = self.running_job().await?;
        let vertex = job.vertices.iter().find(|vertex| vertex.head_operator() == operator);
        Ok(vertex.context("no such operator")?.parallelism)
    }

    /// Waits until the running job has completed this many checkpoints since it was submitted.
    pub(crate) async fn await_checkpoints(&self, count: u64) -> anyhow::Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            let job = self.running_job().await?.id;
            let checkpoints = self.flink.checkpoints(&job).await;
            if checkpoints.as_ref().is_ok_and(|checkpoints| checkpoints.completed >= count) {
                return Ok(());
            }
            ensure!(Instant::now() < end, "no {count} checkpoints: {checkpoints:?}");
            sleep(POLL).await;
        }
    }

    /// Records of the input topics that no checkpoint covers yet: the job commits its offsets with each checkpoint.
    pub(crate) fn unread(&self, topics: &[&str]) -> anyhow::Result<i64> {
        self.unread_by(&self.consumer(&self.job)?, topics)
    }

    fn unread_by(&self, consumer: &BaseConsumer, topics: &[&str]) -> anyhow::Result<i64> {
        let mut wanted = TopicPartitionList::new();
        for topic in topics {
            let last = i32::from(self.tenant.partitions()) - 1;
            wanted.add_partition_range(&self.tenant.own(topic), 0, last);
        }
        let mut left = 0;
        for committed in consumer.committed_offsets(wanted, KAFKA_TIMEOUT)?.elements() {
            let (topic, partition) = (committed.topic(), committed.partition());
            let (_, end) = consumer.fetch_watermarks(topic, partition, KAFKA_TIMEOUT)?;
            left += end - committed.offset().to_raw().filter(|offset| *offset >= 0).unwrap_or(0);
        }
        Ok(left)
    }

    /// Waits until a checkpoint covers every record of the input topics.
    pub(crate) async fn await_all_consumed(&self, topics: &[&str]) -> anyhow::Result<()> {
        self.await_consumed_by(&self.job, topics).await
    }

    /// The same for another consumer group.
    pub(crate) async fn await_consumed_by(&self, group: &str, topics: &[&str]) -> anyhow::Result<()> {
        let end = Instant::now() + 2 * PATIENCE;
        let consumer = self.consumer(group)?;
        loop {
            // The broker rejects a group's first commit until it has a coordinator.
            let left = self.unread_by(&consumer, topics);
            if matches!(left, Ok(0)) {
                return Ok(());
            }
            ensure!(Instant::now() < end, "not everything has been consumed; records left: {left:?}");
            sleep(POLL).await;
        }
    }

    /// Stops the job with a drain: all windows fire and the last transaction is committed.
    pub(crate) async fn drain(&self) -> anyhow::Result<()> {
        let job = self.running_job().await?.id;
        let trigger_id = flink::TriggerId::from_bytes([7; 16]);
        let stop = flink::StopRequest { trigger_id, target_directory: None, drain: true };
        self.flink.stop_with_savepoint(&job, &stop).await?;
        let end = Instant::now() + PATIENCE;
        loop {
            let state = self.flink.job(&job).await?.state;
            if state == flink::JobState::Finished {
                return Ok(());
            }
            ensure!(Instant::now() < end && !state.is_terminal(), "the job is {state:?} after the drain");
            sleep(POLL).await;
        }
    }

    /// Cancels a job without a savepoint.
    pub(crate) async fn cancel(&self, job: &flink::JobId) -> anyhow::Result<()> {
        self.flink.cancel(job).await?;
        let end = Instant::now() + PATIENCE;
        while !self.flink.job(job).await?.state.is_terminal() {
            ensure!(Instant::now() < end, "the job cannot be cancelled");
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Ends a load, waits until all of it is read, stops the agent and then the job, and compares the committed rows
    /// of the demo's job with the reference.
    pub(crate) async fn finish_exactly(&self, load: &RunningLoad, agent: Process) -> anyhow::Result<()> {
        let events = load.stop().await?;
        self.await_all_consumed(Q7_TOPICS).await?;
        self.stop(agent).await;
        self.drain().await?;
        let dead_letters = self.committed("nexmark_dead_letters")?;
        ensure!(dead_letters.is_empty(), "{} records could not be read", dead_letters.len());
        let found = crate::rows::parse(&self.committed("nexmark_results")?)?;
        self.note(crate::rows::assert_same("q7", found, load.load.q7(events, 1000)?)?);
        Ok(())
    }

    /// The committed values of a topic with one partition.
    pub(crate) fn committed(&self, topic: &str) -> anyhow::Result<Vec<String>> {
        let topic = self.tenant.own(topic);
        let consumer = self.consumer(&self.job)?;
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(&topic, 0, Offset::Beginning)?;
        consumer.assign(&assignment)?;
        let mut values = Vec::new();
        let end = std::time::Instant::now() + PATIENCE;
        loop {
            ensure!(std::time::Instant::now() < end, "{topic} could not be read to its end");
            match consumer.poll(KAFKA_TIMEOUT) {
                Some(Ok(message)) => {
                    values.push(String::from_utf8(message.payload().unwrap_or_default().to_vec())?);
                }
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(values),
                Some(Err(error)) => return Err(error.into()),
                None => {}
            }
        }
    }

    /// A consumer of committed records, as a member of a consumer group.
    fn consumer(&self, group: &str) -> anyhow::Result<BaseConsumer> {
        Ok(ClientConfig::new()
            .set("bootstrap.servers", self.tenant.testbed().kafka_bootstrap())
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .create()?)
    }
}

/// An empty change, to be filled in by the tests.
pub(crate) fn change() -> Change {
    Change {
        parallelism: [].into(),
        default_parallelism: None,
        task_managers: None,
        reason: "the test wants another size".to_owned(),
        issued_at: Timestamp::now(),
        expires_at: None,
    }
}

/// A file of `configs/demo` with these replacements.
fn demo_config(name: &str, replacements: &[(&str, &str)]) -> anyhow::Result<String> {
    let mut text = std::fs::read_to_string(root().join(format!("configs/demo/{name}.toml")))?;
    for (old, new) in replacements {
        ensure!(text.contains(old), "configs/demo/{name}.toml no longer contains {old:?}");
        text = text.replace(old, new);
    }
    Ok(text)
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Cargo's output folder of the workspace's programs: the parent of this test's folder.
pub(crate) fn programs_dir() -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    Ok(test.parent().and_then(Path::parent).context("no target folder")?.to_owned())
}
