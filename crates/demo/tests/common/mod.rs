//! What the end-to-end tests share: the loop's programs on a stage, the stream they were given, the rows they must have
//! written, and the rows they did write.

#![expect(clippy::print_stdout, reason = "a test that takes minutes tells how far it is")]

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use drop_client::{Current, DropClient, Fetched, Precondition};
use generator::nexmark::{Nexmark, NexmarkConfig};
use generator::profile::{ProfileConfig, Step};
use generator::{Generator, Workload};
use job_config::{JobDocument, State};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use reference::nexmark::{Q7Row, Q7Settings};
use stage::{Beside, Stage, StageOptions};
use testbed::process::Process;
use tokio::time::{Instant, sleep};

pub(crate) const SEED: u64 = 7;
const KAFKA_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(100);

/// What differs between loops.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoopOptions {
    /// The job's name, at the drop and as Kafka's consumer group.
    pub(crate) job: &'static str,
    /// Partitions of each input topic.
    pub(crate) partitions: u16,
    /// Task managers, with four slots each.
    pub(crate) task_managers: u32,
}

/// The loop's programs on a stage.
pub(crate) struct Loop {
    pub(crate) stage: Stage,
    pub(crate) drop: DropClient,
    pub(crate) flink: flink::Client,
    options: LoopOptions,
    _folder: tempfile::TempDir,
}

impl Loop {
    /// Kafka, Flink and an address for the drop, for the demo's job.
    pub(crate) async fn set() -> anyhow::Result<Self> {
        Self::set_for(LoopOptions { job: "nexmark", partitions: 4, task_managers: 2 }).await
    }

    /// The same for any job.
    pub(crate) async fn set_for(options: LoopOptions) -> anyhow::Result<Self> {
        Self::set_beside(options, Beside::default()).await
    }

