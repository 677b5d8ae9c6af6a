//! Computes the responses: a function of the scenario, the requests so far and the time.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::cluster;
use crate::jobs::{self, View};
use crate::log::{self, LoggedRequest};
use crate::metrics;
use crate::requirements::{RejectedChange, Required, count};
use crate::scenario::{Job, Override, Scenario, Scheduler};
use crate::version::{self, Version};

/// Maximum number of logged requests; later ones are answered and not logged.
const LOG_MAX: usize = 100_000;
/// Flink's default number of shown failures.
const EXCEPTIONS_MOST: usize = 16;
/// Longest delay of a response.
const DELAY_MAX: Duration = Duration::from_secs(600);

/// One request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `PUT` …
    pub method: String,
    /// The path as sent, percent-encoded.
    pub path: String,
    /// The query as sent, without the question mark.
    pub query: String,
    /// The header `Authorization`.
    pub authorization: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// An HTTP response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// Headers; the content type is JSON unless one is named.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: String,
    /// Delay before it is sent.
    pub delay: Duration,
}

impl Response {
    fn json(status: u16, body: &Value) -> Self {
        Self { status, headers: BTreeMap::new(), body: body.to_string(), delay: Duration::ZERO }
    }

    fn ok(body: &Value) -> Self {
        Self::json(200, body)
    }

    fn error(status: u16, message: &str) -> Self {
        Self::json(status, &json!({ "errors": [message] }))
    }
}

/// A running scenario.
#[derive(Debug, Clone)]
pub struct FlinkStandIn {
    scenario: Scenario,
    version: Version,
    started_ms: i64,
    /// Requirements by job id.
    required: BTreeMap<String, Required>,
    /// Time of the last triggered checkpoint, in seconds since the start, by job id.
    asked_s: BTreeMap<String, f64>,
    /// Number of responses of each override.
    overridden: BTreeMap<String, u32>,
    log: Vec<LoggedRequest>,
}

impl FlinkStandIn {
    /// Starts a scenario at this time, in milliseconds since the Unix epoch.
    pub fn new(scenario: Scenario, now_ms: i64) -> Self {
        let version = Version::parse(version::text(scenario.version.as_deref()));
        let (required, overridden, log) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        let asked_s = BTreeMap::new();
        Self { scenario, version, started_ms: now_ms, required, asked_s, overridden, log }
    }

    /// Returns the scenario, to change it while it runs.
    pub fn scenario_mut(&mut self) -> &mut Scenario {
        &mut self.scenario
    }

    /// Returns the requests so far, oldest first.
    pub fn log(&self) -> &[LoggedRequest] {
        &self.log
    }

    /// Returns the current parallelism of all vertices of all jobs by vertex id; negative: undecided.
    pub fn parallelism_by_vertex(&self, now_ms: i64) -> BTreeMap<String, i64> {
        let none = Required::default();
        let jobs = self.jobs(self.elapsed_s(now_ms)).iter();
        jobs.flat_map(|job| {
            let required = self.required.get(&job.jid).unwrap_or(&none);
            job.vertices.iter().map(move |vertex| (vertex.id.clone(), required.parallelism(job, vertex)))
        })
        .collect()
    }

    /// Answers a request that arrives at this time, in milliseconds since the Unix epoch.
    pub fn answer(&mut self, request: &Request, now_ms: i64) -> Response {
        let response = self.respond(request, now_ms);
        if self.log.len() < LOG_MAX {
            let (method, path) = (request.method.clone(), request.path.clone());
            let (body, status) = (log::body(&request.body), response.status);
            self.log.push(LoggedRequest { method, path, body, status, at_ms: now_ms });
        }
        response
    }

    fn elapsed_s(&self, now_ms: i64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a test")]
        let elapsed_ms = (now_ms - self.started_ms) as f64;
        elapsed_ms / 1000.0
    }

    fn jobs(&self, elapsed_s: f64) -> &[Job] {
        let swap = self.scenario.swap.as_ref().filter(|swap| elapsed_s > swap.after_s);
        swap.map_or(&self.scenario.jobs, |swap| &swap.jobs)
    }

