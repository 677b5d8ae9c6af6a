//! The loop with all protections (TLS, tokens, signed documents, a login in front of Flink) on real Kafka and Flink,
//! with an attacker at the drop.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use drop_client::{Access, DropClient};
use job_config::{ChangeState, Report};
use testbed::process::Process;
use tokio::time::{Instant, sleep};

use crate::engines::Context;
use crate::gate::Gate;
use crate::harness::{E2eHarness, NEVER_IDLE, PATIENCE, root};
use crate::load::Load;

const POLL: Duration = Duration::from_millis(20);

/// The secrets, and the programs' configuration for them.
struct Guarded {
    harness: E2eHarness,
    folder: PathBuf,
    url: String,
    client: DropClient,
    public_key: String,
    agent_address: String,
    gate: Gate,
}

impl Guarded {
    async fn new(context: &Context) -> anyhow::Result<Self> {
        let harness = E2eHarness::shared(context).await?;
        let folder = harness.tenant.work_dir().join("secrets");
        std::fs::create_dir(&folder)?;
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        std::fs::write(folder.join("drop.crt"), pair.cert.pem())?;
        secret(&folder, "drop.key", &pair.signing_key.serialize_pem())?;
        for role in ["publisher", "agent", "reader"] {
            secret(&folder, role, &format!("{role}-0123456789abcdef"))?;
        }
        let port = harness.tenant.drop_url().rsplit(':').next().context("no port")?;
        let url = format!("https://localhost:{port}");
        let access = Access::default()
            .with_authorities_file(&folder.join("drop.crt"))?
            .with_token_file(&folder.join("reader"))?;
        let settings = drop_client::ClientSettings::default();
        let client = DropClient::with_access(&url, harness.job().parse()?, settings, access)?;
        let agent_port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let agent_address = format!("127.0.0.1:{agent_port}");
        let flink = harness.tenant.testbed().flink_url();
        let gate = Gate::open(flink.trim_start_matches("http://").parse()?, &folder).await?;
        let public_key = String::new();
        let mut guarded = Self { harness, folder, url, client, public_key, agent_address, gate };
        for key in ["true.key", "false.key"] {
            guarded.rescaler(&["keygen", "--key", &guarded.path(key)]).await?;
        }
        std::fs::read_to_string(guarded.path("true.key.pub"))?.trim().clone_into(&mut guarded.public_key);
        Ok(guarded)
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    async fn rescaler(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let program = self.harness.tenant.program("rescaler")?.args(arguments);
        let process = self.harness.tenant.launch(&program)?;
        ensure!(
            process.wait().await.success(),
            "{arguments:?}: {}",
            std::fs::read_to_string(process.log_file())?
        );
        Ok(())
    }

    fn start_drop(&self) -> anyhow::Result<Process> {
        let config = format!(
            "\n[access]\npublisher_tokens = {:?}\nagent_tokens = {:?}\nreader_tokens = {:?}\n\
             [tls]\ncertificate_file = {:?}\nkey_file = {:?}\n",
            self.path("publisher"),
            self.path("agent"),
            self.path("reader"),
            self.path("drop.crt"),
            self.path("drop.key"),
        );
        let data = "data = \"run/config-drop\"\n";
        self.harness.start_with("config-drop", &[], &[(data, &format!("{data}{config}"))])
    }

    fn start_agent(&self) -> anyhow::Result<Process> {
        let plain = "url = \"http://127.0.0.1:8460\"\n";
        let guarded = format!(
            "url = {:?}\ntoken_file = {:?}\nauthorities_file = {:?}\npublic_keys = [{:?}]\n",
            self.url,
            self.path("agent"),
            self.path("drop.crt"),
            self.public_key,
        );
        let direct = "url = \"http://127.0.0.1:8081\"\njar = \"flink-jobs/target/flink-jobs.jar\"\n";
        let gated = format!(
            "url = {:?}\njar = \"flink-jobs/target/flink-jobs.jar\"\n[flink.access]\n{}",
            self.gate.url,
            Gate::access(&self.folder)
        );
        let replacements = [(plain, guarded.as_str()), (direct, gated.as_str())];
        self.harness.start_with("config-agent", &["--listen", &self.agent_address], &replacements)
    }

    /// Publishes the demo's document as this generation, with these replacements, signed with this key.
    async fn publish(&self, generation: u64, replacements: &[(&str, &str)], key: &str) -> anyhow::Result<()> {
        let mut text = std::fs::read_to_string(root().join("configs/demo/nexmark.toml"))?;
        let numbered = format!("generation = {generation}\n");
        for (old, new) in [("generation = 1\n", numbered.as_str())].iter().chain(replacements) {
            ensure!(text.contains(old), "the demo's document no longer contains {old:?}");
            text = text.replace(old, new);
        }
        let document = self.harness.tenant.write_config(&format!("document-{generation}.toml"), &text)?;
        let document = document.display().to_string();
        let (key, token, authorities) = (self.path(key), self.path("publisher"), self.path("drop.crt"));
        let mut arguments =
            vec!["publish", "--document", &document, "--drop", &self.url, "--expires-in-s", "300"];
        arguments.extend([
            "--signing-key-file",
            &key,
            "--token-file",
            &token,
            "--authorities-file",
            &authorities,
        ]);
        self.rescaler(&arguments).await
    }

    /// Waits until the reports match.
    async fn until(&self, what: &str, wanted: impl Fn(&[Report]) -> bool) -> anyhow::Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            let reports = self.client.reports().await.unwrap_or_default();
            if wanted(&reports) {
                return Ok(());
            }
            ensure!(Instant::now() < end, "not in time: {what}; {reports:?}");
            sleep(POLL).await;
        }
    }

    /// Reads the job's metrics through the proxy, with and without the login.
    async fn inspect(&self) -> anyhow::Result<()> {
        ensure!(self.gate.refused() == 0, "the agent's login was refused");
        let inspected = |name: &str, access: String| -> anyhow::Result<String> {
            let text = format!(
                "job = {:?}\n[flink]\nurl = {:?}\n[flink.access]\n{access}",
                self.harness.job(),
                self.gate.url
            );
            Ok(self.harness.tenant.write_config(name, &text)?.display().to_string())
        };
        let config = inspected("gated.toml", Gate::access(&self.folder))?;
        self.rescaler(&["inspect", "--config", &config, "--seconds", "4"]).await?;
        let (wrong, login) = (Gate::access(&self.folder), "user = \"ann\"");
        let config = inspected("stranger.toml", wrong.replace(login, "user = \"bob\""))?;
        let refused = self.rescaler(&["inspect", "--config", &config, "--seconds", "1"]).await;
        let message = refused.err().context("a stranger was let in")?.to_string();
        ensure!(message.contains("401") && message.contains("flink.access"), "{message}");
        ensure!(!message.contains("sesame") && self.gate.refused() > 0, "{message}");
        Ok(())
    }

    async fn refused(&self, reason: &str) -> anyhow::Result<()> {
        let end = Instant::now() + PATIENCE;
        let counter = format!("config_agent_refused_documents_total{{reason=\"{reason}\"}} ");
        loop {
            let page = reqwest::get(format!("http://{}/metrics", self.agent_address)).await?.text().await?;
            let count = page.lines().find_map(|line| line.strip_prefix(&counter));
            if count.context("no such reason")? != "0" {
                return Ok(());
            }
            ensure!(Instant::now() < end, "nothing was refused for {reason}");
            sleep(POLL).await;
        }
    }
}

