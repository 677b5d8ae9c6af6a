//! Admission of documents by a reader: every reason for a rejection has a name.
//!
//! The names are the ones of attacks on update systems (The Update Framework has the list): *replay* and *rollback*
//! (an older document is offered again), *freeze* (a document is withheld until it does harm), *mix-up* (the document
//! of another job). Job, generation, issue and expiry are inside the signed bytes, so that no intermediary can change
//! them; here they are compared with the reader's state. No clock: the time is an argument.

use jiff::{SignedDuration, Timestamp};
use thiserror::Error;

use crate::document::{JobDocument, JobName};

/// Maximum distance of a generation from the previous one. Otherwise a document with an extreme generation, by
/// mistake or malice, would be the last one of its job.
pub const GENERATION_JUMP_MAX: u64 = 1_000_000;

/// Maximum generation of a job's first document (2^53, up to which every program represents integers exactly).
pub const FIRST_GENERATION_MAX: u64 = 1 << 53;

/// Why a document is rejected.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AdmissionError {
    /// A required signature is missing.
    #[error("it has no signature; sign it with the private key of a pinned public key")]
    Unsigned,
    /// The signature is malformed.
    #[error("its signature is malformed")]
    MalformedSignature,
    /// No pinned key made this signature over these bytes.
    #[error("its signature matches no pinned public key: another key signed it, or its bytes were changed")]
    WrongKey,
    /// It is the document of another job.
    #[error("it is the document of job {found}")]
    WrongJob {
        /// The job in the document.
        found: JobName,
    },
    /// It is older than the last accepted document.
    #[error("its generation {found} is older than the accepted generation {last}")]
    OldGeneration {
        /// Its generation.
        found: u64,
        /// The last accepted generation.
        last: u64,
    },
    /// Its generation is so high that few or no successors are left.
    #[error("its generation {found} is above {most}, the highest successor; publish it with a lower one")]
    GenerationJump {
        /// Its generation.
        found: u64,
        /// The highest acceptable generation.
        most: u64,
    },
    /// Another document already has this generation.
    #[error("generation {generation} was already accepted with different content")]
    OtherContent {
        /// The common generation.
        generation: u64,
    },
    /// It has expired.
    #[error("it expired at {expires_at}")]
    Expired {
        /// Time of expiry.
        expires_at: Timestamp,
    },
    /// It was issued in the future.
    #[error("it was issued at {issued_at}, in the future; compare the clocks of publisher and reader")]
    FutureDated {
        /// Time of issue.
        issued_at: Timestamp,
    },
    /// It has no expiry, so an attacker could withhold it and present it at any time.
    #[error("it has no expires_at; publish it with one, or set drop.expiry_required = false at the agent")]
    NoExpiry,
}

impl AdmissionError {
    /// All names, for a counter per name.
    pub const NAMES: [&str; 10] = [
        "unsigned",
        "malformed-signature",
        "wrong-key",
        "wrong-job",
        "old-generation",
        "other-content",
        "expired",
        "future-dated",
        "no-expiry",
        "generation-jump",
    ];

    /// Returns the name for logs, metrics and reports.
    pub fn name(&self) -> &'static str {
        let index = match self {
            Self::Unsigned => 0,
            Self::MalformedSignature => 1,
            Self::WrongKey => 2,
            Self::WrongJob { .. } => 3,
            Self::OldGeneration { .. } => 4,
            Self::OtherContent { .. } => 5,
            Self::Expired { .. } => 6,
            Self::FutureDated { .. } => 7,
            Self::NoExpiry => 8,
            Self::GenerationJump { .. } => 9,
        };
        Self::NAMES[index]
    }

    /// Whether the same bytes are rejected forever. A signature may still arrive, and time passes.
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::Unsigned | Self::MalformedSignature | Self::WrongKey | Self::FutureDated { .. })
    }
}

/// The last document that a reader accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastAccepted<'a> {
    /// Its generation.
    pub generation: u64,
    /// Its exact text.
    pub text: &'a str,
}

/// Result of a successful admission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admitted {
    /// Newer than the last accepted one: to be applied.
    New,
    /// The last accepted one.
    Known,
}

/// Requirements on a document, besides being of the reader's job and following the last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// Tolerated lead of the publisher's clock over the reader's.
    pub clock_skew: SignedDuration,
    /// Whether a document without expiry is rejected.
    pub expiry_required: bool,
}

impl Default for Admission {
    /// One minute of skew; documents may lack an expiry.
    fn default() -> Self {
        Self { clock_skew: SignedDuration::from_secs(60), expiry_required: false }
    }
}

