//! How many records may be in flight.
//!
//! With a schedule the bound is a fixed number, so large that only a broker that stands still reaches it: load is never held back
//! because of it. Without a schedule (`--max`) a producer that is faster than the broker always runs into its bound, and every record
//! that waits has left the processor's caches before it is acknowledged. There the bound is what one round trip takes: twice the rate
//! of acknowledgements times the shortest round trip, as BBR does (Cardwell et al., ACM Queue 14(5), 2016). While the bound is
//! what limits the rate, it doubles with every measurement; from then on it stays.
//!
//! A round trip is only short while few records wait, so that every ten seconds the bound is small for the time of one.

/// Fixed bound with a schedule, where none is configured.
pub(crate) const SCHEDULED: u64 = 500_000;
/// The smallest and the largest bound without a schedule. The smallest is 1 MB of NexMark's events, several requests to each broker.
const SMALLEST: u64 = 20_000;
const LARGEST: u64 = SCHEDULED;
/// The bound while the shortest round trip is measured.
const PROBING: u64 = 2_000;
/// The bound as a multiple of what one round trip takes at the measured rate.
const GAIN: u64 = 2;
/// Acknowledgements are counted over at least this time, µs: they arrive by the batch.
const SHORTEST_MEASUREMENT_US: u64 = 50_000;
/// How long a shortest round trip counts, µs; a route may change.
const PERIOD_US: u64 = 10_000_000;

/// A bound, and how it follows what is acknowledged. Times are µs since any one moment.
#[derive(Debug)]
pub(crate) enum Window {
    /// So many records.
    Fixed(u64),
    /// As many as a round trip takes.
    RoundTrip(RoundTrip),
}

impl Window {
    /// The configured bound, or the one that suits a run with or without a schedule.
    pub(crate) fn new(configured: Option<u64>, scheduled: bool) -> Self {
        match configured {
            Some(records) => Window::Fixed(records),
            None if scheduled => Window::Fixed(SCHEDULED),
            None => Window::RoundTrip(RoundTrip::default()),
        }
    }

    /// Most records that may be in flight now.
    pub(crate) const fn records(&self) -> u64 {
        match self {
            Window::Fixed(records) => *records,
            Window::RoundTrip(RoundTrip { probing_since_us: Some(_), .. }) => PROBING,
            Window::RoundTrip(round_trip) => round_trip.records,
        }
    }

    /// Takes note of acknowledgements that arrived together; the newest of the records was handed over at `handed_us`.
    pub(crate) fn acknowledged(&mut self, now_us: u64, records: u64, handed_us: u64) {
        if let Window::RoundTrip(round_trip) = self {
            round_trip.acknowledged(now_us, records, handed_us);
        }
    }
}

/// What is known of the way to the brokers and back.
#[derive(Debug)]
pub(crate) struct RoundTrip {
    records: u64,
    /// Shortest round trip of this period and of the one before, µs.
    shortest_us: [u64; 2],
    period_began_us: u64,
    probing_since_us: Option<u64>,
    measuring_since_us: Option<u64>,
    acknowledged: u64,
}

impl Default for RoundTrip {
    fn default() -> Self {
        RoundTrip {
            records: SMALLEST,
            shortest_us: [u64::MAX; 2],
            period_began_us: 0,
            probing_since_us: None,
            measuring_since_us: None,
            acknowledged: 0,
        }
    }
}