pub(crate) fn secret(folder: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    std::fs::write(folder.join(name), text)?;
    Ok(std::fs::set_permissions(folder.join(name), Permissions::from_mode(0o600))?)
}

fn is(generation: u64, state: ChangeState) -> impl Fn(&[Report]) -> bool {
    move |reports| reports.iter().any(|report| report.generation == generation && report.state == state)
}

/// Goal: with TLS, tokens and keys, and with TLS, certificates and a login in front of Flink, the loop works as
/// without them. A document published with a stolen publisher's token, but without its key, changes nothing. An agent
/// killed while it stops the job for the next valid document finishes that change once, and no row is lost or
/// duplicated.
pub(crate) async fn signed_documents_pass_and_forged_ones_do_not(context: Context) -> anyhow::Result<()> {
    let guarded = Guarded::new(&context).await?;
    let harness = &guarded.harness;
    let _drop = guarded.start_drop()?;
    let agent = guarded.start_agent()?;
    let ready = Instant::now() + PATIENCE;
    while guarded.client.get(None, None).await.is_err() {
        ensure!(Instant::now() < ready, "the drop does not answer");
        sleep(POLL).await;
    }
    guarded.publish(1, &[NEVER_IDLE], "true.key").await?;
    guarded.until("the first document runs", is(1, ChangeState::Running)).await?;
    let job = harness.running_job().await?.id;

    let load = harness.start_load(Load::until_stopped(&[], 1500.0))?;
    guarded.publish(2, &[NEVER_IDLE, ("q7-bid-item = 1", "q7-bid-item = 4")], "false.key").await?;
    guarded.refused("wrong-key").await?;
    context.note("the forged document is refused");
    harness.await_checkpoints(2).await?;
    ensure!(harness.running_job().await?.id == job, "a forged document was applied");
    ensure!(harness.parallelism_of("q7-bid-item").await? == 1, "a forged document was applied");

    guarded.publish(3, &[NEVER_IDLE, ("q7-bid-item = 1", "q7-bid-item = 3")], "true.key").await?;
    guarded.until("the job is being stopped", is(3, ChangeState::Stopping)).await?;
    agent.kill().await;
    let agent = guarded.start_agent()?;
    guarded.until("the third document runs", is(3, ChangeState::Running)).await?;
    ensure!(harness.parallelism_of("q7-bid-item").await? == 3, "the third document was not applied");
    ensure!(harness.jobs().await?.len() == 2, "not one submission for each true document");
    harness.await_checkpoints(1).await?;
    guarded.inspect().await?;
    harness.finish_exactly(&load, agent).await
}
