//! Leaders of the partitions, requested again when in doubt.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::net::{Cluster, RequestError};
use crate::settings::ProducerSettings;

use super::{Broker, Producer};

/// Longest delay between requests, as a multiple of the first.
const LONGEST_BACKOFF: u32 = 10;

/// When to request the leaders next.
#[derive(Debug)]
pub(super) struct Leaders {
    ask_at: Option<Duration>,
    asking: bool,
    asked: Option<Duration>,
    backoff: Duration,
    shortest_backoff: Duration,
    /// Why the leaders are in doubt.
    problem: Option<String>,
    /// The newest addresses of the brokers, and the configured ones.
    addresses: Vec<String>,
    given: Vec<String>,
}

impl Leaders {
    pub(super) fn new(settings: &ProducerSettings) -> Leaders {
        let given: Vec<String> = addresses(&settings.bootstrap_servers).collect();
        Leaders {
            ask_at: None,
            asking: false,
            asked: None,
            backoff: Duration::ZERO,
            shortest_backoff: settings.retry_backoff,
            problem: None,
            addresses: given.clone(),
            given,
        }
    }

    pub(super) fn next_time(&self) -> Option<Duration> {
        self.ask_at.filter(|_| !self.asking)
    }

    pub(super) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// Returns the time since they were requested.
    pub(super) fn asked_ago(&self, now: Duration) -> Duration {
        self.asked.map_or(Duration::MAX, |asked| now.saturating_sub(asked))
    }

    /// Records that the leaders may have changed.
    pub(super) fn doubt(&mut self, reason: &str, now: Duration) {
        if self.ask_at.is_none() && !self.asking {
            tracing::debug!(reason, "refreshing the partition leaders");
            self.problem = Some(reason.to_owned());
            let earliest = self.asked.map_or(now, |asked| asked + self.shortest_backoff);
            self.ask_at = Some(earliest.max(now + self.backoff));
            self.backoff =
                (self.backoff * 2).clamp(self.shortest_backoff, self.shortest_backoff * LONGEST_BACKOFF);
        }
    }
}

/// Parses a comma-separated list of addresses, with Kafka's default port where none is given.
pub(super) fn addresses(list: &str) -> impl Iterator<Item = String> + '_ {
    let bare = |address: &str| address.strip_prefix("PLAINTEXT://").unwrap_or(address).to_owned();
    let has_port =
        |address: &str| address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let with_port =
        move |address: String| if has_port(&address) { address } else { format!("{address}:9092") };
    list.split(',').map(str::trim).filter(|address| !address.is_empty()).map(bare).map(with_port)
}

impl Producer {
    /// Requests the leaders, if due.
    pub(super) fn ask_for_leaders(&mut self, now: Duration) {
        if self.leaders.next_time().is_some_and(|at| at <= now) {
            (self.leaders.ask_at, self.leaders.asking, self.leaders.asked) = (None, true, Some(now));
            let names = self.topics.iter().map(|topic| topic.name.to_string()).collect();
            // An unresponsive broker is asked last.
            let mut addresses = self.leaders.addresses.clone();
            addresses.extend(
                self.leaders.given.iter().filter(|given| !self.leaders.addresses.contains(given)).cloned(),
            );
            self.tasks.cluster(addresses, names);
        }
    }

    /// Updates the leaders.
    pub(super) fn learned(&mut self, result: Result<Cluster, RequestError>, now: Duration) {
        self.leaders.asking = false;
        if self.leaders.addresses.len() > 1 {
            self.leaders.addresses.rotate_left(1);
        }
        let cluster = match result {
            Ok(cluster) => cluster,
            Err(failed) => {
                self.leaders.doubt(&failed.to_string(), now);
                return;
            }
        };
        if self.take(&cluster, now) {
            (self.leaders.backoff, self.leaders.problem) = (Duration::ZERO, None);
        } else {
            self.leaders.doubt("a partition has no leader", now);
        }
    }

    /// Updates the leaders; returns whether every partition has one.
    pub(super) fn take(&mut self, cluster: &Cluster, now: Duration) -> bool {
        self.take_brokers(&cluster.brokers, now);
        let mut all = true;
        for slot in &mut self.slots {
            let partitions = cluster.topics.get(self.topics[slot.topic].name.as_str());
            let Some(leader) = partitions.and_then(|of| of.get(&slot.index)) else {
                all = false;
                continue;
            };
            // A broker that lags behind reports an earlier leader.
            let is_older = leader.epoch >= 0 && leader.epoch < slot.leader_epoch;
            if !is_older && leader.broker.is_some() && leader.broker != slot.leader {
                slot.partition.lost(now, "the leader has changed", &mut self.deliveries);
                (slot.leader, slot.leader_epoch) = (leader.broker, leader.epoch);
            }
            all &= leader.broker.is_some();
        }
        for broker in &mut self.brokers {
            broker.slots =
                (0..self.slots.len()).filter(|slot| self.slots[*slot].leader == Some(broker.id)).collect();
        }
        all
    }

    fn take_brokers(&mut self, known: &BTreeMap<i32, String>, now: Duration) {
        for (id, address) in known {
            match self.brokers.iter_mut().position(|broker| broker.id == *id) {
                None => self.brokers.push(Broker::new(*id, address.clone())),
                Some(index) if self.brokers[index].address != *address => {
                    self.brokers[index].address.clone_from(address);
                    let moved = std::io::Error::other("the broker's address has changed");
                    self.disconnected(index, &moved, now);
                }
                Some(_) => {}
            }
        }
        if !known.is_empty() {
            self.leaders.addresses = known.values().cloned().collect();
        }
    }
}
