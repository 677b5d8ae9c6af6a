//! The end offsets of Kafka's partitions, asked of the brokers: the most exact count of what arrives.
//!
//! A source that is held back asks its brokers rarely, so that its `pendingRecords` stands still and then jumps. The end offset of a
//! partition grows with each record at once. In a topic with transactions it also grows by one for each of them, and a compacted
//! topic keeps its offsets; both are arrivals here.
//!
//! Flink's metrics name a topic with `_` for every character that they do not take in names. [`Partitions`] are given by these names;
//! which topic is meant is found in the brokers' list of topics.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::Offset;
use thiserror::Error;

/// The partitions of a source by topic, as Flink's metrics name it.
pub type Partitions = BTreeMap<String, BTreeSet<i32>>;

/// Why the ends of partitions are not known.
#[derive(Debug, Error)]
pub enum EndOffsetsError {
    /// The brokers do not answer, or refuse.
    #[error("no answer from the brokers for {what}")]
    NoAnswer {
        /// What was asked.
        what: &'static str,
        /// The reason.
        #[source]
        source: KafkaError,
    },
    /// A broker refuses to tell the end of a partition.
    #[error("the end offset of partition {partition} of topic {topic:?} is unknown")]
    Partition {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The reason; [`None`] if the broker named no offset.
        #[source]
        source: Option<KafkaError>,
    },
    /// No topic has this name, or several have.
    #[error("{found} topics match the name {name:?} in Flink's metrics")]
    Topic {
        /// The name in Flink's metrics.
        name: String,
        /// How many topics it can be.
        found: usize,
    },
    /// The thread that asks was lost.
    #[error("the request to the brokers was lost")]
    Lost,
}

/// Asks the brokers of one Kafka cluster.
pub struct EndOffsets {
    consumer: Arc<BaseConsumer>,
    timeout: Duration,
    /// Topics by their name in Flink's metrics.
    topics: BTreeMap<String, String>,
}

impl EndOffsets {
    /// Makes a client of these settings of librdkafka, which must name the brokers. Nothing is asked yet. `timeout`: of one question.
    ///
    /// # Errors
    /// librdkafka refuses its settings; the reason may hold a value.
    pub fn new(settings: &ClientConfig, timeout: Duration) -> Result<Self, KafkaError> {
        Ok(Self { consumer: Arc::new(settings.create()?), timeout, topics: BTreeMap::new() })
    }

    /// Returns what the ends of each source's partitions add up to, in records, in the order of `sources`. All are asked for at once.
    ///
    /// # Errors
    /// See [`EndOffsetsError`]; nothing of an answer that is not whole is returned.
    pub async fn sums(&mut self, sources: &[&Partitions]) -> Result<Vec<f64>, EndOffsetsError> {
        let names: BTreeSet<&String> = sources.iter().flat_map(|partitions| partitions.keys()).collect();
        if names.iter().any(|name| !self.topics.contains_key(*name)) {
            self.find(&names).await?;
        }
        let mut wanted = TopicPartitionList::new();
        let all: BTreeSet<(&str, i32)> =
            sources.iter().flat_map(|partitions| self.named(partitions)).collect();
        for (topic, partition) in all {
            let added = wanted.add_partition_offset(topic, partition, Offset::End);
            added.map_err(|source| EndOffsetsError::NoAnswer { what: "end offsets", source })?;
        }
        let ends = self.ends(wanted).await?;
        let sum = |partitions: &&Partitions| self.named(partitions).filter_map(|key| ends.get(&key)).sum();
        Ok(sources.iter().map(sum).collect())
    }

