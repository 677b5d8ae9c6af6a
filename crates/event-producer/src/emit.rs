//! The emitting thread: hands to the Kafka client what is due, when it is due, in the order of the numbers.
//!
//! The schedule alone decides what is due. After a stall everything overdue goes out at once; nothing is skipped, and
//! the timestamps are those of the schedule. A full queue is waited for, not dropped, and the wait ends as soon as
//! acknowledgements make room.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use batch_producer::Producer;
use generator::{EventSource, Workload};

use crate::config::Shard;
use crate::deliveries::Origin;
use crate::durations::Durations;
use crate::kafka::Target;
use crate::native::{NativeProducer, Outgoing, Topic};
use crate::sink::{Sink, locked};
use crate::tick;
use crate::transport::Client;

/// So many numbers share one look at the clock and one update of the counters.
pub(crate) const BATCH: u64 = 256;

/// What has been emitted so far.
#[derive(Debug, Clone)]
pub(crate) struct Emitted {
    /// The next number; all smaller ones were emitted or belong to streams that are not written.
    pub(crate) next_number: u64,
    /// Records handed to the client.
    pub(crate) records: u64,
    /// Their bytes, without Kafka's own.
    pub(crate) bytes: u64,
    /// Waits for a full queue.
    pub(crate) queue_waits: u64,
    /// Most events that were due and not emitted at any moment.
    pub(crate) most_behind: u64,
    /// Emission minus due time, since the last report.
    pub(crate) delays: Durations,
}

/// Read by the report while the thread works.
#[derive(Debug)]
pub(crate) struct Progress(Mutex<Emitted>);