    fn respond(&mut self, request: &Request, now_ms: i64) -> Response {
        let elapsed_s = self.elapsed_s(now_ms);
        let prefix = self.scenario.prefix.clone().unwrap_or_default();
        let Some(path) = request.path.strip_prefix(&prefix) else {
            return Response::error(404, &format!("Not found: {}", request.path));
        };
        if let Some(auth) = &self.scenario.auth
            && request.authorization != Some(format!("Basic {}", STANDARD.encode(auth)))
        {
            let body = "<html><head><title>401 Authorization Required</title></head></html>".to_owned();
            let headers = [("WWW-Authenticate", "Basic"), ("Content-Type", "text/html")];
            let headers = headers.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
            return Response { status: 401, headers, body, delay: Duration::ZERO };
        }
        let found = self.overriding(&format!("{} {path}", request.method), elapsed_s);
        let delay_s = found.as_ref().map_or(0.0, |found| found.sleep_s);
        let delay = Duration::try_from_secs_f64(delay_s).unwrap_or_default().min(DELAY_MAX);
        let usual = match found {
            Some(Override { status: Some(status), body, headers, .. }) => {
                let body = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
                return Response { status, headers, body, delay };
            }
            _ => self.default_response(request, path, now_ms),
        };
        Response { delay, ..usual }
    }

    /// Returns the active override, if there is one.
    fn overriding(&mut self, key: &str, elapsed_s: f64) -> Option<Override> {
        let found = self.scenario.overrides.get(key)?;
        let is_now = found.after_s.is_none_or(|after| elapsed_s >= after)
            && found.until_s.is_none_or(|until| elapsed_s <= until);
        let answered = self.overridden.entry(key.to_owned()).or_default();
        if !is_now || found.times.is_some_and(|times| *answered >= times) {
            return None;
        }
        *answered += 1;
        Some(found.clone())
    }

    fn default_response(&mut self, request: &Request, path: &str, now_ms: i64) -> Response {
        let not_found = || Response::error(404, &format!("Not found: {path}"));
        let parts: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(decoded).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let elapsed_s = self.elapsed_s(now_ms);
        match (request.method.as_str(), parts.as_slice()) {
            ("GET", ["overview"]) => Response::ok(&cluster::overview(&self.scenario)),
            ("GET", ["jobmanager", "config"]) if self.shows_config() => {
                Response::ok(&cluster::config(&self.scenario))
            }
            ("GET", ["taskmanagers"]) => Response::ok(&cluster::task_managers(&self.scenario)),
            ("GET", ["taskmanagers", id, "metrics"]) => {
                match self.scenario.taskmanagers.iter().find(|tm| tm.id == *id) {
                    Some(tm) => {
                        let asked = asked(&request.query);
                        Response::ok(&cluster::task_manager_metrics(tm, asked.as_deref(), elapsed_s))
                    }
                    None => Response::error(404, &format!("No TaskManager registered under {id}.")),
                }
            }
            ("GET", ["jobs", "overview"]) => self.jobs_overview(now_ms),
            ("GET", ["jobs", job, "vertices", vertex, "metrics"]) if self.job(job, elapsed_s).is_some() => {
                let answer = self.vertex_metrics(job, vertex, &request.query, now_ms);
                answer.map_or_else(not_found, |answer| Response::ok(&answer))
            }
            (_, ["jobs", job, rest @ ..]) => {
                let job = self.job(job, elapsed_s).cloned();
                match job {
                    Some(job) => self.of_job(request, &job, rest, now_ms).unwrap_or_else(not_found),
                    None => Response::error(
                        404,
                        &format!(
                            "org.apache.flink.runtime.rest.NotFoundException: Job {} not found",
                            parts[1]
                        ),
                    ),
                }
            }
            _ => not_found(),
        }
    }

    fn job(&self, id: &str, elapsed_s: f64) -> Option<&Job> {
        self.jobs(elapsed_s).iter().find(|job| job.jid == id)
    }

    /// Returns the metrics of a vertex, by far the most frequent response.
    fn vertex_metrics(&self, job: &str, vertex: &str, query: &str, now_ms: i64) -> Option<Value> {
        let job = self.job(job, self.elapsed_s(now_ms))?;
        let vertex = job.vertices.iter().find(|other| other.id == vertex)?;
        let none = Required::default();
        let required = self.required.get(&job.jid).unwrap_or(&none);
        let parallelism = count(required.parallelism(job, vertex));
        let clock = self.view(job, required, now_ms).clock();
        Some(match asked(query) {
            Some(names) => metrics::asked_of_vertex(vertex, parallelism, &names, clock),
            None => metrics::answer(&metrics::of_vertex(vertex, parallelism, clock), None),
        })
    }

    fn shows_config(&self) -> bool {
        self.scenario.shows_config || !self.scenario.config.is_empty()
    }

    fn jobs_overview(&self, now_ms: i64) -> Response {
        let scheduler = cluster::scheduler_type(self.scenario.scheduler);
        let none = Required::default();
        let line = |job: &Job| {
            self.view(job, self.required.get(&job.jid).unwrap_or(&none), now_ms).overview(scheduler)
        };
        let lines: Vec<Value> = self.jobs(self.elapsed_s(now_ms)).iter().map(line).collect();
        Response::ok(&json!({ "jobs": lines }))
    }

