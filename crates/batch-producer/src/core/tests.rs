//! Goal: whatever a broker and the network do to the batches of a partition, the log contains appended values in
//! order and at most once; acknowledged ones are in it; missing ones were reported as failed. The broker is a model
//! of Kafka's rules (`ProducerStateManager`, `ProducerAppendInfo`); connections end, and their requests may still be
//! processed, even later.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::records::{Compression, RecordBatchDecoder};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::{Answer, Delivery, Limits, Partition, Ticket, answer};
use crate::batch::Identity;

const LIMITS: Limits = Limits {
    batch_bytes: 60,
    in_flight: 5,
    delivery_timeout: Duration::from_secs(120),
    retry_backoff: Duration::from_millis(100),
    compress: false,
};
const OUT_OF_ORDER: i16 = 45;

/// The broker's state of the producer: epoch and last batches, as first and last sequence number.
#[derive(Debug, Clone, Default)]
struct Known {
    epoch: i16,
    batches: VecDeque<(i32, i32)>,
}

#[derive(Debug, Default)]
struct Broker {
    known: Option<Known>,
    log: Vec<u64>,
}

struct Batch {
    epoch: i16,
    first: i32,
    last: i32,
    values: Vec<u64>,
}

fn read(mut bytes: Bytes) -> Batch {
    let none = None::<fn(&mut Bytes, Compression) -> anyhow::Result<Bytes>>;
    let set = RecordBatchDecoder::decode_with_custom_compression(&mut bytes, none).unwrap();
    let values = set
        .records
        .iter()
        .map(|record| u64::from_be_bytes(record.value.as_ref().unwrap()[..].try_into().unwrap()));
    let (first, last) = (&set.records[0], &set.records[set.records.len() - 1]);
    Batch {
        epoch: first.producer_epoch,
        first: first.sequence,
        last: last.sequence,
        values: values.collect(),
    }
}

impl Broker {
    /// Appends a batch by Kafka's rules; returns the error code.
    fn append(&mut self, batch: &Batch) -> i16 {
        if let Some(known) = &self.known {
            if batch.epoch < known.epoch {
                return 47;
            }
            if batch.epoch == known.epoch {
                if known.batches.contains(&(batch.first, batch.last)) {
                    return 0;
                }
                if known.batches.back().is_some_and(|(_, last)| batch.first != last + 1) {
                    return OUT_OF_ORDER;
                }
            } else if batch.first != 0 {
                return OUT_OF_ORDER;
            }
        }
        let known = self.known.get_or_insert_default();
        if batch.epoch > known.epoch {
            *known = Known { epoch: batch.epoch, batches: VecDeque::new() };
        }
        known.batches.push_back((batch.first, batch.last));
        if known.batches.len() > 5 {
            known.batches.pop_front();
        }
        self.log.extend(&batch.values);
        0
    }

    /// A producer's snapshot contains only its last batch.
    fn restart(&mut self) {
        if let Some(known) = &mut self.known {
            known.batches = known.batches.back().copied().into_iter().collect();
        }
    }
}

/// The next event.
#[derive(Debug, Clone, Copy)]
enum BrokerEvent {
    Append(u8),
    Send,
    /// The broker processes the oldest request of a connection, the newest connection being 0, and answers it.
    Take(u8),
    /// It answers with an error, without processing it.
    Fail(i16),
    /// It processes it and answers with an error nevertheless.
    FailAfter(i16),
    /// It rejects it permanently.
    Refuse,
    /// The connection ends; sent requests may still be processed, after those of the new connection.
    Cut,
    Restart,
    Wait(u8),
}

fn steps() -> impl Strategy<Value = Vec<BrokerEvent>> {
    let errors = prop::sample::select(vec![3_i16, 5, 6, 7, 19, 20]);
    let step = prop_oneof![
        6 => (1_u8..6).prop_map(BrokerEvent::Append),
        8 => Just(BrokerEvent::Send),
        8 => prop_oneof![9 => Just(0_u8), 2 => 1_u8..3].prop_map(BrokerEvent::Take),
        1 => prop::sample::select(vec![3_i16, 5, 6, 19]).prop_map(BrokerEvent::Fail),
        1 => errors.prop_map(BrokerEvent::FailAfter),
        1 => Just(BrokerEvent::Cut),
        1 => Just(BrokerEvent::Restart),
        2 => (0_u8..100).prop_map(BrokerEvent::Wait),
    ];
    prop::collection::vec(step, 0..150)
}

struct World {
    partition: Partition,
    broker: Broker,
    /// Requests in transit, the newest connection last.
    connections: Vec<VecDeque<(Ticket, Bytes)>>,
    now: Duration,
    appended: u64,
    acknowledged: u64,
    failed: u64,
}

