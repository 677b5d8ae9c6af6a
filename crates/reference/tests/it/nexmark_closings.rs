//! Goal: Q4, Q6 and Q8 match their specification, on streams small enough to check by hand.

use events::{Auction, Bid, Event, Item, Person};
use reference::nexmark::{Q4Settings, Q6Settings, Q8Settings, q4, q6, q8};

const INITIAL_PRICE: i64 = 500;

/// Item `100 + id` of a category.
fn item(timestamp: i64, id: i64, category_id: i64) -> Event<'static> {
    Event::Item(Item { timestamp, item_id: 100 + id, category_id, name: "", description: "" })
}

/// An auction of item `100 + id` by seller 7, from its timestamp on.
fn auction(timestamp: i64, id: i64, end: i64) -> Event<'static> {
    auction_by(7, timestamp, id, (timestamp, end))
}

fn auction_by(seller_id: i64, timestamp: i64, id: i64, (start, end): (i64, i64)) -> Event<'static> {
    Event::Auction(Auction {
        timestamp,
        auction_id: id,
        item_id: 100 + id,
        seller_id,
        initial_price: INITIAL_PRICE,
        reserve: 9_999,
        start,
        end,
    })
}

fn bid(timestamp: i64, auction_id: i64, price: i64) -> Event<'static> {
    Event::Bid(Bid { timestamp, bid_id: timestamp, auction_id, bidder_id: 0, price })
}

