//! Simulated environment of the config agent; the agent itself is the real one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use config_agent::{
    Agent, Config, DocumentSourceSettings, Effect, EffectError, EndedJob, Entry, Environment, JobProgram,
    JournalStore, Observation, Pool, Query, Retention, Rules, Submission,
};
use drop_client::{Current, Fetched, Reported, SourceAnswer};
use flink::{JobId, JobState, Vertex, VertexId};
use jiff::{SignedDuration, Timestamp};
use job_config::{EntityTag, JobDocument, Observed, Report};

use super::disk::AgentJournal;
use super::drop::Status;
use super::faults::Regression;
use super::flink::SimulatedJob;
use super::job_model::SCALED;
use super::world::{FailedCall, ProgramId, Shared, Sleep, World};

/// The agent's access to the simulation.
pub(crate) struct AgentEnvironment(pub(crate) Shared);

/// The agent's process, from its start until it crashes.
pub(crate) async fn run(shared: Shared) {
    let lines = shared.lock().disk.agent.clone();
    let entries: Vec<Entry> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let backend = Box::new(AgentJournal(shared.clone()));
    let journal = JournalStore::over(backend, PathBuf::from("played"), &entries, 1_000).unwrap();
    let _crashed = Agent::over(config(), journal, AgentEnvironment(shared)).run().await;
}

fn config() -> Config {
    let s = Duration::from_secs;
    Config {
        job: "played".parse().unwrap(),
        data: PathBuf::new(),
        listen: None,
        direct: None,
        drop_url: "http://drop".into(),
        document_source: DocumentSourceSettings::default(),
        drop_wait: s(30),
        drop_settings: drop_client::ClientSettings::default(),
        reports_kept: 1_000,
        flink_url: "http://flink".into(),
        flink_access: http_client::Access::default(),
        flink_settings: flink::ClientSettings::default(),
        flink_job: "played".to_owned(),
        program: Some(JobProgram {
            jar: PathBuf::new(),
            entry_class: None,
            extra_arguments: Vec::new(),
            savepoint_directory: None,
            check_before_stop: true,
        }),
        pool: Pool::default(),
        retention: Retention::keeping(2),
        late_submissions_within: s(20),
        poll: Duration::from_millis(500),
        rules: Rules {
            stoppable_within: s(20),
            stopped_within: s(20),
            running_within: s(20),
            restored_within: s(20),
            grace: Duration::ZERO,
            roll_back: true,
            in_place_failures: 3,
            breaker_failures: 5,
            breaker_pause: s(60),
            start_fresh_if_lost: false,
            can_submit: true,
            pool: Vec::new(),
            nodes_within: s(20),
        },
        retry_first: Duration::from_millis(500),
        retry_longest: s(5),
    }
}

fn of_flink(FailedCall { status }: FailedCall) -> flink::Error {
    flink::Error::Status { url: "http://flink".to_owned(), status, message: "played".to_owned() }
}

fn of_drop(status: u16) -> drop_client::Error {
    drop_client::Error::Status { url: "http://drop".to_owned(), status, message: "played".to_owned() }
}

