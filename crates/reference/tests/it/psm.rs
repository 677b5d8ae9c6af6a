//! Goal: the reference queries over the price-comparison site match their specification, on streams small enough to
//! check by hand.

use events::{Click, Event, Impression, Search};
use reference::psm::{Q1Settings, Q2Settings, Q3Settings, Q4Settings, Q5Settings, q1, q2, q3, q4, q5};

/// A click on product 5.
fn click(timestamp: i64, owner: i64, category: i64, price: i64) -> Event<'static> {
    Event::Click(Click { timestamp, product: 5, category, owner, price })
}

/// A click on a product.
fn product_click(timestamp: i64, product: i64, price: i64) -> Event<'static> {
    Event::Click(Click { timestamp, product, category: 0, owner: 0, price })
}

fn impression(timestamp: i64, product: i64) -> Event<'static> {
    Event::Impression(Impression { timestamp, product, category: 0 })
}

fn search(timestamp: i64, product: i64) -> Event<'static> {
    Event::Search(Search { timestamp, product, category: 0, rank: 0 })
}

/// (window end, owner, category, clicks) of Q1 with windows of 10 ms.
#[track_caller]
fn check_q1<const N: usize>(events: &[Event<'static>], expected: [(i64, i64, i64, i64); N]) {
    let rows = q1(events.iter().copied(), Q1Settings { window_size_ms: 10 });
    let found: Vec<_> =
        rows.iter().map(|row| (row.window_end, row.owner, row.category, row.clicks)).collect();
    assert_eq!(found, expected);
}

/// (product, clicks, median) of Q2 with windows of 4 clicks every 2.
#[track_caller]
fn check_q2<const N: usize>(events: &[Event<'static>], expected: [(i64, i64, f64); N]) {
    let rows = q2(events.iter().copied(), Q2Settings { window_size: 4, window_slide: 2 });
    let found: Vec<_> = rows.iter().map(|row| (row.product, row.clicks, row.median_price.to_f64())).collect();
    assert_eq!(found, expected);
}

/// (window end, owner, clicks, median) of Q3 with windows of 10 ms.
#[track_caller]
fn check_q3<const N: usize>(events: &[Event<'static>], expected: [(i64, i64, i64, f64); N]) {
    let rows = q3(events.iter().copied(), Q3Settings { window_size_ms: 10 });
    let found: Vec<_> =
        rows.iter().map(|row| (row.window_end, row.owner, row.clicks, row.median_price.to_f64())).collect();
    assert_eq!(found, expected);
}

/// (window end, product, impressions, clicks, ratio) of Q4 with windows of 10 ms every 5 ms.
#[track_caller]
fn check_q4<const N: usize>(events: &[Event<'static>], expected: [(i64, i64, i64, i64, f64); N]) {
    let rows = q4(events.iter().copied(), Q4Settings { window_size_ms: 10, window_slide_ms: 5 });
    let found: Vec<_> = rows
        .iter()
        .map(|row| (row.window_end, row.product, row.impressions, row.clicks, row.ratio.to_f64()))
        .collect();
    assert_eq!(found, expected);
}

/// (window end, product, searches, clicks, ratio) of Q5 with windows of 10 ms.
#[track_caller]
fn check_q5<const N: usize>(events: &[Event<'static>], expected: [(i64, i64, i64, i64, f64); N]) {
    let rows = q5(events.iter().copied(), Q5Settings { window_size_ms: 10 });
    let found: Vec<_> = rows
        .iter()
        .map(|row| (row.window_end, row.product, row.searches, row.clicks, row.ratio.to_f64()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn q1_gives_the_best_category_of_each_owner_and_window() {
    check_q1(
        &[
            click(0, 1, 30, 20),
            click(9, 1, 30, 20),
            click(5, 1, 20, 70),
            click(5, 2, 20, 70),
            click(10, 1, 20, 20),
            click(35, 1, 40, 20),
        ],
        [(10, 1, 30, 2), (10, 2, 20, 1), (20, 1, 20, 1), (40, 1, 40, 1)],
    );
}

#[test]
fn q1_gives_all_categories_of_a_tie_in_any_order_of_arrival() {
    let mut events = vec![
        click(1, 1, 40, 1),
        click(2, 1, 30, 1),
        click(3, 1, 30, 1),
        click(4, 1, 40, 1),
        click(5, 1, 20, 1),
    ];
    check_q1(&events, [(10, 1, 30, 2), (10, 1, 40, 2)]);
    events.reverse();
    check_q1(&events, [(10, 1, 30, 2), (10, 1, 40, 2)]);
}

#[test]
fn windows_before_the_epoch_end_at_multiples_too() {
    check_q1(&[click(-1, 1, 2, 1), click(-10, 1, 2, 1), click(-11, 1, 2, 1)], [(-10, 1, 2, 1), (0, 1, 2, 2)]);
}

#[test]
fn nothing_comes_of_streams_without_clicks() {
    let events = [impression(1, 5), search(1, 5)];
    check_q1(&events, []);
    check_q2(&events, []);
    check_q3(&events, []);
    check_q4(&events, []);
    check_q5(&events, []);
}

#[test]
fn q2_fires_with_every_slide_over_the_clicks_there_are() {
    let prices = [10, 40, 20, 30, 50, 50, 7];
    let events: Vec<_> = prices.into_iter().map(|price| product_click(0, 5, price)).collect();
    // {10, 40}, then {10, 20, 30, 40}, then {20, 30, 50, 50}; the seventh click waits for an eighth.
    check_q2(&events, [(5, 2, 25.0), (5, 4, 25.0), (5, 4, 40.0)]);
}

#[test]
fn q2_goes_by_the_order_of_the_stream_and_not_by_timestamps() {
    let first = [product_click(9, 5, 10), product_click(1, 5, 20)];
    let then = [product_click(5, 5, 90), product_click(0, 5, 91)];
    let last = [product_click(3, 5, 92), product_click(2, 5, 93)];
    let events = [first, then, last].concat();
    check_q2(&events, [(5, 2, 15.0), (5, 4, 55.0), (5, 4, 91.5)]);
}

#[test]
fn q2_counts_each_product_by_itself() {
    let events = [product_click(0, 6, 1), product_click(0, 5, 2), product_click(0, 6, 3)];
    check_q2(&events, [(6, 2, 2.0)]);
}

#[test]
fn a_median_of_an_even_number_is_the_mean_of_the_middle_two() {
    check_q3(&[click(0, 1, 0, 21)], [(10, 1, 1, 21.0)]);
    check_q3(&[click(0, 1, 0, 21), click(1, 1, 0, 70)], [(10, 1, 2, 45.5)]);
    check_q3(&[click(0, 1, 0, 70), click(1, 1, 0, 20), click(2, 1, 0, 21)], [(10, 1, 3, 21.0)]);
    let tied = [click(0, 1, 0, 70), click(1, 1, 0, 30), click(2, 1, 0, 30), click(3, 1, 0, 20)];
    check_q3(&tied, [(10, 1, 4, 30.0)]);
}

#[test]
fn q3_keeps_owners_and_windows_apart() {
    check_q3(
        &[click(9, 2, 0, 20), click(9, 1, 0, 30), click(10, 1, 0, 40)],
        [(10, 1, 1, 30.0), (10, 2, 1, 20.0), (20, 1, 1, 40.0)],
    );
}

#[test]
fn q4_counts_in_every_window_that_contains_the_event() {
    check_q4(
        &[product_click(7, 5, 1), impression(4, 5), impression(9, 5), impression(10, 5)],
        [(10, 5, 2, 1, 2.0), (15, 5, 2, 1, 2.0)],
    );
}

#[test]
fn clicks_without_impressions_or_searches_have_the_ratio_0() {
    check_q4(&[product_click(5, 5, 1), impression(5, 6)], [(10, 5, 0, 1, 0.0), (15, 5, 0, 1, 0.0)]);
    check_q5(&[product_click(5, 5, 1), search(5, 6), search(10, 5)], [(10, 5, 0, 1, 0.0)]);
}

#[test]
fn q5_divides_searches_by_clicks() {
    check_q5(
        &[
            search(0, 5),
            product_click(1, 5, 1),
            product_click(2, 5, 1),
            product_click(9, 5, 1),
            search(9, 5),
            impression(3, 5),
            search(30, 5),
        ],
        [(10, 5, 2, 3, 2.0 / 3.0)],
    );
}

#[test]
fn rows_are_the_records_of_the_job() {
    let events = [click(1, 2, 3, 21), click(2, 2, 3, 20), impression(1, 5), search(1, 5)];
    let q1_rows = q1(events, Q1Settings { window_size_ms: 10 });
    assert_eq!(
        serde_json::to_string(&q1_rows).unwrap(),
        r#"[{"query":"q1","window_end":10,"owner":2,"category":3,"clicks":2}]"#
    );
    let q2_rows = q2(events, Q2Settings { window_size: 2, window_slide: 2 });
    assert_eq!(
        serde_json::to_string(&q2_rows).unwrap(),
        r#"[{"query":"q2","product":5,"clicks":2,"median_price":20.5}]"#
    );
    let q3_rows = q3(events, Q3Settings { window_size_ms: 10 });
    assert_eq!(
        serde_json::to_string(&q3_rows).unwrap(),
        r#"[{"query":"q3","window_end":10,"owner":2,"clicks":2,"median_price":20.5}]"#
    );
    let q4_rows = q4(events, Q4Settings { window_size_ms: 10, window_slide_ms: 10 });
    assert_eq!(
        serde_json::to_string(&q4_rows).unwrap(),
        r#"[{"query":"q4","window_end":10,"product":5,"impressions":1,"clicks":2,"ratio":0.5}]"#
    );
    let q5_rows = q5(events, Q5Settings { window_size_ms: 10 });
    assert_eq!(
        serde_json::to_string(&q5_rows).unwrap(),
        r#"[{"query":"q5","window_end":10,"product":5,"searches":1,"clicks":2,"ratio":0.5}]"#
    );
}
