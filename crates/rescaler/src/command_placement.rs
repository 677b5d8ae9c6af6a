//! Plans applied by a program, for clusters that cannot rescale in place and may not run an agent.
//!
//! The document is built from the running job at every request. The program gets a plan as one JSON object on standard input; exit
//! code 0 means that the change is in progress. It ends when the job runs with the planned parallelism, maybe under another id.

use std::collections::BTreeMap;
use std::time::Duration;

use control::PutOutcome;
use flink::JobDetails;
use jiff::Timestamp;
use job_config::{ChangeState, JobDocument, Report};
use policies::ExternalProgram;
use serde::Serialize;
use tracing::info;

use crate::placement::RunningJob;

/// Input of the program.
#[derive(Debug, Serialize)]
struct Plan<'a> {
    format: u32,
    flink_url: &'a str,
    job: &'a str,
    job_id: &'a str,
    generation: u64,
    reason: &'a str,
    vertices: Vec<PlannedVertex<'a>>,
    /// The plan as a value of `pipeline.jobvertex-parallelism-overrides`.
    overrides: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_managers: Option<u32>,
}

#[derive(Debug, Serialize)]
struct PlannedVertex<'a> {
    id: &'a str,
    name: &'a str,
    parallelism: u32,
    max_parallelism: u32,
    wanted: u32,
}

/// A plan that the program has accepted.
#[derive(Debug)]
struct Asked {
    /// By vertex id.
    wanted: BTreeMap<String, u32>,
    at: Timestamp,
}

/// Source and destination of documents if a program applies plans.
#[derive(Debug)]
pub(crate) struct CommandPlacement {
    job: RunningJob,
    program: ExternalProgram,
    within: Duration,
    generation: u64,
    asked: Option<Asked>,
    /// The newest plan.
    reports: Vec<Report>,
}

impl CommandPlacement {
    /// Returns the placement for this job. `generation` is that of the newest plan of an earlier run, which counts as carried out because
    /// the job is adopted as it runs.
    pub(crate) fn new(job: RunningJob, program: ExternalProgram, generation: u64) -> Self {
        let within = Duration::from_millis(program.timeout_ms);
        let reports = vec![report(generation, 1, ChangeState::Running, None)];
        Self { job, program, within, generation, asked: None, reports }
    }

    /// Returns the document of the running job.
    ///
    /// # Errors
    /// Flink does not respond, or the job does not run.
    pub(crate) async fn document(&self) -> anyhow::Result<control::Current> {
        self.job.document(self.generation).await
    }

    /// Returns the reports about the newest plan.
    pub(crate) async fn reports(&mut self) -> Vec<Report> {
        let Some(asked) = &self.asked else { return self.reports.clone() };
        let missing = match self.job.details().await {
            Ok(details) => missing(&details, &asked.wanted),
            Err(error) => Some(format!("{error:#}")),
        };
        let age = Timestamp::now().duration_since(asked.at).unsigned_abs();
        let end = match missing {
            None => Some(report(self.generation, 2, ChangeState::Running, None)),
            Some(missing) if age >= self.within => {
                let message = format!("the job does not match the plan after {} s: {missing}", age.as_secs());
                Some(report(self.generation, 2, ChangeState::RolledBack, Some(message)))
            }
            Some(_) => None,
        };
        if let Some(mut end) = end {
            end.previous_state_ms = u64::try_from(age.as_millis()).ok();
            end.running_generation = Some(self.generation);
            self.reports.push(end);
            self.asked = None;
        }
        self.reports.clone()
    }

    /// Gives a plan to the program.
    pub(crate) async fn put(&mut self, document: &JobDocument) -> PutOutcome {
        let details = match self.job.details().await {
            Ok(details) => details,
            Err(error) => return PutOutcome::Refused(format!("{error:#}")),
        };
        let input = match serde_json::to_vec(&self.plan(document, &details)) {
            Ok(input) => input,
            Err(error) => return PutOutcome::Refused(format!("cannot serialise the plan: {error}")),
        };
        if let Err(reason) = self.program.give(input).await {
            return PutOutcome::Refused(format!("placement.command: {reason}"));
        }
        info!(generation = document.generation(), "passed the plan to {}", self.program.name());
        self.generation = document.generation();
        self.reports = vec![report(self.generation, 1, ChangeState::Rescaling, None)];
        self.asked = Some(Asked { wanted: document.parallelism().operators.clone(), at: Timestamp::now() });
        PutOutcome::Stored
    }

    fn plan<'a>(&'a self, document: &'a JobDocument, details: &'a JobDetails) -> Plan<'a> {
        let wanted = &document.parallelism().operators;
        let vertices: Vec<PlannedVertex<'a>> = details
            .vertices
            .iter()
            .map(|vertex| PlannedVertex {
                id: vertex.id.as_str(),
                name: &vertex.name,
                parallelism: vertex.parallelism,
                max_parallelism: vertex.max_parallelism,
                wanted: wanted.get(vertex.id.as_str()).copied().unwrap_or(vertex.parallelism),
            })
            .collect();
        let overrides: Vec<String> =
            vertices.iter().map(|vertex| format!("{}:{}", vertex.id, vertex.wanted)).collect();
        Plan {
            format: 1,
            flink_url: self.job.flink_url(),
            job: &details.name,
            job_id: details.id.as_str(),
            generation: document.generation(),
            reason: document.reason(),
            vertices,
            overrides: overrides.join(","),
            task_managers: document.task_managers(),
        }
    }
}

fn report(generation: u64, sequence: u32, state: ChangeState, message: Option<String>) -> Report {
    Report { message, ..Report::new(generation, sequence, Timestamp::now(), state) }
}

/// Describes the difference from the plan; [`None`]: no difference.
fn missing(details: &JobDetails, wanted: &BTreeMap<String, u32>) -> Option<String> {
    if !details.is_fully_running() {
        return Some("not all tasks run".to_owned());
    }
    let differs = |vertex: &&flink::Vertex| {
        wanted.get(vertex.id.as_str()).is_some_and(|wanted| *wanted != vertex.parallelism)
    };
    let differing: Vec<String> = details
        .vertices
        .iter()
        .filter(differs)
        .map(|vertex| {
            let wanted = wanted.get(vertex.id.as_str()).copied().unwrap_or_default();
            format!("{}: {} of {wanted}", vertex.head_operator(), vertex.parallelism)
        })
        .collect();
    (!differing.is_empty()).then(|| differing.join(", "))
}
