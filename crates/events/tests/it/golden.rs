//! Goal: the bytes of `testdata/wire`, which the Java decoder also reads, are exactly what this crate writes or
//! rejects.
//!
//! After a deliberate change of the format, `UPDATE_GOLDEN=1 cargo test -p events golden` rewrites the files.

use std::path::PathBuf;

use events::{Auction, Bid, Click, Event, Impression, Item, Person, Search};
use serde_json::{Value, json};

const MIXED: &str = "Zoë Ångström 名前 🦀";

fn person<'a>(number: i64, texts: [&'a str; 5]) -> Event<'a> {
    let [name, email, credit_card, city, state] = texts;
    Event::Person(Person { timestamp: number, person_id: number, name, email, credit_card, city, state })
}

fn item<'a>(number: i64, name: &'a str, description: &'a str) -> Event<'a> {
    Event::Item(Item { timestamp: number, item_id: number, category_id: number, name, description })
}

fn events_of_one_number(number: i64) -> [Event<'static>; 5] {
    let n = number;
    [
        Event::Auction(Auction {
            timestamp: n,
            auction_id: n,
            item_id: n,
            seller_id: n,
            initial_price: n,
            reserve: n,
            start: n,
            end: n,
        }),
        Event::Bid(Bid { timestamp: n, bid_id: n, auction_id: n, bidder_id: n, price: n }),
        Event::Click(Click { timestamp: n, product: n, category: n, owner: n, price: n }),
        Event::Impression(Impression { timestamp: n, product: n, category: n }),
        Event::Search(Search { timestamp: n, product: n, category: n, rank: n }),
    ]
}

/// Events with a different value in every field, so that swapped fields are detected.
fn typical_events() -> Vec<Event<'static>> {
    let timestamp = 1_700_000_000_123;
    vec![
        Event::Person(Person {
            timestamp,
            person_id: 1001,
            name: "Ada Lovelace",
            email: "ada@example.org",
            credit_card: "1234 5678 9012 3456",
            city: "London",
            state: "CA",
        }),
        Event::Item(Item {
            timestamp,
            item_id: 2002,
            category_id: 7,
            name: "lamp",
            description: "An old brass lamp.",
        }),
        Event::Auction(Auction {
            timestamp,
            auction_id: 3003,
            item_id: 2002,
            seller_id: 1001,
            initial_price: 499,
            reserve: 1250,
            start: timestamp,
            end: timestamp + 15_000,
        }),
        Event::Bid(Bid { timestamp, bid_id: 4004, auction_id: 3003, bidder_id: 1005, price: 777 }),
        Event::Click(Click { timestamp, product: 5005, category: 31, owner: 12, price: 42 }),
        Event::Impression(Impression { timestamp, product: 5006, category: 32 }),
        Event::Search(Search { timestamp, product: 5007, category: 33, rank: 199 }),
    ]
}

fn valid_events() -> Vec<(String, Event<'static>)> {
    let mut all = Vec::new();
    let mut add =
        |what: &str, event: Event<'static>| all.push((format!("{} {what}", event.kind().name()), event));
    for event in typical_events() {
        add("typical", event);
    }
    for (what, number) in [("of the smallest integers", i64::MIN), ("of the largest integers", i64::MAX)] {
        add(what, person(number, [""; 5]));
        add(what, item(number, "", ""));
    }
    for (what, number) in [
        ("of the smallest integers", i64::MIN),
        ("of the largest integers", i64::MAX),
        ("of minus ones", -1),
        ("of zeros", 0),
    ] {
        for event in events_of_one_number(number) {
            add(what, event);
        }
    }
    add("with empty strings", person(1, [""; 5]));
    add("with empty strings", item(1, "", ""));
    add("with non-ASCII strings", person(2, [MIXED, "ß@beispiel.de", "١٢٣٤", "São Paulo", "É"]));
    add(
        "with non-ASCII strings",
        item(2, MIXED, "\u{0} \u{7f} \u{80} \u{7ff} \u{800} \u{ffff} \u{10000} \u{10ffff}"),
    );
    add("with quotes and line ends", item(3, "\"quoted\\\"", "a\r\nb\tc\u{2028}"));
    add("with one long string", item(4, "n", LONG));
    all
}

const LONG: &str = {
    const BYTES: [u8; 300] = [b'x'; 300];
    match std::str::from_utf8(&BYTES) {
        Ok(text) => text,
        Err(_) => unreachable!(),
    }
};

fn encoded(event: Event<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    event.encode(&mut out);
    out
}

/// Name, bytes, error and offset. The expectation is written by hand, independent of the decoder.
fn malformed_records() -> Vec<(String, Vec<u8>, &'static str, usize)> {
    let mut all = vec![("nothing at all".to_owned(), vec![], "empty", 0)];
    for first in [0x00_u8, 0x04, 0x21, 0x24, 0xf4] {
        all.push((format!("first byte {first:#04x}"), vec![first; 41], "unknown-version", 0));
    }
    for first in [0x10_u8, 0x18, 0x1f] {
        all.push((format!("first byte {first:#04x}"), vec![first; 41], "unknown-kind", 0));
    }
    for event in typical_events() {
        let record = encoded(event);
        let name = event.kind().name();
        for (cut, begin) in cuts(&record, event) {
            all.push((format!("{name} cut after {cut} bytes"), record[..cut].to_vec(), "truncated", begin));
        }
        let mut longer = record.clone();
        longer.push(0);
        all.push((format!("{name} with a byte too many"), longer, "trailing-bytes", record.len()));
    }
    all.push(("two bids in one record".into(), encoded(typical_events()[3]).repeat(2), "trailing-bytes", 41));
    add_bad_strings(&mut all);
    all
}

