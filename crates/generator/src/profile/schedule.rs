//! The schedule: pieces of linear rate, their integral and its inverse.
//!
//! Arithmetic is in seconds and events as `f64`, with the four basic operations and square roots only, so that a
//! schedule is the same on every machine. Due times are rounded down to nanoseconds: at 10^6 s the rounding error of
//! `f64` is 10^-10 s, a hundredth of the distance between events at the highest rate allowed.

use std::cell::Cell;

/// Tolerance to a whole number, so that 1000/s for 10 s are 10 000 events and not one more.
const WHOLE_WITHIN: f64 = 1e-6;

const NANOSECONDS: f64 = 1e9;

/// Latest due time: 292 years after the start, in nanoseconds. Nothing is due later, so a count at that time is
/// final.
const LATEST_NS: u64 = i64::MAX as u64 - 1;

/// One piece of a profile: the rate changes linearly from one value to another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Piece {
    pub(super) from_rate: f64,
    pub(super) to_rate: f64,
    pub(super) duration_s: f64,
}

/// What follows the last piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EndBehaviour {
    /// Nothing: the run ends.
    End,
    /// The last rate is held.
    Hold,
    /// The pieces repeat.
    Repeat,
}

/// A piece with its position in the schedule, or the open end after the last one.
#[derive(Debug, Clone, Copy)]
struct Segment {
    start_s: f64,
    start_count: f64,
    rate: f64,
    /// Change of the rate, events/s².
    slope: f64,
}

/// Which event is due when; immutable and fast.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// At least one. Without `cycle` the last one is open-ended.
    segments: Vec<Segment>,
    /// Length and event count of all segments together, if they repeat.
    cycle: Option<Cycle>,
    events: Option<u64>,
    duration_s: Option<f64>,
    peak_rate: f64,
}

#[derive(Debug, Clone, Copy)]
struct Cycle {
    duration_s: f64,
    count: f64,
}

/// A segment in one repetition, with its range of events.
#[derive(Debug, Clone, Copy)]
struct Located {
    first_count: f64,
    next_count: f64,
    start_s: f64,
    end_s: f64,
    rate: f64,
    slope: f64,
}

impl Located {
    #[inline]
    fn holds(&self, number: f64) -> bool {
        self.first_count <= number && number < self.next_count
    }

    /// Solves `rate·x + slope·x²/2 = number − first_count` for x, in the form without cancellation.
    #[inline]
    fn due_ns(&self, number: f64) -> u64 {
        let events = number - self.first_count;
        let into_s = if self.slope == 0.0 { events / self.rate } else { self.on_slope_s(events) };
        let due_s = self.start_s + into_s;
        // Converted through i64, a single instruction: 292 years fit.
        ((if due_s < self.end_s { due_s } else { self.end_s }) * NANOSECONDS) as i64 as u64
    }

    fn on_slope_s(&self, events: f64) -> f64 {
        let square = (self.rate * self.rate + 2.0 * self.slope * events).max(0.0);
        let into_s = 2.0 * events / (self.rate + square.sqrt());
        // 0/0 where a rising rate begins at 0: the first event is due immediately.
        if into_s.is_nan() { 0.0 } else { into_s }
    }
}

/// Converts an event number to f64 through i64, a single instruction; beyond 2^53 it is rounded anyway.
#[inline]
fn position(number: u64) -> f64 {
    number.min(i64::MAX as u64) as i64 as f64
}

fn whole_if_close(count: f64) -> f64 {
    if (count - count.round()).abs() < WHOLE_WITHIN { count.round() } else { count }
}

impl Schedule {
    /// Builds a schedule of pieces; `limit_s` ends it early. Returns `None` if no event would ever be due.
    pub(super) fn new(pieces: &[Piece], after: EndBehaviour, limit_s: Option<f64>) -> Option<Schedule> {
        let (mut start_s, mut start_count) = (0.0, 0.0);
        let mut segments = Vec::with_capacity(pieces.len() + 1);
        for piece in pieces {
            let slope = (piece.to_rate - piece.from_rate) / piece.duration_s;
            segments.push(Segment { start_s, start_count, rate: piece.from_rate, slope });
            start_s += piece.duration_s;
            start_count =
                whole_if_close(start_count + (piece.from_rate + piece.to_rate) / 2.0 * piece.duration_s);
        }
        let last_rate = pieces.last()?.to_rate;
        let ends = after == EndBehaviour::End || (after == EndBehaviour::Hold && last_rate == 0.0);
        let cycle =
            (after == EndBehaviour::Repeat).then_some(Cycle { duration_s: start_s, count: start_count });
        if cycle.is_none() {
            // After the end nothing is emitted, but auctions still need later times: at least one event per second. A
            // held rate is kept, however low.
            let rate = if ends { last_rate.max(1.0) } else { last_rate };
            segments.push(Segment { start_s, start_count, rate, slope: 0.0 });
        }
        let peak_rate = pieces.iter().map(|piece| piece.from_rate.max(piece.to_rate)).fold(0.0, f64::max);
        let mut schedule = Schedule { segments, cycle, events: None, duration_s: None, peak_rate };
        schedule.duration_s = match (limit_s, ends) {
            (Some(limit_s), true) => Some(limit_s.min(start_s)),
            (Some(limit_s), false) => Some(limit_s),
            (None, true) => Some(start_s),
            (None, false) => None,
        };
        // Events exactly at the end are excluded: [0, duration).
        schedule.events =
            schedule.duration_s.map(|end_s| whole_if_close(schedule.count_at(end_s)).ceil() as u64);
        let never =
            peak_rate == 0.0 || schedule.events == Some(0) || cycle.is_some_and(|cycle| cycle.count == 0.0);
        (!never).then_some(schedule)
    }