impl Progress {
    pub(crate) fn new(first_number: u64) -> Self {
        let delays = Durations::new();
        Progress(Mutex::new(Emitted {
            next_number: first_number,
            records: 0,
            bytes: 0,
            queue_waits: 0,
            most_behind: 0,
            delays,
        }))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Emitted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything the thread needs.
pub(crate) struct Emitter {
    pub(crate) workload: Workload,
    pub(crate) sink: Sink,
    pub(crate) progress: Progress,
    pub(crate) origin: Origin,
    /// Indexed by the kind's number; streams that are not written are `None`.
    pub(crate) targets: [Option<Target>; 8],
    pub(crate) shard: Shard,
}

/// The targets by the number of their kind.
pub(crate) fn by_kind(targets: &[Target]) -> [Option<Target>; 8] {
    let mut table = [None; 8];
    for target in targets {
        table[usize::from(target.kind.number())] = Some(*target);
    }
    table
}

/// What the thread changes while it works.
struct EmitState<'w> {
    source: EventSource<'w>,
    buffer: Vec<u8>,
    next: u64,
    records: u64,
    bytes: u64,
    queue_waits: u64,
    most_behind: u64,
}

impl Emitter {
    /// Emits until the workload ends or the end is asked for.
    ///
    /// # Errors
    /// When the client has failed for good, so that nothing can be delivered any more.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let mut state = EmitState {
            source: self.workload.source(),
            buffer: Vec::with_capacity(1024),
            next: self.progress.lock().next_number,
            records: 0,
            bytes: 0,
            queue_waits: 0,
            most_behind: 0,
        };
        let end = self.workload.events().unwrap_or(u64::MAX);
        while state.next < end && !self.sink.stop().asked() {
            let due =
                if self.origin.scheduled { self.workload.due_count(self.origin.elapsed_ns()) } else { end };
            if due <= state.next {
                let due_at = self.origin.instant + Duration::from_nanos(state.source.due_ns(state.next));
                self.sink.wait_until(due_at.max(Instant::now() + self.tick()));
                self.sink.check_fatal_error()?;
                continue;
            }
            if self.origin.scheduled {
                state.most_behind = state.most_behind.max(due - state.next);
            }
            let room = self.wait_for_room(&mut state);
            let batch_end = due.min(state.next + room.min(BATCH));
            self.emit_batch(&mut state, batch_end)?;
        }
        Ok(())
    }

    /// How long to wait at least before more events are emitted.
    fn tick(&self) -> Duration {
        let now_ns = self.origin.elapsed_ns();
        let soon_ns = now_ns.saturating_add(tick::LONGEST.as_nanos() as u64);
        tick::tick(self.workload.due_count(soon_ns).saturating_sub(self.workload.due_count(now_ns)))
    }

    /// Waits until every record is acknowledged or has failed; for `limit` at most, and not if asked to stop again.
    pub(crate) fn settle(&self, limit: Duration) {
        let records = self.progress.lock().records;
        self.sink.settle(records, limit);
    }

    /// Whether event `number` is written, by its stream and by its partition.
    pub(crate) fn writes(&self, number: u64) -> bool {
        self.place(number).is_some()
    }

    /// Topic and partition of event `number`, if this producer writes it.
    #[inline]
    fn place(&self, number: u64) -> Option<(Target, u64)> {
        let target = self.targets[usize::from(self.workload.kind(number).number())]?;
        let partition = number % target.partitions;
        (partition % self.shard.of == self.shard.index).then_some((target, partition))
    }

    /// How many more records may be in flight; waits until it is at least one or the end is asked for.
    fn wait_for_room(&self, state: &mut EmitState<'_>) -> u64 {
        if self.sink.free_records(state.records) == 0 {
            state.queue_waits += 1;
            self.sink.wait_for_room(state.records);
        }
        self.sink.free_records(state.records)
    }

    /// Emits the numbers up to before `end`, or fewer if the end is asked for meanwhile.
    fn emit_batch(&self, state: &mut EmitState<'_>, end: u64) -> anyhow::Result<()> {
        let now_ns = self.origin.elapsed_ns();
        let first = state.next;
        match self.sink.client() {
            Client::Librdkafka(producer) => self.hand_over(producer, state, end, now_ns)?,
            Client::Batches(producer) => self.append(&mut locked(producer), state, end, now_ns),
        }
        self.account(state, first, now_ns);
        self.sink.take_reports(Duration::ZERO);
        self.sink.check_fatal_error()
    }

    /// Encodes events and hands each to librdkafka.
    fn hand_over(
        &self,
        producer: &NativeProducer,
        state: &mut EmitState<'_>,
        end: u64,
        now_ns: u64,
    ) -> anyhow::Result<()> {
        let opaque = (now_ns / 1_000) as usize;
        while state.next < end {
            if let Some((target, partition)) = self.place(state.next) {
                let mut payload = std::mem::take(&mut state.buffer);
                payload.clear();
                let timestamp_ms = state.source.encode(state.next, &mut payload);
                let (topic, partition) = (Topic(target.topic), partition as i32);
                let outgoing = Outgoing { topic, partition, timestamp_ms, payload: &payload, opaque };
                let sent = self.sink.send(producer, outgoing)?;
                state.records += u64::from(sent);
                state.bytes += if sent { payload.len() as u64 } else { 0 };
                state.buffer = payload;
                if !sent {
                    break;
                }
            }
            state.next += 1;
        }
        Ok(())
    }

    /// Encodes events into the batches of their partitions.
    fn append(&self, producer: &mut Producer, state: &mut EmitState<'_>, end: u64, now_ns: u64) {
        let (now, handed_us) = (producer.now(), now_ns / 1_000);
        for number in state.next..end {
            if let Some((target, partition)) = self.place(number) {
                let slot = producer.slot(target.topic, partition as usize);
                let source = &mut state.source;
                state.bytes += producer.append(slot, now, handed_us, |out| source.encode(number, out)) as u64;
                state.records += 1;
            }
        }
        state.next = end;
    }

    fn account(&self, state: &EmitState<'_>, first: u64, now_ns: u64) {
        let mut emitted = self.progress.lock();
        emitted.next_number = state.next;
        emitted.records = state.records;
        emitted.bytes = state.bytes;
        emitted.queue_waits = state.queue_waits;
        emitted.most_behind = state.most_behind;
        if self.origin.scheduled {
            for number in first..state.next {
                emitted.delays.record_us(now_ns.saturating_sub(state.source.due_ns(number)) / 1_000, 1);
            }
        }
    }
}
