//! Goal: the stream matches the benchmark's description at any rate, and an event depends on seed and number alone.

use std::collections::HashMap;

use events::{Auction, Bid, Event};
use generator::nexmark::{
    FIRST_AUCTION_ID, FIRST_BID_ID, FIRST_ITEM_ID, FIRST_PERSON_ID, HOT_KEY_BATCH, Nexmark, NexmarkConfig,
};
use generator::profile::ProfileConfig;
use generator::{Recording, Workload};
use proptest::prelude::*;

fn workload(config: &str, rate: f64, seed: u64) -> Workload {
    let settings = toml::from_str::<NexmarkConfig>(config).unwrap().check().unwrap();
    let schedule = ProfileConfig::Constant { rate, duration_s: None }.check().unwrap();
    Workload::new(Nexmark::new(settings, seed), schedule, 1_700_000_000_000, None)
}

fn record(config: &str, rate: f64, count: u64) -> Recording {
    workload(config, rate, 42).record(0..count)
}

fn auctions(recording: &Recording) -> Vec<Auction> {
    let auction = |event| if let Event::Auction(auction) = event { Some(auction) } else { None };
    recording.events().filter_map(|event| auction(event.unwrap())).collect()
}

fn bids(recording: &Recording) -> Vec<Bid> {
    let bid = |event| if let Event::Bid(bid) = event { Some(bid) } else { None };
    recording.events().filter_map(|event| bid(event.unwrap())).collect()
}

#[test]
fn every_auction_introduces_the_item_right_before_it() {
    let recording = record("", 1e4, 53_000);
    let (mut last_item, mut found) = (None, 0);
    for event in recording.events() {
        match event.unwrap() {
            Event::Item(item) => last_item = Some(item.item_id),
            Event::Auction(auction) => {
                assert_eq!(last_item.take(), Some(auction.item_id));
                assert_eq!(auction.start, auction.timestamp);
                assert!(auction.end > auction.start);
                assert!(auction.reserve > auction.initial_price);
                found += 1;
            }
            _ => assert_eq!(last_item, None),
        }
    }
    assert_eq!(found, 3_000);
}

/// The fast path caches values between events; the order of calls must not show.
#[test]
fn encoding_gives_the_bytes_of_the_event_in_any_order_of_numbers() {
    for config in ["", "preset = \"thesis\"", "persons = 2\nauctions = 3\nbids = 1", "bids = 0"] {
        let workload = workload(config, 1e5, 5);
        let (mut fast, mut plain, mut record, mut expected) =
            (workload.source(), workload.source(), Vec::new(), Vec::new());
        let forward = (0..500).chain(1_000_000..1_000_200);
        for number in forward.clone().chain(forward.rev()).chain((0..900).step_by(7)) {
            record.clear();
            expected.clear();
            let timestamp = fast.encode(number, &mut record);
            let event = plain.event(number);
            event.encode(&mut expected);
            assert_eq!((timestamp, &record), (event.timestamp(), &expected), "event {number} of {config:?}");
        }
    }
}

#[test]
fn ids_count_up_and_references_are_at_most_the_lead_ahead() {
    let mut next = [FIRST_PERSON_ID, FIRST_ITEM_ID, FIRST_AUCTION_ID, FIRST_BID_ID];
    let (mut persons_ahead, mut auctions_ahead) = (0, 0);
    let recording = record("person_lead = 7\nauction_lead = 5", 1e5, 200_000);
    for event in recording.events() {
        let mut is_next = |kind: usize, id: i64| {
            assert_eq!(id, next[kind]);
            next[kind] += 1;
        };
        match event.unwrap() {
            Event::Person(person) => is_next(0, person.person_id),
            Event::Item(item) => is_next(1, item.item_id),
            Event::Auction(auction) => {
                is_next(2, auction.auction_id);
                assert!((FIRST_PERSON_ID..next[0] + 7).contains(&auction.seller_id));
            }
            Event::Bid(bid) => {
                is_next(3, bid.bid_id);
                assert!((FIRST_PERSON_ID..next[0] + 7).contains(&bid.bidder_id));
                assert!((FIRST_AUCTION_ID..next[2] + 5).contains(&bid.auction_id));
                assert!(bid.auction_id >= next[2] - 2 * HOT_KEY_BATCH as i64, "an old auction");
                persons_ahead += usize::from(bid.bidder_id >= next[0]);
                auctions_ahead += usize::from(bid.auction_id >= next[2]);
            }
            other => panic!("{other:?} is of another benchmark"),
        }
    }
    assert!(persons_ahead > 100 && auctions_ahead > 100, "{persons_ahead} and {auctions_ahead} point ahead");
}

