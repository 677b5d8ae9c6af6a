//! The agent as its own drop: the real program, reached by a publisher over the drop's interface, with and without
//! authentication.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::scripted_flink::ScriptedFlink;
use crate::support::{JOB, PATIENCE, document};
use drop_client::{Access, ClientSettings, DropClient, Error, Fetched, Precondition, Published};
use job_config::ChangeState;

/// The real program with these tables in its configuration; killed on drop.
struct AgentProcess(Child);

impl AgentProcess {
    fn start(folder: &Path, flink_url: &str, tables: &str) -> Self {
        let jar = folder.join("job.jar");
        std::fs::write(&jar, "a jar").unwrap();
        let text = format!(
            "job = {JOB:?}\ndata = {:?}\n{tables}\n[flink]\nurl = {flink_url:?}\njar = {jar:?}\nextra_arguments = [\"--bounded\"]\n\
             poll_ms = 1\n[retry]\nfirst_ms = 1\nlongest_ms = 20\n[safety]\ngrace_ms = 0\n",
            folder.join("journal"),
        );
        std::fs::write(folder.join("agent.toml"), text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_config-agent"));
        command.arg("--config").arg(folder.join("agent.toml")).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for AgentProcess {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Publishes the document as soon as the drop is up.
async fn publish(client: &DropClient, generation: u64) {
    let publish = async {
        loop {
            let expected = match client.get(None, None).await {
                Ok(Fetched::Document(current)) => Precondition::Replaces(current.entity_tag),
                Ok(_) => Precondition::Nothing,
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                }
            };
            let published = client.put(&document(generation), &expected).await.unwrap();
            assert!(matches!(published, Published::Stored(_)));
            return;
        }
    };
    tokio::time::timeout(PATIENCE, publish).await.unwrap();
}

async fn runs(client: &DropClient, generation: u64) {
    let is_told = async {
        loop {
            let reports = client.reports().await.unwrap_or_default();
            if reports
                .iter()
                .any(|report| report.generation == generation && report.state == ChangeState::Running)
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, is_told).await.unwrap();
}

/// Goal: a document published at the agent is applied and reported there; after a kill and restart, the state is
/// kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_is_its_own_drop() {
    let (flink, _) = ScriptedFlink::start().await;
    let folder = tempfile::tempdir().unwrap();
    let listen = test_addresses::unused_address().unwrap();
    let tables = format!("[direct]\nlisten = \"{listen}\"\ndata = {:?}", folder.path().join("drop"));
    let client =
        DropClient::new(&format!("http://{listen}"), JOB.parse().unwrap(), ClientSettings::default())
            .unwrap();
    let agent = AgentProcess::start(folder.path(), &flink.url, &tables);
    publish(&client, 1).await;
    runs(&client, 1).await;
    drop(agent);
    let _agent = AgentProcess::start(folder.path(), &flink.url, &tables);
    publish(&client, 2).await;
    runs(&client, 2).await;
    let submitted = flink.with(|world| world.order.len());
    assert_eq!(submitted, 2, "not one submission for each document");
}

/// Goal: with a drop configuration, the agent's drop requires tokens and TLS, and the agent itself authenticates with
/// its own token.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_drop_of_an_agent_is_protected() {
    let (flink, _) = ScriptedFlink::start().await;
    let folder = tempfile::tempdir().unwrap();
    let secret = |name: &str, text: &str| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path
    };
    let listen = test_addresses::unused_address().unwrap();
    let pair = rcgen::generate_simple_self_signed([listen.ip().to_string()]).unwrap();
    let certificate = secret("drop.crt", &pair.cert.pem());
    let key = secret("drop.key", &pair.signing_key.serialize_pem());
    let (publisher, agent) =
        (secret("publisher", "publisher-0123456789"), secret("agent", "agent-0123456789ab"));
    let drop_file = secret(
        "drop.toml",
        &format!(
            "listen = \"{listen}\"\ndata = {:?}\n[access]\npublisher_tokens = {publisher:?}\n\
             agent_tokens = {agent:?}\n[tls]\ncertificate_file = {certificate:?}\nkey_file = {key:?}\n",
            folder.path().join("drop")
        ),
    );
    let url = format!("https://{listen}");
    let tables = format!(
        "[direct]\nconfig = {drop_file:?}\n[drop]\nurl = {url:?}\ntoken_file = {agent:?}\nauthorities_file = {certificate:?}"
    );
    let _agent = AgentProcess::start(folder.path(), &flink.url, &tables);
    let trusting = || Access::default().with_authorities_file(&certificate).unwrap();
    let client = |access| {
        DropClient::with_access(&url, JOB.parse().unwrap(), ClientSettings::default(), access).unwrap()
    };
    let own = client(trusting().with_token_file(&publisher).unwrap());
    publish(&own, 1).await;
    runs(&own, 1).await;
    let refused = client(trusting()).get(None, None).await;
    assert!(matches!(refused, Err(Error::Status { status: 401, .. })), "{refused:?}");
}