impl World {
    fn new() -> World {
        World {
            partition: Partition::new(LIMITS, Identity { id: 1, epoch: 0 }, false),
            broker: Broker::default(),
            connections: vec![VecDeque::new()],
            now: Duration::ZERO,
            appended: 0,
            acknowledged: 0,
            failed: 0,
        }
    }

    fn take(&mut self, deliveries: Vec<Delivery>) {
        for delivery in deliveries {
            match delivery {
                Delivery::Acknowledged(groups) => {
                    let records: u64 = groups.iter().map(|group| group.records).sum();
                    self.acknowledged += records;
                }
                Delivery::Failed { records, .. } => self.failed += records,
            }
        }
    }

    fn send(&mut self) {
        if let Some(sent) = self.partition.send(self.now) {
            self.connections.last_mut().unwrap().push_back(sent);
        }
    }

    /// Processes the oldest request of a connection by `answer_it`.
    fn serve(&mut self, back: u8, answer_it: impl FnOnce(&mut Broker, &Batch) -> i16) {
        let Some(index) = self.connections.len().checked_sub(1 + usize::from(back)) else { return };
        let Some((ticket, bytes)) = self.connections[index].pop_front() else { return };
        let code = answer_it(&mut self.broker, &read(bytes));
        // Responses on a closed connection are lost.
        if back == 0 {
            let mut out = Vec::new();
            self.partition.process_response(ticket, answer(code, None), self.now, &mut out);
            self.take(out);
        }
    }

    fn step(&mut self, step: BrokerEvent) {
        match step {
            BrokerEvent::Append(count) => {
                for _ in 0..count {
                    let value = self.appended.to_be_bytes();
                    self.partition.append(self.now, 0, |out| {
                        out.extend_from_slice(&value);
                        0
                    });
                    self.appended += 1;
                }
            }
            BrokerEvent::Send => self.send(),
            BrokerEvent::Take(back) => self.serve(back, Broker::append),
            BrokerEvent::Fail(code) => self.serve(0, |_, _| code),
            BrokerEvent::FailAfter(code) => self.serve(0, |broker, batch| match broker.append(batch) {
                0 => code,
                refused => refused,
            }),
            BrokerEvent::Refuse => self.serve(0, |_, _| 10),
            BrokerEvent::Cut => {
                let mut out = Vec::new();
                self.partition.lost(self.now, "cut", &mut out);
                self.take(out);
                self.connections.push(VecDeque::new());
            }
            BrokerEvent::Restart => self.broker.restart(),
            BrokerEvent::Wait(ms) => self.now += Duration::from_millis(u64::from(ms)),
        }
    }

    /// Stops the faults until everything is settled.
    fn calm(&mut self) {
        for _ in 0..10_000 {
            if self.partition.is_settled() {
                return;
            }
            for step in [BrokerEvent::Wait(100), BrokerEvent::Send, BrokerEvent::Send, BrokerEvent::Take(0)] {
                self.step(step);
            }
        }
        panic!("not settled: {:?}", self.partition);
    }
}

/// Whether the log has each value at most once and in order.
fn in_order(log: &[u64]) -> bool {
    log.windows(2).all(|pair| pair[0] < pair[1])
}

/// The same cases in every run, so that a failure shows a change and not chance; another seed tries others. Known and
/// rare: requests of closed connections reach a restarted broker, and only the delivery timeout ends the resulting
/// out-of-order error.
fn same_cases() -> ProptestConfig {
    ProptestConfig { rng_seed: RngSeed::Fixed(7), ..ProptestConfig::with_cases(3_000) }
}

proptest! {
    #![proptest_config(same_cases())]

    #[test]
    fn nothing_is_lost_or_doubled_or_out_of_order(steps in steps()) {
        let mut world = World::new();
        for step in &steps {
            world.step(*step);
        }
        world.calm();
        prop_assert_eq!(world.partition.fatal(), None);
        prop_assert_eq!(world.broker.log, (0..world.appended).collect::<Vec<u64>>());
        prop_assert_eq!((world.acknowledged, world.failed), (world.appended, 0));
        prop_assert_eq!(world.partition.unsent_bytes(), 0);
    }

    /// Goal: with rejected or expired batches, acknowledged values are in the log, and the rest was reported as
    /// failed.
    #[test]
    fn what_is_refused_leaves_the_others_in_order(
        steps in steps(),
        refusals in prop::collection::btree_map(0_usize..150, any::<bool>(), 0..6),
    ) {
        let mut world = World::new();
        for (number, step) in steps.iter().enumerate() {
            world.step(*step);
            match refusals.get(&number) {
                Some(true) => world.step(BrokerEvent::Refuse),
                Some(false) => {
                    world.now += LIMITS.delivery_timeout;
                    let mut out = Vec::new();
                    world.partition.expire(world.now, &mut out);
                    world.take(out);
                }
                None => {}
            }
        }
        world.calm();
        prop_assert_eq!(world.partition.fatal(), None);
        prop_assert!(in_order(&world.broker.log), "{:?}", world.broker.log);
        prop_assert_eq!(world.acknowledged + world.failed, world.appended);
        prop_assert!(world.broker.log.len() as u64 >= world.acknowledged);
        prop_assert_eq!(world.partition.unsent_bytes(), 0);
    }
}

