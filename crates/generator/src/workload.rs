//! A producer's run as data: generator, schedule, start time and bound. It determines the stream completely.

use events::{DecodeError, Event, Kind};

use crate::nexmark::{Bidding, Nexmark};
use crate::profile::{Cursor, Schedule};
use crate::psm::Psm;
use crate::text::Scratch;

const NS_PER_MS: u64 = 1_000_000;

/// One of the two benchmarks.
#[derive(Debug, Clone)]
pub enum Generator {
    /// The auction site.
    Nexmark(Nexmark),
    /// The price-comparison site.
    Psm(Psm),
}

impl Generator {
    /// Returns the kinds that occur, in the order of their numbers on the wire.
    pub const fn kinds(&self) -> &'static [Kind] {
        match self {
            Generator::Nexmark(_) => &[Kind::Person, Kind::Item, Kind::Auction, Kind::Bid],
            Generator::Psm(_) => &[Kind::Click, Kind::Impression, Kind::Search],
        }
    }

    /// Returns the kind of event `number`.
    #[inline]
    pub const fn kind(&self, number: u64) -> Kind {
        match self {
            Generator::Nexmark(generator) => generator.mix().locate(number).0,
            Generator::Psm(generator) => generator.kind(number),
        }
    }

    /// Generates event `number`, with its strings in `scratch`; `time_ms` returns the event time of a number.
    #[inline]
    pub fn event<'s>(
        &self,
        number: u64,
        time_ms: impl Fn(u64) -> i64,
        scratch: &'s mut Scratch,
    ) -> Event<'s> {
        match self {
            Generator::Nexmark(generator) => generator.event(number, time_ms, scratch),
            Generator::Psm(generator) => generator.event(number, time_ms),
        }
    }
}

impl From<Nexmark> for Generator {
    fn from(generator: Nexmark) -> Self {
        Generator::Nexmark(generator)
    }
}

impl From<Psm> for Generator {
    fn from(generator: Psm) -> Self {
        Generator::Psm(generator)
    }
}

/// Everything that determines the stream.
#[derive(Debug, Clone)]
pub struct Workload {
    generator: Generator,
    schedule: Schedule,
    start_ms: i64,
    events: Option<u64>,
}

impl Workload {
    /// Creates a workload whose event 0 is due at `start_ms` (ms since the epoch). It ends with the schedule, or
    /// after `events` events if that is earlier.
    pub fn new(
        generator: impl Into<Generator>,
        schedule: Schedule,
        start_ms: i64,
        events: Option<u64>,
    ) -> Self {
        let events = match (schedule.events(), events) {
            (Some(scheduled), Some(wanted)) => Some(scheduled.min(wanted)),
            (scheduled, wanted) => scheduled.or(wanted),
        };
        Workload { generator: generator.into(), schedule, start_ms, events }
    }

    /// Returns the number of events; `None` if unlimited.
    pub const fn events(&self) -> Option<u64> {
        self.events
    }

    /// Returns the schedule.
    pub const fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Returns when event 0 is due, ms since the epoch.
    pub const fn start_ms(&self) -> i64 {
        self.start_ms
    }

    /// Returns the kind of event `number`.
    #[inline]
    pub const fn kind(&self, number: u64) -> Kind {
        self.generator.kind(number)
    }

    /// Returns the kinds that occur, in the order of their numbers on the wire.
    pub const fn kinds(&self) -> &'static [Kind] {
        self.generator.kinds()
    }

    /// Returns how many events are due by `elapsed_ns` after the start.
    pub fn due_count(&self, elapsed_ns: u64) -> u64 {
        let due = self.schedule.due_count(elapsed_ns);
        self.events.map_or(due, |events| due.min(events))
    }

    /// Returns a source of the stream's events; each thread needs its own.
    pub fn source(&self) -> EventSource<'_> {
        let (scratch, bidding) = (Scratch::default(), Bidding::default());
        EventSource { workload: self, cursor: self.schedule.cursor(), scratch, bidding }
    }

    /// Generates the events of a range of numbers into memory, in wire format.
    pub fn record(&self, numbers: std::ops::Range<u64>) -> Recording {
        let mut source = self.source();
        let mut recording = Recording::default();
        for number in numbers {
            source.encode(number, &mut recording.bytes);
            recording.ends.push(recording.bytes.len());
        }
        recording
    }
}

/// Generates events of a workload, in any order, reusing its buffers.
#[derive(Debug, Clone)]
pub struct EventSource<'w> {
    workload: &'w Workload,
    cursor: Cursor<'w>,
    scratch: Scratch,
    /// Common values of the last encoded bid's epoch.
    bidding: Bidding,
}

impl EventSource<'_> {
    /// Returns when event `number` is due, ns after the start.
    #[inline]
    pub fn due_ns(&self, number: u64) -> u64 {
        self.cursor.due_ns(number)
    }

    /// Generates event `number`; it borrows its strings until the next call.
    #[inline]
    pub fn event(&mut self, number: u64) -> Event<'_> {
        let EventSource { workload, cursor, scratch, .. } = self;
        let time_ms = |number| workload.start_ms + (cursor.due_ns(number) / NS_PER_MS) as i64;
        workload.generator.event(number, time_ms, scratch)
    }

    /// Appends the record of event `number` to `out` and returns its timestamp. Equivalent to encoding
    /// [`EventSource::event`], but faster.
    #[inline]
    pub fn encode(&mut self, number: u64, out: &mut Vec<u8>) -> i64 {
        let EventSource { workload, cursor, scratch, bidding } = self;
        let time_ms = |number| workload.start_ms + (cursor.due_ns(number) / NS_PER_MS) as i64;
        match &workload.generator {
            Generator::Nexmark(generator) => generator.encode(number, time_ms, scratch, bidding, out),
            Generator::Psm(generator) => {
                let event = generator.event(number, time_ms);
                event.encode(out);
                event.timestamp()
            }
        }
    }
}

/// Records in wire format, consecutive in memory.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Recording {
    /// Iterates over the records in the order of their numbers.
    pub fn records(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, end)| &self.bytes[begin..*end])
    }

    /// Iterates over the events in the order of their numbers.
    pub fn events(&self) -> impl Iterator<Item = Result<Event<'_>, DecodeError>> {
        self.records().map(Event::decode)
    }
}
