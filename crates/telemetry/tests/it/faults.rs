//! A source that is dead, slow or talks nonsense: no sample, the reason in words, and samples again when it is well. The stores
//! and the cluster are scripted here, because the real ones cannot be made to answer nonsense; that the real ones are understood
//! is shown in the demo's tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use telemetry::{Bounds, MappingSettings, MetricSource, StoreKind, StoreSettings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with every question.
#[derive(Debug, Clone, Copy, PartialEq)]
enum ServerBehaviour {
    Well,
    Failing,
    Garbage,
    Huge,
    Silent,
    /// Only the request for the statistics of checkpoints fails, as in Flink around a job's first checkpoint.
    NoStatistics,
}

const MOODS: [ServerBehaviour; 6] = [
    ServerBehaviour::Well,
    ServerBehaviour::Failing,
    ServerBehaviour::Garbage,
    ServerBehaviour::Huge,
    ServerBehaviour::Silent,
    ServerBehaviour::NoStatistics,
];

/// Flink's answer to `/jobs/:id/checkpoints` while a job's first checkpoint is being counted.
const NO_STATISTICS: &str = r#"{"errors":["Internal server error.","<Exception on server side:
org.apache.commons.math3.exception.NullArgumentException: input array
	at org.apache.commons.math3.util.MathArrays.verifyValues(MathArrays.java:1650)"]}"#;

struct Server {
    url: String,
    mood: Arc<AtomicUsize>,
}

impl Server {
    async fn start(well: fn(&str) -> String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mood = Arc::new(AtomicUsize::new(0));
        let shared = Arc::clone(&mood);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared), well));
            }
        });
        Self { url, mood }
    }

    fn set(&self, mood: ServerBehaviour) {
        let index = MOODS.iter().position(|other| *other == mood).unwrap();
        self.mood.store(index, Ordering::SeqCst);
    }
}

async fn serve(mut stream: TcpStream, mood: Arc<AtomicUsize>, well: fn(&str) -> String) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        request.push(byte);
    }
    let request = String::from_utf8(request).unwrap();
    let path = request.split_whitespace().nth(1).unwrap_or_default();
    let (status, body) = match MOODS[mood.load(Ordering::SeqCst)] {
        ServerBehaviour::NoStatistics if path.ends_with("/checkpoints") => {
            ("500 Internal Server Error", NO_STATISTICS.to_owned())
        }
        ServerBehaviour::Well | ServerBehaviour::NoStatistics => ("200 OK", well(path)),
        ServerBehaviour::Failing => ("500 Internal Server Error", "out of order".to_owned()),
        ServerBehaviour::Garbage => ("200 OK", "<html>a proxy's own page</html>".to_owned()),
        ServerBehaviour::Huge => ("200 OK", " ".repeat(3 << 20)),
        ServerBehaviour::Silent => return std::future::pending().await,
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let _gone = stream.write_all(head.as_bytes()).await;
    let _gone = stream.write_all(body.as_bytes()).await;
}

/// A job of one vertex as Flink tells it.
fn flink(path: &str) -> String {
    let (job, vertex) = ("a".repeat(32), "b".repeat(32));
    if path == "/jobs/overview" {
        return format!(r#"{{"jobs":[{{"jid":"{job}","name":"My Job","state":"RUNNING","start-time":1}}]}}"#);
    }
    if path == format!("/jobs/{job}") {
        return format!(
            r#"{{"jid":"{job}","name":"My Job","state":"RUNNING","timestamps":{{"RUNNING":1000}},"now":90000,
            "vertices":[{{"id":"{vertex}","name":"Source: a -> b","parallelism":1,"maxParallelism":128,"status":"RUNNING"}}],
            "plan":{{"nodes":[{{"id":"{vertex}"}}]}}}}"#
        );
    }
    if path.contains("/vertices/") && path.contains("get=") {
        return r#"[{"id":"0.numRecordsOut","value":"7"},{"id":"0.numRecordsIn","value":"0"}]"#.to_owned();
    }
    if path.contains("/vertices/") {
        return r#"[{"id":"0.numRecordsOut"},{"id":"0.numRecordsIn"},{"id":"0.another"}]"#.to_owned();
    }
    let empty = if path.starts_with("/taskmanagers") { r#"{"taskmanagers":[]}"# } else { "{}" };
    empty.to_owned()
}

fn seconds_now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

