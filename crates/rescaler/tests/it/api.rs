//! The programming interface over a recorded job: figures, history, decisions, switches, health, metrics.

use std::path::Path;
use std::time::Duration;

use crate::support::{EPOCHS, PLAN, Server, job, recorded, recorded_server, records, server};
use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, StatusCode};
use rescaler::status::SwitchPositions;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

async fn get(server: &Server, path: &str) -> Value {
    let answer = reqwest::get(format!("{}{path}", server.url)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    answer.json().await.unwrap()
}

/// The status of a request with these headers, and its body.
async fn ask(
    server: &Server,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, String) {
    let url = format!("{}{path}", server.url);
    let mut request = reqwest::Client::new().request(method, url).body(body.to_owned());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

const OWN: (&str, &str) = ("x-rescaler", "1");

/// Goal: the state of a job is its newest snapshot with the totals of it, the age of the data, and how the switches are set.
#[tokio::test]
async fn a_job_is_told_with_its_snapshot() {
    let (_job, server) = recorded_server("nexmark").await;
    let all = get(&server, "/api/v1/jobs").await;
    assert_eq!(all["jobs"][0]["job"], "nexmark");
    assert_eq!(all["jobs"][0]["state"], "running");
    let job = get(&server, "/api/v1/jobs/nexmark").await;
    assert_eq!(job["epoch"], EPOCHS);
    assert_eq!(job["totals"]["latency_ms"], 320.0);
    assert_eq!(job["totals"]["input_rate_per_s"], 2225.0);
    assert_eq!(job["totals"]["subtasks"], 8);
    assert_eq!(job["snapshot"]["operators"][2]["parallelism"], 3);
    assert_eq!(job["switches"]["paused"], false);
    assert!(job["data_age_ms"].as_i64().unwrap() < 60_000);
    assert_eq!(ask(&server, Method::GET, "/api/v1/jobs/other", &[], "").await.0, 404);
}

/// Goal: what is not known is null, never 0.
#[tokio::test]
async fn a_job_of_which_nothing_is_known() {
    let server = server(vec![job("nexmark", None)], "127.0.0.1:0", None).await;
    let job = get(&server, "/api/v1/jobs/nexmark").await;
    for field in ["epoch", "data_age_ms", "totals", "snapshot", "snapshot_at_ms"] {
        assert_eq!(job[field], Value::Null, "{field}");
    }
    assert_eq!(job["state"], "no-data");
    assert_eq!(get(&server, "/api/v1/jobs/nexmark/decisions").await, json!({ "decisions": [] }));
    assert_eq!(get(&server, "/api/v1/jobs/nexmark/history").await["at_ms"], json!([]));
}

/// Goal: a sample that fails between others changes nothing; when none has arrived for a while, the job is without data, with the reason,
/// until the next one arrives.
#[tokio::test]
async fn one_failed_sample_is_no_lack_of_data() {
    let (job, server) = recorded_server("nexmark").await;
    let line = async || get(&server, "/api/v1/jobs").await["jobs"][0].clone();
    // As new as the test is slow.
    job.sampled(Ok(()), Timestamp::now() + SignedDuration::from_secs(600));
    job.sampled(Err("Flink answers 503".to_owned()), Timestamp::now());
    let told = line().await;
    assert_eq!((&told["state"], &told["attention"]), (&"running".into(), &json!([])), "{told}");

    job.sampled(Ok(()), Timestamp::now() - SignedDuration::from_secs(60));
    job.sampled(Err("Flink answers 503".to_owned()), Timestamp::now());
    let told = line().await;
    assert_eq!((&told["state"], &told["problem"]), (&"no-data".into(), &"Flink answers 503".into()));
    assert_eq!(told["attention"][0]["kind"], "no-data", "{told}");

    job.sampled(Ok(()), Timestamp::now());
    assert_eq!(line().await["state"], "running");
}

/// Goal: the time line has one entry per epoch in every column, in order of time, and the plan is marked.
#[tokio::test]
async fn the_history_is_columns_of_equal_length() {
    let (_job, server) = recorded_server("nexmark").await;
    let history = get(&server, "/api/v1/jobs/nexmark/history").await;
    let length = |column: &Value| column.as_array().unwrap().len() as u64;
    for column in [
        "epoch",
        "at_ms",
        "input_rate_per_s",
        "backlog_records",
        "state_size_bytes",
        "stored_size_bytes",
        "task_managers",
        "slots_used",
        "arrival_per_s",
        "capacity_per_s",
        "forecast_per_s",
        "delay_ms",
    ] {
        assert_eq!(length(&history[column]), EPOCHS, "{column}");
    }
    assert_eq!(length(&history["latency_ms"]["q7"]), EPOCHS);
    assert_eq!(length(&history["busy_ratio"]["q7-bid-item"]), EPOCHS);
    let widths = history["parallelism"]["q7-bid-item"].as_array().unwrap();
    assert_eq!((&widths[PLAN as usize - 1], &widths[PLAN as usize]), (&json!(1), &json!(3)));
    assert_eq!(history["marks"][0]["epoch"], PLAN);
    assert_eq!(history["marks"][0]["outcome"], "published");
    let newest = get(&server, "/api/v1/jobs/nexmark/history?limit=5").await;
    assert_eq!(newest["epoch"], json!([56, 57, 58, 59, 60]));
    assert_eq!(ask(&server, Method::GET, "/api/v1/jobs/nexmark/history?limit=x", &[], "").await.0, 400);
}

/// Goal: a line of the list says how a job is beside its bound, what was changed last, and what has happened since a moment.
#[tokio::test]
async fn the_list_sums_up_each_job() {
    let (_job, server) = recorded_server("nexmark").await;
    let line = get(&server, "/api/v1/jobs").await["jobs"][0].clone();
    assert_eq!((&line["latency_max_ms"], &line["attention"]), (&json!(1000.0), &json!([])));
    assert_eq!((&line["totals"]["slots_used"], &line["last_change"]["epoch"]), (&json!(3), &json!(PLAN)));
    assert_eq!((line["trace_ms"].as_array().unwrap().len(), &line["since"]), (40, &Value::Null));
    assert!(line["delay_ms"].as_f64().is_some(), "{line}");
    let change_ms = line["last_change"]["at_ms"].as_i64().unwrap();
    for (since_ms, published) in [(change_ms - 1, 1), (change_ms, 0)] {
        let all = get(&server, &format!("/api/v1/jobs?since_ms={since_ms}")).await;
        assert_eq!(all["jobs"][0]["since"]["published"], published, "since {since_ms}");
    }
    assert_eq!(ask(&server, Method::GET, "/api/v1/jobs?since_ms=x", &[], "").await.0, 400);
    let job = get(&server, "/api/v1/jobs/nexmark").await;
    let outlook = &job["outlook"];
    assert!(outlook["capacity_per_s"].as_f64().unwrap() > 0.0, "{outlook}");
    assert!(outlook["forecast_per_s"].as_f64() >= outlook["arrival_per_s"].as_f64(), "{outlook}");
}

/// Goal: whatever is wrong with a job is said, the most urgent first, and no longer once it is over.
#[tokio::test]
async fn what_is_wrong_is_said() {
    let (job, server) = recorded_server("nexmark").await;
    let kinds = async || -> Vec<(String, String)> {
        let job = get(&server, "/api/v1/jobs/nexmark").await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let found = job["attention"].as_array().unwrap().iter();
        found.map(|found| (text(&found["severity"]), text(&found["kind"]))).collect()
    };
    assert!(kinds().await.is_empty());
    job.set_obstacle(Some("Flink cannot rescale in place".to_owned()));
    job.drift(true);
    job.alarm(Some("the agent does not report".to_owned()));
    job.failed("the journal cannot be written".to_owned());
    let pair = |severity: &str, kind: &str| (severity.to_owned(), kind.to_owned());
    let wanted = [
        pair("act", "not-watched"),
        pair("act", "alarm"),
        pair("warn", "drift"),
        pair("info", "recommendations"),
    ];
    assert_eq!(kinds().await, wanted);
    job.watched();
    job.alarm(None);
    job.drift(false);
    job.set_obstacle(None);
    assert!(kinds().await.is_empty());
    let mut late = records("nexmark").pop().unwrap();
    late.epoch += 1;
    late.snapshot.as_mut().unwrap().queries[0].overall_latency_ms = Some(1000.0);
    job.decided(&late);
    assert_eq!(kinds().await, [pair("warn", "over-bound")]);
}

/// Goal: decisions come newest first with their reasons, and each one by its epoch.
#[tokio::test]
async fn decisions_are_told_with_their_reasons() {
    let (_job, server) = recorded_server("nexmark").await;
    let told = get(&server, "/api/v1/jobs/nexmark/decisions?limit=3").await;
    let epochs: Vec<u64> =
        told["decisions"].as_array().unwrap().iter().map(|d| d["epoch"].as_u64().unwrap()).collect();
    assert_eq!(epochs, [60, 59, 58]);
    let plan = get(&server, &format!("/api/v1/jobs/nexmark/decisions/{PLAN}")).await;
    assert_eq!((&plan["outcome"], &plan["generation"]), (&json!("published"), &json!(2)));
    assert_eq!(plan["decision"]["parallelism"], json!({ "q7-bid-item": 3 }));
    assert_eq!(
        (&plan["result"]["state"], &plan["result"]["duration_ms"]),
        (&json!("running"), &json!(5_400))
    );
    assert_eq!(plan["result"]["steps"][0]["state"], "stopping");
    for epoch in ["0", "61", "x"] {
        let path = format!("/api/v1/jobs/nexmark/decisions/{epoch}");
        assert_eq!(ask(&server, Method::GET, &path, &[], "").await.0, 404, "{epoch}");
    }
}

/// Goal: pause, resume and dry run take effect and are kept in the file, so that they outlast the program.
#[tokio::test]
async fn switches_are_set_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("decisions.switches.json");
    let job = job("nexmark", Some(file.clone()));
    let server = server(vec![job.clone()], "127.0.0.1:0", None).await;
    let press = async |path: &str, body: &str| {
        ask(&server, Method::POST, &format!("/api/v1/jobs/nexmark/{path}"), &[OWN], body).await
    };
    assert_eq!(press("pause", "").await, (200, r#"{"paused":true,"dry_run":false}"#.to_owned()));
    assert_eq!(press("dry-run", r#"{"enabled":true}"#).await.0, 200);
    assert_eq!(press("resume", "").await.0, 200);
    assert_eq!(job.switches.now(), SwitchPositions { paused: false, dry_run: true });
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), r#"{"paused":false,"dry_run":true}"#);
    for (body, status) in [("", 400), ("{}", 400), (r#"{"enabled":1}"#, 400), (&"x".repeat(5000), 413)] {
        assert_eq!(press("dry-run", body).await.0, status, "{body:.20}");
    }
    assert_eq!(ask(&server, Method::GET, "/api/v1/jobs/nexmark/pause", &[OWN], "").await.0, 405);
}

/// Goal: other sites, other names and strangers change nothing.
#[tokio::test]
async fn only_those_who_may_change_something() {
    let (job, here) = recorded_server("nexmark").await;
    let pause = "/api/v1/jobs/nexmark/pause";
    let own_origin = format!("http://{}", here.address);
    let cases: [(&[(&str, &str)], u16); 6] = [
        (&[], 403),
        (&[OWN, ("origin", "http://evil.example")], 403),
        (&[OWN, ("sec-fetch-site", "cross-site")], 403),
        (&[OWN, ("host", "evil.example")], 421),
        (&[("origin", &own_origin)], 403),
        (&[OWN, ("origin", &own_origin)], 200),
    ];
    for (headers, status) in cases {
        assert!(!job.switches.now().paused);
        assert_eq!(ask(&here, Method::POST, pause, headers, "").await.0, status, "{headers:?}");
    }
    assert_eq!(ask(&here, Method::GET, "/", &[("host", "evil.example")], "").await.0, 421);
    assert_eq!(ask(&here, Method::GET, "/", &[("host", "rescaler.example")], "").await.0, 200);

    let job = recorded("nexmark");
    let far = server(vec![job.clone()], "0.0.0.0:0", Some("open sesame")).await;
    assert_eq!(ask(&far, Method::POST, pause, &[OWN], "").await.0, 401);
    assert_eq!(ask(&far, Method::POST, pause, &[OWN, ("authorization", "Bearer wrong")], "").await.0, 401);
    assert!(!job.switches.now().paused);
    assert_eq!(
        ask(&far, Method::POST, pause, &[OWN, ("authorization", "Bearer open sesame")], "").await.0,
        200
    );
    assert!(job.switches.now().paused);
    let closed = server(vec![recorded("nexmark")], "0.0.0.0:0", None).await;
    assert_eq!(ask(&closed, Method::POST, pause, &[OWN], "").await.0, 403);
    assert_eq!(get(&closed, "/api/v1/jobs/nexmark").await["switches"]["can_change"], false);
}

/// Goal: a job whose epochs do not end, or that is not being watched, is not healthy, and the reason is told.
#[tokio::test]
async fn health_names_what_is_wrong() {
    let (job, server) = recorded_server("nexmark").await;
    assert_eq!(ask(&server, Method::GET, "/healthz", &[], "").await, (200, "ok\n".to_owned()));
    job.failed("the journal is full".to_owned());
    let (status, text) = ask(&server, Method::GET, "/healthz", &[], "").await;
    assert_eq!(status, 503);
    assert!(text.contains("nexmark") && text.contains("the journal is full"), "{text}");
    job.watched();
    assert!(job.alarm(Some("generation 2 is being applied for 1801 s".to_owned())));
    let (status, text) = ask(&server, Method::GET, "/healthz", &[], "").await;
    assert!(status == 503 && text.contains("nexmark: operator action required: generation 2"), "{text}");
    let (_, metrics) = ask(&server, Method::GET, "/metrics", &[], "").await;
    assert!(metrics.contains("rescaler_needs_a_person{job=\"nexmark\"} 1"), "{metrics}");
    assert!(job.alarm(None));
    // A last epoch that ended long ago, as after a cycle that hangs.
    let mut old = records("nexmark").remove(0);
    old.at = "2026-01-01T00:00:00Z".parse().unwrap();
    job.decided(&old);
    job.watched();
    let (status, text) = ask(&server, Method::GET, "/healthz", &[], "").await;
    assert!(status == 503 && text.contains("more than 3 epochs"), "{text}");
}

/// Goal: with a certificate and its key the page is served over TLS, and not in plain text.
#[tokio::test]
async fn the_page_is_encrypted() {
    let folder = tempfile::tempdir().unwrap();
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let [certificate, key] = ["page.crt", "page.key"].map(|name| folder.path().join(name));
    std::fs::write(&certificate, pair.cert.pem()).unwrap();
    secrets::write_new(&key, &pair.signing_key.serialize_pem()).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(http_server::tls(&certificate, &key).unwrap());
    let guard = rescaler::http::Guard::new(address, &[], None);
    let status = std::sync::Arc::new(rescaler::status::Status::new(vec![recorded("nexmark")]));
    let settings = rescaler::http::Http::default();
    tokio::spawn(rescaler::http::serve(
        listener,
        status,
        settings,
        guard,
        Some(acceptor),
        std::future::pending(),
    ));
    let access = drop_client::Access::default().with_authorities_file(&certificate).unwrap();
    let url = format!("https://localhost:{}", address.port());
    let job = "nexmark".parse().unwrap();
    let client =
        drop_client::DropClient::with_access(&url, job, drop_client::ClientSettings::default(), access)
            .unwrap();
    // The page has no such path, and says so: 404 over TLS.
    assert_eq!(client.get(None, None).await.unwrap(), drop_client::Fetched::Absent);
    assert!(reqwest::get(format!("http://{address}/healthz")).await.is_err());
    assert!(http_server::tls(&key, &certificate).is_err());
}

/// Goal: the metrics have the documented names, one value per job, query and operator, and count what happened.
#[tokio::test]
async fn metrics_are_as_documented() {
    let (_job, server) = recorded_server("nexmark").await;
    let (_, text) = ask(&server, Method::GET, "/metrics", &[], "").await;
    for line in [
        "rescaler_up{job=\"nexmark\"} 1",
        "rescaler_epochs_total{job=\"nexmark\"} 1",
        "rescaler_decisions_total{job=\"nexmark\",outcome=\"nothing\"} 1",
        "rescaler_decisions_total{job=\"nexmark\",outcome=\"published\"} 0",
        "rescaler_query_latency_seconds{job=\"nexmark\",query=\"q7\"} 0.32",
        "rescaler_input_records_per_second{job=\"nexmark\"} 2225",
        "rescaler_operator_parallelism{job=\"nexmark\",operator=\"q7-bid-item\"} 3",
        "rescaler_state_size_bytes{job=\"nexmark\"} 5500000",
        "rescaler_stored_size_bytes{job=\"nexmark\"} 7340032",
        "rescaler_generation{job=\"nexmark\"} 2",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    let documented =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md")).unwrap();
    let types: Vec<_> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    assert!(types.len() > 20, "{text}");
    for (name, kind) in types {
        let row = format!("| `{name}` | {kind} |");
        assert!(documented.contains(&row), "docs/metrics.md has no row {row}");
    }
}

/// Goal: a client that sends its request a byte at a time is cut off, and others are answered meanwhile.
#[tokio::test]
async fn slow_clients_hold_up_nobody() {
    let (_job, server) = recorded_server("nexmark").await;
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    let host = server.address;
    let head = format!(
        "POST /api/v1/jobs/nexmark/dry-run HTTP/1.1\r\nhost: {host}\r\nx-rescaler: 1\r\ncontent-length: 50\r\n\r\n{{"
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(get(&server, "/api/v1/jobs").await["jobs"][0]["job"], "nexmark");
    let mut answer = vec![0; 64];
    let read = tokio::time::timeout(Duration::from_secs(20), slow.read(&mut answer)).await;
    let read = read.expect("no answer within 20 s").unwrap();
    assert!(String::from_utf8_lossy(&answer[..read]).starts_with("HTTP/1.1 408"), "{answer:?}");
}
