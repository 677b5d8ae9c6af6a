//! The records of a file, in turn, again and again.

use anyhow::{Context, ensure};
use event_producer::Record;
use events::{Event, Kind};

/// NexMark's kinds; topics are numbered in this order.
const KINDS: [Kind; 4] = [Kind::Person, Kind::Item, Kind::Auction, Kind::Bid];
/// Of each topic.
pub(crate) const PARTITIONS: usize = 4;

/// The names of the topics.
pub(crate) fn topics(prefix: &str) -> Vec<String> {
    KINDS.iter().map(|kind| format!("{prefix}{}", kind.topic())).collect()
}

/// A record that lies so in the file.
struct Place {
    topic: usize,
    timestamp_ms: i64,
    begin: usize,
    end: usize,
}

/// The file, and how far it is sent.
pub(crate) struct Records {
    bytes: Vec<u8>,
    places: Vec<Place>,
    sent: usize,
}

impl Records {
    pub(crate) fn read(file: &str) -> anyhow::Result<Records> {
        let bytes = std::fs::read(file).with_context(|| file.to_owned())?;
        let (mut places, mut at) = (Vec::new(), 0);
        while let Some(length) = bytes.get(at..at + 4) {
            let begin = at + 4;
            let end = begin + u32::from_le_bytes(length.try_into()?) as usize;
            let event = Event::decode(bytes.get(begin..end).context("the file ends within a record")?)?;
            let topic = KINDS.iter().position(|kind| *kind == event.kind()).context("no event of NexMark")?;
            places.push(Place { topic, timestamp_ms: event.timestamp(), begin, end });
            at = end;
        }
        ensure!(!places.is_empty() && at == bytes.len(), "{file} has no whole records");
        // So that a record has the same partition each time, as the same event has.
        ensure!(
            places.len() % PARTITIONS == 0,
            "{file}: the number of records is no multiple of {PARTITIONS}"
        );
        Ok(Records { bytes, places, sent: 0 })
    }

    /// The next records.
    pub(crate) fn next(&mut self, count: usize) -> impl Iterator<Item = Record<'_>> {
        let first = self.sent;
        self.sent = (first + count) % self.places.len();
        let turn = self.places.iter().enumerate().cycle().skip(first).take(count);
        turn.map(|(number, place)| Record {
            topic: place.topic,
            partition: (number % PARTITIONS) as i32,
            timestamp_ms: place.timestamp_ms,
            value: &self.bytes[place.begin..place.end],
        })
    }
}
