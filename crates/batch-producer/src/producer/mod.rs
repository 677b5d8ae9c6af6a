//! The producer: partitions, the brokers that lead them, and one loop that sends due batches and processes responses.

mod brokers;
mod connect;
mod leaders;
mod send;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_protocol::messages::ProduceResponse;
use kafka_protocol::protocol::StrBytes;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use crate::core::{Answer, Delivery, Partition, answer};
use crate::net::{BackgroundTasks, RequestPart, TaskResult};
use crate::settings::ProducerSettings;

use brokers::{Broker, ConnectionState};
use leaders::Leaders;

/// Poll interval of the sockets while records are appended without a pause.
const BETWEEN_LOOKS: Duration = Duration::from_micros(500);

/// A partition and its leader.
#[derive(Debug)]
struct Slot {
    topic: usize,
    index: i32,
    leader: Option<i32>,
    leader_epoch: i32,
    partition: Partition,
}

/// A topic of the producer.
#[derive(Debug)]
struct Topic {
    name: StrBytes,
    /// Slot of partition 0; the others follow.
    first_slot: usize,
    partitions: usize,
}

/// An idempotent producer for the partitions of some topics, for use by one thread.
#[derive(Debug)]
pub struct Producer {
    settings: Arc<ProducerSettings>,
    began: Instant,
    topics: Vec<Topic>,
    slots: Vec<Slot>,
    brokers: Vec<Broker>,
    leaders: Leaders,
    tasks: BackgroundTasks,
    deliveries: Vec<Delivery>,
    flushing: bool,
    looked: Duration,
    fatal: Option<String>,
}

impl Producer {
    /// Returns the number of a topic's partitions; topics are numbered as given.
    pub fn partitions(&self, topic: usize) -> usize {
        self.topics[topic].partitions
    }

    /// Returns the slot of a topic's partition, for [`Producer::append`].
    pub fn slot(&self, topic: usize, partition: usize) -> usize {
        self.topics[topic].first_slot + partition
    }

    /// Returns the producer's time, for [`Producer::append`]; records that are appended together can share one
    /// reading of the clock.
    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Appends a record: `write` appends its value to the given bytes, and returns its timestamp, ms since the epoch.
    /// Returns the length of the value. `handed_us` is returned with the [`crate::RecordGroup`] of the record.
    ///
    /// # Panics
    /// There is no such slot.
    #[inline]
    pub fn append(
        &mut self,
        slot: usize,
        now: Duration,
        handed_us: u64,
        write: impl FnOnce(&mut Vec<u8>) -> i64,
    ) -> usize {
        self.flushing = false;
        self.slots[slot].partition.append(now, handed_us, write)
    }

    /// Whether more records may be appended, by the size of unsent records.
    pub fn has_room(&self) -> bool {
        let unsent = self.slots.iter().map(|slot| slot.partition.unsent_bytes());
        unsent.sum::<usize>() < self.settings.unsent_bytes
    }

    /// Disables lingering until another record is appended: those appended so far are sent with the next turn.
    pub const fn flush(&mut self) {
        self.flushing = true;
    }

    /// Returns why nothing can be delivered any more, if so.
    pub fn fatal(&self) -> Option<&str> {
        self.fatal.as_deref()
    }

    /// Returns the current problem, for people; `None` while all partitions have connected leaders.
    pub fn problem(&self) -> Option<&str> {
        self.brokers.iter().find_map(|broker| broker.problem.as_deref()).or(self.leaders.problem())
    }