impl Admission {
    /// Checks whether a reader of `job` that last accepted `last` may accept the document now.
    ///
    /// The last accepted document is [`Admitted::Known`], even after its expiry.
    ///
    /// # Errors
    /// The first [`AdmissionError`] that applies: job, generation, issue, expiry.
    pub fn check(
        &self,
        document: &JobDocument,
        job: &JobName,
        last: Option<LastAccepted<'_>>,
        now: Timestamp,
    ) -> Result<Admitted, AdmissionError> {
        if document.job() != job {
            return Err(AdmissionError::WrongJob { found: document.job().clone() });
        }
        let found = document.generation();
        match last {
            Some(last) if found < last.generation => {
                return Err(AdmissionError::OldGeneration { found, last: last.generation });
            }
            Some(last) if found == last.generation => {
                let is_known = document.text() == last.text;
                let other = AdmissionError::OtherContent { generation: found };
                return is_known.then_some(Admitted::Known).ok_or(other);
            }
            _ => {}
        }
        let most =
            last.map_or(FIRST_GENERATION_MAX, |last| last.generation.saturating_add(GENERATION_JUMP_MAX));
        if found > most {
            return Err(AdmissionError::GenerationJump { found, most });
        }
        let issued_at = document.issued_at();
        if issued_at.duration_since(now) > self.clock_skew {
            return Err(AdmissionError::FutureDated { issued_at });
        }
        match document.expires_at() {
            Some(expires_at) if document.is_expired(now) => Err(AdmissionError::Expired { expires_at }),
            None if self.expiry_required => Err(AdmissionError::NoExpiry),
            _ => Ok(Admitted::New),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(job: &str, generation: u64, times: &str) -> JobDocument {
        JobDocument::parse(&format!(
            "format = 1\njob = \"{job}\"\ngeneration = {generation}\n{times}\n\
             restart_mode = \"in-place\"\nparallelism = {{ default = 1, max = 8 }}\n"
        ))
        .unwrap()
    }

    const NOON: &str = "issued_at = \"2026-01-01T12:00:00Z\"\nexpires_at = \"2026-01-01T12:10:00Z\"";
    const FOR_EVER: &str = "issued_at = \"2026-01-01T12:00:00Z\"";

    fn outcome(document: &JobDocument, now: &str, admission: &Admission) -> String {
        let last = self::document("nexmark", 7, NOON);
        let last = LastAccepted { generation: 7, text: last.text() };
        let job = "nexmark".parse().unwrap();
        match admission.check(document, &job, Some(last), now.parse().unwrap()) {
            Ok(admitted) => format!("{admitted:?}"),
            Err(refusal) => refusal.name().to_owned(),
        }
    }

    /// Goal: replay, rollback, freeze and mix-up are each rejected by name, and the right document is accepted.
    #[test]
    fn every_attack_has_its_name() {
        let strict = Admission { expiry_required: true, ..Admission::default() };
        let in_time = "2026-01-01T12:00:01Z";
        let cases = [
            (document("nexmark", 8, NOON), in_time, "New"),
            (document("nexmark", 9, NOON), in_time, "New"),
            (document("nexmark", 7, NOON), in_time, "Known"),
            (document("nexmark", 7, NOON), "2027-01-01T12:00:00Z", "Known"),
            (document("nexmark", 7, FOR_EVER), in_time, "other-content"),
            (document("nexmark", 6, NOON), in_time, "old-generation"),
            (document("other", 8, NOON), in_time, "wrong-job"),
            (document("nexmark", 8, NOON), "2026-01-01T12:10:00Z", "expired"),
            (document("nexmark", 8, NOON), "2026-01-01T12:09:59Z", "New"),
            (document("nexmark", 8, NOON), "2026-01-01T11:58:59Z", "future-dated"),
            (document("nexmark", 8, NOON), "2026-01-01T11:59:00Z", "New"),
            (document("nexmark", 8, FOR_EVER), in_time, "no-expiry"),
            (document("nexmark", 1_000_007, NOON), in_time, "New"),
            (document("nexmark", 1_000_008, NOON), in_time, "generation-jump"),
            (document("nexmark", (1 << 63) - 1, NOON), in_time, "generation-jump"),
        ];
        for (document, now, expected) in cases {
            let generation = document.generation();
            assert_eq!(outcome(&document, now, &strict), expected, "generation {generation} at {now}");
        }
        let lax = Admission::default();
        assert_eq!(outcome(&document("nexmark", 8, FOR_EVER), "2036-01-01T00:00:00Z", &lax), "New");
    }

    /// Goal: the same bytes are fetched again only where a signature may arrive or time pass.
    #[test]
    fn what_cannot_become_good_is_final() {
        let found: JobName = "other".parse().unwrap();
        let at = Timestamp::UNIX_EPOCH;
        for (refusal, is_final) in [
            (AdmissionError::Unsigned, false),
            (AdmissionError::MalformedSignature, false),
            (AdmissionError::WrongKey, false),
            (AdmissionError::FutureDated { issued_at: at }, false),
            (AdmissionError::WrongJob { found }, true),
            (AdmissionError::OldGeneration { found: 1, last: 2 }, true),
            (AdmissionError::OtherContent { generation: 1 }, true),
            (AdmissionError::Expired { expires_at: at }, true),
            (AdmissionError::NoExpiry, true),
            (AdmissionError::GenerationJump { found: 9, most: 8 }, true),
        ] {
            assert_eq!(refusal.is_final(), is_final, "{}", refusal.name());
        }
    }

    /// Goal: a reader without an accepted document accepts any generation with room for successors.
    #[test]
    fn the_first_document_may_have_any_generation() {
        let job = "nexmark".parse().unwrap();
        let now = "2026-01-01T12:00:01Z".parse().unwrap();
        let first = Admission::default().check(&document("nexmark", 41, NOON), &job, None, now);
        assert_eq!(first, Ok(Admitted::New));
        let last = document("nexmark", FIRST_GENERATION_MAX + 1, NOON);
        let refused = Admission::default().check(&last, &job, None, now).unwrap_err();
        assert_eq!(refused.name(), "generation-jump");
    }
}