    /// Returns the number of events; `None` if unlimited.
    pub const fn events(&self) -> Option<u64> {
        self.events
    }

    /// Returns the duration in seconds; `None` if unlimited.
    pub const fn duration_s(&self) -> Option<f64> {
        self.duration_s
    }

    /// Returns the time until the shape is complete, s: one repetition, or the time until the rate stays constant.
    pub fn shape_s(&self) -> f64 {
        self.cycle
            .map_or_else(|| self.segments.last().map_or(0.0, |last| last.start_s), |cycle| cycle.duration_s)
    }

    /// Returns the highest rate, events per second.
    pub const fn peak_rate(&self) -> f64 {
        self.peak_rate
    }

    /// Returns the rate `at_s` seconds after the start, events per second; 0 after the end.
    pub fn rate_at(&self, at_s: f64) -> f64 {
        if self.duration_s.is_some_and(|end_s| at_s >= end_s) {
            return 0.0;
        }
        let (segment, into_s, _) = self.segment_at(at_s);
        (segment.rate + segment.slope * into_s).max(0.0)
    }

    /// Returns when event `number` is due, ns after the start. Never decreases; numbers beyond the last event
    /// continue at the last rate.
    pub fn due_ns(&self, number: u64) -> u64 {
        let position = position(number);
        self.locate(position).due_ns(position)
    }

    /// Returns how many events are due by `elapsed_ns` after the start: the smallest n such that event n is due
    /// later.
    pub fn due_count(&self, elapsed_ns: u64) -> u64 {
        let elapsed_ns = elapsed_ns.min(LATEST_NS);
        let mut count = self.count_at(elapsed_ns as f64 / NANOSECONDS).max(0.0) as u64;
        while count > 0 && self.due_ns(count - 1) > elapsed_ns {
            count -= 1;
        }
        while self.due_ns(count) <= elapsed_ns {
            count += 1;
        }
        self.events.map_or(count, |events| count.min(events))
    }

    /// Returns a cursor, which computes [`Schedule::due_ns`] quickly for consecutive numbers.
    pub fn cursor(&self) -> Cursor<'_> {
        Cursor { schedule: self, located: Cell::new(self.locate(0.0)) }
    }

    /// Returns the segment at a time, the seconds into it, and the event count before this repetition.
    fn segment_at(&self, at_s: f64) -> (&Segment, f64, f64) {
        let (mut into_s, mut count) = (at_s, 0.0);
        if let Some(cycle) = self.cycle {
            let repetition = (at_s / cycle.duration_s).floor();
            into_s = at_s - repetition * cycle.duration_s;
            count = repetition * cycle.count;
        }
        let index = self.segments.partition_point(|segment| segment.start_s <= into_s).saturating_sub(1);
        let segment = &self.segments[index];
        (segment, into_s - segment.start_s, count)
    }

    /// Returns the integral of the rate.
    fn count_at(&self, at_s: f64) -> f64 {
        let (segment, into_s, before) = self.segment_at(at_s);
        before + segment.start_count + (segment.rate + segment.slope * into_s / 2.0) * into_s
    }

    /// Returns the segment of a number. Segments without events contain none, so a number at the edge of a pause
    /// belongs to the segment after it.
    fn locate(&self, number: f64) -> Located {
        let mut repetition = self.cycle.map_or(0.0, |cycle| (number / cycle.count).floor());
        let before = self.cycle.map_or(0.0, |cycle| repetition * cycle.count);
        let mut index =
            self.segments.partition_point(|segment| segment.start_count + before <= number).saturating_sub(1);
        // Rounding may put the guess next to the right segment; the bounds themselves decide.
        loop {
            let located = self.located(repetition, index);
            if located.holds(number) {
                return located;
            }
            let forward = number >= located.next_count;
            (repetition, index) = self.neighbour(repetition, index, forward);
        }
    }

    fn neighbour(&self, repetition: f64, index: usize, forward: bool) -> (f64, usize) {
        match (forward, index) {
            (true, index) if index + 1 < self.segments.len() => (repetition, index + 1),
            (true, _) => (repetition + 1.0, 0),
            (false, 0) => (repetition - 1.0, self.segments.len() - 1),
            (false, index) => (repetition, index - 1),
        }
    }

    fn located(&self, repetition: f64, index: usize) -> Located {
        let (cycle_s, cycle_count) = self.cycle.map_or((0.0, 0.0), |cycle| (cycle.duration_s, cycle.count));
        let segment = self.segments[index];
        let (next_count, end_s) = match (self.segments.get(index + 1), self.cycle) {
            (Some(next), _) => {
                (repetition * cycle_count + next.start_count, repetition * cycle_s + next.start_s)
            }
            (None, Some(_)) => ((repetition + 1.0) * cycle_count, (repetition + 1.0) * cycle_s),
            (None, None) => (f64::INFINITY, f64::INFINITY),
        };
        Located {
            first_count: repetition * cycle_count + segment.start_count,
            next_count,
            start_s: repetition * cycle_s + segment.start_s,
            end_s,
            rate: segment.rate,
            slope: segment.slope,
        }
    }
}

/// A schedule with a cached position. Its results equal the schedule's.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    schedule: &'a Schedule,
    located: Cell<Located>,
}

impl Cursor<'_> {
    /// See [`Schedule::due_ns`].
    #[inline]
    pub fn due_ns(&self, number: u64) -> u64 {
        let position = position(number);
        let located = self.located.get();
        if located.holds(position) {
            return located.due_ns(position);
        }
        let located = self.schedule.locate(position);
        self.located.set(located);
        located.due_ns(position)
    }
}
