//! A scripted Flink: the part of its REST interface that the agent uses, with the behaviour that matters.
//!
//! It behaves as Flink 2.3 was seen to: operations and submissions are recognised by the id that the client chose,
//! stops and starts take a few looks, a savepoint operation can be forgotten, a job that has ended remembers its
//! savepoint. It keeps count of what really happened, and notices when two jobs of one name run.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use job_config::JobDocument;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::JOB;
pub(crate) use super::fault::Fault;

/// The operator of the scripted jobs whose parallelism changes.
pub(crate) const VERTEX: &str = "q7-bid-item";

#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) state: &'static str,
    pub(crate) document: String,
    pub(crate) from_savepoint: Option<String>,
    pub(crate) savepoint: Option<String>,
    /// Path of its own newest checkpoint, once it has run.
    pub(crate) checkpoint: Option<String>,
    /// Last required parallelism of its one vertex that is not fixed.
    pub(crate) width: u32,
    wanted: u32,
    /// Requests until a starting job runs, and until a running bad job fails.
    looks: u32,
}

#[derive(Debug, Clone)]
struct Operation {
    job: String,
    /// Requests until it ends.
    left: u32,
    failure: Option<String>,
}

/// State and counters of the script.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) jobs: BTreeMap<String, Job>,
    pub(crate) order: Vec<String>,
    operations: HashMap<String, Operation>,
    pub(crate) jars: Vec<String>,
    /// Stops that took effect.
    pub(crate) stops: u32,
    /// Submissions that took effect.
    pub(crate) submissions: u32,
    pub(crate) uploads: u32,
    /// Requests for another parallelism.
    pub(crate) rescales: u32,
    /// All requests for a parallelism, including an unchanged one.
    pub(crate) wishes: u32,
    /// The highest parallelism of a vertex that the slots allow; `None`: unlimited.
    pub(crate) slots: Option<u32>,
    /// The cluster runs without the adaptive scheduler: no job can be rescaled in place.
    pub(crate) has_other_scheduler: bool,
    pub(crate) requests: u32,
    /// Time of the first request since this was cleared.
    pub(crate) first_request: Option<std::time::Instant>,
    /// A request (counted from 1) and its fault.
    pub(crate) fault: Option<(u32, Fault)>,
    /// Further faults.
    pub(crate) faults: Vec<(u32, Fault)>,
    /// Submissions of this generation take effect only when the test says so, and are not answered.
    pub(crate) holds_submissions_of: Option<u64>,
    held: Vec<(String, Value)>,
    /// Folder in which each file is a task manager with 4 slots.
    pub(crate) nodes: Option<std::path::PathBuf>,
    /// Deleted savepoints.
    pub(crate) disposed: Vec<String>,
    /// Reason with which deletions fail.
    pub(crate) disposal_fails: Option<String>,
    /// Reason with which the next stop fails.
    pub(crate) stop_fails: Option<String>,
    /// Reason with which dry runs fail.
    pub(crate) plan_fails: Option<String>,
    /// Number of requests during which a submitted job is not visible yet.
    pub(crate) hidden_looks: u32,
    /// Submissions of jobs that already existed.
    pub(crate) repeated_submissions: u32,
    /// Reason with which bad jobs fail.
    pub(crate) jobs_fail: Option<String>,
    /// Bad jobs fail only after they have run and completed a checkpoint.
    pub(crate) fail_late: bool,
    /// Bad jobs never run.
    pub(crate) jobs_hang: bool,
    /// Generations whose jobs are bad; empty: all.
    pub(crate) bad: Vec<u64>,
    /// Cancelled jobs keep no checkpoints.
    pub(crate) deletes_checkpoints: bool,
    /// Finished operations are forgotten immediately.
    pub(crate) forgets_operations: bool,
    /// Set once two jobs of one name were running at the same time.
    pub(crate) two_at_a_time: bool,
}

/// A scripted Flink on a free port.
#[derive(Clone)]
pub(crate) struct ScriptedFlink {
    pub(crate) url: String,
    pub(crate) world: Arc<Mutex<World>>,
}

#[derive(Clone)]
struct Service {
    world: Arc<Mutex<World>>,
    faults: mpsc::UnboundedSender<Fault>,
}

impl ScriptedFlink {
    /// Starts it; the receiver reports each fault that occurred.
    #[expect(clippy::disallowed_methods, reason = "only the agent under test talks to it")]
    pub(crate) async fn start() -> (Self, mpsc::UnboundedReceiver<Fault>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let world = Arc::new(Mutex::new(World::default()));
        let (faults, befallen) = mpsc::unbounded_channel();
        let service = Service { world: Arc::clone(&world), faults };
        let router = Router::new().fallback(answer).with_state(service);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (Self { url, world }, befallen)
    }

