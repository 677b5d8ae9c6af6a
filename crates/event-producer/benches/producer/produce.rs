//! What a record of 100 bytes costs on its way into Kafka: our path against rust-rdkafka's `FutureProducer`, whose
//! deliveries are awaited a batch at a time, for batches of three sizes. Both have the same settings and write to the same
//! topic of a broker that librdkafka plays in this process.
//!
//! The broker has a thread of its own (`rdk:mock`). It is not the client, so that its time is taken off, for both alike; the
//! time with it is told too.

use std::time::Duration;

use event_producer::{ConfigFile, KafkaSection, ProducePath, Record, Transport};
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use tokio::runtime::{Builder, Runtime};

use crate::cpu::{process_ns, threads_ns};
use crate::median;

const LIMIT: Duration = Duration::from_secs(120);
static PAYLOAD: [u8; 100] = [b'x'; 100];
const TOPIC: &str = "benchmark";
const PARTITIONS: i32 = 4;
const RECORDS: u64 = 200_000;
/// How many deliveries are awaited together: as a service does that answers requests, and as a bulk load does.
const AWAITED: [u64; 3] = [100, 1_000, 10_000];
/// The settings of the event producer's default configuration.
const SETTINGS: [(&str, &str); 4] =
    [("acks", "all"), ("compression.type", "lz4"), ("linger.ms", "5"), ("enable.idempotence", "true")];

/// CPU time per record, ns.
#[derive(Default)]
struct Costs {
    client: Vec<f64>,
    with_broker: Vec<f64>,
}

impl Costs {
    fn measure(&mut self, work: impl FnOnce()) {
        let (all, broker) = (process_ns(), threads_ns("rdk:mock"));
        work();
        let (all, broker) = (process_ns() - all, threads_ns("rdk:mock") - broker);
        self.client.push((all - broker) / RECORDS as f64);
        self.with_broker.push(all / RECORDS as f64);
    }

    fn medians(self) -> [f64; 2] {
        [median(self.client), median(self.with_broker)]
    }
}

fn send_and_await(runtime: &Runtime, producer: &FutureProducer, awaited: u64) {
    runtime.block_on(async {
        for first in (0..RECORDS).step_by(awaited as usize) {
            let send = |number: u64| {
                let partition = (number % PARTITIONS as u64) as i32;
                let record = FutureRecord::<(), [u8]>::to(TOPIC).payload(&PAYLOAD).partition(partition);
                producer.send_result(record.timestamp(1)).unwrap()
            };
            let sent: Vec<_> = (first..first + awaited).map(send).collect();
            for delivery in sent {
                delivery.await.unwrap().unwrap();
            }
        }
    });
}

/// The defaults, which are [`SETTINGS`] and bounds of our own.
fn our_settings(servers: String) -> KafkaSection {
    let mut settings = ConfigFile::default().kafka;
    settings.bootstrap_servers = servers;
    settings
}

/// What the paths are handed: the records in turn to all partitions.
fn records() -> impl Iterator<Item = Record<'static>> {
    (0..RECORDS).map(|number| {
        let partition = (number % PARTITIONS as u64) as i32;
        Record { topic: 0, partition, timestamp_ms: 1, value: &PAYLOAD }
    })
}

/// Measures both and prints the result.
pub(crate) fn produce(rounds: usize) {
    let broker = MockCluster::new(1).unwrap();
    broker.create_topic(TOPIC, PARTITIONS, 1).unwrap();
    let (servers, topics) = (broker.bootstrap_servers(), [TOPIC.to_owned()]);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let mut settings = ClientConfig::new();
    settings.set("bootstrap.servers", &servers);
    for (key, value) in SETTINGS {
        settings.set(key, value);
    }
    let futures: FutureProducer = settings.create().unwrap();
    let by_batches = KafkaSection { transport: Transport::Batches, ..our_settings(servers.clone()) };
    let mut batches = ProducePath::new(&by_batches, &topics).unwrap();
    let mut path = ProducePath::new(&our_settings(servers), &topics).unwrap();
    let (mut theirs, mut ours, mut own_batches): ([Costs; 3], Costs, Costs) = Default::default();
    for round in 0..=rounds {
        if round == 1 {
            // The first was for warming up.
            (theirs, ours, own_batches) = Default::default();
        }
        for (costs, awaited) in theirs.iter_mut().zip(AWAITED) {
            costs.measure(|| send_and_await(&runtime, &futures, awaited));
        }
        ours.measure(|| path.produce(records(), LIMIT).unwrap());
        own_batches.measure(|| batches.produce(records(), LIMIT).unwrap());
    }
    let [ours, ours_all] = ours.medians();
    println!(
        "our path into Kafka                    {ours:9.1} ns/record   {ours_all:.1} with the broker's thread"
    );
    let [by_batches, by_batches_all] = own_batches.medians();
    println!(
        "the same by batches                    {by_batches:9.1} ns/record   {by_batches_all:.1} with the broker's thread"
    );
    for (costs, awaited) in theirs.into_iter().zip(AWAITED) {
        let [theirs, theirs_all] = costs.medians();
        println!(
            "FutureProducer, {awaited:6} awaited at a time {theirs:9.1} ns/record   {theirs_all:.1} with the broker's thread   \
             {:.2} times ours ({:.2} with the broker's)",
            theirs / ours,
            theirs_all / ours_all
        );
    }
    futures.flush(LIMIT).unwrap();
}