impl Environment for AgentEnvironment {
    fn now(&self) -> Timestamp {
        let world = self.0.lock();
        world.now() + world.agent_ahead + world.agent_is_wrong_by()
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.0.lock().now_ms)
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        self.0.sleep(duration)
    }

    fn chance(&self) -> f64 {
        self.0.lock().random.uniform()
    }

    async fn observe(&self, query: &Query) -> Result<Observation, flink::Error> {
        if *query == Query::Nothing {
            return Ok(Observation::Nothing);
        }
        self.0.call(ProgramId::Agent, "Flink how it is", |p| p.answer(query)).await.map_err(of_flink)
    }

    async fn act(&self, document: &JobDocument, effect: &Effect) -> Result<(), EffectError> {
        let what = format!("Flink for {}", name(effect));
        match self.0.call(ProgramId::Agent, &what, |p| p.act(document, effect)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(reason)) => Err(EffectError::Refused { reason }),
            Err(no_answer) => Err(of_flink(no_answer).into()),
        }
    }

    async fn observed(&self, job: &JobId, _since: Timestamp) -> Result<Observed, flink::Error> {
        let seen = |p: &mut World| {
            p.settle();
            let width = p.flink.job(job).map(|job| job.width).unwrap_or_default();
            let parallelism = SCALED.iter().zip(width).map(|((name, _), p)| ((*name).to_owned(), p));
            Observed { parallelism: parallelism.collect(), task_managers: None, rescales: Vec::new() }
        };
        self.0.call(ProgramId::Agent, "Flink for a last look", seen).await.map_err(of_flink)
    }

    async fn alive(&self) -> Result<Vec<JobId>, flink::Error> {
        let alive = |p: &mut World| {
            p.settle();
            p.flink.alive().map(|job| job.id.clone()).collect()
        };
        self.0.call(ProgramId::Agent, "Flink for its jobs", alive).await.map_err(of_flink)
    }

    async fn cancel(&self, job: &JobId) -> Result<(), flink::Error> {
        self.0.call(ProgramId::Agent, "Flink to cancel", |p| p.cancel(job)).await.map_err(of_flink)
    }

    async fn dispose(&self, _path: &str) -> Result<(), String> {
        let gone = self.0.call(ProgramId::Agent, "Flink to dispose of a savepoint", |_| ()).await;
        gone.map_err(|no_answer| format!("{no_answer:?}"))
    }

    fn holds_back(&self) -> bool {
        true
    }

    async fn fetch(
        &self,
        known: Option<&EntityTag>,
        wait: Option<Duration>,
    ) -> Result<SourceAnswer, drop_client::Error> {
        let wait = Other { shared: &self.0, known, sleep: self.0.sleep(wait.unwrap_or_default()) };
        wait.await;
        let fetch = |p: &mut World| p.fetch(known);
        let answer = self.0.call(ProgramId::Agent, "drop for a document", fetch).await;
        answer.map(SourceAnswer::from).map_err(|no_answer| of_drop(no_answer.status))
    }

    async fn reports(&self) -> Result<Vec<Report>, drop_client::Error> {
        let reports = |p: &mut World| p.drop.reports.clone();
        let answer = self.0.call(ProgramId::Agent, "drop for reports", reports).await;
        answer.map_err(|no_answer| of_drop(no_answer.status))
    }

    async fn revision(&self, generation: u64) -> Result<Option<JobDocument>, drop_client::Error> {
        let revision = |p: &mut World| p.drop.revision(generation).cloned();
        let answer = self.0.call(ProgramId::Agent, "drop for an earlier document", revision).await;
        answer.map_err(|no_answer| of_drop(no_answer.status))
    }

    fn takes_reports(&self) -> bool {
        true
    }

    async fn report(&self, report: &Report) -> Result<Reported, drop_client::Error> {
        let Report { generation, sequence, state, .. } = report;
        let what = format!("drop to take report {generation}.{sequence} ({state:?})");
        match self.0.call(ProgramId::Agent, &what, |p| p.take_report(report)).await {
            Ok(Ok(())) => Ok(Reported::Stored),
            Ok(Err(Status(409))) => Ok(Reported::Contradicted),
            Ok(Err(Status(status))) => Err(of_drop(status)),
            Err(no_answer) => Err(of_drop(no_answer.status)),
        }
    }
}

/// Waits until the drop has another document than the known one, or until the timeout.
struct Other<'a> {
    shared: &'a Shared,
    known: Option<&'a EntityTag>,
    sleep: Sleep,
}

impl Future for Other<'_> {
    type Output = ();

    fn poll(mut self: std::pin::Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<()> {
        let is_other = {
            let world = self.shared.lock();
            world.drop.tag() != self.known
        };
        if is_other {
            return std::task::Poll::Ready(());
        }
        std::pin::Pin::new(&mut self.sleep).poll(context)
    }
}

fn name(effect: &Effect) -> String {
    match effect {
        Effect::Check => "a check".to_owned(),
        Effect::Stop { .. } => "a stop".to_owned(),
        Effect::Rescale { parallelism, .. } => format!("a rescale to {:?}", parallelism.values()),
        Effect::Cancel { .. } => "a cancellation".to_owned(),
        Effect::Submit { savepoint, .. } => format!("a submission from {savepoint:?}"),
        other => format!("{other:?}"),
    }
}

/// The id of a vertex, by its index.
fn vertex_id(index: usize) -> VertexId {
    VertexId::from_bytes([u8::try_from(index).unwrap(); 16])
}

fn vertices(width: [u32; 2]) -> Vec<Vertex> {
    let vertex = |(index, (name, _)): (usize, &(&str, f64))| Vertex {
        id: vertex_id(index),
        name: (*name).to_owned(),
        parallelism: width[index],
        max_parallelism: 128,
        status: "RUNNING".to_owned(),
        slot_sharing_group: None,
        tasks: BTreeMap::new(),
    };
    SCALED.iter().enumerate().map(vertex).collect()
}

impl World {
    fn submission(&self, id: &JobId) -> Submission {
        let Some(job) = self.flink.job(id) else { return Submission::Unknown };
        let failure = (!job.failures_ms.is_empty()).then(|| "a task failed".to_owned());
        match job.state {
            JobState::Running => Submission::Running,
            state if state.is_terminal() => Submission::Ended { state, failure },
            state => Submission::Starting { state, failure },
        }
    }

