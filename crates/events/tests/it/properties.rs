//! Goal: an encoded event is decoded unchanged, and nothing else is accepted as it: any truncation, surplus or
//! corruption of a length or of the first byte is an error or another well-formed event, never a panic.

use events::{Auction, Bid, Click, DecodeError, Event, Impression, Item, Kind, Person, Search};
use proptest::prelude::*;

type Parts = ([i64; 8], [String; 5]);

fn parts() -> impl Strategy<Value = Parts> {
    let integer = prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), -1000_i64..1000];
    (prop::array::uniform8(integer), prop::array::uniform5(".{0,40}"))
}

/// Builds the event of this kind from its parts.
fn event_of(kind: Kind, (n, texts): &Parts) -> Event<'_> {
    let [timestamp, a, b, c, d, e, f, g] = *n;
    let [name, email, credit_card, city, state] = texts.each_ref().map(String::as_str);
    match kind {
        Kind::Person => {
            Event::Person(Person { timestamp, person_id: a, name, email, credit_card, city, state })
        }
        Kind::Item => Event::Item(Item { timestamp, item_id: a, category_id: b, name, description: email }),
        Kind::Auction => Event::Auction(Auction {
            timestamp,
            auction_id: a,
            item_id: b,
            seller_id: c,
            initial_price: d,
            reserve: e,
            start: f,
            end: g,
        }),
        Kind::Bid => Event::Bid(Bid { timestamp, bid_id: a, auction_id: b, bidder_id: c, price: d }),
        Kind::Click => Event::Click(Click { timestamp, product: a, category: b, owner: c, price: d }),
        Kind::Impression => Event::Impression(Impression { timestamp, product: a, category: b }),
        Kind::Search => Event::Search(Search { timestamp, product: a, category: b, rank: c }),
    }
}

fn kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(Kind::ALL.to_vec())
}

fn encoded(event: Event<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    event.encode(&mut out);
    out
}

proptest! {
    #[test]
    fn what_is_encoded_comes_back(kind in kind(), parts in parts(), before in prop::collection::vec(any::<u8>(), 0..20)) {
        let event = event_of(kind, &parts);
        let mut out = before.clone();
        event.encode(&mut out);
        prop_assert_eq!(&out[..before.len()], &before[..], "what was in the buffer stays");
        prop_assert_eq!(Event::decode(&out[before.len()..]), Ok(event));
        prop_assert_eq!((event.kind(), event.timestamp()), (kind, parts.0[0]));
    }

    #[test]
    fn every_truncation_is_an_error(kind in kind(), parts in parts()) {
        let record = encoded(event_of(kind, &parts));
        for length in 0..record.len() {
            let error = Event::decode(&record[..length]).unwrap_err();
            match error {
                DecodeError::Empty => prop_assert_eq!(length, 0),
                DecodeError::Truncated { offset, needed, present, .. } => {
                    prop_assert_eq!(offset + present, length);
                    prop_assert!(needed > present as u64);
                }
                other => prop_assert!(false, "{}", other),
            }
        }
    }

    #[test]
    fn every_surplus_is_an_error(kind in kind(), parts in parts(), surplus in prop::collection::vec(any::<u8>(), 1..50)) {
        let mut record = encoded(event_of(kind, &parts));
        let offset = record.len();
        record.extend(&surplus);
        prop_assert_eq!(Event::decode(&record), Err(DecodeError::TrailingBytes { offset, count: surplus.len() }));
    }

    #[test]
    fn another_first_byte_is_an_error_or_another_kind(kind in kind(), parts in parts(), first in any::<u8>()) {
        let mut record = encoded(event_of(kind, &parts));
        record[0] = first;
        match Event::decode(&record) {
            Ok(event) => prop_assert_eq!(first, 0x10 | event.kind().number()),
            Err(error) => prop_assert!(error.offset() <= record.len()),
        }
        if first >> 4 != 1 {
            prop_assert_eq!(Event::decode(&record), Err(DecodeError::UnknownVersion { version: first >> 4 }));
        } else if !(1..=7).contains(&(first & 15)) {
            prop_assert_eq!(Event::decode(&record), Err(DecodeError::UnknownKind { number: first & 15 }));
        }
    }

    #[test]
    fn another_length_of_a_string_is_an_error(parts in parts(), length in any::<u32>()) {
        let Event::Item(item) = event_of(Kind::Item, &parts) else { unreachable!() };
        let mut record = encoded(Event::Item(item));
        let at = 25 + 4 + item.name.len();
        prop_assume!(length as usize != item.description.len());
        record[at..at + 4].copy_from_slice(&length.to_le_bytes());
        let error = Event::decode(&record).unwrap_err();
        if length as usize > item.description.len() {
            prop_assert_eq!((error.name(), error.offset()), ("truncated", at));
        } else {
            prop_assert!(matches!(error.name(), "trailing-bytes" | "bad-utf8"));
        }
    }

    #[test]
    fn any_bytes_are_an_error_or_exactly_the_record_of_an_event(bytes in prop::collection::vec(any::<u8>(), 0..120), kind in 0_u8..9) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = 0x10 | kind;
        }
        match Event::decode(&bytes) {
            Ok(event) => prop_assert_eq!(encoded(event), bytes),
            Err(error) => prop_assert!(error.offset() <= bytes.len()),
        }
    }
}
