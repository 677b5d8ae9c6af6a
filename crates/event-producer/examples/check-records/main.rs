//! Compares what stands in Kafka with the stream that was to be written: every record of every partition, its timestamp and its place.
//!
//! `check-records BROKERS TOPIC_PREFIX START_MS RATE EVENTS whole|begin`; NexMark's defaults at a constant rate. `begin`: each partition
//! holds the beginning of what it should, without a gap. Prints how many records there are. Used by `scripts/try-producer.sh`.
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use events::{Event, Kind};
use generator::Workload;
use generator::nexmark::{Nexmark, NexmarkConfig};
use generator::profile::ProfileConfig;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Message, Timestamp};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

const KINDS: [Kind; 4] = [Kind::Person, Kind::Item, Kind::Auction, Kind::Bid];
const LIMIT: Duration = Duration::from_secs(60);

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [brokers, prefix, start_ms, rate, events, extent] = &arguments[..] else {
        bail!("usage: check-records BROKERS TOPIC_PREFIX START_MS RATE EVENTS whole|begin");
    };
    let events = events.parse()?;
    let generator = Nexmark::new(NexmarkConfig::default().check()?, 1);
    let profile = ProfileConfig::Constant { rate: rate.parse()?, duration_s: None };
    let workload = Workload::new(generator, profile.check()?, start_ms.parse()?, Some(events));
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", brokers).set("group.id", "check-records").create()?;
    let recording = workload.record(0..events);
    let records: Vec<&[u8]> = recording.records().collect();
    let mut found = 0;
    for kind in KINDS {
        let topic = format!("{prefix}{}", kind.topic());
        let metadata = consumer.fetch_metadata(Some(&topic), LIMIT)?;
        let partitions = metadata.topics().first().context("no such topic")?.partitions().len() as u64;
        for partition in 0..partitions {
            let here = |number: &u64| workload.kind(*number) == kind && number % partitions == partition;
            let expected: Vec<&[u8]> =
                (0..events).filter(here).map(|number| records[number as usize]).collect();
            let count = check(&consumer, &topic, partition as i32, &expected)
                .with_context(|| format!("{topic} {partition}"))?;
            ensure!(
                extent == "begin" || count == expected.len(),
                "{topic} {partition}: {count} of {}",
                expected.len()
            );
            found += count;
        }
    }
    println!("{found}");
    Ok(())
}

/// Reads a partition, whose records must be the first of the expected ones; returns how many there are.
fn check(consumer: &BaseConsumer, topic: &str, partition: i32, expected: &[&[u8]]) -> anyhow::Result<usize> {
    let (low, high) = consumer.fetch_watermarks(topic, partition, LIMIT)?;
    ensure!(low == 0, "begins with offset {low}");
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(topic, partition, Offset::Beginning)?;
    consumer.assign(&from)?;
    let (count, begin) = (usize::try_from(high)?, Instant::now());
    ensure!(count <= expected.len(), "{count} records instead of {}", expected.len());
    let mut next = 0;
    while next < count {
        ensure!(begin.elapsed() < LIMIT, "only {next} of {count} records could be read");
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        let message = message?;
        let Timestamp::CreateTime(timestamp) = message.timestamp() else { bail!("no timestamp at {next}") };
        let record = expected[next];
        ensure!(message.payload() == Some(record), "unexpected record at {next}");
        ensure!(timestamp == Event::decode(record)?.timestamp(), "unexpected timestamp at {next}");
        next += 1;
    }
    Ok(count)
}