fn person(timestamp: i64, person_id: i64, name: &'static str) -> Event<'static> {
    Event::Person(Person { timestamp, person_id, name, email: "", credit_card: "", city: "", state: "" })
}

/// (category, closed auctions, average) of Q4 with a horizon of 50 ms.
#[track_caller]
fn check_q4<const N: usize>(events: &[Event<'static>], expected: [(i64, i64, f64); N]) {
    let rows = q4(events.iter().copied(), Q4Settings { waiting_horizon_ms: 50 });
    let found: Vec<_> =
        rows.iter().map(|row| (row.category_id, row.closed_auctions, row.average_price.to_f64())).collect();
    assert_eq!(found, expected);
}

/// (seller, auctions, average) of Q6 with a horizon of 50 ms.
#[track_caller]
fn check_q6<const N: usize>(
    (window_size, window_slide): (usize, usize),
    events: &[Event<'static>],
    expected: [(i64, i64, f64); N],
) {
    let settings = Q6Settings { window_size, window_slide, waiting_horizon_ms: 50 };
    let rows = q6(events.iter().copied(), settings);
    let found: Vec<_> =
        rows.iter().map(|row| (row.seller_id, row.auctions, row.average_price.to_f64())).collect();
    assert_eq!(found, expected);
}

/// (window end, person, auction) of Q8 with windows of 10 ms.
#[track_caller]
fn check_q8<const N: usize>(events: &[Event<'static>], expected: [(i64, i64, i64); N]) {
    let rows = q8(events.iter().copied(), Q8Settings { window_size_ms: 10 });
    let found: Vec<_> = rows.iter().map(|row| (row.window_end, row.person_id, row.auction_id)).collect();
    assert_eq!(found, expected);
}

/// Checks the closing price of one auction in both queries that compute it.
#[track_caller]
fn check_closing_price(auction_and_bids: &[Event<'static>], price: i64) {
    check_q6((10, 1), auction_and_bids, [(7, 1, price as f64)]);
    let mut events = vec![item(10, 1, 3)];
    events.extend(auction_and_bids);
    check_q4(&events, [(3, 1, price as f64)]);
    events.reverse();
    check_q4(&events, [(3, 1, price as f64)]);
}

#[test]
fn the_highest_bid_is_the_closing_price_also_of_a_tie() {
    check_closing_price(
        &[auction(0, 1, 90), bid(1, 1, 900), bid(2, 1, 950), bid(3, 1, 950), bid(4, 1, 20)],
        950,
    );
}

#[test]
fn without_bids_the_initial_price_is_the_closing_price() {
    check_closing_price(&[auction(0, 1, 90)], INITIAL_PRICE);
    check_closing_price(&[auction(0, 1, 90), bid(1, 2, 900)], INITIAL_PRICE);
}

#[test]
fn a_bid_below_the_initial_price_is_better_than_none() {
    check_closing_price(&[auction(0, 1, 90), bid(1, 1, 20)], 20);
}

#[test]
fn bids_count_from_the_start_to_just_before_the_end() {
    let auction = auction_by(7, 0, 1, (10, 20));
    check_closing_price(&[auction, bid(9, 1, 900)], INITIAL_PRICE);
    check_closing_price(&[auction, bid(10, 1, 900)], 900);
    check_closing_price(&[auction, bid(19, 1, 900)], 900);
    check_closing_price(&[auction, bid(20, 1, 900)], INITIAL_PRICE);
}

#[test]
fn a_bid_before_its_auction_counts_within_the_horizon() {
    check_closing_price(&[bid(10, 1, 900), auction_by(7, 60, 1, (0, 90))], 900);
    check_closing_price(&[bid(9, 1, 900), auction_by(7, 60, 1, (0, 90))], INITIAL_PRICE);
}

#[test]
fn q4_has_bids_wait_for_the_item_as_well() {
    let events = |bid_time| [auction(0, 1, 90), bid(bid_time, 1, 900), item(50, 1, 3)];
    check_q4(&events(0), [(3, 1, 900.0)]);
    let late_item = [auction(10, 1, 90), bid(10, 1, 900), item(60, 1, 3)];
    check_q4(&late_item, [(3, 1, 900.0)]);
    let late_item = [auction_by(7, 11, 1, (0, 90)), bid(10, 1, 900), item(61, 1, 3)];
    check_q4(&late_item, [(3, 1, INITIAL_PRICE as f64)]);
}

#[test]
fn q4_leaves_out_auctions_whose_item_is_missing_or_too_far_away() {
    check_q4(&[auction(0, 1, 90)], []);
    check_q4(&[auction(0, 1, 90), item(51, 1, 3)], []);
    check_q4(&[item(0, 1, 3), auction(51, 1, 90)], []);
    check_q4(&[item(0, 1, 3)], []);
}

#[test]
fn q4_averages_each_category_exactly() {
    let mut events = vec![item(0, 1, 3), item(0, 2, 4), item(0, 3, 3), item(0, 4, 3)];
    events.extend([1, 2, 3, 4].map(|id| auction(0, id, 90)));
    events.extend([bid(1, 1, 100), bid(1, 2, 8), bid(1, 3, 100), bid(1, 4, 101)]);
    check_q4(&events, [(3, 3, 301.0 / 3.0), (4, 1, 8.0)]);
}

/// Three auctions of a seller, closed at 100, 200 and 400 cents in this order, whatever the order of the stream.
fn three_closings() -> Vec<Event<'static>> {
    let mut events = vec![auction(0, 1, 40), auction(0, 3, 30), auction(0, 2, 30)];
    events.extend([bid(1, 2, 100), bid(1, 3, 200), bid(1, 1, 400)]);
    events
}

#[test]
fn q6_takes_auctions_by_end_and_then_by_id() {
    let expected = [(7, 1, 100.0), (7, 2, 150.0), (7, 3, 700.0 / 3.0)];
    let mut events = three_closings();
    check_q6((10, 1), &events, expected);
    events.reverse();
    check_q6((10, 1), &events, expected);
}

#[test]
fn q6_forgets_what_is_older_than_the_window() {
    check_q6((2, 1), &three_closings(), [(7, 1, 100.0), (7, 2, 150.0), (7, 2, 300.0)]);
    check_q6((1, 1), &three_closings(), [(7, 1, 100.0), (7, 1, 200.0), (7, 1, 400.0)]);
}

#[test]
fn q6_writes_a_row_for_every_slide_only() {
    check_q6((2, 2), &three_closings(), [(7, 2, 150.0)]);
    check_q6((3, 3), &three_closings(), [(7, 3, 700.0 / 3.0)]);
    check_q6((4, 4), &three_closings(), []);
}

#[test]
fn q6_keeps_sellers_apart() {
    let events = [auction_by(9, 0, 1, (0, 5)), auction_by(8, 0, 2, (0, 6)), bid(1, 2, 3)];
    check_q6((10, 1), &events, [(8, 1, 3.0), (9, 1, INITIAL_PRICE as f64)]);
}

#[test]
fn q8_has_a_row_for_each_auction_of_a_new_person() {
    check_q8(
        &[
            auction_by(1, 10, 30, (0, 90)),
            person(19, 1, "Ada"),
            auction_by(1, 12, 20, (0, 90)),
            auction_by(1, 20, 40, (0, 90)),
            auction_by(2, 13, 50, (0, 90)),
        ],
        [(20, 1, 20), (20, 1, 30)],
    );
}

#[test]
fn q8_needs_both_in_one_window() {
    check_q8(&[person(9, 1, "Ada"), auction_by(1, 10, 1, (0, 90))], []);
    check_q8(&[person(10, 1, "Ada"), auction_by(1, 9, 1, (0, 90))], []);
    check_q8(&[person(-1, 1, "Ada"), auction_by(1, 0, 1, (0, 90))], []);
    check_q8(&[person(-10, 1, "Ada"), auction_by(1, -1, 1, (0, 90))], [(0, 1, 1)]);
    check_q8(&[person(0, 1, "Ada")], []);
}

#[test]
fn rows_are_the_records_of_the_job() {
    let events = [
        person(0, 7, "Ada \"Countess\" Löwe"),
        item(0, 1, 3),
        item(0, 2, 3),
        auction(0, 1, 90),
        auction(0, 2, 91),
        bid(1, 1, 101),
    ];
    let q4_rows = q4(events, Q4Settings { waiting_horizon_ms: 0 });
    // The bid came after the auction; with a horizon of 0 it still counts.
    assert_eq!(
        serde_json::to_string(&q4_rows).unwrap(),
        r#"[{"query":"q4","category_id":3,"closed_auctions":2,"average_price":300.5}]"#
    );
    let q6_rows = q6(events, Q6Settings { window_size: 1, window_slide: 1, waiting_horizon_ms: 0 });
    assert_eq!(
        serde_json::to_string(&q6_rows[..1]).unwrap(),
        r#"[{"query":"q6","seller_id":7,"auctions":1,"average_price":101.0}]"#
    );
    let q8_rows = q8(events, Q8Settings { window_size_ms: 10 });
    assert_eq!(
        serde_json::to_string(&q8_rows[..1]).unwrap(),
        r#"[{"query":"q8","window_end":10,"person_id":7,"name":"Ada \"Countess\" Löwe","auction_id":1}]"#
    );
}

#[test]
fn a_number_written_by_the_job_is_read_as_the_same_number() {
    let third = q4(
        [item(0, 1, 3), item(0, 2, 3), item(0, 3, 3)].into_iter().chain([
            auction(0, 1, 9),
            auction(0, 2, 9),
            auction(0, 3, 9),
            bid(0, 1, 1),
            bid(0, 2, 0),
            bid(0, 3, 0),
        ]),
        Q4Settings { waiting_horizon_ms: 50 },
    );
    let written = r#"{"query":"q4","category_id":3,"closed_auctions":3,"average_price":0.3333333333333333}"#;
    assert_eq!(serde_json::from_str::<reference::nexmark::Q4Row>(written).unwrap(), third[0]);
    let another = written.replace("3333}", "3334}");
    assert_ne!(serde_json::from_str::<reference::nexmark::Q4Row>(&another).unwrap(), third[0]);
}