fn world_with_batches(count: u64) -> World {
    let mut world = World::new();
    world.step(BrokerEvent::Append(1));
    world.step(BrokerEvent::Send);
    world.step(BrokerEvent::Take(0));
    for _ in 0..count {
        world.step(BrokerEvent::Append(1));
        world.step(BrokerEvent::Send);
    }
    world
}

/// Goal: a broker that does not know the producer is sent one batch at a time: it would otherwise accept a later one
/// first.
#[test]
fn the_first_batch_is_sent_alone() {
    let mut world = World::new();
    for _ in 0..3 {
        world.step(BrokerEvent::Append(3));
        world.step(BrokerEvent::Send);
    }
    assert_eq!(world.connections[0].len(), 1);
    world.step(BrokerEvent::Take(0));
    (0..9).for_each(|_| world.step(BrokerEvent::Send));
    assert_eq!(world.connections[0].len(), 2);
}

#[test]
fn five_batches_are_in_flight_and_no_more() {
    let world = world_with_batches(7);
    assert_eq!(world.connections[0].len(), 5);
}

/// Scenario: a broker shuts down in order after it has written three batches whose responses are lost. It restarts
/// with only the last of them in its snapshot, and finds the first one out of order.
#[test]
fn a_restarted_broker_that_remembers_one_batch_is_believed() {
    let mut world = world_with_batches(3);
    while let Some((_, bytes)) = world.connections[0].pop_front() {
        assert_eq!(world.broker.append(&read(bytes)), 0);
    }
    world.broker.restart();
    world.step(BrokerEvent::Cut);
    world.calm();
    assert_eq!(world.broker.log, (0..4).collect::<Vec<u64>>());
    assert_eq!((world.acknowledged, world.failed), (4, 0));
}

/// Goal: a broker that has lost acknowledged records ends the producer.
#[test]
fn lost_acknowledged_records_are_the_end() {
    let mut world = world_with_batches(0);
    world.step(BrokerEvent::Append(1));
    world.step(BrokerEvent::Send);
    world.step(BrokerEvent::Take(0));
    world.broker.known.as_mut().unwrap().batches = [(0, 0)].into();
    world.broker.log.pop();
    for step in [BrokerEvent::Append(1), BrokerEvent::Send, BrokerEvent::Take(0)] {
        world.step(step);
    }
    let fatal = world.partition.fatal().unwrap();
    assert!(fatal.contains("lost acknowledged records"), "{fatal}");
    assert_eq!(world.partition.send(world.now + Duration::from_secs(9)), None);
}

/// Goal: an error about an unknown producer increments the epoch, and nothing is lost.
#[test]
fn a_forgotten_producer_begins_a_new_epoch() {
    let mut world = world_with_batches(3);
    for step in [BrokerEvent::Fail(59), BrokerEvent::Take(0), BrokerEvent::Take(0)] {
        world.step(step);
    }
    world.calm();
    assert_eq!(world.broker.log, (0..4).collect::<Vec<u64>>());
    assert_eq!(world.broker.known.unwrap().epoch, 1);
}

/// Goal: batches beyond the delivery timeout fail with the known reason, sent or not.
#[test]
fn what_is_too_old_fails_with_the_reason() {
    let mut world = world_with_batches(1);
    world.step(BrokerEvent::Fail(19));
    let mut out = Vec::new();
    world.partition.expire(world.now + LIMITS.delivery_timeout, &mut out);
    let [Delivery::Failed { records: 1, reason }] = &out[..] else { panic!("{out:?}") };
    assert!(reason.contains("120000 ms") && reason.contains("NotEnoughReplicas"), "{reason}");
    assert!(world.partition.is_settled());

    let mut never_sent = World::new();
    never_sent.step(BrokerEvent::Append(1));
    let mut out = Vec::new();
    never_sent.partition.expire(LIMITS.delivery_timeout, &mut out);
    let [Delivery::Failed { reason, .. }] = &out[..] else { panic!("{out:?}") };
    assert!(reason.contains("no broker could be reached"), "{reason}");
}

/// Goal: a response that is no longer expected changes nothing.
#[test]
fn late_answers_change_nothing() {
    let mut world = world_with_batches(1);
    let (ticket, _) = world.connections[0].pop_front().unwrap();
    let mut out = Vec::new();
    world.partition.lost(world.now, "cut", &mut out);
    world.partition.process_response(ticket, Answer::Written, world.now, &mut out);
    assert_eq!(out, []);
    assert!(world.partition.has_waiting());
}