fn graphite(_path: &str) -> String {
    let series = |metric: &str, value: u32| {
        let target = format!("h.taskmanager.tm-1.My-Job.Source:-a-->-b.0.{metric}");
        format!(r#"{{"target":"{target}","datapoints":[[{value}.0,{}]]}}"#, seconds_now())
    };
    let all = [("numRecordsIn.count", 0), ("numRecordsOut.count", 7), ("accumulateBusyTimeMs", 5)];
    format!("[{}]", all.map(|(metric, value)| series(metric, value)).join(","))
}

fn prometheus(_path: &str) -> String {
    let series = |metric: &str, value: u32| {
        format!(
            r#"{{"metric":{{"__name__":"flink_taskmanager_job_task_{metric}","tm_id":"tm-1","job_name":"My Job",
            "task_name":"Source: a -> b","subtask_index":"0"}},"values":[[{},"{value}"]]}}"#,
            seconds_now()
        )
    };
    let all = [("numRecordsIn", 0), ("numRecordsOut", 7), ("accumulateBusyTimeMs", 5)];
    let result = all.map(|(metric, value)| series(metric, value)).join(",");
    format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{result}]}}}}"#)
}

const TIMEOUT: Duration = Duration::from_secs(2);

fn store(kind: StoreKind) -> MetricSource {
    let settings = StoreSettings {
        kind,
        interval: Duration::from_secs(10),
        lookback: Duration::from_secs(60),
        bounds: Bounds { timeout: TIMEOUT, max_body_bytes: 1 << 20, max_series: 100 },
        access: http_client::Access::default(),
        mapping: MappingSettings::default(),
    };
    assert_eq!(settings.problems(), [] as [String; 0]);
    MetricSource::store(settings, "My Job", None).unwrap()
}

async fn source(kind: &str) -> (Server, MetricSource) {
    match kind {
        "flink-rest" => {
            let server = Server::start(flink).await;
            let settings = flink::ClientSettings {
                timeout: TIMEOUT,
                max_body_bytes: 1 << 20,
                ..flink::ClientSettings::default()
            };
            let client = flink::Client::new(&server.url, settings).unwrap();
            (server, MetricSource::flink_rest(client, "My Job"))
        }
        "graphite" => {
            let server = Server::start(graphite).await;
            let url = server.url.clone();
            (server, store(StoreKind::Graphite { url: url.into(), targets: vec!["*".to_owned()] }))
        }
        _ => {
            let server = Server::start(prometheus).await;
            let url = server.url.clone();
            (server, store(StoreKind::Prometheus { url: url.into(), selector: "{}".to_owned() }))
        }
    }
}

/// The error with all its causes.
fn error_chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Goal: each way to be ill gives no sample, within the timeout, with a reason of its own; and once it is over, samples again.
#[tokio::test]
async fn illness_is_told_and_over_when_it_is_over() {
    for kind in ["flink-rest", "graphite", "prometheus"] {
        let (server, mut source) = source(kind).await;
        assert_eq!(source.name(), kind);
        let ills = [
            (ServerBehaviour::Failing, "500"),
            (ServerBehaviour::Garbage, "answer"),
            (ServerBehaviour::Huge, "more than 1048576 bytes"),
            (ServerBehaviour::Silent, "no answer"),
        ];
        for (mood, reason) in ills {
            server.set(ServerBehaviour::Well);
            let sample = source.sample().await.unwrap();
            let vertex = &sample.vertices[0];
            assert_eq!((vertex.name.as_str(), vertex.parallelism), ("a", 1), "{kind}");
            assert_eq!(vertex.subtasks[0].records_out, Some(7.0), "{kind}");
            server.set(mood);
            let failed = tokio::time::timeout(TIMEOUT * 10, source.sample()).await.unwrap();
            let words = error_chain(&failed.unwrap_err());
            assert!(words.contains(reason), "{kind}, {mood:?}: {words}");
        }
    }
}

/// Goal: a job whose checkpoints Flink cannot count yet gives a sample in which they are unknown, not an error.
#[tokio::test]
async fn checkpoints_without_statistics_are_unknown() {
    let (server, mut source) = source("flink-rest").await;
    let known = source.sample().await.unwrap();
    assert!(known.job.checkpoints.is_some() && known.job.restarts.is_some());
    server.set(ServerBehaviour::NoStatistics);
    let sample = source.sample().await.unwrap();
    assert_eq!(sample.vertices[0].subtasks[0].records_out, Some(7.0));
    assert!(sample.job.checkpoints.is_none() && sample.job.restarts.is_none());
    assert_eq!(sample.state_size_bytes, None);
}

/// Goal: a store that is well and has nothing of the job says so, and does not make an empty job of it.
#[tokio::test]
async fn nothing_of_the_job_is_told() {
    let server = Server::start(|_| "[]".to_owned()).await;
    let mut source =
        store(StoreKind::Graphite { url: server.url.as_str().into(), targets: vec!["*".to_owned()] });
    let words = source.sample().await.unwrap_err().to_string();
    assert!(words.contains("no metrics of job \"My Job\" for the last 60 s"), "{words}");
    let folder = tempfile::tempdir().unwrap();
    let mut source = store(StoreKind::Whisper { folder: folder.path().join("none") });
    let words = error_chain(&source.sample().await.unwrap_err());
    assert!(words.contains("cannot be listed"), "{words}");
}

