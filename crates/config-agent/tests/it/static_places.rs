//! A plain web server or a folder instead of the drop: signed documents arrive, and idle polling is cheap.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::scripted_flink::ScriptedFlink;
use crate::support::{JOB, PATIENCE, config, document, ended};
use config_agent::{Agent, Config, DocumentSourceSettings, Phase};
use drop_client::Access;
use job_config::{JobDocument, PrivateKey};

/// Python's own web server on a free port, with its log.
struct WebServer {
    child: Child,
    url: String,
    log: Arc<Mutex<Vec<String>>>,
}

impl WebServer {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new("python3")
            .args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory"])
            .arg(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("python3 must be installed: it is the web server of this test");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.split("port ").nth(1).unwrap().split_whitespace().next().unwrap();
        let url = format!("http://127.0.0.1:{port}");
        let log = Arc::new(Mutex::new(Vec::new()));
        let errors = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn({
            let log = Arc::clone(&log);
            move || errors.lines().map_while(Result::ok).for_each(|line| log.lock().unwrap().push(line))
        });
        Self { child, url, log }
    }

    /// How often a request of this path got this status.
    fn answered(&self, path: &str, status: u16) -> usize {
        let (path, status) = (format!("GET {path} "), format!("\" {status} "));
        self.log.lock().unwrap().iter().filter(|line| line.contains(&path) && line.contains(&status)).count()
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn key() -> PrivateKey {
    PrivateKey::from_seed([1; 32]).unwrap()
}

/// Publishes as the rescaler does: the signature first, each file renamed into place.
fn publish(folder: &Path, document: &JobDocument, key: &PrivateKey) {
    let put = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.join("new"), bytes).unwrap();
        std::fs::rename(folder.join("new"), folder.join(name)).unwrap();
    };
    put("nexmark.toml.sig", format!("{}\n", key.sign(document.text().as_bytes())).as_bytes());
    put("nexmark.toml", document.text().as_bytes());
}

fn reading(config: Config, url: &str) -> Config {
    let document_source = DocumentSourceSettings {
        document_url: Some(url.into()),
        poll: Duration::from_millis(20),
        access: Access::default().with_public_keys(vec![key().public_key()]),
        ..DocumentSourceSettings::default()
    };
    Config { document_source, ..config }
}

async fn applied(agent: &Agent, generation: u64) -> Phase {
    tokio::time::timeout(PATIENCE, async {
        tokio::select! {
            result = agent.run() => panic!("{result:?}"),
            phase = ended(agent.journal(), generation) => phase,
        }
    })
    .await
    .unwrap()
}

/// Runs the agent until it rejects the document for `reason`, in one run: an agent dropped in the middle of each
/// request never sees an answer.
async fn refused(agent: &Agent, reason: &str) {
    let told = async {
        while agent.rejections().now.is_none_or(|(now, _)| now != reason) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, async {
        tokio::select! {
            result = agent.run() => panic!("{result:?}"),
            () = told => {}
        }
    })
    .await
    .unwrap_or_else(|_| panic!("refused for {:?}, not for {reason}", agent.rejections().now));
}

/// Goal: from a folder, successive documents are applied, and one by an unknown author is not.
async fn documents_are_applied(folder: &Path, url: &str) {
    assert_eq!(JOB, "nexmark");
    let (flink, _) = ScriptedFlink::start().await;
    let data = tempfile::tempdir().unwrap();
    // No drop: reports are not delivered.
    let agent = crate::support::agent(&reading(config(data.path(), "", &flink.url), url)).await;
    for generation in 1..=3 {
        publish(folder, &document(generation), &key());
        assert!(matches!(applied(&agent, generation).await, Phase::Running { .. }));
    }
    publish(folder, &document(4), &PrivateKey::from_seed([2; 32]).unwrap());
    refused(&agent, "wrong-key").await;
    std::fs::remove_file(folder.join("nexmark.toml.sig")).unwrap();
    refused(&agent, "unsigned").await;
    publish(folder, &document(4), &key());
    assert!(matches!(applied(&agent, 4).await, Phase::Running { .. }));
    let submitted: Vec<String> =
        flink.with(|world| world.order.iter().map(|id| world.jobs[id].document.clone()).collect());
    assert_eq!(submitted, [1, 2, 3, 4].map(|generation| document(generation).text().to_owned()));
}

/// Goal: the agent reads documents from a folder directly.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_is_a_drop() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}/nexmark.toml", folder.path().display());
    documents_are_applied(folder.path(), &url).await;
}

/// Goal: a plain web server with only `Last-Modified` works: two documents within its second are distinguished, and
/// an unchanged document is not sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_web_server_is_a_drop() {
    let folder = tempfile::tempdir().unwrap();
    let server = WebServer::start(folder.path());
    documents_are_applied(folder.path(), &format!("{}/nexmark.toml", server.url)).await;

    let (flink, _) = ScriptedFlink::start().await;
    let data = tempfile::tempdir().unwrap();
    let settled = std::time::SystemTime::now() - Duration::from_secs(60);
    let file = std::fs::File::options().write(true).open(folder.path().join("nexmark.toml")).unwrap();
    file.set_modified(settled).unwrap();
    let url = format!("{}/nexmark.toml", server.url);
    let agent = crate::support::agent(&reading(config(data.path(), "", &flink.url), &url)).await;
    applied(&agent, 4).await;
    let sent = server.answered("/nexmark.toml", 200);
    let unchanged = async {
        let before = server.answered("/nexmark.toml", 304);
        while server.answered("/nexmark.toml", 304) < before + 5 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        result = agent.run() => panic!("{result:?}"),
        result = tokio::time::timeout(PATIENCE, unchanged) => result.unwrap(),
    }
    assert_eq!(server.answered("/nexmark.toml", 200), sent, "{:?}", server.log.lock().unwrap());
}
