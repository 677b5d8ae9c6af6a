//! Recovery of a lost journal from the reports stored at the drop.
//!
//! A lost journal must not restart a healthy job, apply a change twice, or start a job without its state. So an agent
//! with an empty journal reads its own earlier reports before it accepts a document. Reports are not signed: where
//! keys are pinned, they can only prevent actions. They then keep documents from being applied again, and the agent
//! from starting as if there had never been a job.

use flink::JobId;
use job_config::{ChangeState, EntityTag, JobDocument, PublicKey, Report};
use serde::{Deserialize, Serialize};

use crate::environment::Environment;
use crate::ledger::{Entry, ResumePoint};

/// A permanently rejected document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedDocument {
    /// Its generation.
    pub generation: u64,
    /// Entity tag under which it was served.
    pub entity_tag: EntityTag,
    /// The name of the reason.
    pub reason: String,
    /// The reason, for people.
    pub sentence: String,
}

/// Summary of the drop's reports, up to the current document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveredState {
    /// The newest reported generation.
    pub generation: u64,
    /// Sequence number of the newest report about it.
    pub sequence: u32,
    /// Its final state, if it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<ChangeState>,
    /// How to resume it, if it has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed: Option<ResumePoint>,
    /// The job that was reported last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// Savepoint of a stopped job, if no job was reported to run since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub savepoint: Option<String>,
    /// Text of the document that ran last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// A job ran, and the reports about it cannot be trusted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_lost: bool,
}

/// Fetches the reports and the document that ran last. Returns `None` if there are no reports.
///
/// # Errors
/// The drop did not answer.
pub(crate) async fn recover<S: Environment>(
    env: &S,
    current: &JobDocument,
    keys: &[PublicKey],
) -> Result<Option<Entry>, drop_client::Error> {
    let mut reports = env.reports().await?;
    // Ignores reports of generations above the current one, which a drop may hold.
    reports.retain(|report| report.generation <= current.generation());
    let Some(mut known) = summary(&reports) else { return Ok(None) };
    if !keys.is_empty() {
        known = known.without_what_is_not_signed();
    } else if let Some(running) = running_generation(&reports) {
        known.document = match running == current.generation() {
            true => Some(current.text().to_owned()),
            false => env.revision(running).await?.map(|document| document.text().to_owned()),
        };
    }
    tracing::warn!(
        job = %current.job(), generation = known.generation, ended = ?known.ended,
        "the journal is empty, but the drop has reports of this job: resuming from them"
    );
    Ok(Some(Entry::Recovered { at: env.now(), known: Box::new(known) }))
}

/// Summarises these reports.
fn summary(reports: &[Report]) -> Option<RecoveredState> {
    let last = reports.iter().max_by_key(|report| (report.generation, report.sequence))?;
    let ended = last.state.is_final().then_some(last.state);
    let with_job = reports.iter().filter(|report| report.flink_job_id.is_some());
    let newest = with_job.max_by_key(|report| (report.generation, report.sequence));
    let resumed = match last.state {
        _ if ended.is_some() => None,
        ChangeState::RollingBack => Some(ResumePoint::TakenBack),
        _ => Some(ResumePoint::Begun),
    };
    Some(RecoveredState {
        generation: last.generation,
        sequence: last.sequence,
        ended,
        resumed,
        job: newest.and_then(|report| report.flink_job_id.as_deref()?.parse().ok()),
        savepoint: savepoint(reports, last.generation)
            .filter(|_| !matches!(ended, Some(ChangeState::Running | ChangeState::RolledBack))),
        document: None,
        is_lost: false,
    })
}

/// Returns the last reported savepoint of this generation. A resumed change begins with reports that have none.
fn savepoint(reports: &[Report], generation: u64) -> Option<String> {
    let named = reports.iter().filter(|report| report.generation == generation && report.savepoint.is_some());
    named.max_by_key(|report| report.sequence)?.savepoint.clone()
}

/// Returns the generation that the newest final report says is running.
fn running_generation(reports: &[Report]) -> Option<u64> {
    let ends = reports.iter().filter(|report| report.state.is_final());
    let last = ends.max_by_key(|report| (report.generation, report.sequence))?;
    match last.state {
        ChangeState::Running => Some(last.generation),
        _ => last.running_generation,
    }
}

