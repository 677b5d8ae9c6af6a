//! Goal: permanent errors are distinguished and named, at the start and later.

use std::net::TcpListener;
use std::time::Duration;

use batch_producer::{ConnectError, Delivery, Producer, ProducerSettings};
use kafka_protocol::messages::ApiKey;

use crate::broker::{Cluster, Fault};
use crate::faults::{Counts, connect, settings};

fn refused(settings: ProducerSettings, topics: &[&str]) -> ConnectError {
    let topics: Vec<String> = topics.iter().map(|topic| (*topic).to_owned()).collect();
    Producer::connect(settings, &topics, &|| false).unwrap_err()
}

#[test]
fn a_broker_that_lacks_something_is_unsuitable() {
    let cluster = Cluster::start(1, &[("a", 1)]);
    let newer = vec![(ApiKey::Produce, 13, 14), (ApiKey::Metadata, 0, 12), (ApiKey::InitProducerId, 0, 5)];
    for (versions, expected) in [
        (vec![(ApiKey::Produce, 0, 2)], "versions 0 to 2 of Produce, this client 3 to 9"),
        (newer, "versions 13 to 14 of Produce"),
        (vec![(ApiKey::Produce, 0, 9), (ApiKey::Metadata, 0, 9)], "does not support request InitProducerId"),
    ] {
        cluster.versions(versions);
        let error = refused(settings(&cluster), &["a"]);
        assert!(matches!(&error, ConnectError::Unsuitable(reason) if reason.contains(expected)), "{error}");
    }
}

#[test]
fn missing_topics_and_refused_producers_are_named() {
    let cluster = Cluster::start(1, &[("a", 1)]);
    let error = refused(settings(&cluster), &["x", "a", "y"]);
    assert!(matches!(&error, ConnectError::MissingTopics(names) if *names == ["x", "y"]), "{error}");
    cluster.refuse_producer_ids(31);
    let error = refused(settings(&cluster), &["a"]);
    assert!(
        matches!(&error, ConnectError::Refused(reason) if reason.contains("ClusterAuthorization")),
        "{error}"
    );
}

#[test]
fn an_unreachable_broker_is_named_with_the_cause() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let cluster = Cluster::start(1, &[("a", 1)]);
    let one = ProducerSettings {
        bootstrap_servers: closed.clone(),
        connect_timeout: Duration::from_millis(20),
        ..settings(&cluster)
    };
    let error = refused(one, &["a"]).to_string();
    assert!(error.starts_with(&format!("no Kafka broker at {closed} within 20 ms: {closed}: ")), "{error}");
    // One reachable address of several is enough.
    let several = format!("{closed}, {}", cluster.bootstrap_servers());
    let settings = ProducerSettings { bootstrap_servers: several, ..settings(&cluster) };
    assert_eq!(Producer::connect(settings, &["a".to_owned()], &|| false).unwrap().partitions(0), 1);
}

#[test]
fn a_batch_that_is_refused_fails_and_the_others_do_not() {
    let cluster = Cluster::start(1, &[("a", 3), ("b", 1)]);
    cluster.script([None, Some(Fault::Refuse(10))]);
    let (mut producer, mut counts, mut reasons) = (connect(&cluster), Counts::default(), Vec::new());
    let slot = producer.slot(1, 0);
    for number in 0_u64..10 {
        let now = producer.now();
        producer.append(slot, now, 0, |out| {
            out.extend_from_slice(&number.to_be_bytes());
            5
        });
        producer.flush();
        while counts.acknowledged + counts.failed <= number {
            for delivery in producer.turn(Duration::from_millis(50)) {
                match delivery {
                    Delivery::Acknowledged(_) => counts.acknowledged += 1,
                    Delivery::Failed { records, reason } => {
                        counts.failed += records;
                        reasons.push(reason);
                    }
                }
            }
        }
    }
    assert_eq!(counts, Counts { acknowledged: 9, failed: 1 });
    assert_eq!(reasons, ["MessageTooLarge"]);
    let found: Vec<u64> = cluster
        .values("b", 0)
        .iter()
        .map(|(_, value)| u64::from_be_bytes(value[..].try_into().unwrap()))
        .collect();
    assert_eq!(found, [0, 2, 3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn brokers_that_lose_what_they_acknowledged_end_the_producer() {
    let cluster = Cluster::start(1, &[("a", 3), ("b", 1)]);
    let (mut producer, mut counts) = (connect(&cluster), Counts::default());
    let slot = producer.slot(1, 0);
    for round in 1..=2 {
        let now = producer.now();
        producer.append(slot, now, 0, |out| {
            out.push(7);
            5
        });
        counts.take_all(&mut producer, round);
    }
    cluster.lose_last("b", 0);
    let now = producer.now();
    producer.append(slot, now, 0, |_| 5);
    counts.take_all(&mut producer, 3);
    let fatal = producer.fatal().unwrap();
    assert_eq!(fatal, "the leader of b 0: the broker lost acknowledged records");
}
