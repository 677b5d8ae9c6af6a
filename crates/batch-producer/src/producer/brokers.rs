//! Connections to the brokers: connecting, reconnecting, and detecting an unresponsive one.

use std::io;
use std::time::Duration;

use crate::net::{BrokerStream, Connection, RequestError};
use crate::settings::ProducerSettings;

use super::Producer;

/// Longest retry delay, as a multiple of the first.
const LONGEST_BACKOFF: u32 = 10;
/// Fraction of the timeout after which a silent broker is doubted: the others are then asked whether it still leads.
const SILENT_PART: u32 = 10;

/// A broker that leads some of the partitions.
#[derive(Debug)]
pub(super) struct Broker {
    pub(super) id: i32,
    pub(super) address: String,
    pub(super) link: ConnectionState,
    /// Slots of the partitions that it leads.
    pub(super) slots: Vec<usize>,
    /// Index of the slot with which the next request begins.
    pub(super) next_slot: usize,
    /// Why it is not connected.
    pub(super) problem: Option<String>,
    backoff: Duration,
}

/// State of the connection to a broker.
#[derive(Debug)]
pub(super) enum ConnectionState {
    /// Disconnected; time of the next attempt.
    Down(Duration),
    /// A thread is connecting.
    Connecting,
    /// Connected.
    Up(Connection),
}

impl Broker {
    pub(super) const fn new(id: i32, address: String) -> Broker {
        Broker {
            id,
            address,
            link: ConnectionState::Down(Duration::ZERO),
            slots: Vec::new(),
            next_slot: 0,
            problem: None,
            backoff: Duration::ZERO,
        }
    }

    /// Records that the connection is lost.
    pub(super) fn down(&mut self, now: Duration, reason: String, settings: &ProducerSettings) {
        self.link = ConnectionState::Down(now + self.backoff);
        let longest = settings.retry_backoff * LONGEST_BACKOFF;
        self.backoff = (self.backoff * 2).clamp(settings.retry_backoff, longest);
        self.problem = Some(reason);
    }

    /// Records that it responds.
    pub(super) const fn answers(&mut self) {
        self.backoff = Duration::ZERO;
    }

    /// Returns when an action is due without a socket event.
    pub(super) fn next_time(&self, now: Duration, settings: &ProducerSettings) -> Option<Duration> {
        match &self.link {
            ConnectionState::Down(at) => (!self.slots.is_empty()).then_some(*at),
            ConnectionState::Connecting => None,
            ConnectionState::Up(connection) => {
                let given_up = connection.asked_since().map(|since| since + settings.request_timeout);
                let quiet = Some(connection.quiet_until).filter(|until| *until > now);
                [given_up, quiet].into_iter().flatten().min()
            }
        }
    }
}

impl Producer {
    /// Connects leaders that are not connected, and disconnects unresponsive ones.
    pub(super) fn look_after_brokers(&mut self, now: Duration) {
        for index in 0..self.brokers.len() {
            let broker = &self.brokers[index];
            match &broker.link {
                ConnectionState::Down(at) if *at <= now && !broker.slots.is_empty() => {
                    self.tasks.connect(broker.id, broker.address.clone());
                    self.brokers[index].link = ConnectionState::Connecting;
                }
                ConnectionState::Down(_) | ConnectionState::Connecting => {}
                ConnectionState::Up(connection) => {
                    let silent =
                        connection.asked_since().map_or(Duration::ZERO, |since| now.saturating_sub(since));
                    if silent >= self.settings.request_timeout {
                        let waited = self.settings.request_timeout.as_millis();
                        let error = io::Error::other(format!("no answer within {waited} ms"));
                        self.disconnected(index, &error, now);
                    } else if silent.min(self.leaders.asked_ago(now))
                        >= self.settings.request_timeout / SILENT_PART
                    {
                        let reason =
                            format!("no answer from {} for {} ms", broker.address, silent.as_millis());
                        self.leaders.doubt(&reason, now);
                    }
                }
            }
        }
    }

    /// Uses a new connection, or schedules a retry.
    pub(super) fn connected(&mut self, id: i32, result: Result<BrokerStream, RequestError>, now: Duration) {
        let Some(broker) = self.brokers.iter_mut().find(|broker| broker.id == id) else { return };
        let connection = result.map_err(|failed| failed.to_string()).and_then(|broker_stream| {
            Connection::new(broker_stream, &self.settings.client_id).map_err(|error| error.to_string())
        });
        match connection {
            Ok(connection) => {
                tracing::debug!(broker = id, address = broker.address, "connected");
                (broker.link, broker.problem) = (ConnectionState::Up(connection), None);
            }
            Err(reason) => {
                tracing::debug!(broker = id, reason, "could not connect");
                broker.down(now, reason.clone(), &self.settings);
                self.leaders.doubt(&reason, now);
            }
        }
    }
}