impl RecoveredState {
    fn without_what_is_not_signed(self) -> Self {
        let is_lost = self.job.is_some();
        let Self { generation, sequence, ended, .. } = self;
        Self {
            generation,
            sequence,
            ended,
            resumed: None,
            job: None,
            savepoint: None,
            document: None,
            is_lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(generation: u64, sequence: u32, state: &str, more: &str) -> Report {
        let text = format!(
            r#"{{"generation":{generation},"sequence":{sequence},"at":"2026-01-01T00:00:00Z","state":"{state}"{more}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    const JOB: &str = r#","flink_job_id":"00000000000000000000000000000007""#;

    /// Goal: a change in progress resumes where the last report says it was, from the state that it names.
    #[test]
    fn a_change_under_way_is_known_again() {
        let stopped = format!(r#"{JOB},"savepoint":"file:///s""#);
        let reports = [
            report(1, 3, "running", JOB),
            report(2, 1, "received", ""),
            report(2, 3, "stopped", &stopped),
            report(2, 2, "stopping", JOB),
        ];
        let known = summary(&reports).unwrap();
        assert_eq!((known.generation, known.sequence, known.ended), (2, 3, None));
        assert_eq!(
            (known.resumed, known.savepoint.as_deref()),
            (Some(ResumePoint::Begun), Some("file:///s"))
        );
        assert_eq!(known.job, Some(JobId::from_bytes([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7])));
        // The journal was lost again, right after the change had resumed.
        let again = [&reports[..], &[report(2, 4, "received", "")]].concat();
        assert_eq!(summary(&again).unwrap().savepoint.as_deref(), Some("file:///s"));
        let known = summary(&[report(2, 4, "rolling-back", JOB)]).unwrap();
        assert_eq!(known.resumed, Some(ResumePoint::TakenBack));
        assert_eq!(summary(&[]), None);
    }

    /// Goal: an ended change is over, and its savepoint is no longer the job's state, unless no job runs.
    #[test]
    fn an_ended_change_is_over() {
        let more = r#","message":"m","savepoint":"file:///s""#;
        for (state, ended, savepoint) in [
            ("running", ChangeState::Running, None),
            ("rolled-back", ChangeState::RolledBack, None),
            ("failed", ChangeState::Failed, Some("file:///s")),
        ] {
            let reports = [report(1, 3, "running", JOB), report(2, 4, state, more)];
            let known = summary(&reports).unwrap();
            assert_eq!((known.ended, known.resumed), (Some(ended), None));
            assert_eq!(known.savepoint.as_deref(), savepoint, "{state}");
        }
    }

    /// Goal: the savepoint of an earlier generation is not taken for the state of this one.
    #[test]
    fn an_earlier_savepoint_is_not_the_state() {
        let earlier = report(1, 3, "failed", r#","message":"m","savepoint":"file:///s""#);
        let known = summary(&[earlier, report(2, 1, "received", "")]).unwrap();
        assert_eq!((known.generation, known.savepoint), (2, None));
    }

    /// Goal: what runs is what the newest final report says; a change under way says nothing about it.
    #[test]
    fn the_newest_final_report_says_what_runs() {
        let rolled_back = r#","message":"m","running_generation":3"#;
        let reports = [
            report(5, 4, "rolled-back", rolled_back),
            report(3, 3, "running", JOB),
            report(6, 2, "failed", r#","message":"m""#),
            report(7, 3, "running", JOB),
            report(8, 1, "received", ""),
        ];
        for (number, expected) in
            [(1, Some(3)), (2, Some(3)), (3, None), (4, Some(7)), (5, Some(7)), (0, None)]
        {
            assert_eq!(running_generation(&reports[..number]), expected, "{number} reports");
        }
    }

    /// Goal: with a pinned key, reports only say what is over, and that there was a job.
    #[test]
    fn unsigned_reports_bring_about_nothing() {
        let known = summary(&[report(2, 3, "stopped", JOB)]).unwrap().without_what_is_not_signed();
        assert!(known.is_lost && known.job.is_none() && known.resumed.is_none(), "{known:?}");
        let known = summary(&[report(2, 1, "received", "")]).unwrap().without_what_is_not_signed();
        assert!(!known.is_lost, "{known:?}");
    }
}
