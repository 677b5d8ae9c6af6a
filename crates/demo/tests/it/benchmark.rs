//! The two benchmarks in the exactness tests: job document, producer, generator, and the expected rows.

use anyhow::Context;
use events::Event;
use generator::nexmark::{Nexmark, NexmarkConfig};
use generator::psm::{Psm, PsmConfig};
use generator::{Generator, Recording};
use reference::{nexmark, psm};

use crate::load::{Load, SEED};
use crate::rows::{Committed, Order, assert_same, assert_same_in_order, final_rows};

/// Fewer than by default, so that a product is clicked often enough for Q2.
const PRODUCTS: usize = 200;
const WAITING_HORIZON_MS: i64 = 60_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Benchmark {
    Nexmark,
    Psm,
}

impl Benchmark {
    /// Name of job, benchmark and consumer group without the tenant's prefix, and prefix of the result topics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Benchmark::Nexmark => "nexmark",
            Benchmark::Psm => "psm",
        }
    }

    pub(crate) const fn document(self) -> &'static str {
        match self {
            Benchmark::Nexmark => include_str!("nexmark.toml"),
            Benchmark::Psm => include_str!("psm.toml"),
        }
    }

    /// The document at another parallelism.
    pub(crate) fn document_at(self, parallelism: u32) -> String {
        self.document().replace("default = 1", &format!("default = {parallelism}"))
    }

    /// The document's result topic.
    pub(crate) fn result_topic(self) -> String {
        format!("{}_results", self.name())
    }

    /// The job's input topics.
    pub(crate) const fn topics(self) -> &'static [&'static str] {
        match self {
            Benchmark::Nexmark => &["personEvents", "itemEvents", "auctionEvents", "bidEvents"],
            Benchmark::Psm => &["PSM_CLICKS", "PSM_IMPRESSIONS", "PSM_SEARCH"],
        }
    }

    /// The producer's configuration, instead of the demo's choice of streams.
    pub(crate) fn producer_settings(self) -> String {
        match self {
            Benchmark::Nexmark => "benchmark = \"nexmark\"".to_owned(),
            Benchmark::Psm => format!("benchmark = \"psm\"\npsm.products = {PRODUCTS}"),
        }
    }

    pub(crate) fn generator(self) -> anyhow::Result<Generator> {
        match self {
            Benchmark::Nexmark => Ok(Nexmark::new(NexmarkConfig::default().check()?, SEED).into()),
            Benchmark::Psm => {
                let config = PsmConfig { products: PRODUCTS, ..PsmConfig::default() };
                Ok(Psm::new(config.check()?, SEED, config.made_catalogue(SEED)).into())
            }
        }
    }

    /// Generates the first events of the stream.
    pub(crate) fn record(self, load: &Load, events: u64) -> anyhow::Result<Recording> {
        load.record(self.generator()?, events)
    }

    /// Fails unless the committed records match the reference; returns a line per query.
    pub(crate) fn assert_exact(
        self,
        records: Vec<String>,
        events: &[Event<'_>],
        order: Order,
    ) -> anyhow::Result<Vec<String>> {
        let mut committed = Committed::new(records);
        let outcome = match self {
            Benchmark::Nexmark => assert_nexmark(&mut committed, events, order),
            Benchmark::Psm => assert_psm(&mut committed, events, order),
        };
        let lines = outcome.context(self.name())?;
        committed.assert_all_taken()?;
        Ok(lines)
    }
}

fn assert_nexmark(
    committed: &mut Committed,
    events: &[Event<'_>],
    order: Order,
) -> anyhow::Result<Vec<String>> {
    let waiting_horizon_ms = WAITING_HORIZON_MS;
    let stream = || events.iter().copied();

    let settings = nexmark::Q4Settings { waiting_horizon_ms };
    let q4: Vec<nexmark::Q4Row> = committed.take("q4")?;
    let q4 = final_rows("q4", q4, |row| row.category_id, |row| row.closed_auctions)?;
    let q4_line = assert_same("q4", q4, nexmark::q4(stream(), settings))?;

    let settings = nexmark::Q5Settings { window_size_ms: 2000, window_slide_ms: 500, waiting_horizon_ms };
    let q5_line = assert_same("q5", committed.take("q5")?, nexmark::q5(stream(), settings))?;

    // The job orders closed auctions by end and id, so that its rows do not depend on the reading order either.
    let settings = nexmark::Q6Settings { window_size: 10, window_slide: 1, waiting_horizon_ms };
    let (q6, expected) = (committed.take("q6")?, nexmark::q6(stream(), settings));
    let q6_line = match order {
        Order::Known => assert_same_in_order("q6", q6, &expected, |row| row.seller_id)?,
        Order::Open => assert_same("q6", q6, expected)?,
    };

    let settings = nexmark::Q7Settings { window_size_ms: 500, waiting_horizon_ms };
    let q7_line = assert_same("q7", committed.take("q7")?, nexmark::q7(stream(), settings))?;

    let settings = nexmark::Q8Settings { window_size_ms: 5000 };
    let q8_line = assert_same("q8", committed.take("q8")?, nexmark::q8(stream(), settings))?;
    Ok(vec![q4_line, q5_line, q6_line, q7_line, q8_line])
}

fn assert_psm(committed: &mut Committed, events: &[Event<'_>], order: Order) -> anyhow::Result<Vec<String>> {
    let stream = || events.iter().copied();

    let settings = psm::Q1Settings { window_size_ms: 5000 };
    let q1_line = assert_same("q1", committed.take("q1")?, psm::q1(stream(), settings))?;

    let settings = psm::Q2Settings { window_size: 20, window_slide: 5 };
    let (q2, expected) = (committed.take("q2")?, psm::q2(stream(), settings));
    let q2_line = match order {
        Order::Known => assert_same_in_order("q2", q2, &expected, |row| row.product)?,
        // Which clicks are the last ones is undetermined, but not the number of rows or their click counts.
        Order::Open => {
            let shape =
                |rows: Vec<psm::Q2Row>| rows.iter().map(|row| (row.product, row.clicks)).collect::<Vec<_>>();
            assert_same("q2 without medians", shape(q2), shape(expected))?
        }
    };

    let settings = psm::Q3Settings { window_size_ms: 2000 };
    let q3_line = assert_same("q3", committed.take("q3")?, psm::q3(stream(), settings))?;

    let settings = psm::Q4Settings { window_size_ms: 10_000, window_slide_ms: 2500 };
    let q4_line = assert_same("q4", committed.take("q4")?, psm::q4(stream(), settings))?;

    let settings = psm::Q5Settings { window_size_ms: 2000 };
    let q5_line = assert_same("q5", committed.take("q5")?, psm::q5(stream(), settings))?;
    Ok(vec![q1_line, q2_line, q3_line, q4_line, q5_line])
}
