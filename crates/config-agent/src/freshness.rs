//! Whether the agent still hears from its publisher: the age of the newest signed statement or document.
//!
//! A source that withholds documents looks like one that has no news. With `drop.freshness_max_s` the agent therefore
//! expects proof: a document, or a freshness statement about the document that the source shows, that a pinned key has
//! signed and whose time of issue is recent. Without proof for that long the agent says so and goes on as before: it
//! stops no job because of it.
//!
//! Two clocks are used, so that setting one does not help. The age of a proof is the larger of its age by the wall clock
//! and of its age on arrival plus the time since, by the monotonic clock: a wall clock that is set back makes no proof
//! younger. A proof from the future is none.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use job_config::{AdmissionError, Freshness, JobDocument, JobName, PublicKey, SignedFreshness};

/// The expectation of recent proof, and what has been heard.
pub(crate) struct FreshnessWatch {
    job: JobName,
    /// Maximum age of the newest proof; `None`: no expectation.
    age_max: Option<SignedDuration>,
    /// Tolerated lead of the publisher's clock.
    clock_skew: SignedDuration,
    keys: Vec<PublicKey>,
    heard: Mutex<Heard>,
}

/// A moment by both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// The wall clock.
    pub(crate) now: Timestamp,
    /// The monotonic clock.
    pub(crate) elapsed: Duration,
}

#[derive(Debug, Default)]
struct Heard {
    /// Since when the source has been asked without a change in between.
    asked_since: Option<Duration>,
    /// The document that the source showed last.
    shown: Option<JobDocument>,
    newest: Option<Proof>,
    /// What is wrong with the last statement, if anything.
    flaw: Option<String>,
    is_stale: bool,
}

#[derive(Debug, Clone, Copy)]
struct Proof {
    issued_at: Timestamp,
    /// Its age at its arrival.
    age_then: SignedDuration,
    /// Time of its arrival.
    at: Duration,
    /// How long it counts, by its publisher.
    valid_for: SignedDuration,
}

impl Proof {
    fn age(&self, moment: Moment) -> SignedDuration {
        let since = signed(moment.elapsed.saturating_sub(self.at));
        self.age_then.saturating_add(since).max(moment.now.duration_since(self.issued_at))
    }
}

impl FreshnessWatch {
    pub(crate) fn new(
        job: JobName,
        age_max: Option<Duration>,
        clock_skew: SignedDuration,
        keys: Vec<PublicKey>,
    ) -> Self {
        Self { job, age_max: age_max.map(signed), clock_skew, keys, heard: Mutex::default() }
    }

    /// Notes that the source is asked from now on; `known` is the document accepted last.
    pub(crate) fn asks(&self, known: Option<&JobDocument>, moment: Moment) {
        let mut heard = self.heard();
        heard.asked_since.get_or_insert(moment.elapsed);
        if heard.shown.is_none() {
            heard.shown = known.cloned();
        }
    }

    /// Notes that the source is not asked for now, because a change is under way.
    pub(crate) fn pauses(&self) {
        self.heard().asked_since = None;
    }

    /// Notes a document that the source has shown. The client has verified its signature.
    pub(crate) fn saw(&self, document: &JobDocument, moment: Moment) {
        if self.age_max.is_none() {
            return;
        }
        let mut heard = self.heard();
        let proof = self.proof(document.issued_at(), SignedDuration::MAX, moment);
        heard.take(proof);
        heard.shown = Some(document.clone());
    }

    /// Notes the statement that came with an answer; `None`: there was none.
    pub(crate) fn heard_of(&self, line: Option<&str>, moment: Moment) {
        let Some(line) = line.filter(|_| self.age_max.is_some()) else { return };
        let mut heard = self.heard();
        let proof = self.statement(line, heard.shown.as_ref()).and_then(|statement| {
            let valid_for = i64::try_from(statement.valid_for_s).unwrap_or(i64::MAX);
            self.proof(statement.issued_at, SignedDuration::from_secs(valid_for), moment)
        });
        heard.take(proof);
    }

