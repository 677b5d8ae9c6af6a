//! Events to standard output, without Kafka.
//!
//! The numbers are cut into chunks; thread t makes every T-th chunk and hands the finished bytes over through a queue of
//! its own, and the chunks are written in their order. So the output is the same for any number of threads.
//!
//! * `json`: an object a line, as the golden test data has them.
//! * `wire`: each record after its length, a `u32`, little-endian; what another language's decoder reads in bulk.
//! * `count`: a summary. Its hash is the wrapping sum over all events of XXH3-64 of the record, seeded with the event's
//!   number: the hash of a range is the sum of the hashes of its parts.

use std::io::{self, Write};
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use anyhow::{Context, anyhow};
use clap::ValueEnum;
use events::Kind;
use generator::{EventSource, Workload};

use crate::config::{Config, StartTime};
use crate::summary::Summary;

/// Numbers a chunk: long enough that handing it over costs nothing, short enough to stay in the cache.
const CHUNK: u64 = 4_096;
/// Finished chunks a thread may be ahead.
const AHEAD: usize = 4;

/// What to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One object per line
    Json,
    /// Each record preceded by its length (u32, little-endian)
    Wire,
    /// A summary with a hash
    Count,
}

/// What is made, and of which events.
struct Job<'a> {
    workload: &'a Workload,
    streams: &'a [Kind],
    format: Format,
    numbers: Range<u64>,
    threads: u64,
}

/// Writes the configured events.
///
/// # Errors
/// If there is no end, or standard output cannot be written. A reader that goes away is no error.
pub(crate) fn generate(config: &Config, format: Format, threads: u16, out: impl Write) -> anyhow::Result<()> {
    let start_ms = match config.start_time {
        // Reproducible without further flags.
        StartTime::Now => 0,
        StartTime::At(ms) => ms,
    };
    let workload = Workload::new(config.generator.clone(), config.schedule.clone(), start_ms, config.events);
    let end = workload.events().context("the profile is endless; set --events")?;
    let numbers = config.from_event..end.max(config.from_event);
    let job =
        Job { workload: &workload, streams: &config.streams, format, numbers, threads: u64::from(threads) };
    let written = if format == Format::Count { job.count(out) } else { job.write(out) };
    match written {
        Err(error)
            if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) =>
        {
            Ok(())
        }
        other => other,
    }
}

impl Job<'_> {
    /// The chunks of one thread.
    fn chunks(&self, thread: u64) -> impl Iterator<Item = Range<u64>> {
        let Range { start, end } = self.numbers;
        let first = start.saturating_add(thread * CHUNK);
        let begins = (first..end).step_by((CHUNK * self.threads) as usize);
        begins.map(move |begin| begin..end.min(begin.saturating_add(CHUNK)))
    }

    fn write(&self, mut out: impl Write) -> anyhow::Result<()> {
        thread::scope(|scope| {
            let queues: Vec<Receiver<anyhow::Result<Vec<u8>>>> = (0..self.threads)
                .map(|thread| {
                    let (sender, receiver) = sync_channel(AHEAD);
                    scope.spawn(move || self.make(thread, &sender));
                    receiver
                })
                .collect();
            // Each thread's queue in turn; the first that has ended marks the end of all.
            for queue in queues.iter().cycle() {
                let Ok(chunk) = queue.recv() else { break };
                out.write_all(&chunk?)?;
            }
            Ok(out.flush()?)
        })
    }

    /// Makes a thread's chunks until nobody takes them any more.
    fn make(&self, thread: u64, sender: &SyncSender<anyhow::Result<Vec<u8>>>) {
        let mut source = self.workload.source();
        for chunk in self.chunks(thread) {
            if sender.send(self.bytes(&mut source, chunk)).is_err() {
                return;
            }
        }
    }

    fn bytes(&self, source: &mut EventSource<'_>, numbers: Range<u64>) -> anyhow::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for number in numbers {
            if !self.streams.contains(&self.workload.kind(number)) {
                continue;
            }
            if self.format == Format::Json {
                serde_json::to_writer(&mut bytes, &source.event(number))?;
                bytes.push(b'\n');
            } else {
                put_framed(&mut bytes, source, number);
            }
        }
        Ok(bytes)
    }

    fn count(&self, mut out: impl Write) -> anyhow::Result<()> {
        let summary = thread::scope(|scope| {
            let threads: Vec<_> =
                (0..self.threads).map(|thread| scope.spawn(move || self.summarize(thread))).collect();
            let mut whole = Summary::default();
            for thread in threads {
                whole.add(thread.join().map_err(|_| anyhow!("a generator thread ended unexpectedly"))?);
            }
            anyhow::Ok(whole)
        })?;
        writeln!(out, "{}", serde_json::to_string_pretty(&summary.figures())?)?;
        Ok(())
    }

    fn summarize(&self, thread: u64) -> Summary {
        let (mut source, mut record, mut summary) = (self.workload.source(), Vec::new(), Summary::default());
        for number in self.chunks(thread).flatten() {
            let event = source.event(number);
            if self.streams.contains(&event.kind()) {
                record.clear();
                event.encode(&mut record);
                summary.count(number, &event, &record);
            }
        }
        summary
    }
}

/// Appends the record of an event after its length.
fn put_framed(bytes: &mut Vec<u8>, source: &mut EventSource<'_>, number: u64) {
    let begin = bytes.len();
    bytes.extend([0; 4]);
    source.encode(number, bytes);
    let length = (bytes.len() - begin - 4) as u32;
    bytes[begin..begin + 4].copy_from_slice(&length.to_le_bytes());
}