    pub(crate) fn with<T>(&self, use_world: impl FnOnce(&mut World) -> T) -> T {
        use_world(&mut self.world.lock().unwrap())
    }

    /// Adds a running job that was not submitted through the agent.
    pub(crate) fn add_job(&self, id: &str, state: &'static str) {
        self.with(|world| {
            let job = Job {
                state,
                document: String::new(),
                from_savepoint: None,
                savepoint: None,
                checkpoint: None,
                width: 1,
                wanted: 1,
                looks: 0,
            };
            world.jobs.insert(id.to_owned(), job);
            world.order.push(id.to_owned());
        });
    }

    /// The running jobs, oldest first.
    pub(crate) fn running(&self) -> Vec<Job> {
        self.with(|world| world.jobs.values().filter(|job| job.state == "RUNNING").cloned().collect())
    }
}

async fn answer(State(service): State<Service>, method: Method, uri: Uri, body: Bytes) -> Response {
    let fault = {
        let mut world = service.world.lock().unwrap();
        world.requests += 1;
        world.first_request.get_or_insert_with(std::time::Instant::now);
        let number = world.requests;
        let planned = world.faults.iter().find(|(at, _)| *at == number).map(|(_, fault)| *fault);
        world.fault.take_if(|(at, _)| *at == number).map(|(_, fault)| fault).or(planned)
    };
    let respond = || {
        let mut world = service.world.lock().unwrap();
        let (status, answer) = world.respond(&method, uri.path(), &body);
        (StatusCode::from_u16(status).unwrap(), Json(answer)).into_response()
    };
    let held = {
        let mut world = service.world.lock().unwrap();
        world.holds(&method, uri.path(), &body)
    };
    if held {
        return std::future::pending().await;
    }
    let Some(fault) = fault else { return respond() };
    let answer = fault.has_effect().then(respond);
    service.faults.send(fault).ok();
    fault.spoil(answer).await
}

fn errors(status: u16, message: &str) -> (u16, Value) {
    (status, json!({ "errors": [message] }))
}

impl World {
    fn respond(&mut self, method: &Method, path: &str, body: &[u8]) -> (u16, Value) {
        let raw = body;
        let body: Value = serde_json::from_slice(raw).unwrap_or_default();
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let answer = match (method.as_str(), parts.as_slice()) {
            ("GET", ["jobs", "overview"]) => (200, self.overview()),
            ("GET", ["jobs", id]) => self.details(id),
            ("PATCH", ["jobs", id]) => self.cancel(id),
            (_, ["jobs", _, "resource-requirements"]) if self.has_other_scheduler => errors(
                500,
                "java.lang.UnsupportedOperationException: The DefaultScheduler does not support changing the parallelism",
            ),
            ("GET", ["jobs", id, "resource-requirements"]) => self.requirements(id),
            ("PUT", ["jobs", id, "resource-requirements"]) => self.rescale(id, &body),
            ("POST", ["jobs", _, "checkpoints"]) => (202, json!({ "request-id": "0" })),
            ("GET", ["jobs", id, "checkpoints"]) => self.checkpoints(id),
            ("GET", ["jobs" | "applications", _, "exceptions"]) => (200, self.exceptions()),
            ("POST", ["jobs", id, "stop"]) => self.stop(id, &body),
            ("GET", ["jobs", id, "savepoints", trigger]) => self.operation(id, trigger),
            ("GET", ["taskmanagers"]) => (200, json!({ "taskmanagers": self.task_managers() })),
            ("GET", ["overview"]) => {
                let count = self.task_managers().len();
                (200, json!({ "taskmanagers": count, "slots-total": count * 4, "slots-available": 0 }))
            }
            ("POST", ["savepoint-disposal"]) => self.dispose(&body),
            ("GET", ["savepoint-disposal", _]) => self.disposal(),
            ("GET", ["jars"]) => (200, self.list_jars()),
            ("POST", ["jars", "upload"]) => self.upload(raw),
            ("POST", ["jars", jar, "plan"]) => self.plan(jar),
            ("POST", ["jars", jar, "run"]) => self.run(jar, &body),
            _ => errors(404, &format!("Not found: {path}")),
        };
        let alive = self.jobs.values().filter(|job| !is_terminal(job.state)).count();
        self.two_at_a_time |= alive > 1;
        answer
    }

    /// Holds a submission back, if it matches.
    fn holds(&mut self, method: &Method, path: &str, body: &[u8]) -> bool {
        let Some(generation) = self.holds_submissions_of else { return false };
        let text = String::from_utf8_lossy(body);
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let ["jars", jar, "run"] = parts.as_slice() else { return false };
        let is_it = method == Method::POST && text.contains(&format!("generation = {generation}\\n"));
        if is_it {
            self.held.push(((*jar).to_owned(), serde_json::from_slice(body).unwrap()));
        }
        is_it
    }