#[test]
fn hot_keys_get_their_share_and_ratio_one_has_none() {
    let share = |config: &str| {
        let recording = record(config, 1e5, 500_000);
        let (bids, auctions) = (bids(&recording), auctions(&recording));
        let batch = HOT_KEY_BATCH as i64;
        let part = |hot: usize, all: usize| hot as f64 / all as f64;
        [
            part(
                bids.iter().filter(|bid| (bid.auction_id - FIRST_AUCTION_ID) % batch == 0).count(),
                bids.len(),
            ),
            part(
                auctions.iter().filter(|a| (a.seller_id - FIRST_PERSON_ID) % batch == 0).count(),
                auctions.len(),
            ),
            part(
                bids.iter().filter(|bid| (bid.bidder_id - FIRST_PERSON_ID) % batch == 1).count(),
                bids.len(),
            ),
        ]
    };
    let near = |found: [f64; 3], expected: [f64; 3]| {
        for (found, expected) in found.into_iter().zip(expected) {
            assert!((found - expected).abs() < 0.02, "{found} instead of {expected}");
        }
    };
    // A hundredth of the other references has the same ids by chance.
    near(share(""), [0.505, 0.752, 0.752]);
    near(share("hot_auction_ratio = 1\nhot_seller_ratio = 1\nhot_bidder_ratio = 1"), [0.01, 0.01, 0.01]);
    near(share("preset = \"thesis\""), [0.01, 0.01, 0.01]);
}

#[test]
fn about_as_many_auctions_are_open_as_configured_at_any_rate() {
    for rate in [100.0, 1e4, 1e6] {
        let auctions = auctions(&record("in_flight_auctions = 200", rate, 300_000));
        let now = auctions[auctions.len() / 2].timestamp;
        let open = auctions.iter().filter(|auction| auction.start <= now && now < auction.end).count();
        assert!((140..260).contains(&open), "{open} are open at {rate} events/s");
    }
}

#[test]
fn the_preset_thesis_has_auctions_of_ten_to_twenty_seconds() {
    let recording = record("preset = \"thesis\"", 1e4, 13_000);
    let auctions = auctions(&recording);
    assert_eq!((auctions.len(), bids(&recording).len()), (1_000, 10_000));
    let lengths: Vec<i64> = auctions.iter().map(|auction| auction.end - auction.start).collect();
    assert!(lengths.iter().all(|length| (10_000..=20_000).contains(length)));
    assert!(lengths.iter().min().unwrap() < &10_100 && lengths.iter().max().unwrap() > &19_900);
}

#[test]
fn prices_are_spread_evenly_over_the_orders_of_magnitude() {
    let mut decades: HashMap<u32, usize> = HashMap::new();
    let bids = bids(&record("", 1e5, 200_000));
    for bid in &bids {
        assert!((100..=100_000_000).contains(&bid.price));
        *decades.entry(bid.price.ilog10()).or_default() += 1;
    }
    for decade in 2..8 {
        let share = decades[&decade] as f64 / bids.len() as f64;
        assert!((share - 1.0 / 6.0).abs() < 0.01, "{share} of the prices in decade {decade}");
    }
}

#[test]
fn strings_have_the_sizes_asked_for() {
    let sizes = "person_name_bytes = 64\nemail_bytes = 1000\ncity_bytes = 40\nitem_name_bytes = 33\ndescription_bytes = 5000";
    for event in record(sizes, 1e4, 200).events() {
        match event.unwrap() {
            Event::Person(p) => {
                assert_eq!((p.name.len(), p.email.len(), p.city.len()), (64, 1000, 40));
                assert_eq!((p.credit_card.len(), p.state.len()), (16, 2));
            }
            Event::Item(item) => assert_eq!((item.name.len(), item.description.len()), (33, 5000)),
            _ => {}
        }
    }
}

#[test]
fn seeds_give_different_streams_of_the_same_kinds() {
    let (one, two) = (workload("", 1e4, 1).record(0..1_000), workload("", 1e4, 2).record(0..1_000));
    let differing = one.events().zip(two.events()).filter(|(a, b)| a != b).count();
    assert!(differing > 990, "{differing} of 1000 differ");
    assert!(one.events().zip(two.events()).all(|(a, b)| a.unwrap().kind() == b.unwrap().kind()));
}

proptest! {
    #[test]
    fn an_event_is_the_same_wherever_the_reading_begins(seed in any::<u64>(), from in 0_u64..1 << 40, rate in 1.0..1e7) {
        let workload = workload("", rate, seed);
        let forward = workload.record(from..from + 60);
        let mut source = workload.source();
        for number in (from..from + 60).rev() {
            let mut bytes = Vec::new();
            source.event(number).encode(&mut bytes);
            prop_assert_eq!(&bytes[..], forward.records().nth((number - from) as usize).unwrap());
        }
    }

    #[test]
    fn timestamps_never_decrease(from in 0_u64..1 << 40, rate in 0.5..1e7) {
        let recording = workload("", rate, 1).record(from..from + 200);
        let times: Vec<i64> = recording.events().map(|event| event.unwrap().timestamp()).collect();
        prop_assert!(times.is_sorted());
    }
}
