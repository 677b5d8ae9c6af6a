//! The topics of the benchmarks: their events, their results, and the records that the jobs could not read.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail, ensure};
use events::{
    Kind, NEXMARK_DEAD_LETTERS_TOPIC, NEXMARK_RESULTS_TOPIC, PSM_DEAD_LETTERS_TOPIC, PSM_RESULTS_TOPIC,
};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::metadata::{Metadata, MetadataTopic};

use crate::arguments::TopicsAction;
use crate::config::{Benchmark, KafkaSection};
use crate::deliveries::Callbacks;
use crate::kafka;
use crate::stop::StopSignal;

/// Time between two looks for topics that were just created.
const AGAIN: Duration = Duration::from_millis(50);

type Admin = AdminClient<Callbacks>;

impl Benchmark {
    /// All topics of the benchmark.
    pub(crate) fn topics(self) -> Vec<&'static str> {
        match self {
            Benchmark::Nexmark => vec![
                Kind::Person.topic(),
                Kind::Item.topic(),
                Kind::Auction.topic(),
                Kind::Bid.topic(),
                NEXMARK_RESULTS_TOPIC,
                NEXMARK_DEAD_LETTERS_TOPIC,
            ],
            Benchmark::Psm => vec![
                Kind::Click.topic(),
                Kind::Impression.topic(),
                Kind::Search.topic(),
                PSM_RESULTS_TOPIC,
                PSM_DEAD_LETTERS_TOPIC,
            ],
        }
    }
}

/// Which topics of which brokers.
pub(crate) struct Selected {
    /// With a patience of its own.
    pub(crate) kafka: KafkaSection,
    /// Absent: both.
    pub(crate) benchmark: Option<Benchmark>,
}

impl Selected {
    fn topics(&self) -> Vec<String> {
        let benchmarks = self.benchmark.map_or(vec![Benchmark::Nexmark, Benchmark::Psm], |one| vec![one]);
        let names = benchmarks.into_iter().flat_map(Benchmark::topics);
        names.map(|name| format!("{}{name}", self.kafka.topic_prefix)).collect()
    }

    const fn limit(&self) -> Duration {
        Duration::from_millis(self.kafka.connect_timeout_ms)
    }

    fn client(&self) -> ClientConfig {
        kafka::connection(&self.kafka)
    }

    fn admin(&self) -> anyhow::Result<Admin> {
        let callbacks = Callbacks(Arc::default());
        self.client().create_with_context(callbacks).context("the Kafka client rejected its configuration")
    }

    fn options(&self) -> AdminOptions {
        AdminOptions::new().request_timeout(Some(self.limit())).operation_timeout(Some(self.limit()))
    }

    /// Waits for a broker. Also before a change, because the admin client does not say why it reached nobody.
    fn reach(&self) -> anyhow::Result<Metadata> {
        let deliveries = Arc::default();
        let producer = kafka::producer(&self.kafka, Arc::clone(&deliveries))?;
        kafka::metadata(&producer, &deliveries, &self.kafka, &StopSignal::default())
    }

    fn failed(&self) -> String {
        format!("the request to Kafka at {} failed", self.kafka.bootstrap_servers)
    }
}

/// Does what is asked and prints a line for each topic.
///
/// # Errors
/// If Kafka cannot be reached, or refuses the change of a topic; a topic that exists already, or is gone already, is fine
/// unless it has another number of partitions than wanted.
pub(crate) async fn topics(
    action: &TopicsAction,
    which: &Selected,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    match action {
        TopicsAction::Create { partitions, replication, .. } => {
            create(which, *partitions, *replication, out).await
        }
        TopicsAction::Delete { .. } => delete(which, out).await,
        TopicsAction::Describe { .. } => tokio::task::block_in_place(|| describe(which, out)),
    }
}