    /// Executes the submissions that were held back.
    pub(crate) fn release(&mut self) {
        self.holds_submissions_of = None;
        for (jar, body) in std::mem::take(&mut self.held) {
            self.run(&jar, &body);
        }
    }

    fn task_managers(&self) -> Vec<Value> {
        let Some(nodes) = &self.nodes else { return Vec::new() };
        let files = std::fs::read_dir(nodes).unwrap().map(|file| file.unwrap().file_name());
        files.map(|name| json!({ "id": name.to_str().unwrap(), "slotsNumber": 4, "freeSlots": 0 })).collect()
    }

    fn dispose(&mut self, body: &Value) -> (u16, Value) {
        let path = body["savepoint-path"].as_str().unwrap().to_owned();
        if self.disposal_fails.is_none() {
            self.disposed.push(path);
        }
        (202, json!({ "request-id": "d".repeat(32) }))
    }

    fn disposal(&self) -> (u16, Value) {
        let failure = self.disposal_fails.as_ref().map(|why| json!({ "stack-trace": why }));
        let operation = failure.map_or(json!({}), |failure| json!({ "failure-cause": failure }));
        (200, json!({ "status": { "id": "COMPLETED" }, "operation": operation }))
    }

    fn overview(&self) -> Value {
        let jobs = self
            .order
            .iter()
            .map(|id| json!({ "jid": id, "name": JOB, "state": self.jobs[id].state, "start-time": 0 }));
        json!({ "jobs": jobs.collect::<Vec<_>>() })
    }

    fn details(&mut self, id: &str) -> (u16, Value) {
        let (fails, late, hangs) = (self.jobs_fail.is_some(), self.fail_late, self.jobs_hang);
        let bad = self.bad.clone();
        let Some(job) = self.jobs.get_mut(id) else { return errors(404, "job not found") };
        if self.hidden_looks > 0 {
            self.hidden_looks -= 1;
            return errors(404, "job not found");
        }
        let is_bad = bad.is_empty()
            || bad.iter().any(|generation| job.document.contains(&format!("generation = {generation}\n")));
        job.looks = job.looks.saturating_sub(1);
        match job.state {
            "CREATED" if job.looks == 0 && !(hangs && is_bad) => {
                job.state = if fails && is_bad && !late { "FAILED" } else { "RUNNING" };
                job.looks = 3;
            }
            "RUNNING" if job.looks == 0 && fails && is_bad && late => {
                job.state = "FAILED";
                job.checkpoint = Some(format!("file:///checkpoints/{id}"));
            }
            _ => {}
        }
        if job.looks == 0 {
            job.width = job.wanted.min(self.slots.unwrap_or(u32::MAX));
        }
        let vertices = [("0", "Source: source-bid -> decode-bid", 1), ("1", VERTEX, job.width)];
        let vertices = vertices.map(|(digit, name, parallelism)| {
            json!({ "id": digit.repeat(32), "name": name, "parallelism": parallelism, "maxParallelism": 1000, "status": job.state })
        });
        (200, json!({ "jid": id, "name": JOB, "state": job.state, "vertices": vertices }))
    }

    fn requirements(&self, id: &str) -> (u16, Value) {
        let Some(job) = self.jobs.get(id) else { return errors(404, "job not found") };
        let bounds = |upper: u32| json!({ "parallelism": { "lowerBound": 1, "upperBound": upper } });
        (200, json!({ "0".repeat(32): bounds(1), "1".repeat(32): bounds(job.wanted) }))
    }

    fn rescale(&mut self, id: &str, body: &Value) -> (u16, Value) {
        let upper = |digit: &str| body[digit.repeat(32)]["parallelism"]["upperBound"].as_u64();
        let (Some(1), Some(wanted)) = (upper("0"), upper("1")) else {
            return errors(400, "every vertex must be named");
        };
        let Some(job) = self.jobs.get_mut(id) else { return errors(404, "job not found") };
        let wanted = u32::try_from(wanted).unwrap();
        self.rescales += u32::from(job.wanted != wanted);
        self.wishes += 1;
        job.wanted = wanted;
        job.looks = 3;
        (200, json!({}))
    }

    fn checkpoints(&self, id: &str) -> (u16, Value) {
        let Some(job) = self.jobs.get(id) else { return errors(404, "job not found") };
        let completed = |path: &String, number: u64, discarded: bool| json!({ "id": number, "external_path": path, "discarded": discarded });
        let savepoint = job.savepoint.as_ref().map(|path| completed(path, 2, false));
        let checkpoint = job.checkpoint.as_ref().map(|path| completed(path, 1, self.deletes_checkpoints));
        let counts = json!({ "completed": u32::from(checkpoint.is_some()) + u32::from(savepoint.is_some()) });
        (200, json!({ "counts": counts, "latest": { "completed": checkpoint, "savepoint": savepoint } }))
    }