    /// The same with more beside it.
    pub(crate) async fn set_beside(options: LoopOptions, beside: Beside) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let stage_options = StageOptions {
            work_dir: folder.path().canonicalize()?,
            programs_dir: programs_dir()?,
            jar: root().join("flink-jobs/target/flink-jobs.jar"),
            task_managers: options.task_managers,
            task_slots: 4,
            partitions: options.partitions,
            beside,
        };
        let stage = Stage::set(stage_options, &|line| println!("{line}")).await?;
        let drop = DropClient::new(stage.drop_url(), options.job.parse()?, drop_client::Settings::default())?;
        let flink = flink::Client::new(&stage.testbed().flink_url(), flink::Settings::default())?;
        Ok(Self { stage, drop, flink, options, _folder: folder })
    }

    /// Starts one of our programs with its configuration from `configs/demo`.
    pub(crate) fn start(&self, name: &str, arguments: &[&str]) -> anyhow::Result<Process> {
        self.start_with(name, arguments, &[])
    }

    /// The same with these texts of the configuration replaced.
    pub(crate) fn start_with(
        &self,
        name: &str,
        arguments: &[&str],
        replacements: &[(&str, &str)],
    ) -> anyhow::Result<Process> {
        let text = demo_config(name, replacements)?;
        let config = self.stage.write_config(&format!("{name}.toml"), &text)?;
        let program = self.stage.program(name)?.args(arguments).arg("--config").arg(config);
        Ok(self.stage.launch(&program)?)
    }

    /// The demo's job document with these lines replaced, published as the first one.
    pub(crate) async fn publish_first(&self, replacements: &[(&str, &str)]) -> anyhow::Result<JobDocument> {
        self.publish_text(&demo_config("nexmark", replacements)?).await
    }

    /// This job document with the stage's addresses, published as the first one.
    pub(crate) async fn publish_text(&self, text: &str) -> anyhow::Result<JobDocument> {
        let document = JobDocument::parse(&self.stage.localise(text))?;
        let deadline = Instant::now() + Duration::from_secs(10);
        while let Err(error) = self.drop.put(&document, &Precondition::Nothing).await {
            ensure!(Instant::now() < deadline, "the drop takes no document: {error}");
            sleep(POLL).await;
        }
        Ok(document)
    }

    /// Waits for a report; a reported failure is an error at once.
    pub(crate) async fn await_report(
        &self,
        generation: u64,
        state: State,
        deadline: Duration,
    ) -> anyhow::Result<()> {
        let end = Instant::now() + deadline;
        loop {
            let reports = self.drop.reports().await.unwrap_or_default();
            let of_generation = || reports.iter().filter(|report| report.generation == generation);
            if of_generation().any(|report| report.state == state) {
                return Ok(());
            }
            let undone =
                |report: &&job_config::Report| matches!(report.state, State::Failed | State::RolledBack);
            let failed = of_generation().find(undone);
            ensure!(failed.is_none(), "generation {generation} was not carried out: {failed:?}");
            ensure!(
                Instant::now() < end,
                "generation {generation} was not reported as {state:?}: {reports:?}"
            );
            sleep(POLL).await;
        }
    }

    /// The job that is not over.
    pub(crate) async fn running_job(&self) -> anyhow::Result<flink::JobDetails> {
        let jobs = self.flink.jobs().await?;
        let alive: Vec<_> = jobs.into_iter().filter(|job| !job.state.is_terminal()).collect();
        ensure!(alive.len() == 1, "there is not exactly one job: {alive:?}");
        Ok(self.flink.job(&alive[0].id).await?)
    }

    /// The current document and its tag.
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

    /// Records of the input topics that no checkpoint covers yet: the job commits its offsets with each.
    pub(crate) fn unread(&self, consumer: &BaseConsumer, topics: &[&str]) -> anyhow::Result<i64> {
        left_records(consumer, topics, self.options.partitions)
    }

    /// Waits until a checkpoint covers every record of the input topics.
    pub(crate) async fn await_all_consumed(&self, topics: &[&str], deadline: Duration) -> anyhow::Result<()> {
        self.await_consumed_by(self.options.job, topics, deadline).await
    }

    /// The same for a job with a consumer group of its own.
    pub(crate) async fn await_consumed_by(
        &self,
        group: &str,
        topics: &[&str],
        deadline: Duration,
    ) -> anyhow::Result<()> {
        let end = Instant::now() + deadline;
        let consumer = self.member_of(group)?;
        loop {
            // A group's first commit makes the broker look for a coordinator; until it has one, the question is refused.
            let left = self.unread(&consumer, topics);
            if matches!(left, Ok(0)) {
                return Ok(());
            }
            ensure!(Instant::now() < end, "not everything has been consumed; records left: {left:?}");
            sleep(POLL).await;
        }
    }

    /// Ends the job so that all windows fire and the last transaction is committed.
    pub(crate) async fn drain(&self, deadline: Duration) -> anyhow::Result<()> {
        let job = self.running_job().await?.id;
        let trigger_id = flink::TriggerId::from_bytes([7; 16]);
        let stop = flink::StopRequest { trigger_id, target_directory: None, drain: true };
        self.flink.stop_with_savepoint(&job, &stop).await?;
        let end = Instant::now() + deadline;
        loop {
            let state = self.flink.job(&job).await?.state;
            if state == flink::JobState::Finished {
                return Ok(());
            }
            ensure!(Instant::now() < end && !state.is_terminal(), "the job is {state:?} after the drain");
            sleep(POLL).await;
        }
    }

    /// The committed values of a topic with one partition.
    pub(crate) fn committed(&self, topic: &str) -> anyhow::Result<Vec<String>> {
        let consumer = self.consumer()?;
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(topic, 0, Offset::Beginning)?;
        consumer.assign(&assignment)?;
        let mut values = Vec::new();
        let end = std::time::Instant::now() + Duration::from_secs(60);
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

    /// A reader of what is committed, as a member of the job's consumer group.
    pub(crate) fn consumer(&self) -> anyhow::Result<BaseConsumer> {
        self.member_of(self.options.job)
    }

    fn member_of(&self, group: &str) -> anyhow::Result<BaseConsumer> {
        Ok(ClientConfig::new()
            .set("bootstrap.servers", self.stage.testbed().kafka_bootstrap())
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .create()?)
    }
}

