//! `rescaler publish` against a real drop: the first document only, and waiting for the agent, whose part the test plays.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use drop_client::DropClient;
use job_config::{ChangeState, JobDocument, JobName, Report};
use tokio::net::TcpListener;
use tokio::process::Command;

const EXAMPLE: &str = include_str!("../../../../configs/jobs/nexmark.toml");

struct Setup {
    folder: tempfile::TempDir,
    url: String,
}

impl Setup {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let config = config_drop::Config::load(None, None, Some(folder.path().join("drop"))).unwrap();
        tokio::spawn(async move {
            config_drop::run(listener, config, std::future::pending()).await.unwrap();
        });
        Self { folder, url }
    }

    fn document(&self, generation: u64) -> PathBuf {
        let path = self.folder.path().join(format!("{generation}.toml"));
        let text = EXAMPLE.replacen("generation = 1", &format!("generation = {generation}"), 1);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn publish(&self, generation: u64, flags: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rescaler"));
        command.args(["publish", "--drop", &self.url, "--document"]).arg(self.document(generation));
        command.args(flags).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    fn client(&self) -> DropClient {
        let job: JobName = JobDocument::parse(EXAMPLE).unwrap().job().clone();
        DropClient::new(&self.url, job, drop_client::ClientSettings::default()).unwrap()
    }

    async fn report(&self, generation: u64, sequence: u32, state: ChangeState, message: Option<&str>) {
        let report = Report {
            message: message.map(str::to_owned),
            ..Report::new(generation, sequence, jiff::Timestamp::UNIX_EPOCH, state)
        };
        self.client().report(&report).await.unwrap();
    }
}

fn said(output: &Output) -> (Option<i32>, String) {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

/// Goal: --first publishes once; afterwards it leaves the job alone, whichever document it has, and that counts as done.
#[tokio::test(flavor = "multi_thread")]
async fn only_the_first_document() {
    let setup = Setup::new().await;
    let (code, text) = said(&setup.publish(1, &["--first"]).output().await.unwrap());
    assert!(code == Some(0) && text.contains("published generation 1"), "{text}");
    let (code, text) = said(&setup.publish(2, &[]).output().await.unwrap());
    assert!(code == Some(0) && text.contains("published generation 2"), "{text}");
    // Without the flag this is a mistake: generation 1 cannot follow 2.
    let (code, text) = said(&setup.publish(1, &[]).output().await.unwrap());
    assert!(code == Some(1) && text.contains("cannot follow"), "{text}");
    let (code, text) = said(&setup.publish(1, &["--first"]).output().await.unwrap());
    assert!(code == Some(0) && text.contains("already has a document, generation 2"), "{text}");
}

/// Goal: --wait-s ends with 0 when the agent says that the job runs, and with 1 and its reason when it could not be.
#[tokio::test(flavor = "multi_thread")]
async fn waits_for_the_agent() {
    let setup = Setup::new().await;
    let waiting = setup.publish(1, &["--wait-s", "60"]).spawn().unwrap();
    while setup.client().get(None, Some(Duration::from_secs(5))).await.unwrap()
        == drop_client::Fetched::Absent
    {}
    setup.report(1, 1, ChangeState::Received, None).await;
    setup.report(1, 2, ChangeState::Running, None).await;
    let (code, text) = said(&waiting.wait_with_output().await.unwrap());
    assert!(code == Some(0) && text.contains("; running"), "{text}");

    let waiting = setup.publish(2, &["--wait-s", "60"]).spawn().unwrap();
    let is_second = |fetched: &drop_client::Fetched| matches!(fetched, drop_client::Fetched::Document(current) if current.document.generation() == 2);
    while !is_second(&setup.client().get(None, None).await.unwrap()) {}
    setup.report(2, 1, ChangeState::Failed, Some("no slots")).await;
    let (code, text) = said(&waiting.wait_with_output().await.unwrap());
    assert!(code == Some(1) && text.contains("no slots"), "{text}");

    let (code, text) = said(&setup.publish(3, &["--wait-s", "1"]).output().await.unwrap());
    assert!(code == Some(1) && text.contains("within 1 s") && text.contains("nothing"), "{text}");
}