    fn cancel(&mut self, id: &str) -> (u16, Value) {
        let Some(job) = self.jobs.get_mut(id) else { return errors(404, "job not found") };
        if !is_terminal(job.state) {
            job.state = "CANCELED";
        }
        (202, json!({}))
    }

    fn exceptions(&self) -> Value {
        let entries: Vec<_> = self.jobs_fail.iter().map(|trace| json!({ "stacktrace": trace })).collect();
        json!({ "exceptionHistory": { "entries": entries } })
    }

    fn stop(&mut self, id: &str, body: &Value) -> (u16, Value) {
        let trigger = body["triggerId"].as_str().unwrap().to_owned();
        let answer = (202, json!({ "request-id": trigger }));
        if self.operations.contains_key(&trigger) {
            return answer;
        }
        let runs = self.jobs.get(id).is_some_and(|job| job.state == "RUNNING");
        let failure = if runs { self.stop_fails.take() } else { Some("a.B: job not found".to_owned()) };
        self.stops += u32::from(runs);
        self.operations.insert(trigger, Operation { job: id.to_owned(), left: 2, failure });
        answer
    }

    fn operation(&mut self, id: &str, trigger: &str) -> (u16, Value) {
        let Some(operation) = self.operations.get_mut(trigger) else {
            return errors(404, "no such operation");
        };
        assert_eq!(operation.job, id);
        operation.left = operation.left.saturating_sub(1);
        if operation.left > 0 {
            return (200, json!({ "status": { "id": "IN_PROGRESS" }, "operation": null }));
        }
        let result = match &operation.failure {
            Some(failure) => json!({ "failure-cause": { "stack-trace": failure } }),
            None => {
                let location = format!("file:///savepoints/{id}");
                if let Some(job) = self.jobs.get_mut(id) {
                    job.state = "FINISHED";
                    job.savepoint = Some(location.clone());
                }
                json!({ "location": location })
            }
        };
        if self.forgets_operations {
            self.operations.remove(trigger);
            return errors(404, "no such operation");
        }
        (200, json!({ "status": { "id": "COMPLETED" }, "operation": result }))
    }

    fn list_jars(&self) -> Value {
        let files: Vec<_> =
            self.jars.iter().map(|name| json!({ "id": format!("x_{name}"), "name": name })).collect();
        json!({ "files": files })
    }

    fn upload(&mut self, multipart: &[u8]) -> (u16, Value) {
        let multipart = String::from_utf8_lossy(multipart);
        let name = multipart.split("filename=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        self.uploads += 1;
        self.jars.push(name.to_owned());
        (200, json!({ "filename": format!("/tmp/x_{name}"), "status": "success" }))
    }

    fn plan(&self, jar: &str) -> (u16, Value) {
        match &self.plan_fails {
            _ if !self.has(jar) => errors(500, "Jar file /tmp/x does not exist"),
            Some(reason) => errors(500, &format!("org.x.ProgramInvocationException: {reason}")),
            None => (200, json!({ "plan": {} })),
        }
    }

    fn run(&mut self, jar: &str, body: &Value) -> (u16, Value) {
        if !self.has(jar) {
            return errors(500, "Jar file /tmp/x does not exist");
        }
        let id = body["jobId"].as_str().unwrap().to_owned();
        if self.jobs.contains_key(&id) {
            self.repeated_submissions += 1;
            return errors(400, "org.x.DuplicateJobSubmissionException: Job has already been submitted.");
        }
        let arguments = body["programArgsList"].as_array().unwrap();
        assert_eq!((&arguments[0], &arguments[2]), (&json!("--document-text"), &json!("--bounded")));
        let document = arguments[1].as_str().unwrap().to_owned();
        let width = JobDocument::parse(&document).unwrap().parallelism().of(VERTEX);
        let job = Job {
            state: "CREATED",
            document,
            from_savepoint: body["savepointPath"].as_str().map(str::to_owned),
            savepoint: None,
            checkpoint: None,
            width,
            wanted: width,
            looks: 2,
        };
        self.submissions += 1;
        self.jobs.insert(id.clone(), job);
        self.order.push(id.clone());
        (200, json!({ "jobid": id }))
    }

    fn has(&self, jar: &str) -> bool {
        self.jars.iter().any(|name| jar == format!("x_{name}"))
    }
}

fn is_terminal(state: &str) -> bool {
    matches!(state, "FAILED" | "FINISHED" | "CANCELED")
}
