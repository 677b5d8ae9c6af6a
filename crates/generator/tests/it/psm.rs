//! Goal: the stream of the price-comparison site matches the benchmark's description, and an event depends on seed
//! and number alone.

use std::collections::{HashMap, HashSet};

use events::{Event, Kind};
use generator::Workload;
use generator::profile::ProfileConfig;
use generator::psm::{Catalogue, Psm, PsmConfig};
use proptest::prelude::*;

fn workload(config: &str, seed: u64) -> Workload {
    let config = toml::from_str::<PsmConfig>(config).unwrap();
    let schedule = ProfileConfig::Constant { rate: 1e4, duration_s: None }.check().unwrap();
    let psm = Psm::new(config.check().unwrap(), seed, config.made_catalogue(seed));
    Workload::new(psm, schedule, 1_700_000_000_000, None)
}

#[test]
fn a_step_is_a_click_or_an_impression_and_a_search() {
    let workload = workload("click_probability = 0.25", 5);
    let (mut clicks, mut searches_first) = (0, 0);
    let steps = 20_000_u64;
    for step in 0..steps {
        let kinds = [workload.kind(2 * step), workload.kind(2 * step + 1)];
        assert_eq!(kinds.iter().filter(|kind| **kind == Kind::Search).count(), 1);
        clicks += u64::from(kinds.contains(&Kind::Click));
        searches_first += u64::from(kinds[0] == Kind::Search);
    }
    assert!((4_700..5_300).contains(&clicks), "{clicks} clicks in {steps} steps");
    assert!(
        (9_500..10_500).contains(&searches_first),
        "{searches_first} searches come first in {steps} steps"
    );
    for (probability, kind) in [("0.0", Kind::Impression), ("1.0", Kind::Click)] {
        let workload = self::workload(&format!("click_probability = {probability}"), 5);
        assert!((0..1_000).all(|number| [kind, Kind::Search].contains(&workload.kind(number))));
    }
}

#[test]
fn prices_and_ranks_fill_their_ranges() {
    let (mut prices, mut ranks) = (HashSet::new(), HashSet::new());
    for event in workload("", 1).record(0..40_000).events() {
        match event.unwrap() {
            Event::Click(click) => drop(prices.insert(click.price)),
            Event::Search(search) => drop(ranks.insert(search.rank)),
            _ => {}
        }
    }
    assert_eq!(prices, (20..=70).collect());
    assert_eq!(ranks, (0..200).collect());
}

#[test]
fn products_carry_the_category_and_owner_of_the_catalogue() {
    let catalogue = Catalogue::parse("product,category,owner\n10,1,7\n20,2,8\n30,3,9\n").unwrap();
    let schedule = ProfileConfig::Constant { rate: 1e4, duration_s: None }.check().unwrap();
    let psm = Psm::new(PsmConfig::default().check().unwrap(), 1, catalogue);
    let mut seen = HashSet::new();
    for event in Workload::new(psm, schedule, 0, None).record(0..1_000).events() {
        match event.unwrap() {
            Event::Click(e) => assert_eq!((e.category, e.owner), (e.product / 10, e.product / 10 + 6)),
            Event::Impression(e) => assert_eq!(e.category, e.product / 10),
            Event::Search(e) => drop(seen.insert((e.product, e.category))),
            other => panic!("{other:?} is of another benchmark"),
        }
    }
    assert_eq!(seen, HashSet::from([(10, 1), (20, 2), (30, 3)]));
}

#[test]
fn zipf_makes_the_first_product_the_most_popular() {
    let top_share = |config: &str| {
        let mut products: HashMap<i64, u32> = HashMap::new();
        for event in workload(config, 1).record(0..100_000).events() {
            if let Event::Search(search) = event.unwrap() {
                *products.entry(search.product).or_default() += 1;
            }
        }
        let (product, count) = products.into_iter().max_by_key(|(_, count)| *count).unwrap();
        (product, f64::from(count) / 50_000.0)
    };
    // 1 / (1 + 1/2 + … + 1/1000) = 0.1336
    let (product, share) = top_share("products = 1000\nzipf_exponent = 1.0");
    assert!(product == 0 && (share - 0.1336).abs() < 0.01, "product {product} has {share}");
    assert!(top_share("products = 1000").1 < 0.003);
}

proptest! {
    #[test]
    fn an_event_is_the_same_wherever_the_reading_begins(seed in any::<u64>(), from in 0_u64..1 << 40) {
        let workload = workload("products = 50\nzipf_exponent = 0.7", seed);
        let forward = workload.record(from..from + 30);
        for number in (from..from + 30).rev() {
            let mut bytes = Vec::new();
            workload.source().event(number).encode(&mut bytes);
            prop_assert_eq!(&bytes[..], forward.records().nth((number - from) as usize).unwrap());
            prop_assert_eq!(workload.source().event(number).kind(), workload.kind(number));
        }
    }
}
