//! A scripted Flink for the tests of what is read: a job whose counters grow with a clock that the test sets, and whose answers
//! can be anything.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use scaling::Snapshot;
use telemetry::{Kinds, LatencyMetric, MetricSource, NotReady, Sample, SummarySettings, summarise};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How long the job has been running when the clock is at 0, in seconds.
const AGE_S: f64 = 1_000.0;
/// The sample's time when the clock is at 0, in milliseconds since the Unix epoch.
pub(crate) const START_MS: i64 = 1_700_000_000_000;
/// The id of the job.
const JOB: &str = "abababababababababababababababab";

/// What a metric answers.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// A counter that has grown by so many a second since the job started.
    Grows(f64),
    /// A gauge: so many when the clock is at 0, and so many more each second.
    From(f64, f64),
    /// A counter that grows until the clock is at so many seconds.
    Until(f64, f64),
    /// A text.
    Is(String),
}

/// One vertex.
#[derive(Debug, Clone, Default)]
pub(crate) struct Task {
    pub(crate) name: String,
    pub(crate) parallelism: usize,
    pub(crate) inputs: Vec<usize>,
    pub(crate) metrics: BTreeMap<String, Value>,
    /// Metrics of one subtask, instead of those of all; none: it does not have that metric.
    pub(crate) own: BTreeMap<(usize, String), Option<Value>>,
    pub(crate) group: Option<String>,
}

/// The job and its cluster.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flink {
    pub(crate) tasks: Vec<Task>,
    /// The plan, where it is not that of the tasks.
    pub(crate) plan: Option<String>,
    /// How often the metrics are renewed, in seconds; 0: with every question.
    pub(crate) renewed_s: f64,
    /// Metrics of the one task manager; no task manager without.
    pub(crate) task_manager: BTreeMap<String, Value>,
    /// When the tasks start anew, in seconds; their counters go on.
    pub(crate) restarted_s: Option<f64>,
    /// Answers to paths below the job, instead of the ordinary ones.
    pub(crate) answers: BTreeMap<String, (u16, String)>,
}

pub(crate) fn task(name: &str, parallelism: usize, inputs: &[usize]) -> Task {
    Task { name: name.to_owned(), parallelism, inputs: inputs.to_vec(), ..Task::default() }
}

impl Task {
    /// The counters of records: those of the task, in and out.
    pub(crate) fn records(self, in_per_s: f64, out_per_s: f64) -> Self {
        self.with("numRecordsIn", Value::Grows(in_per_s)).with("numRecordsOut", Value::Grows(out_per_s))
    }

    /// How the time is spent, in milliseconds per second; the rest is idle.
    pub(crate) fn spends(self, busy: f64, backpressured: f64) -> Self {
        self.with("accumulateBusyTimeMs", Value::Grows(busy))
            .with("accumulateBackPressuredTimeMs", Value::Grows(backpressured))
            .with("accumulateIdleTimeMs", Value::Grows(1000.0 - busy - backpressured))
            .text("busyTimeMsPerSecond", &busy.to_string())
    }

    pub(crate) fn with(mut self, metric: &str, value: Value) -> Self {
        self.metrics.insert(metric.to_owned(), value);
        self
    }

    pub(crate) fn text(self, metric: &str, text: &str) -> Self {
        self.with(metric, Value::Is(text.to_owned()))
    }

    pub(crate) fn only(mut self, subtask: usize, metric: &str, value: Option<Value>) -> Self {
        self.own.insert((subtask, metric.to_owned()), value);
        self
    }

    fn answer(&self, now_s: f64) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        for subtask in 0..self.parallelism {
            for (name, value) in &self.metrics {
                all.insert(format!("{subtask}.{name}"), value.at(now_s));
            }
        }
        for ((subtask, name), value) in &self.own {
            let name = format!("{subtask}.{name}");
            match value {
                Some(value) => all.insert(name, value.at(now_s)),
                None => all.remove(&name),
            };
        }
        all
    }
}