    /// Returns the statement if it is signed and about the document that the source shows.
    fn statement(&self, line: &str, shown: Option<&JobDocument>) -> Result<Freshness, String> {
        let signed: SignedFreshness =
            line.parse().map_err(|error| format!("the last statement is {error}"))?;
        let statement = signed.verified(&self.keys).map_err(|_: AdmissionError| {
            "the signature of the last statement matches no pinned public key".to_owned()
        })?;
        let generation = statement.generation;
        if statement.job != self.job {
            return Err(format!("the last statement is about job {}", statement.job));
        }
        match shown {
            Some(shown) if statement.is_about(shown) => Ok(statement.clone()),
            Some(shown) if generation > shown.generation() => Err(format!(
                "the publisher's newest document is generation {generation}, but the source shows generation {}",
                shown.generation()
            )),
            _ => Err(format!(
                "the last statement is about another document, of generation {generation}, than the source shows"
            )),
        }
    }

    fn proof(
        &self,
        issued_at: Timestamp,
        valid_for: SignedDuration,
        moment: Moment,
    ) -> Result<Proof, String> {
        let age = moment.now.duration_since(issued_at);
        if age.saturating_add(self.clock_skew).is_negative() {
            return Err(format!(
                "the last one was issued at {issued_at}, in the future by the clock of this machine ({}); compare \
                 the clocks of publisher and agent",
                moment.now
            ));
        }
        let age_then = age.max(SignedDuration::ZERO);
        Ok(Proof { issued_at, age_then, at: moment.elapsed, valid_for })
    }

    /// Logs when proof has been missing for too long, and when there is some again.
    pub(crate) fn judge(&self, moment: Moment) {
        let problem = self.problem(moment);
        let was_stale = std::mem::replace(&mut self.heard().is_stale, problem.is_some());
        match problem {
            Some(problem) if !was_stale => tracing::warn!(job = %self.job, "{problem}"),
            None if was_stale => tracing::info!(job = %self.job, "the publisher is heard of again"),
            _ => {}
        }
    }

    /// Returns why it is unknown what the publisher's newest document is, if that is expected to be known.
    pub(crate) fn problem(&self, moment: Moment) -> Option<String> {
        let age_max = self.age_max?;
        let heard = self.heard();
        let asked_for = signed(moment.elapsed.saturating_sub(heard.asked_since?));
        let is_fresh = heard.newest.is_some_and(|proof| proof.age(moment) <= age_max.min(proof.valid_for));
        if is_fresh || asked_for <= age_max {
            return None;
        }
        let flaw = heard.flaw.as_ref().map(|flaw| format!("; {flaw}")).unwrap_or_default();
        let seen = match heard.newest {
            None => "no statement has arrived since the start; set drop.freshness_s of the rescaler, and update a drop \
                     that does not pass statements on"
                .to_owned(),
            Some(proof) => seen(&proof, age_max, moment),
        };
        Some(format!(
            "nothing fresh from the publisher for more than {} s (drop.freshness_max_s), documents may be withheld: \
             {seen}{flaw}",
            age_max.as_secs()
        ))
    }

    /// Returns the age of the newest proof, if proof is expected and there is any.
    pub(crate) fn age(&self, moment: Moment) -> Option<SignedDuration> {
        self.age_max?;
        self.heard().newest.map(|proof| proof.age(moment))
    }

    /// Whether proof is expected.
    pub(crate) fn is_expected(&self) -> bool {
        self.age_max.is_some()
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heard {
    /// Keeps the newest proof. An older one, which may be a replay, changes nothing.
    fn take(&mut self, proof: Result<Proof, String>) {
        match proof {
            Ok(proof) => {
                self.flaw = None;
                if self.newest.is_none_or(|newest| newest.issued_at < proof.issued_at) {
                    self.newest = Some(proof);
                }
            }
            Err(flaw) => self.flaw = Some(flaw),
        }
    }
}

/// Describes the newest proof: it was old when it arrived, or has not been renewed.
fn seen(proof: &Proof, age_max: SignedDuration, moment: Moment) -> String {
    let (issued_at, age_s) = (proof.issued_at, proof.age(moment).as_secs());
    let then_s = proof.age_then.as_secs();
    if proof.age_then > age_max {
        return format!(
            "the newest was issued at {issued_at} and was {then_s} s old on arrival by the clock of this machine \
             ({}); compare the clocks of publisher and agent, and find out what delays it",
            moment.now
        );
    }
    format!("the newest was issued at {issued_at}, {age_s} s ago; check the publisher, and the source")
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests;