    /// Flink's observed state, as the agent's cluster client would return it.
    fn answer(&mut self, query: &Query) -> Observation {
        self.settle();
        let job_of = |id: &JobId| self.flink.job(id);
        match query {
            Query::Nothing => Observation::Nothing,
            Query::Jobs { last, with_requirements, .. } => Observation::Jobs {
                alive: self.flink.alive().map(|job| (job.id.clone(), job.state)).collect(),
                last: last.as_ref().and_then(|id| self.ended(id)),
                registered: Vec::new(),
                wanted: match self.flink.alive().collect::<Vec<_>>()[..] {
                    [job] if *with_requirements => Some(vertices(job.wanted)),
                    _ => None,
                },
            },
            Query::Nodes { job } => Observation::Nodes {
                registered: Vec::new(),
                submission: job.as_ref().map(|job| self.submission(job)),
            },
            Query::Stop { job, trigger } => {
                let simulated = job_of(job);
                let stop = simulated.and_then(|job| job.stop.as_ref());
                Observation::Stop {
                    operation: stop.filter(|stop| stop.trigger == *trigger).map(|stop| stop.status.clone()),
                    job: simulated.map(|job| job.state),
                    savepoint: simulated.filter(|job| !job.is_alive()).and_then(SimulatedJob::savepoint),
                }
            }
            Query::Submission { job, rival } => Observation::Submission {
                submission: self.submission(job),
                rival_lives: rival.as_ref().and_then(job_of).is_some_and(SimulatedJob::is_alive),
            },
            Query::Vertices { job, since } => {
                let simulated = job_of(job);
                let since_ms = since.duration_since(super::world::at(0)).as_millis();
                let failures = simulated.map_or(&[][..], |job| &job.failures_ms[..]);
                let recent = failures.iter().rev().filter(|at| i128::from(**at) >= since_ms);
                Observation::Vertices {
                    submission: self.submission(job),
                    vertices: simulated.map(|job| vertices(job.width)).unwrap_or_default(),
                    failures: recent.map(|_| "a task failed".to_owned()).collect(),
                }
            }
            Query::FailedJob { job } => {
                let simulated = job_of(job);
                Observation::FailedJob {
                    job: simulated.map(|job| job.state),
                    checkpoints: simulated.map_or(0, |job| job.checkpoints(self.now_ms)),
                    newest_state: simulated.and_then(|job| job.newest_state(self.now_ms)),
                }
            }
        }
    }

    fn ended(&self, id: &JobId) -> Option<EndedJob> {
        let Some(job) = self.flink.job(id) else { return Some(EndedJob::Forgotten) };
        let newest_state = job.newest_state(self.now_ms);
        (!job.is_alive()).then_some(EndedJob::In { state: job.state, newest_state })
    }

    fn act(&mut self, document: &JobDocument, effect: &Effect) -> Result<(), String> {
        self.settle();
        match effect {
            Effect::Stop { job, trigger } => self.stop(job, trigger, document),
            Effect::Rescale { job, parallelism } => {
                let widths = [0, 1].map(|index| parallelism.get(&vertex_id(index)).copied());
                return self.rescale(job, widths);
            }
            Effect::Cancel { job } => self.cancel(job),
            Effect::Submit { job, savepoint } => self.submit(job, savepoint.as_ref(), document),
            Effect::Check | Effect::StartNode { .. } | Effect::StopNode { .. } => {}
        }
        Ok(())
    }

    fn fetch(&mut self, known: Option<&EntityTag>) -> Fetched {
        let (Some(document), Some(tag)) = (self.drop.current(), self.drop.tag()) else {
            return Fetched::Absent;
        };
        if known == Some(tag) {
            return Fetched::NotModified;
        }
        let entity_tag = tag.clone();
        Fetched::Document(Box::new(Current { document: document.clone(), entity_tag, signature: None }))
    }

    fn take_report(&mut self, report: &Report) -> Result<(), Status> {
        let is_unlucky =
            !self.is_calm() && self.faults.narrow > 0.0 && self.random.uniform() < self.faults.narrow;
        self.drop.is_narrow =
            is_unlucky || (self.faults.known == Some(Regression::LongReport) && report.generation > 1);
        self.drop.is_deaf = self.faults.known == Some(Regression::FinalReportRefused);
        let taken = self.drop.report(report);
        if taken == Err(Status(413)) {
            self.tell(format_args!("a report is too long"));
        }
        taken
    }

    /// Current error of the agent's clock.
    fn agent_is_wrong_by(&self) -> SignedDuration {
        let wrong = self.faults.clock.iter().find(|(from, to, _)| (*from..*to).contains(&self.now_ms));
        wrong.map_or(SignedDuration::ZERO, |(_, _, by)| *by)
    }

    /// Sets the agent's clock an hour ahead, or right again.
    pub(crate) fn put_clock_ahead(&mut self, is_ahead: bool) {
        self.agent_ahead = if is_ahead { SignedDuration::from_hours(1) } else { SignedDuration::ZERO };
    }
}
