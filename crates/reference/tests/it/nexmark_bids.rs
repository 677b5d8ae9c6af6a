//! Goal: the reference queries match their specification, on streams small enough to check by hand.

use events::{Auction, Bid, Event};
use reference::nexmark::{Q5Settings, Q7Settings, q5, q7};

/// An auction of item `100 + id`.
fn auction(timestamp: i64, id: i64, end: i64) -> Event<'static> {
    Event::Auction(Auction {
        timestamp,
        auction_id: id,
        item_id: 100 + id,
        seller_id: 0,
        initial_price: 0,
        reserve: 0,
        start: timestamp,
        end,
    })
}

fn bid(timestamp: i64, bid_id: i64, auction_id: i64, price: i64) -> Event<'static> {
    Event::Bid(Bid { timestamp, bid_id, auction_id, bidder_id: 0, price })
}

/// (window end, item, bid, price) of Q7 with windows of 10 ms and a horizon of 50 ms.
#[track_caller]
fn check_q7<const N: usize>(events: &[Event<'static>], expected: [(i64, i64, i64, i64); N]) {
    let settings = Q7Settings { window_size_ms: 10, waiting_horizon_ms: 50 };
    let rows = q7(events.iter().copied(), settings);
    let found: Vec<_> = rows.iter().map(|row| (row.window_end, row.item_id, row.bid_id, row.price)).collect();
    assert_eq!(found, expected);
}

/// (window end, item, bids) of Q5 with windows of 10 ms every 5 ms and a horizon of 50 ms.
#[track_caller]
fn check_q5<const N: usize>(events: &[Event<'static>], expected: [(i64, i64, i64); N]) {
    let settings = Q5Settings { window_size_ms: 10, window_slide_ms: 5, waiting_horizon_ms: 50 };
    let rows = q5(events.iter().copied(), settings);
    let found: Vec<_> = rows.iter().map(|row| (row.window_end, row.item_id, row.bids)).collect();
    assert_eq!(found, expected);
}

#[test]
fn q7_takes_the_highest_bid_of_each_window_and_leaves_empty_windows_out() {
    check_q7(
        &[
            auction(0, 1, 1000),
            auction(0, 2, 1000),
            bid(0, 1, 1, 30),
            bid(9, 2, 2, 40),
            bid(10, 3, 1, 5),
            bid(35, 4, 2, 7),
            bid(39, 5, 1, 6),
        ],
        [(10, 102, 2, 40), (20, 101, 3, 5), (40, 102, 4, 7)],
    );
}

#[test]
fn q7_breaks_a_tie_by_the_lowest_bid_in_any_order_of_arrival() {
    let tied = [bid(3, 9, 1, 40), bid(2, 4, 2, 40), bid(1, 7, 1, 40)];
    let mut events = vec![auction(0, 1, 1000), auction(0, 2, 1000)];
    events.extend(tied);
    check_q7(&events, [(10, 102, 4, 40)]);
    events.reverse();
    check_q7(&events, [(10, 102, 4, 40)]);
}

#[test]
fn a_bid_before_its_auction_counts_from_the_auction_on() {
    check_q7(&[bid(5, 1, 1, 40), auction(25, 1, 1000)], [(30, 101, 1, 40)]);
}

#[test]
fn a_bid_at_the_end_of_its_auction_counts_nowhere() {
    check_q7(&[auction(0, 1, 8), bid(7, 1, 1, 1), bid(8, 2, 1, 50), bid(9, 3, 1, 60)], [(10, 101, 1, 1)]);
}

#[test]
fn an_early_bid_counts_even_if_the_window_of_its_own_time_is_another() {
    check_q7(&[bid(9, 1, 1, 40), auction(10, 1, 12), bid(11, 2, 1, 30)], [(20, 101, 1, 40)]);
}

#[test]
fn a_bid_waits_for_the_horizon_and_not_longer() {
    check_q7(&[bid(10, 1, 1, 1), auction(60, 1, 1000)], [(70, 101, 1, 1)]);
    check_q7(&[bid(9, 1, 1, 1), auction(60, 1, 1000)], []);
    check_q7(&[bid(9, 1, 1, 1)], []);
}

#[test]
fn windows_before_the_epoch_end_at_multiples_too() {
    check_q7(
        &[auction(-25, 1, 1000), bid(-1, 1, 1, 3), bid(-11, 2, 1, 4)],
        [(-10, 101, 2, 4), (0, 101, 1, 3)],
    );
}

#[test]
fn q5_counts_in_every_window_that_contains_the_bid() {
    check_q5(&[auction(0, 1, 1000), bid(7, 1, 1, 1)], [(10, 101, 1), (15, 101, 1)]);
    check_q5(&[auction(0, 1, 1000), bid(10, 1, 1, 1)], [(15, 101, 1), (20, 101, 1)]);
}

#[test]
fn q5_gives_all_items_of_a_tie_and_only_the_hottest() {
    check_q5(
        &[
            auction(0, 1, 1000),
            auction(0, 2, 1000),
            auction(0, 3, 1000),
            bid(0, 1, 2, 1),
            bid(1, 2, 1, 1),
            bid(2, 3, 2, 1),
            bid(3, 4, 1, 1),
            bid(4, 5, 3, 1),
            bid(6, 6, 3, 1),
            bid(7, 7, 3, 1),
        ],
        [(5, 101, 2), (5, 102, 2), (10, 103, 3), (15, 103, 2)],
    );
}

#[test]
fn q5_leaves_out_bids_that_do_not_count() {
    check_q5(&[auction(0, 1, 3), bid(3, 1, 1, 1), bid(0, 2, 9, 1)], []);
}

#[test]
fn rows_are_the_records_of_the_job() {
    let events = [auction(0, 1, 1000), bid(1, 2, 1, 3)];
    let q7_rows = q7(events, Q7Settings { window_size_ms: 10, waiting_horizon_ms: 0 });
    assert_eq!(
        serde_json::to_string(&q7_rows).unwrap(),
        r#"[{"query":"q7","window_end":10,"item_id":101,"bid_id":2,"price":3}]"#
    );
    let q5_rows = q5(events, Q5Settings { window_size_ms: 10, window_slide_ms: 10, waiting_horizon_ms: 0 });
    assert_eq!(
        serde_json::to_string(&q5_rows).unwrap(),
        r#"[{"query":"q5","window_end":10,"item_id":101,"bids":1}]"#
    );
}
