//! Goal: whatever the brokers and the connections do, every appended record is in its partition once and in order,
//! with its timestamp and value, and was acknowledged. Faults are generated from seeds; `FAULTS_SEED=n` repeats one.

use std::time::{Duration, Instant};

use batch_producer::{Delivery, Producer, ProducerSettings};

use crate::broker::{Cluster, Fault};

const TOPICS: [(&str, i32); 2] = [("a", 3), ("b", 1)];
const RECORDS: u64 = 1_500;
const SEEDS: u64 = 40;
/// Timeout of a test.
const PATIENCE: Duration = Duration::from_secs(100);

pub(crate) fn settings(cluster: &Cluster) -> ProducerSettings {
    ProducerSettings {
        bootstrap_servers: cluster.bootstrap_servers(),
        client_id: "test".to_owned(),
        compress: true,
        linger: Duration::from_millis(1),
        batch_bytes: 400,
        request_bytes: 1_000,
        requests_in_flight: 5,
        unsent_bytes: 100_000,
        delivery_timeout: PATIENCE,
        request_timeout: Duration::from_millis(400),
        retry_backoff: Duration::from_millis(2),
        connect_timeout: PATIENCE,
        by_timestamp: true,
    }
}

pub(crate) fn connect(cluster: &Cluster) -> Producer {
    let topics = TOPICS.map(|(name, _)| name.to_owned());
    Producer::connect(settings(cluster), &topics, &|| false).unwrap()
}

/// Numbers of acknowledged and failed records.
#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) acknowledged: u64,
    pub(crate) failed: u64,
}

impl Counts {
    pub(crate) fn take(&mut self, producer: &mut Producer, limit: Duration) {
        for delivery in producer.turn(limit) {
            match delivery {
                Delivery::Acknowledged(groups) => {
                    self.acknowledged += groups.iter().map(|group| group.records).sum::<u64>();
                }
                Delivery::Failed { records, .. } => self.failed += records,
            }
        }
    }

    /// Processes deliveries until this many records are settled, or the producer has failed permanently.
    pub(crate) fn take_all(&mut self, producer: &mut Producer, records: u64) {
        let begin = Instant::now();
        producer.flush();
        while self.acknowledged + self.failed < records && producer.fatal().is_none() {
            assert!(begin.elapsed() < PATIENCE, "{self:?}; problem: {:?}", producer.problem());
            self.take(producer, Duration::from_millis(50));
        }
    }
}

/// Timestamp and value of a record.
fn record(number: u64) -> (i64, Vec<u8>) {
    let length = 10 + (number * 7_919 % 61) as usize;
    (1_000_000 + (number / 3) as i64, format!("{number:0length$}").into_bytes())
}

/// The topic's index and the partition of a record.
fn place(number: u64) -> (usize, usize) {
    let topic = usize::from(number.is_multiple_of(5));
    (topic, (number % TOPICS[topic].1 as u64) as usize)
}

/// Appends a record to its partition.
fn append(producer: &mut Producer, number: u64) {
    let ((topic, partition), (timestamp, value)) = (place(number), record(number));
    let (slot, now) = (producer.slot(topic, partition), producer.now());
    let length = producer.append(slot, now, number, |out| {
        out.extend_from_slice(&value);
        timestamp
    });
    assert_eq!(length, value.len());
}

fn assert_all(cluster: &Cluster, records: u64, context: &str) {
    for (topic, (name, partitions)) in TOPICS.iter().enumerate() {
        for partition in 0..*partitions {
            let here = |number: &u64| place(*number) == (topic, partition as usize);
            let expected: Vec<(i64, Vec<u8>)> = (0..records).filter(here).map(record).collect();
            let found = cluster.values(name, partition);
            assert_eq!(found.len(), expected.len(), "{context}: records in {name} {partition}");
            let found = found.iter().map(|(timestamp, value)| (*timestamp, value.to_vec()));
            assert!(found.eq(expected), "{context}: {name} {partition} is out of order or changed");
        }
    }
}

/// Pseudo-random numbers (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn fault(&mut self) -> Option<Fault> {
        let cut = self.below(200) as usize;
        match self.below(40) {
            0 => Some(Fault::Refuse([3, 5, 6, 7, 19][cut % 5])),
            1 => Some(Fault::TakeAndRefuse([7, 20, 6][cut % 3])),
            2 => Some(Fault::CutAnswer(cut)),
            3 => Some(Fault::CutRequest(cut * 4)),
            4 => Some(Fault::MoveLeaders),
            5 => Some(Fault::AnswerTwice),
            6 => Some(Fault::Throttle(2)),
            7 if cut < 40 => Some(Fault::Hang),
            8 => Some(Fault::Restart),
            _ => None,
        }
    }
}

fn run(seed: u64) {
    let cluster = Cluster::start(2, &TOPICS);
    let mut random = Random(seed);
    cluster.script((0..200).map(|_| random.fault()).collect::<Vec<_>>());
    let (mut producer, mut counts) = (connect(&cluster), Counts::default());
    for number in 0..RECORDS {
        append(&mut producer, number);
        if random.below(20) == 0 {
            counts.take(&mut producer, Duration::from_micros(random.below(2_000)));
        }
        while !producer.has_room() {
            counts.take(&mut producer, Duration::from_millis(50));
        }
    }
    counts.take_all(&mut producer, RECORDS);
    assert_eq!(producer.fatal(), None, "seed {seed}");
    assert_eq!(counts, Counts { acknowledged: RECORDS, failed: 0 }, "seed {seed}");
    assert_all(&cluster, RECORDS, &format!("seed {seed}"));
}

#[test]
fn nothing_is_lost_or_doubled_or_out_of_order() {
    if let Some(seed) = std::env::var("FAULTS_SEED").ok().and_then(|seed| seed.parse().ok()) {
        return run(seed);
    }
    (0..SEEDS).for_each(run);
}

/// Goal: without faults a request contains a batch of every partition, and there are few requests.
#[test]
fn a_request_has_a_batch_of_every_partition() {
    let cluster = Cluster::start(1, &TOPICS);
    let topics = TOPICS.map(|(name, _)| name.to_owned());
    let large = ProducerSettings { batch_bytes: 100_000, request_bytes: 100_000, ..settings(&cluster) };
    let mut producer = Producer::connect(large, &topics, &|| false).unwrap();
    let mut counts = Counts::default();
    (0..100).for_each(|number| append(&mut producer, number));
    counts.take_all(&mut producer, 100);
    assert_eq!((counts.acknowledged, cluster.requests()), (100, 1));
    assert_all(&cluster, 100, "one request");
}