/// Goal: the credentials of an address reach the store as HTTP Basic, and are in no message when it does not answer; an address with
/// TLS, or that is none, is refused by its key before anything is asked.
#[tokio::test]
async fn addresses_are_checked_and_their_passwords_kept() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let url = format!("http://ann:hunter2@{address}");
    let mut source = store(StoreKind::Prometheus { url: url.as_str().into(), selector: "{}".to_owned() });
    let question = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        String::from_utf8(head).unwrap()
    };
    let (head, failed) = tokio::join!(question, source.sample());
    assert!(head.to_ascii_lowercase().contains("authorization: basic yw5uomh1bnrlcji="), "{head}");
    let words = format!("{} {failed:?}", error_chain(failed.as_ref().unwrap_err()));
    assert!(words.contains(&address.to_string()) && !words.contains("hunter2"), "{words}");
    for (wrong, reason) in [
        ("http://a b", "http://host:port"),
        ("http://ann:hunter2@a b", "http://host:port"),
        ("store:9090", "http://host:port"),
        ("http://store/?token=hunter2", "without ?"),
    ] {
        let settings = StoreSettings {
            kind: StoreKind::Graphite { url: wrong.into(), targets: Vec::new() },
            interval: Duration::from_secs(10),
            lookback: Duration::from_secs(60),
            bounds: Bounds { timeout: TIMEOUT, max_body_bytes: 1 << 20, max_series: 100 },
            access: http_client::Access::default(),
            mapping: MappingSettings::default(),
        };
        let problems = settings.problems().join("; ");
        assert!(problems.contains("source.url") && problems.contains(reason), "{wrong}: {problems}");
        let refused = MetricSource::store(settings, "My Job", None).map(drop).unwrap_err();
        assert!(!format!("{problems} {} {refused:?}", error_chain(&refused)).contains("hunter2"));
    }
}

/// Two clusters with the same job in one Prometheus, as long as the store is asked for both.
fn two_clusters(path: &str) -> String {
    let now = seconds_now();
    let series = |cluster: &str, id: &str, metric: &str, factor: u64| {
        let points: Vec<String> =
            (0..30).rev().map(|ago| format!("[{},\"{}\"]", now - ago, (1000 - ago) * factor)).collect();
        format!(
            r#"{{"metric":{{"__name__":"flink_taskmanager_job_task_{metric}","cluster":"{cluster}","host":"{cluster}-1",
            "tm_id":"tm-1","job_id":"{id}","job_name":"My Job","task_name":"a","subtask_index":"0"}},"values":[{}]}}"#,
            points.join(",")
        )
    };
    let all = |cluster: &str, id: &str, factor| {
        ["numRecordsIn", "numRecordsOut", "accumulateBusyTimeMs"]
            .map(|metric| series(cluster, id, metric, factor))
            .join(",")
    };
    let (east, west) = (all("east", &"a".repeat(32), 1), all("west", &"b".repeat(32), 20));
    let result = if path.contains("cluster%3D%22west") { west } else { format!("{east},{west}") };
    format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{result}]}}}}"#)
}

/// Goal: the same job on two clusters of one store is refused with the labels that tell them apart, and one of them is sampled where
/// the selector names it.
#[tokio::test]
async fn the_same_job_on_two_clusters_is_refused() {
    let server = Server::start(two_clusters).await;
    let of = |selector: &str| {
        store(StoreKind::Prometheus { url: server.url.as_str().into(), selector: selector.to_owned() })
    };
    let words = error_chain(&of("{}").sample().await.unwrap_err());
    for part in ["several jobs with this name", "cluster=\"east\"", "cluster=\"west\"", "source.labels"] {
        assert!(words.contains(part), "{words}");
    }
    let sample = of("{cluster=\"west\"}").sample().await.unwrap();
    assert_eq!(sample.vertices[0].subtasks[0].records_in, Some(20_000.0));
}

/// Goal: where Flink tells the job's id, its series are taken and those of the other cluster are left.
#[tokio::test]
async fn flink_tells_which_job_is_meant() {
    let (server, cluster) = (Server::start(two_clusters).await, Server::start(flink).await);
    let client = flink::Client::new(&cluster.url, flink::ClientSettings::default()).unwrap();
    let settings = StoreSettings {
        kind: StoreKind::Prometheus { url: server.url.as_str().into(), selector: "{}".to_owned() },
        interval: Duration::from_secs(10),
        lookback: Duration::from_secs(60),
        bounds: Bounds { timeout: TIMEOUT, max_body_bytes: 1 << 20, max_series: 100 },
        access: http_client::Access::default(),
        mapping: MappingSettings::default(),
    };
    let sample = MetricSource::store(settings, "My Job", Some(client)).unwrap().sample().await.unwrap();
    assert_eq!(sample.vertices[0].subtasks[0].records_in, Some(1000.0));
}
