//! Random events of all kinds, far beyond what the benchmarks' generators make: any integer, any Unicode string.
//!
//! An event is a function of its number, so that a sample that was stored once can be made again. It is put together as
//! bytes, read by the decoder, and written by the encoder: this file knows how many fields a kind has, not their names.

use std::io::{self, Write};

use events::{Event, FORMAT_VERSION, Kind};
use generator::EventRandom;

/// Longest string, in characters.
const CHARACTERS_MAX: u64 = 60;
/// Where characters change their length in UTF-8 or their form in JSON, and the lengths of those stretches.
const STRETCHES: [(u32, u64); 8] = [
    (0x00, 0x20),
    (0x20, 0x60),
    (0x20, 0x60),
    (0x80, 0x780),
    (0x800, 0xd000),
    (0xe000, 0x2000),
    (0x2020, 0x10),
    (0x1_0000, 0x10_0000),
];
/// Values at which a reader of another width or sign would go wrong.
const EXTREMES: [i64; 9] =
    [i64::MIN, i64::MAX, 0, -1, 1, i32::MAX as i64, i32::MIN as i64, 1 << 31, u32::MAX as i64];

/// The numbers of one event, one after the other.
struct Lanes {
    random: EventRandom,
    next: u64,
}

impl Lanes {
    fn below(&mut self, bound: u64) -> u64 {
        self.next += 1;
        self.random.below(self.next, bound)
    }

    fn integer(&mut self) -> i64 {
        match self.below(4) {
            0 => EXTREMES[self.below(EXTREMES.len() as u64) as usize],
            1 => self.below(2_000) as i64 - 1_000,
            _ => self.below(u64::MAX) as i64,
        }
    }

    /// Of one stretch in half of the cases, and of all mixed in the others.
    fn string(&mut self) -> String {
        let length = self.below(CHARACTERS_MAX + 1);
        let only = self.below(2 * STRETCHES.len() as u64) as usize;
        let character = |_| {
            let any = self.below(STRETCHES.len() as u64) as usize;
            let (first, count) = STRETCHES[if only < STRETCHES.len() { only } else { any }];
            char::from_u32(first + self.below(count) as u32).unwrap_or(char::REPLACEMENT_CHARACTER)
        };
        (0..length).map(character).collect()
    }
}

/// How many integers and how many strings an event of this kind has.
const fn shape(kind: Kind) -> (usize, usize) {
    match kind {
        Kind::Person => (2, 5),
        Kind::Item => (3, 2),
        Kind::Auction => (8, 0),
        Kind::Bid | Kind::Click => (5, 0),
        Kind::Impression => (3, 0),
        Kind::Search => (4, 0),
    }
}

/// The bytes of a random event.
fn record(number: u64) -> Vec<u8> {
    let seed = EventRandom::spread_seed(1);
    let mut lanes = Lanes { random: EventRandom::new(seed, number), next: 0 };
    let kind = Kind::ALL[lanes.below(Kind::ALL.len() as u64) as usize];
    let (integers, strings) = shape(kind);
    let mut bytes = vec![FORMAT_VERSION << 4 | kind.number()];
    for _ in 0..integers {
        bytes.extend(lanes.integer().to_le_bytes());
    }
    for _ in 0..strings {
        let text = lanes.string();
        bytes.extend((text.len() as u32).to_le_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes
}

/// Writes the events numbered 0 to `count`: an object a line, or each record after its length (u32, little-endian).
///
/// # Errors
/// If the output cannot be written, or a record is not an event, which would be a mistake in this file.
pub(crate) fn write(count: u64, json: bool, mut out: impl Write) -> io::Result<()> {
    let mut encoded = Vec::new();
    for number in 0..count {
        let bytes = record(number);
        let event = Event::decode(&bytes).map_err(io::Error::other)?;
        if json {
            serde_json::to_writer(&mut out, &event)?;
            out.write_all(b"\n")?;
        } else {
            encoded.clear();
            event.encode(&mut encoded);
            out.write_all(&(encoded.len() as u32).to_le_bytes())?;
            out.write_all(&encoded)?;
        }
    }
    out.flush()
}
