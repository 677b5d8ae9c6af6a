//! Generates random events of all kinds to test a decoder in another language: `random_events COUNT SEED WIRE_FILE
//! JSON_FILE`.
//!
//! The wire file contains each record after its length (`u32`, little-endian), the JSON file the same events, one
//! object per line with keys in alphabetical order. Integers are of every magnitude and include the extremes; strings
//! are of any characters, some of them empty and some long. The same seed gives the same files.
#![expect(clippy::unwrap_used, reason = "a tool of the tests, which fails loudly")]

use std::fs::File;
use std::io::{BufWriter, Write};

use events::{Auction, Bid, Click, Event, Impression, Item, Kind, Person, Search};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn integer(&mut self) -> i64 {
        match self.below(20) {
            0 => i64::MIN,
            1 => i64::MAX,
            2 => 0,
            // Any magnitude, with either sign.
            _ => (self.next() as i64) >> self.below(64),
        }
    }

    fn text(&mut self) -> String {
        let length = match self.below(50) {
            0 => 2_000,
            1..6 => 0,
            _ => self.below(40),
        };
        (0..length).map(|_| self.character()).collect()
    }

    /// One to four bytes of UTF-8; surrogates are not characters.
    fn character(&mut self) -> char {
        let end = [0x80, 0x800, 0x1_0000, 0x11_0000][self.below(4) as usize];
        char::from_u32(self.below(end) as u32).unwrap_or('\u{fffd}')
    }
}

fn put(random: &mut Random, wire: &mut impl Write, json: &mut impl Write) {
    let kind = Kind::ALL[random.below(7) as usize];
    let [timestamp, a, b, c, d, e, start, end]: [i64; 8] = std::array::from_fn(|_| random.integer());
    let texts: [String; 5] = std::array::from_fn(|_| random.text());
    let [name, email, credit_card, city, state] = texts.each_ref().map(String::as_str);
    let event = match kind {
        Kind::Person => {
            Event::Person(Person { timestamp, person_id: a, name, email, credit_card, city, state })
        }
        Kind::Item => Event::Item(Item { timestamp, item_id: a, category_id: b, name, description: email }),
        Kind::Auction => {
            let (auction_id, item_id, seller_id, initial_price, reserve) = (a, b, c, d, e);
            Event::Auction(Auction {
                timestamp,
                auction_id,
                item_id,
                seller_id,
                initial_price,
                reserve,
                start,
                end,
            })
        }
        Kind::Bid => Event::Bid(Bid { timestamp, bid_id: a, auction_id: b, bidder_id: c, price: d }),
        Kind::Click => Event::Click(Click { timestamp, product: a, category: b, owner: c, price: d }),
        Kind::Impression => Event::Impression(Impression { timestamp, product: a, category: b }),
        Kind::Search => Event::Search(Search { timestamp, product: a, category: b, rank: c }),
    };
    let mut record = Vec::new();
    event.encode(&mut record);
    assert_eq!(Event::decode(&record), Ok(event));
    wire.write_all(&(record.len() as u32).to_le_bytes()).unwrap();
    wire.write_all(&record).unwrap();
    // Through a `Value`, which sorts the keys.
    writeln!(json, "{}", serde_json::to_value(event).unwrap()).unwrap();
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [count, seed, wire, json] = &arguments[..] else {
        #[expect(clippy::print_stderr, reason = "the usage, for a person")]
        {
            eprintln!("usage: random_events COUNT SEED WIRE_FILE JSON_FILE");
        }
        return;
    };
    let mut random = Random(seed.parse().unwrap());
    let mut wire = BufWriter::new(File::create(wire).unwrap());
    let mut json = BufWriter::new(File::create(json).unwrap());
    for _ in 0..count.parse::<u64>().unwrap() {
        put(&mut random, &mut wire, &mut json);
    }
    wire.flush().unwrap();
    json.flush().unwrap();
}