    /// Sends due batches and processes responses for at most `limit`; returns as soon as there are deliveries. With a
    /// limit of 0 it returns immediately, and polls the sockets only at intervals.
    pub fn turn(&mut self, limit: Duration) -> impl Iterator<Item = Delivery> + '_ {
        let end = self.now() + limit;
        loop {
            let now = self.now();
            self.expire(now);
            self.process_tasks(now);
            self.look_after_brokers(now);
            self.send_due(now);
            let wait = self.next_time(now).min(end).saturating_sub(now);
            if !limit.is_zero() || now.saturating_sub(self.looked) >= BETWEEN_LOOKS {
                self.looked = now;
                let wait = if self.deliveries.is_empty() { wait } else { Duration::ZERO };
                self.look_at_sockets(wait);
            }
            if !self.deliveries.is_empty() || self.now() >= end {
                break;
            }
        }
        self.deliveries.drain(..)
    }

    /// Fails expired batches, and detects fatal errors.
    fn expire(&mut self, now: Duration) {
        for slot in &mut self.slots {
            slot.partition.expire(now, &mut self.deliveries);
            if let (None, Some(reason)) = (&self.fatal, slot.partition.fatal()) {
                let topic = &self.topics[slot.topic].name;
                self.fatal = Some(format!("the leader of {topic} {}: {reason}", slot.index));
            }
        }
    }

    fn process_tasks(&mut self, now: Duration) {
        while let Some(done) = self.tasks.next() {
            match done {
                TaskResult::Connected(id, result) => self.connected(id, result, now),
                TaskResult::Cluster(result) => self.learned(result, now),
            }
        }
    }

    /// Returns when an action is due without a socket event.
    fn next_time(&self, now: Duration) -> Duration {
        let linger = |slot: &Slot| Some(slot.partition.open_since()? + self.settings.linger);
        // For brokers with a request in flight, their response is the next event.
        let asked_for = |(index, broker): (usize, &Broker)| self.may_ask(index, now).then_some(broker.id);
        let free: Vec<i32> = self.brokers.iter().enumerate().filter_map(asked_for).collect();
        let slots = self.slots.iter().filter(|slot| slot.leader.is_some_and(|leader| free.contains(&leader)));
        let lingering = slots.clone().filter(|slot| slot.partition.may_send(now)).filter_map(linger).min();
        let retried = slots.filter_map(|slot| slot.partition.waits_until()).filter(|at| *at > now).min();
        let brokers = self.brokers.iter().filter_map(|broker| broker.next_time(now, &self.settings)).min();
        // An upper bound, to detect expired batches.
        let latest = now + Duration::from_millis(100);
        [lingering, retried, brokers, self.leaders.next_time()]
            .into_iter()
            .flatten()
            .fold(latest, Duration::min)
    }

    /// Waits until a socket is ready or a task is done, and processes it.
    fn look_at_sockets(&mut self, wait: Duration) {
        let mut fds = vec![PollFd::new(self.tasks.woken().fd(), PollFlags::POLLIN)];
        let mut connected = Vec::new();
        for (index, broker) in self.brokers.iter().enumerate() {
            if let ConnectionState::Up(connection) = &broker.link {
                let write = if connection.wants_to_write() { PollFlags::POLLOUT } else { PollFlags::empty() };
                fds.push(PollFd::new(connection.fd(), PollFlags::POLLIN | write));
                connected.push(index);
            }
        }
        match ppoll(&mut fds, Some(TimeSpec::from_duration(wait)), None) {
            Ok(0) | Err(Errno::EINTR) => return,
            Ok(_) => {}
            Err(error) => {
                self.fatal.get_or_insert_with(|| format!("cannot poll the sockets: {error}"));
                return;
            }
        }
        let ready = |fd: &PollFd<'_>| fd.revents().unwrap_or(PollFlags::empty());
        let woken = !ready(&fds[0]).is_empty();
        let ready: Vec<(usize, PollFlags)> = connected
            .into_iter()
            .zip(fds[1..].iter().map(ready))
            .filter(|(_, flags)| !flags.is_empty())
            .collect();
        if woken {
            self.tasks.woken().clear();
        }
        for (index, flags) in ready {
            self.serve(index, flags);
        }
    }

    /// Writes to and reads from a ready connection.
    fn serve(&mut self, index: usize, flags: PollFlags) {
        let now = self.now();
        let mut answers = Vec::new();
        let ConnectionState::Up(connection) = &mut self.brokers[index].link else { return };
        let written = if flags.contains(PollFlags::POLLOUT) { connection.write() } else { Ok(()) };
        // Responses that arrived before the connection ended count.
        let read = connection.read(|parts, response| answers.push((parts, response)));
        for (parts, response) in answers {
            self.answered(index, &parts, &response, now);
        }
        if let Err(error) = written.and(read) {
            self.disconnected(index, &error, now);
        }
    }

    fn answered(&mut self, index: usize, parts: &[RequestPart], response: &ProduceResponse, now: Duration) {
        let throttle = Duration::from_millis(u64::try_from(response.throttle_time_ms).unwrap_or(0));
        self.brokers[index].answers();
        if let ConnectionState::Up(connection) = &mut self.brokers[index].link {
            connection.quiet_until = now + throttle.min(self.settings.request_timeout);
        }
        for RequestPart { slot, ticket } in parts {
            let Slot { topic, index, partition, .. } = &mut self.slots[*slot];
            let name = &self.topics[*topic].name;
            let topics = response.responses.iter().filter(|topic| topic.name.0 == *name);
            let mut answers =
                topics.flat_map(|topic| &topic.partition_responses).filter(|of| of.index == *index);
            let answer = answers.next().map_or_else(
                || Answer::Again("the broker's response omits the batch".to_owned()),
                |of| answer(of.error_code, of.error_message.as_deref()),
            );
            if let Answer::Again(reason) = &answer {
                self.leaders.doubt(&format!("{name} {index}: {reason}"), now);
            }
            partition.process_response(*ticket, answer, now, &mut self.deliveries);
        }
    }

    fn disconnected(&mut self, index: usize, error: &io::Error, now: Duration) {
        let broker = &mut self.brokers[index];
        let (id, reason) = (broker.id, format!("{}: {error}", broker.address));
        tracing::debug!(broker = id, reason, "disconnected");
        broker.down(now, reason.clone(), &self.settings);
        for slot in self.slots.iter_mut().filter(|slot| slot.leader == Some(id)) {
            slot.partition.lost(now, &reason, &mut self.deliveries);
        }
        self.leaders.doubt(&reason, now);
    }
}