    fn view<'a>(&self, job: &'a Job, required: &'a Required, now_ms: i64) -> View<'a> {
        let skew_ms = self.scenario.jm_clock_ahead_ms;
        View {
            job,
            required,
            started_ms: self.started_ms + skew_ms,
            now_ms: now_ms + skew_ms,
            elapsed_s: self.elapsed_s(now_ms),
            version: self.version,
        }
    }

    /// Returns the response below `/jobs/:id`; [`None`] is "not found".
    fn of_job(&mut self, request: &Request, job: &Job, rest: &[&str], now_ms: i64) -> Option<Response> {
        let required = self.required.get(&job.jid).cloned().unwrap_or_default();
        let view = self.view(job, &required, now_ms);
        Some(match (request.method.as_str(), rest) {
            ("GET", []) => Response::ok(&view.details()),
            ("GET", ["jobmanager", "config"]) if self.shows_config() => {
                Response::ok(&cluster::config(&self.scenario))
            }
            ("GET", ["config"]) => Response::ok(&view.config()),
            ("GET", ["checkpoints"]) => match view.checkpoints() {
                Some(answer) => Response::ok(&answer),
                None => Response::error(404, "Checkpointing has not been enabled."),
            },
            ("GET", ["checkpoints", "config"]) => match view.checkpoint_settings() {
                Some(answer) => Response::ok(&answer),
                None => Response::error(404, "Checkpointing has not been enabled."),
            },
            ("POST", ["checkpoints"]) => match view.checkpoints() {
                Some(_) => {
                    let elapsed_s = self.elapsed_s(now_ms);
                    self.asked_s.insert(job.jid.clone(), elapsed_s);
                    Response::json(202, &json!({ "request-id": "0".repeat(32) }))
                }
                None => Response::error(400, "Checkpointing has not been enabled."),
            },
            ("GET", ["checkpoints", _trigger]) => {
                let asked_s = *self.asked_s.get(&job.jid)?;
                Response::ok(&jobs::asked_checkpoint(job, self.elapsed_s(now_ms) - asked_s))
            }
            ("GET", ["exceptions"]) => {
                let most = parameter(&request.query, "maxExceptions").and_then(|most| most.parse().ok());
                Response::ok(&view.exceptions(most.unwrap_or(EXCEPTIONS_MOST)))
            }
            ("GET", ["vertices", id]) => {
                Response::ok(&view.vertex_details(job.vertices.iter().find(|vertex| vertex.id == *id)?))
            }
            (method @ ("GET" | "PUT"), ["resource-requirements"]) => {
                self.requirements(method, &request.body, job, now_ms)?
            }
            _ => return None,
        })
    }

    fn requirements(&mut self, method: &str, body: &[u8], job: &Job, now_ms: i64) -> Option<Response> {
        if self.version < Version::REQUIREMENTS {
            return None;
        }
        let refusal = match (self.scenario.scheduler, method) {
            (Scheduler::Default, _) => {
                Some("The DefaultScheduler does not support changing the parallelism without a job restart.")
            }
            (Scheduler::Reactive, "PUT") => {
                Some("Cannot change the parallelism of a job running in reactive mode.")
            }
            _ => None,
        };
        if let Some(refusal) = refusal {
            let trace = format!(
                "<Exception on server side:\njava.util.concurrent.CompletionException: \
                 java.lang.UnsupportedOperationException: {refusal}\n\tat x.Y.z(Y.java:1)\nEnd of exception on server side>"
            );
            return Some(Response::json(500, &json!({ "errors": ["Internal server error.", trace] })));
        }
        let elapsed_s = self.elapsed_s(now_ms);
        let required = self.required.entry(job.jid.clone()).or_default();
        Some(match method {
            "PUT" => match required.change(job, body, elapsed_s) {
                Ok(()) => Response::ok(&json!({})),
                Err(RejectedChange(reason)) => Response::error(400, &reason),
            },
            _ => Response::ok(&required.answer(job)),
        })
    }
}

/// Returns the metrics requested by a query.
fn asked(query: &str) -> Option<String> {
    parameter(query, "get")
}

fn parameter(query: &str, name: &str) -> Option<String> {
    form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Percent-decodes a part of a path.
fn decoded(part: &str) -> String {
    // In a path a plus sign is itself, in a query it is a space.
    let as_query = part.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(as_query.as_bytes()).next().map(|(key, _)| key.into_owned()).unwrap_or_default()
}
