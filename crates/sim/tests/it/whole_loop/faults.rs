//! What goes wrong in a run, drawn by its seed: before the calm everything may, after it nothing does.

use jiff::SignedDuration;
use sim::Random;

/// What becomes of one call or one write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Fine,
    /// It happens, and the answer takes long.
    Late {
        ms: u64,
    },
    /// It does not happen, and nobody answers.
    RequestLost,
    /// It happens, and nobody answers.
    AnswerLost,
    /// It does not happen, and the answer says so.
    Status {
        status: u16,
    },
    /// The asking program dies first.
    CrashBefore,
    /// It happens, and the asking program dies before it hears so.
    CrashAfter,
}

/// How likely each fault is, and when there are none any more.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    /// Of a call.
    pub(crate) call: f64,
    /// Of a crash at a write to the disk.
    pub(crate) write: f64,
    /// That Flink does not do what it was asked for.
    pub(crate) flink: f64,
    /// That slots come late or not before the calm.
    pub(crate) slots: f64,
    /// Of an epoch whose metrics are frozen or have gaps.
    pub(crate) metrics: f64,
    /// From when on nothing goes wrong.
    pub(crate) calm_ms: u64,
    /// When a party is away: the beginning of its name, from, to.
    pub(crate) away: Vec<(&'static str, u64, u64)>,
    /// When the JobManager starts anew and forgets what was asked of it.
    pub(crate) forgets_ms: Vec<u64>,
    /// That a program that crashes has lost its journal.
    pub(crate) lost: f64,
    /// That the drop finds a report too long.
    pub(crate) narrow: f64,
    /// When power is lost, for all programs at once.
    pub(crate) power_ms: Vec<u64>,
    /// When a person rescales the job by hand.
    pub(crate) edits_ms: Vec<u64>,
    /// When the agent's clock is wrong: from, to, by how much.
    pub(crate) clock: Vec<(u64, u64, SignedDuration)>,
    /// Whether there is a second rescaler until the calm.
    pub(crate) has_twin: bool,
    /// The only fault of the run.
    pub(crate) known: Option<Known>,
}

/// Faults that once broke the loop, each by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// The final report is too long for the drop.
    LongReport,
    /// The agent loses its journal in mid-change, and is away until the document has expired.
    JournalLostInMidChange,
    /// The agent refuses a document for its clock, which is then put right.
    ClockPutRight,
    /// The agent loses its journal after a change in place.
    JournalLostAfterRescale,
    /// The drop never takes the final report of a change, whatever is in it.
    FinalReportRefused,
}

impl Known {
    /// What stands in the time line when it has happened.
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
    /// Nothing goes wrong.
    pub(crate) fn none(calm_ms: u64) -> Self {
        Self { calm_ms, ..Self::default() }
    }

    /// The faults of a seed: some runs have a few of one kind, some many of all.
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
        // A journal that is lost right after Flink was asked for a stop, on a machine whose clock says that the document has expired:
        // nothing that is left says that a job is missing, and a person has to publish again.
        let lost = if clock.is_empty() { lost } else { 0.0 };
        let common =
            Self { call, write, flink, slots, metrics, calm_ms, away, forgets_ms, ..Self::default() };
        let has_twin = random.uniform() < 0.1;
        Self { lost, narrow, power_ms, edits_ms, clock, has_twin, ..common }
    }

    pub(crate) fn is_away(&self, what: &str, now_ms: u64) -> bool {
        self.away.iter().any(|(party, from, to)| what.starts_with(party) && (*from..*to).contains(&now_ms))
    }

    pub(crate) fn draw(&self, random: &mut Random) -> Fate {
        if self.call == 0.0 || random.uniform() >= self.call {
            return Fate::Fine;
        }
        match random.whole(0, 6) {
            0 => Fate::RequestLost,
            1 => Fate::AnswerLost,
            2 => Fate::Status { status: [500, 502, 503, 429][random.whole(0, 3)] },
            3 | 4 => Fate::Late { ms: random.whole(10, 1_900) as u64 },
            5 => Fate::CrashBefore,
            _ => Fate::CrashAfter,
        }
    }
}