/// Returns where to truncate a record (after the header, and one byte before the end of each field), and the offset
/// of the field that is then missing.
fn cuts(record: &[u8], event: Event<'_>) -> Vec<(usize, usize)> {
    let (integers, strings): (usize, &[&str]) = match &event {
        Event::Person(p) => (2, &[p.name, p.email, p.credit_card, p.city, p.state]),
        Event::Item(i) => (3, &[i.name, i.description]),
        Event::Auction(_) => (8, &[]),
        Event::Bid(_) | Event::Click(_) => (5, &[]),
        Event::Impression(_) => (3, &[]),
        Event::Search(_) => (4, &[]),
    };
    let lengths = (0..integers).map(|_| 8).chain(strings.iter().map(|text| 4 + text.len()));
    let mut begin = 1;
    let mut cuts = vec![(1, 1)];
    for length in lengths {
        cuts.push((begin + length - 1, begin));
        begin += length;
    }
    assert_eq!(begin, record.len(), "the fields listed here are the whole record");
    if !strings.is_empty() {
        cuts.push((1 + 8 * integers + 3, 1 + 8 * integers));
        cuts.push((1 + 8 * integers + 4, 1 + 8 * integers));
    }
    cuts
}

fn add_bad_strings(all: &mut Vec<(String, Vec<u8>, &'static str, usize)>) {
    // The name of an item begins at offset 25: its length, then its bytes from 29 on.
    let with_name = |length: u32, bytes: &[u8]| {
        let mut record = encoded(item(1, "", ""))[..25].to_vec();
        record.extend(length.to_le_bytes());
        record.extend(bytes);
        record
    };
    for length in [7_u32, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, u32::MAX] {
        all.push((
            format!("string that claims {length} bytes"),
            with_name(length, b"abcdef"),
            "truncated",
            25,
        ));
    }
    let bad: [(&str, &[u8], usize); 9] = [
        ("a lone continuation byte", b"ab\x80cd", 2),
        ("an overlong zero", b"\xc0\x80", 0),
        ("an overlong slash of three bytes", b"a\xe0\x80\xaf", 1),
        ("a surrogate", b"abc\xed\xa0\x80", 3),
        ("a character beyond the last", b"\xf4\x90\x80\x80", 0),
        ("a byte that never occurs", b"abcd\xff", 4),
        ("a sequence broken off by the string's end", b"ab\xe2\x82", 2),
        ("a sequence broken off by a letter", b"a\xf0\x9f\xa6z", 1),
        ("good characters before the bad one", b"\xc3\xa9\xe5\x90\x8d\xc3", 5),
    ];
    for (what, bytes, at) in bad {
        let mut record = with_name(bytes.len() as u32, bytes);
        record.extend(0_u32.to_le_bytes());
        all.push((format!("string with {what}"), record, "bad-utf8", 29 + at));
    }
    all.push((
        "bad string in a record that also ends too soon".into(),
        with_name(1, b"\xff"),
        "bad-utf8",
        29,
    ));
    let mut state = encoded(person(1, ["n", "e", "c", "t", ""]));
    let length_at = state.len() - 4;
    state[length_at..].copy_from_slice(&2_u32.to_le_bytes());
    state.extend(b"C\xfe");
    all.push(("bad string in the last field".into(), state, "bad-utf8", length_at + 5));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2));
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// The file's content: an array with one entry per line.
fn document(entries: &[Value]) -> String {
    let lines: Vec<String> = entries.iter().map(|entry| format!("  {entry}")).collect();
    format!("[\n{}\n]\n", lines.join(",\n"))
}

/// Compares with the file, or writes it on request; returns its entries as parsed.
fn check_file(name: &str, entries: &[Value]) -> Vec<Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/wire").join(name);
    let expected = document(entries);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap();
    assert!(found == expected, "{name} is not what this crate writes; see the head of this test");
    serde_json::from_str(&found).unwrap()
}

#[test]
fn golden_bytes_are_what_encode_writes_and_decode_reads() {
    let entries: Vec<Value> = valid_events()
        .into_iter()
        .map(|(name, event)| json!({"name": name, "hex": hex(&encoded(event)), "event": event}))
        .collect();
    for entry in check_file("golden.json", &entries) {
        let record = unhex(entry["hex"].as_str().unwrap());
        let event = Event::decode(&record).unwrap();
        assert_eq!(serde_json::to_value(event).unwrap(), entry["event"], "{}", entry["name"]);
        assert_eq!(encoded(event), record, "{}", entry["name"]);
    }
}

#[test]
fn malformed_bytes_are_refused_with_name_and_offset() {
    let entries: Vec<Value> = malformed_records()
        .into_iter()
        .map(|(name, record, error, offset)| json!({"name": name, "hex": hex(&record), "error": error, "offset": offset}))
        .collect();
    for entry in check_file("malformed.json", &entries) {
        let record = unhex(entry["hex"].as_str().unwrap());
        let error = Event::decode(&record).unwrap_err();
        assert_eq!(
            (error.name(), error.offset()),
            (entry["error"].as_str().unwrap(), entry["offset"].as_u64().unwrap() as usize),
            "{}: {error}",
            entry["name"]
        );
    }
}

#[test]
fn an_error_says_what_is_missing_where() {
    let record = encoded(typical_events()[3]);
    let message = Event::decode(&record[..20]).unwrap_err().to_string();
    assert_eq!(message, "field auction_id at offset 17 needs 8 bytes, 3 are left");
}