async fn create(
    which: &Selected,
    partitions: i32,
    replication: i32,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let names = which.topics();
    let new = |name| NewTopic::new(name, partitions, TopicReplication::Fixed(replication));
    let topics: Vec<NewTopic<'_>> = names.iter().map(String::as_str).map(new).collect();
    tokio::task::block_in_place(|| which.reach())?;
    let results =
        which.admin()?.create_topics(&topics, &which.options()).await.with_context(|| which.failed())?;
    let mut existing = Vec::new();
    for result in results {
        match result {
            Ok(name) => writeln!(out, "{name}: created with {partitions} partitions")?,
            Err((name, RDKafkaErrorCode::TopicAlreadyExists)) => existing.push(name),
            Err((name, code)) => bail!("{name}: not created: {code}"),
        }
    }
    // A broker may learn of a new topic a moment after the controller has made it.
    let known = await_all(which, &names).await?;
    for (name, found, _) in known.into_iter().filter(|(name, ..)| existing.contains(name)) {
        if found != partitions as usize {
            bail!("{name}: exists with {found} partitions instead of {partitions}; delete it first");
        }
        writeln!(out, "{name}: exists already with {found} partitions")?;
    }
    Ok(())
}

/// The topics that exist, once all of these do.
async fn await_all(which: &Selected, names: &[String]) -> anyhow::Result<Vec<(String, usize, usize)>> {
    let end = Instant::now() + which.limit();
    loop {
        let known = tokio::task::block_in_place(|| known(which))?;
        let is_there =
            |name: &String| known.iter().any(|(known, partitions, _)| known == name && *partitions > 0);
        let Some(missing) = names.iter().find(|name| !is_there(name)) else { return Ok(known) };
        let limit = which.limit();
        ensure!(Instant::now() < end, "{missing}: created, but not visible at the brokers after {limit:?}");
        tokio::time::sleep(AGAIN).await;
    }
}

async fn delete(which: &Selected, out: &mut impl Write) -> anyhow::Result<()> {
    tokio::task::block_in_place(|| which.reach())?;
    let results = which
        .admin()?
        .delete_topics(&which.topics().iter().map(String::as_str).collect::<Vec<_>>(), &which.options())
        .await
        .with_context(|| which.failed())?;
    for result in results {
        match result {
            Ok(name) => writeln!(out, "{name}: deleted")?,
            Err((name, RDKafkaErrorCode::UnknownTopicOrPartition)) => {
                writeln!(out, "{name}: does not exist")?
            }
            Err((name, code)) => bail!("{name}: not deleted: {code}"),
        }
    }
    Ok(())
}

fn consumer(which: &Selected) -> anyhow::Result<BaseConsumer> {
    which.client().create().context("the Kafka client rejected its configuration")
}

/// Name, partitions and replicas of the topics that exist.
fn known(which: &Selected) -> anyhow::Result<Vec<(String, usize, usize)>> {
    let metadata = which.reach()?;
    let shape = |topic: &MetadataTopic| {
        let replicas = topic.partitions().first().map_or(0, |partition| partition.replicas().len());
        (topic.name().to_owned(), topic.partitions().len(), replicas)
    };
    Ok(metadata.topics().iter().map(shape).collect())
}

fn describe(which: &Selected, out: &mut impl Write) -> anyhow::Result<()> {
    let (known, consumer) = (known(which)?, consumer(which)?);
    let mut missing = Vec::new();
    for name in which.topics() {
        let Some((_, partitions, replicas)) = known.iter().find(|(known, ..)| *known == name) else {
            writeln!(out, "{name}: does not exist")?;
            missing.push(name);
            continue;
        };
        let mut records = 0;
        for partition in 0..*partitions {
            let (low, high) = consumer
                .fetch_watermarks(&name, partition as i32, which.limit())
                .with_context(|| format!("could not read the offsets of {name} {partition}"))?;
            records += high - low;
        }
        writeln!(out, "{name}: {partitions} partitions, {replicas} replicas, {records} records")?;
    }
    if missing.is_empty() { Ok(()) } else { Err(anyhow!("missing: {}", missing.join(", "))) }
}