    /// Topic and partition by their true names.
    fn named<'a>(&'a self, partitions: &'a Partitions) -> impl Iterator<Item = (&'a str, i32)> {
        let known = partitions.iter().filter_map(|(name, numbers)| Some((self.topics.get(name)?, numbers)));
        known.flat_map(|(topic, numbers)| numbers.iter().map(|number| (topic.as_str(), *number)))
    }

    async fn ends(&self, wanted: TopicPartitionList) -> Result<BTreeMap<(&str, i32), f64>, EndOffsetsError> {
        let found =
            self.ask("end offsets", move |consumer, timeout| consumer.offsets_for_times(wanted, timeout));
        let mut ends = BTreeMap::new();
        for element in found.await?.elements() {
            let (topic, partition) = (element.topic().to_owned(), element.partition());
            let refused = element.error().err();
            let (Offset::Offset(end), None) = (element.offset(), &refused) else {
                return Err(EndOffsetsError::Partition { topic, partition, source: refused });
            };
            let known = self.topics.values().find(|known| **known == topic);
            #[expect(clippy::cast_precision_loss, reason = "fewer records than 2^53")]
            if let Some(known) = known {
                ends.insert((known.as_str(), partition), end as f64);
            }
        }
        Ok(ends)
    }

    /// Finds the topics of these names.
    async fn find(&mut self, names: &BTreeSet<&String>) -> Result<(), EndOffsetsError> {
        let topics = |consumer: &BaseConsumer, timeout: Duration| {
            let metadata = consumer.fetch_metadata(None, timeout)?;
            Ok(metadata.topics().iter().map(|topic| topic.name().to_owned()).collect::<Vec<_>>())
        };
        let all = self.ask("their topics", topics).await?;
        self.topics = resolve(names.iter().map(|name| name.as_str()), &all)?;
        Ok(())
    }

    /// Asks in a thread that may wait.
    async fn ask<T: Send + 'static>(
        &self,
        what: &'static str,
        question: impl FnOnce(&BaseConsumer, Duration) -> Result<T, KafkaError> + Send + 'static,
    ) -> Result<T, EndOffsetsError> {
        let (consumer, timeout) = (Arc::clone(&self.consumer), self.timeout);
        let asked = tokio::task::spawn_blocking(move || question(&consumer, timeout));
        let answer = asked.await.map_err(|_| EndOffsetsError::Lost)?;
        answer.map_err(|source| EndOffsetsError::NoAnswer { what, source })
    }
}

/// The topic of each name in Flink's metrics.
fn resolve<'a>(
    names: impl Iterator<Item = &'a str>,
    topics: &[String],
) -> Result<BTreeMap<String, String>, EndOffsetsError> {
    let resolved = |name: &'a str| {
        let can_be: Vec<&String> = topics.iter().filter(|topic| in_metrics(topic) == name).collect();
        match can_be.as_slice() {
            [topic] => Ok((name.to_owned(), (*topic).clone())),
            several => Err(EndOffsetsError::Topic { name: name.to_owned(), found: several.len() }),
        }
    };
    names.map(resolved).collect()
}

/// A topic as Flink's metrics name it. Source: `MetricQueryService.replaceInvalidChars` of Flink; of the characters that it replaces, the name
/// of a topic may have the dot alone.
fn in_metrics(topic: &str) -> String {
    topic.replace('.', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a topic is found by its name in the metrics; one that several topics share, or none has, is refused by name.
    #[test]
    fn topics_are_found_by_their_names_in_metrics() {
        let topics = ["eu.orders", "us.orders", "us_orders", "clicks"].map(str::to_owned);
        let found = resolve(["eu_orders", "clicks"].into_iter(), &topics).unwrap();
        assert_eq!((found["eu_orders"].as_str(), found["clicks"].as_str()), ("eu.orders", "clicks"));
        for (name, found) in [("us_orders", 2), ("orders", 0)] {
            let message = resolve([name].into_iter(), &topics).unwrap_err().to_string();
            assert_eq!(message, format!("{found} topics match the name {name:?} in Flink's metrics"));
        }
    }

    /// Goal: brokers that accept a connection and then say nothing are given up after the timeout.
    #[tokio::test]
    async fn silent_brokers_are_given_up() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut settings = ClientConfig::new();
        settings.set("bootstrap.servers", silent.local_addr().unwrap().to_string());
        let mut ends = EndOffsets::new(&settings, Duration::from_millis(200)).unwrap();
        let partitions = Partitions::from([("orders".to_owned(), BTreeSet::from([0]))]);
        let asked = tokio::time::timeout(Duration::from_secs(60), ends.sums(&[&partitions])).await;
        assert!(matches!(asked.unwrap(), Err(EndOffsetsError::NoAnswer { what: "their topics", .. })));
    }
}
