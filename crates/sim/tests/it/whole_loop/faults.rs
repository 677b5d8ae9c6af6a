//! Fault injection, drawn from the seed: arbitrary faults before the calm, none after it.

use jiff::SignedDuration;
use sim::Random;

/// The fate of one call or one write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallFault {
    Fine,
    /// It takes effect, and the response is slow.
    Late {
        ms: u64,
    },
    /// It has no effect, and there is no response.
    RequestLost,
    /// It takes effect, and there is no response.
    AnswerLost,
    /// It has no effect, and the response is an error.
    Status {
        status: u16,
    },
    /// The caller crashes before.
    CrashBefore,
    /// It takes effect, and the caller crashes before the response.
    CrashAfter,
}

/// Probabilities of faults, and when they end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    /// Probability of a fault per call.
    pub(crate) call: f64,
    /// Probability of a crash per disk write.
    pub(crate) write: f64,
    /// Probability that Flink fails to do what was requested.
    pub(crate) flink: f64,
    /// Probability that slots come late, or not before the calm.
    pub(crate) slots: f64,
    /// Probability that an epoch's metrics are frozen or have gaps.
    pub(crate) metrics: f64,
    /// Start of the calm, in milliseconds.
    pub(crate) calm_ms: u64,
    /// Downtimes of services: prefix of the name, from, to.
    pub(crate) away: Vec<(&'static str, u64, u64)>,
    /// When the JobManager restarts and loses its requests.
    pub(crate) forgets_ms: Vec<u64>,
    /// Probability that a crashed program has lost its journal.
    pub(crate) lost: f64,
    /// Probability that the drop rejects a report as too long.
    pub(crate) narrow: f64,
    /// Times of a power loss of all programs.
    pub(crate) power_ms: Vec<u64>,
    /// Times at which an operator rescales the job by hand.
    pub(crate) edits_ms: Vec<u64>,
    /// Whether the rescalers put back what was rescaled by hand.
    pub(crate) restores: bool,
    /// When a person publishes a document whose job always fails.
    pub(crate) broken_ms: Option<u64>,
    /// When half of the slots are lost, until the calm.
    pub(crate) shrinks_ms: Option<u64>,
    /// Errors of the agent's clock: from, to, offset.
    pub(crate) clock: Vec<(u64, u64, SignedDuration)>,
    /// Whether there is a second rescaler until the calm.
    pub(crate) has_twin: bool,
    /// The single fault of the run.
    pub(crate) known: Option<Regression>,
}

/// Regressions: faults that once broke the loop, each injected alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Regression {
    /// The drop rejects the final report as too long.
    LongReport,
    /// The agent loses its journal during a change, and is down until the document has expired.
    JournalLostInMidChange,
    /// The agent rejects a document because of its clock, which is then corrected.
    ClockPutRight,
    /// The agent loses its journal after a change in place.
    JournalLostAfterRescale,
    /// The drop always rejects the final report of a change.
    FinalReportRefused,
}

impl Regression {
    /// The timeline's text that shows the fault has occurred.
    pub(crate) fn mark(self) -> &'static str {
        match self {
            Self::LongReport => "a report is too long",
            Self::JournalLostInMidChange => "JournalLostInMidChange: ",
            Self::ClockPutRight => "ClockPutRight: ",
            Self::FinalReportRefused => "Scaler calls for a person: generation 2",
            Self::JournalLostAfterRescale => "JournalLostAfterRescale: ",
        }
    }
}

impl Faults {
    /// Returns no faults.
    pub(crate) fn none(calm_ms: u64) -> Self {
        Self { calm_ms, ..Self::default() }
    }

    /// Returns the faults of a seed: some runs have a few of one kind, some many of all.
    pub(crate) fn of(seed: u64, calm_ms: u64) -> Self {
        let mut random = Random::new(seed, "faults");
        let mut rate = |most: f64| if random.uniform() < 0.5 { random.uniform() * most } else { 0.0 };
        let (call, write, flink, slots, metrics) = (rate(0.12), rate(0.08), rate(0.4), rate(0.7), rate(0.5));
        let mut away = Vec::new();
        let mut forgets_ms = Vec::new();
        for party in ["drop", "Flink"] {
            if random.uniform() < 0.3 {
                let from = random.whole(0, usize::try_from(calm_ms).unwrap() - 1) as u64;
                let to = (from + random.whole(1_000, 90_000) as u64).min(calm_ms);
                away.push((party, from, to));
                if party == "Flink" {
                    forgets_ms.push(from);
                }
            }
        }
        let mut random = Random::new(seed, "rare faults");
        let mut rate = |most: f64| if random.uniform() < 0.25 { random.uniform() * most } else { 0.0 };
        let (lost, narrow) = (rate(1.0), rate(1.0));
        let mut moments = |most: usize| {
            let count = if random.uniform() < 0.25 { random.whole(1, most) } else { 0 };
            let moment = |_| random.whole(0, usize::try_from(calm_ms).unwrap() - 1) as u64;
            let mut moments: Vec<u64> = (0..count).map(moment).collect();
            moments.sort_unstable();
            moments
        };
        let (power_ms, edits_ms, wrong_ms) = (moments(3), moments(4), moments(2));
        let mut wrong = |from: u64| {
            let to = (from + random.whole(1_000, 90_000) as u64).min(calm_ms);
            let by = random.whole(1, 7_200) as i64;
            (from, to, SignedDuration::from_secs(if random.uniform() < 0.5 { by } else { -by }))
        };
        let clock: Vec<_> = wrong_ms.into_iter().map(&mut wrong).collect();
        // A journal lost right after the stop request, on a machine whose clock considers the document expired:
        // nothing left says that a job is missing, and an operator has to publish again.
        let lost = if clock.is_empty() { lost } else { 0.0 };
        let common =
            Self { call, write, flink, slots, metrics, calm_ms, away, forgets_ms, ..Self::default() };
        let has_twin = random.uniform() < 0.1;
        let restores = seed % 2 == 1;
        let mut random = Random::new(seed, "broken documents");
        let is_broken = random.uniform() < 0.1;
        let broken_ms = is_broken.then(|| random.whole(0, usize::try_from(calm_ms).unwrap() - 1) as u64);
        Self { lost, narrow, power_ms, edits_ms, restores, broken_ms, clock, has_twin, ..common }
    }

    pub(crate) fn is_away(&self, what: &str, now_ms: u64) -> bool {
        self.away.iter().any(|(party, from, to)| what.starts_with(party) && (*from..*to).contains(&now_ms))
    }

    pub(crate) fn draw(&self, random: &mut Random) -> CallFault {
        if self.call == 0.0 || random.uniform() >= self.call {
            return CallFault::Fine;
        }
        match random.whole(0, 6) {
            0 => CallFault::RequestLost,
            1 => CallFault::AnswerLost,
            2 => CallFault::Status { status: [500, 502, 503, 429][random.whole(0, 3)] },
            3 | 4 => CallFault::Late { ms: random.whole(10, 1_900) as u64 },
            5 => CallFault::CrashBefore,
            _ => CallFault::CrashAfter,
        }
    }
}