impl RoundTrip {
    fn acknowledged(&mut self, now_us: u64, records: u64, handed_us: u64) {
        let took_us = now_us.saturating_sub(handed_us);
        // What was handed over before the bound became small waited behind more.
        if self.probing_since_us.is_some_and(|since| handed_us > since) {
            self.probing_since_us = None;
            self.shortest_us[0] = took_us;
            (self.measuring_since_us, self.acknowledged) = (None, 0);
        }
        self.shortest_us[0] = self.shortest_us[0].min(took_us);
        let shortest_us = self.shortest_us[0].min(self.shortest_us[1]);
        self.acknowledged += records;
        let since = *self.measuring_since_us.get_or_insert(now_us);
        let measured_us = now_us.saturating_sub(since);
        if measured_us >= SHORTEST_MEASUREMENT_US.max(shortest_us) {
            if self.probing_since_us.is_none() {
                let in_one =
                    u128::from(self.acknowledged) * u128::from(shortest_us) / u128::from(measured_us);
                let wanted = u64::try_from(in_one).unwrap_or(u64::MAX).saturating_mul(GAIN);
                self.records = wanted.clamp(SMALLEST, LARGEST);
            }
            (self.measuring_since_us, self.acknowledged) = (Some(now_us), 0);
        }
        if now_us.saturating_sub(self.period_began_us) >= PERIOD_US {
            self.shortest_us = [u64::MAX, self.shortest_us[0]];
            self.period_began_us = now_us;
            self.probing_since_us = Some(now_us);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// A way to a broker: so many µs there and back, so many records a ms.
    struct TestLink {
        round_trip_us: u64,
        records_per_ms: u64,
        window: Window,
        now_us: u64,
        /// When each of the records in flight was handed over, and when its acknowledgement arrives.
        in_flight: VecDeque<(u64, u64, u64)>,
        records: u64,
        free_at_us: u64,
    }

    impl TestLink {
        fn new(round_trip_us: u64, records_per_ms: u64) -> TestLink {
            let window = Window::new(None, false);
            let in_flight = VecDeque::new();
            TestLink {
                round_trip_us,
                records_per_ms,
                window,
                now_us: 0,
                in_flight,
                records: 0,
                free_at_us: 0,
            }
        }

        /// A producer that always has more to send, for so many seconds: records acknowledged a second.
        fn run(&mut self, seconds: u64) -> u64 {
            let (end, mut all) = (self.now_us + seconds * 1_000_000, 0);
            while self.now_us < end {
                self.now_us += 1_000;
                let mut arrived = (0, 0);
                while self.in_flight.front().is_some_and(|(.., at)| *at <= self.now_us) {
                    let (handed, records, _) = self.in_flight.pop_front().unwrap();
                    arrived = (handed, arrived.1 + records);
                }
                self.records -= arrived.1;
                all += arrived.1;
                if arrived.1 > 0 {
                    self.window.acknowledged(self.now_us, arrived.1, arrived.0);
                }
                let room = self.window.records().saturating_sub(self.records);
                for _ in 0..room.div_ceil(1_000) {
                    let records = 1_000.min(self.window.records() - self.records.min(self.window.records()));
                    self.free_at_us =
                        self.free_at_us.max(self.now_us) + records * 1_000 / self.records_per_ms;
                    self.in_flight.push_back((self.now_us, records, self.free_at_us + self.round_trip_us));
                    self.records += records;
                }
            }
            all / seconds
        }
    }

    /// Goal: on this machine the bound is the smallest one, and a long way is filled all the same.
    #[test]
    fn the_bound_is_as_large_as_the_way_needs() {
        let mut near = TestLink::new(1_000, 900);
        assert!(near.run(57) > 850_000);
        assert_eq!(near.window.records(), SMALLEST);

        let mut far = TestLink::new(100_000, 900);
        far.run(5);
        let rate = far.run(52);
        assert!(rate > 850_000, "{rate} records/s over a way of 100 ms");
        let bound = far.window.records();
        assert!((90_000..=300_000).contains(&bound), "{bound}");
    }

    /// Goal: a way that becomes longer, or shorter again, is noticed.
    #[test]
    fn the_bound_follows_a_change_of_the_way() {
        let mut way = TestLink::new(1_000, 900);
        way.run(5);
        way.round_trip_us = 200_000;
        way.run(25);
        let rate = way.run(30);
        assert!(rate > 800_000, "{rate} records/s");
        way.round_trip_us = 1_000;
        way.run(25);
        assert_eq!(way.window.records(), SMALLEST);
    }

    #[test]
    fn a_schedule_and_a_configured_number_are_fixed_bounds() {
        for (mut window, records) in [
            (Window::new(None, true), SCHEDULED),
            (Window::new(Some(7), true), 7),
            (Window::new(Some(7), false), 7),
        ] {
            window.acknowledged(1_000_000, 1_000_000, 0);
            window.acknowledged(2_000_000, 1_000_000, 0);
            assert_eq!(window.records(), records);
        }
    }
}