fn left_records(consumer: &BaseConsumer, topics: &[&str], partitions: u16) -> anyhow::Result<i64> {
    let mut wanted = TopicPartitionList::new();
    for topic in topics {
        wanted.add_partition_range(topic, 0, i32::from(partitions) - 1);
    }
    let mut left = 0;
    for committed in consumer.committed_offsets(wanted, KAFKA_TIMEOUT)?.elements() {
        let (_, end) = consumer.fetch_watermarks(committed.topic(), committed.partition(), KAFKA_TIMEOUT)?;
        left += end - committed.offset().to_raw().filter(|offset| *offset >= 0).unwrap_or(0);
    }
    Ok(left)
}

/// A bounded stream: what the producer is told, and the same as data.
pub(crate) struct Load {
    steps: Vec<(f64, f64)>,
    start_ms: i64,
}

impl Load {
    /// These steps (events per second, seconds), beginning a moment from now, when the producer will be up.
    pub(crate) fn soon(steps: &[(f64, f64)]) -> Self {
        let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + Duration::from_secs(3);
        Self { steps: steps.to_vec(), start_ms: i64::try_from(start.as_millis()).unwrap_or(i64::MAX) }
    }

    /// The producer's arguments.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let steps: Vec<String> =
            self.steps.iter().map(|(rate, seconds)| format!("{rate}:{seconds}")).collect();
        ["--seed", &SEED.to_string(), "--start-time", &self.start_ms.to_string(), "--steps", &steps.join(",")]
            .map(str::to_owned)
            .to_vec()
    }

    /// The same as data, from this generator (which has been given [`SEED`]).
    pub(crate) fn workload(&self, generator: impl Into<Generator>) -> anyhow::Result<Workload> {
        let steps = self.steps.iter().map(|(rate, duration_s)| Step { rate: *rate, duration_s: *duration_s });
        let profile = ProfileConfig::Steps { steps: steps.collect(), repeat: false, duration_s: None };
        Ok(Workload::new(generator, profile.check()?, self.start_ms, None))
    }

    /// What Q7 must have answered, as the reference computes it.
    pub(crate) fn q7(&self, window_size_ms: i64, waiting_horizon_ms: i64) -> anyhow::Result<Vec<Q7Row>> {
        let workload = self.workload(Nexmark::new(NexmarkConfig::default().check()?, SEED))?;
        let recording = workload.record(0..workload.events().context("the stream is not bounded")?);
        let events: Result<Vec<_>, _> = recording.events().collect();
        Ok(reference::nexmark::q7(events?, Q7Settings { window_size_ms, waiting_horizon_ms }))
    }
}

/// Fails with the first rows that differ, rather than with thousands of equal ones.
pub(crate) fn assert_same_rows(found: &[String], expected: &[Q7Row]) -> anyhow::Result<()> {
    let mut rows: Vec<Q7Row> = found
        .iter()
        .map(|text| serde_json::from_str(text).with_context(|| text.clone()))
        .collect::<Result<_, _>>()?;
    rows.sort();
    let mut expected = expected.to_vec();
    expected.sort();
    let lost: Vec<_> = expected.iter().filter(|row| rows.binary_search(row).is_err()).take(3).collect();
    let surplus: Vec<_> = rows.iter().filter(|row| expected.binary_search(row).is_err()).take(3).collect();
    let twice = rows.windows(2).filter(|pair| pair[0] == pair[1]).count();
    ensure!(
        rows == expected,
        "{} rows found, {} expected; twice: {twice}; lost, for example: {lost:?}; wrong, for example: {surplus:?}",
        rows.len(),
        expected.len()
    );
    println!("{} rows, all equal to the reference", rows.len());
    Ok(())
}

/// A file of `configs/demo` with these texts replaced.
fn demo_config(name: &str, replacements: &[(&str, &str)]) -> anyhow::Result<String> {
    let mut text = std::fs::read_to_string(root().join(format!("configs/demo/{name}.toml")))?;
    for (old, new) in replacements {
        ensure!(text.contains(old), "configs/demo/{name}.toml no longer contains {old:?}");
        text = text.replace(old, new);
    }
    Ok(text)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Where Cargo puts the programs of the workspace: beside the folder of this test.
fn programs_dir() -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    Ok(test.parent().and_then(Path::parent).context("no target folder")?.to_owned())
}