impl Value {
    fn at(&self, now_s: f64) -> String {
        match self {
            Self::Grows(per_s) => (per_s * (AGE_S + now_s)).round().to_string(),
            Self::From(base, per_s) => (base + per_s * now_s).round().to_string(),
            Self::Until(per_s, end_s) => (per_s * (AGE_S + now_s.min(*end_s))).round().to_string(),
            Self::Is(text) => text.clone(),
        }
    }
}

/// The id of the vertex at this place.
pub(crate) fn id(index: usize) -> String {
    format!("{:032x}", index + 1)
}

impl Flink {
    pub(crate) fn of(tasks: Vec<Task>) -> Self {
        Self { tasks, ..Self::default() }
    }

    fn answer(&self, path: &str, now_s: f64) -> (u16, String) {
        let job = format!("/jobs/{JOB}");
        let below = path.strip_prefix(&job);
        if let Some(answer) = below.and_then(|below| self.answers.get(below)) {
            return answer.clone();
        }
        let text = match (path, below) {
            ("/jobs/overview", _) => {
                format!(r#"{{"jobs":[{{"jid":"{JOB}","name":"job","state":"RUNNING","start-time":1}}]}}"#)
            }
            ("/taskmanagers", _) => self.task_managers(),
            (_, Some("")) => self.details(now_s),
            (_, Some("/checkpoints")) => "{}".to_owned(),
            (_, Some(below)) if below.starts_with("/vertices/") => return self.vertex(below, now_s),
            _ if path.starts_with("/taskmanagers/") => {
                metrics(&self.task_manager.iter().map(|(k, v)| (k.clone(), v.at(now_s))).collect(), path)
            }
            _ => return (404, r#"{"errors":["Not found"]}"#.to_owned()),
        };
        (200, text)
    }

    fn vertex(&self, below: &str, now_s: f64) -> (u16, String) {
        let index = (0..self.tasks.len()).find(|index| below.contains(&id(*index)));
        let Some(task) = index.map(|index| &self.tasks[index]) else { return (404, "{}".to_owned()) };
        let renewed_s =
            if self.renewed_s > 0.0 { (now_s / self.renewed_s).floor() * self.renewed_s } else { now_s };
        (200, metrics(&task.answer(renewed_s), below))
    }

    fn task_managers(&self) -> String {
        let tm =
            if self.task_manager.is_empty() { "" } else { r#"{"id":"tm#1","slotsNumber":8,"freeSlots":4}"# };
        format!(r#"{{"taskmanagers":[{tm}]}}"#)
    }

    fn started_s(&self, now_s: f64) -> f64 {
        self.restarted_s.filter(|restarted_s| now_s >= *restarted_s).unwrap_or(-AGE_S)
    }

    fn details(&self, now_s: f64) -> String {
        let mut vertices = Vec::new();
        let mut nodes = Vec::new();
        for (index, task) in self.tasks.iter().enumerate() {
            let group = task.group.as_ref().map(|group| format!(r#","slotSharingGroupId":"{group}""#));
            vertices.push(format!(
                r#"{{"id":"{}","name":"{}","parallelism":{},"maxParallelism":128,"status":"RUNNING"{}}}"#,
                id(index),
                task.name,
                task.parallelism,
                group.unwrap_or_default()
            ));
            let input = |from: &usize| format!(r#"{{"id":"{}","ship_strategy":"HASH"}}"#, id(*from));
            let inputs = task.inputs.iter().map(input).collect::<Vec<_>>().join(",");
            nodes.push(format!(r#"{{"id":"{}","inputs":[{inputs}]}}"#, id(index)));
        }
        let plan = self.plan.clone().unwrap_or_else(|| format!(r#"{{"nodes":[{}]}}"#, nodes.join(",")));
        let now_ms = START_MS + (now_s * 1000.0) as i64;
        format!(
            r#"{{"jid":"{JOB}","name":"job","state":"RUNNING","timestamps":{{"RUNNING":{}}},"now":{now_ms},"vertices":[{}],"plan":{plan}}}"#,
            START_MS + (self.started_s(now_s) * 1000.0) as i64,
            vertices.join(",")
        )
    }
}

/// The names, or the values of those that are asked for.
fn metrics(all: &BTreeMap<String, String>, path: &str) -> String {
    let asked = path.split_once("?get=").map(|(_, names)| decoded(names));
    let mut text = String::from("[");
    for (name, value) in all {
        let is_asked = asked.as_ref().is_none_or(|names| names.split(',').any(|asked| asked == name));
        if is_asked {
            let separator = if text.len() > 1 { "," } else { "" };
            let value = asked.as_ref().map(|_| format!(r#","value":{}"#, serde_json::json!(value)));
            write!(text, r#"{separator}{{"id":{}{}}}"#, serde_json::json!(name), value.unwrap_or_default())
                .unwrap();
        }
    }
    text + "]"
}

/// A query without its percent signs.
fn decoded(query: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = query.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next().unwrap(), rest.next().unwrap()];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
        } else {
            bytes.push(if byte == b'+' { b' ' } else { byte });
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// A scripted Flink that answers, its clock, and the paths that it was asked for.
pub(crate) struct ScriptedFlink {
    source: MetricSource,
    client: flink::Client,
    now_s: Arc<Mutex<f64>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl ScriptedFlink {
    pub(crate) async fn start(flink: Flink) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (now_s, asked) = (Arc::new(Mutex::new(0.0)), Arc::new(Mutex::new(Vec::new())));
        let (flink, clock, log) = (Arc::new(flink), Arc::clone(&now_s), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&flink), Arc::clone(&clock), Arc::clone(&log)));
            }
        });
        let settings =
            flink::ClientSettings { timeout: Duration::from_secs(30), ..flink::ClientSettings::default() };
        let client = flink::Client::new(&url, settings).unwrap();
        Self { source: MetricSource::flink_rest(client.clone(), "job"), client, now_s, asked }
    }

    pub(crate) fn client(&self) -> flink::Client {
        self.client.clone()
    }

    /// The sample when the clock is at this time.
    pub(crate) async fn sample(&mut self, now_s: f64) -> Sample {
        *self.now_s.lock().unwrap() = now_s;
        at(self.source.sample().await.unwrap(), now_s)
    }

    /// The same between two whole samples.
    pub(crate) async fn sample_between(&mut self, now_s: f64) -> Sample {
        *self.now_s.lock().unwrap() = now_s;
        at(self.source.sample_between().await.unwrap(), now_s)
    }

    /// How often a path that holds this text was asked for.
    pub(crate) fn times_asked(&self, text: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|path| path.contains(text)).count()
    }
}

fn at(sample: Sample, now_s: f64) -> Sample {
    let at_ms = START_MS + (now_s * 1000.0) as i64;
    Sample { at_ms, newest_ms: at_ms, ..sample }
}

async fn serve(
    mut stream: TcpStream,
    flink: Arc<Flink>,
    now_s: Arc<Mutex<f64>>,
    asked: Arc<Mutex<Vec<String>>>,
) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        request.push(byte);
    }
    let request = String::from_utf8(request).unwrap();
    let path = request.split_whitespace().nth(1).unwrap_or_default();
    asked.lock().unwrap().push(path.to_owned());
    let now_s = *now_s.lock().unwrap();
    let (status, body) = flink.answer(path, now_s);
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let _gone = stream.write_all(head.as_bytes()).await;
    let _gone = stream.write_all(body.as_bytes()).await;
}

/// What samples at these times make together.
pub(crate) async fn summary(flink: Flink, seconds: &[f64]) -> Result<Snapshot, NotReady> {
    let mut scripted = ScriptedFlink::start(flink).await;
    let mut samples = Vec::new();
    for now_s in seconds {
        samples.push(scripted.sample(*now_s).await);
    }
    summarise(&samples, 128, 1, &settings())
}

/// The snapshot of four seconds.
pub(crate) async fn snapshot(flink: Flink) -> Snapshot {
    summary(flink, &[0.0, 1.0, 2.0, 3.0, 4.0]).await.unwrap()
}

pub(crate) fn settings() -> SummarySettings {
    SummarySettings {
        warm_up: Duration::from_secs(10),
        latency_metric: LatencyMetric::EventLatency,
        newest_age_max: Duration::from_secs(4),
        kinds: Kinds::default(),
        source: "flink-rest".to_owned(),
    }
}
