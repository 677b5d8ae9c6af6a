//! The event producer against a Kafka with TLS and authentication: the test's own broker, because the testbed's has
//! neither.
//!
//! The broker has a listener for each method: TLS with SASL (SCRAM and PLAIN), TLS with a client certificate, and an
//! open one for the test's readiness check. The test creates all certificates.

use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::Value;
use test_addresses::unused_address;
use testbed::process::{Launcher, Process, ProcessSpec};
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use crate::benchmark::Benchmark;
use crate::engines::Context;
use crate::harness::{PATIENCE, programs_dir, root};

const EVENTS: u64 = 20_000;
/// Timeout of an error report; most of it is the program's start and one metadata request (2 s).
const TOLD_WITHIN: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(100);
const CALL_TIMEOUT: Duration = Duration::from_millis(500);
/// Passwords that must not appear in a log.
const PASSWORDS: [&str; 2] = ["sesame-of-ann", "sesame-of-bob"];
/// Kafka's code of zstd, in the lowest bits of a batch's attributes.
const ZSTD: u8 = 4;

/// Goal: with each login and with a certificate every record is acknowledged and stored, compressed as configured. A
/// wrong password, authority or protocol is reported with the remedy, in time, with exit code 1, and no log contains
/// a password.
pub(crate) async fn records_arrive_over_tls_and_logins(context: Context) -> anyhow::Result<()> {
    let broker = Broker::start(&context).await?;
    context.note("the broker answers");
    let scram = broker.login("SCRAM-SHA-512", "ann", &format!("{{ file = {:?} }}", broker.path("ann")));
    let plain = broker.login("PLAIN", "bob", "{ env = \"PASSWORD_OF_BOB\" }");
    let authority = format!("\"ssl.ca.location\" = {:?}\n", broker.path("ca.pem"));
    let certificate = format!(
        "\"security.protocol\" = \"ssl\"\n\"ssl.certificate.location\" = {:?}\n\"ssl.key.location\" = {:?}\n",
        broker.path("client.pem"),
        broker.path("client.key"),
    );

    let (scram_too, plain_too) = (scram.clone() + &authority, plain + &authority);
    let (by_scram, by_plain, _) = tokio::try_join!(
        broker.write_all("scram", "compression = \"zstd\"\n", &scram_too),
        broker.write_all("plain", "transport = \"batches\"\n", &plain_too),
        // Without a configured authority, the system's trusted ones or those of an environment variable apply.
        broker.write_all("certificate", "compression = \"zstd\"\n", &certificate),
    )?;
    ensure!(by_scram.contains("effective configuration"), "{by_scram}");
    ensure!(by_plain.contains("cannot use transport \"batches\"; using librdkafka"), "{by_plain}");
    let batch = std::fs::read(broker.folder.path().join("data/scram.bidEvents-0/00000000000000000000.log"))?;
    // After base offset, length, leader epoch, version and checksum.
    let attributes = batch.get(22).context("no batch")?;
    ensure!(attributes & 7 == ZSTD, "the attributes of the first batch are {attributes:#x}");
    context.note("all ways in were gone");

    let wrong = broker.login("SCRAM-SHA-512", "ann", "{ env = \"PASSWORD_OF_BOB\" }") + &authority;
    let unknown = scram.clone() + &format!("\"ssl.ca.location\" = {:?}\n", broker.path("other.pem"));
    let no_mechanism = broker.login("SCRAM-SHA-256", "ann", "{ env = \"PASSWORD_OF_BOB\" }") + &authority;
    let open = "\"socket.timeout.ms\" = \"5000\"\n".to_owned();
    let no_certificate = "\"security.protocol\" = \"ssl\"\n".to_owned() + &authority;
    let mut running = Vec::new();
    for (name, properties, parts) in [
        ("wrong", wrong, &["refused the login", "sasl.password"][..]),
        ("unknown", unknown, &["no TLS connection", "ssl.ca.location"]),
        ("mechanism", no_mechanism, &["refused the login", "sasl.mechanisms", "PLAIN,SCRAM-SHA-512"]),
        ("certificate", no_certificate, &["no TLS connection", "ssl.certificate.location"]),
        ("open", open, &["security.protocol"]),
    ] {
        let config = broker.config(name, "connect_timeout_ms = 4000\n", &properties)?;
        for arguments in [&["run"][..], &["topics", "describe", "--timeout", "4"]] {
            running.push((name, parts, broker.begin(arguments, &config)?));
        }
    }
    for (name, parts, output) in running {
        let output = broker.end(output).await?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(1), "{name}: {}: {told}", output.status);
        let last = told.lines().last().unwrap_or_default();
        let lacks = parts.iter().find(|part| !last.contains(**part));
        ensure!(lacks.is_none(), "{name}: no {} in {last}", lacks.unwrap_or(&""));
    }
    context.note("all refusals were told");
    broker.process.kill().await;
    Ok(())
}

/// A running Kafka, with all certificates and passwords in its folder.
struct Broker {
    folder: tempfile::TempDir,
    process: Process,
    /// Listener with SASL.
    login: SocketAddr,
    /// Listener with client certificates.
    certificate: SocketAddr,
}

impl Broker {
    async fn start(context: &Context) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        std::fs::create_dir(folder.path().join("logs"))?;
        context.keep_logs_of(folder.path().to_owned());
        let launcher = Launcher::new()?;
        let settings = testbed::TestbedSettings::default().check()?;
        let kafka = testbed::provide_kafka(&settings, &launcher, &|line| context.note(line)).await?;
        let [open, login, certificate, controller] =
            [unused_address()?, unused_address()?, unused_address()?, unused_address()?];
        certificates(folder.path(), login)?;
        let properties = folder.path().join("server.properties");
        std::fs::write(
            &properties,
            server_properties(folder.path(), [open, login, certificate, controller]),
        )?;
        let java = |name: &str, class: &str| {
            ProcessSpec::new(name, &kafka.java, folder.path().join(format!("logs/{name}.log")))
                .args(["-Xmx384m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"])
                .arg(format!(
                    "-Dlog4j2.configurationFile={}",
                    root().join("crates/testbed/assets/log4j.properties").display()
                ))
                .arg("-cp")
                .arg(&kafka.class_path)
                .arg(class)
        };
        let format = java("format", "kafka.tools.StorageTool")
            .args(["format", "--cluster-id", "AAAAAAAAAAAAAAAAAAAAAA", "--add-scram"])
            .arg(format!("SCRAM-SHA-512=[name=ann,password={}]", PASSWORDS[0]))
            .arg("--config")
            .arg(&properties);
        let formatted = timeout(PATIENCE, launcher.launch(&format)?.wait()).await?;
        ensure!(formatted.success(), "the storage was not formatted: {formatted}");
        let process = launcher.launch(&java("kafka", "kafka.Kafka").arg(&properties))?;
        await_answer(&process, open).await?;
        Ok(Self { folder, process, login, certificate })
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Properties of a login; the password in TOML syntax.
    fn login(&self, mechanism: &str, user: &str, password: &str) -> String {
        format!(
            "\"security.protocol\" = \"sasl_ssl\"\n\"sasl.mechanisms\" = {mechanism:?}\n\"sasl.username\" = {user:?}\n\
             \"sasl.password\" = {password}\n"
        )
    }

    fn config(&self, name: &str, kafka: &str, properties: &str) -> anyhow::Result<PathBuf> {
        let servers = if name == "certificate" { self.certificate } else { self.login };
        let path = self.folder.path().join(format!("{name}.toml"));
        let text = format!(
            "[kafka]\nbootstrap_servers = \"{servers}\"\ntopic_prefix = \"{name}.\"\n{kafka}[kafka.properties]\n{properties}"
        );
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// Starts the event producer.
    fn begin(
        &self,
        arguments: &[&str],
        config: &Path,
    ) -> anyhow::Result<impl Future<Output = std::io::Result<Output>> + use<>> {
        let mut command = Command::new(programs_dir()?.join("event-producer"));
        command.args(arguments).arg("--config").arg(config).kill_on_drop(true);
        command.env("RUST_LOG", "event_producer=debug,info").env("PASSWORD_OF_BOB", PASSWORDS[1]);
        command.env("SSL_CERT_FILE", self.path("ca.pem"));
        Ok(command.output())
    }

    /// Waits for its end, and checks that no password is in its output.
    async fn end(&self, output: impl Future<Output = std::io::Result<Output>>) -> anyhow::Result<Output> {
        let output = timeout(TOLD_WITHIN, output).await.context("the producer has not ended")??;
        let said = [output.stdout.as_slice(), &output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let shown = PASSWORDS.iter().any(|password| said.contains(password));
        ensure!(!shown, "a password was shown: {said}");
        Ok(output)
    }

    async fn producer(&self, arguments: &[&str], config: &Path) -> anyhow::Result<Output> {
        self.end(self.begin(arguments, config)?).await
    }

    /// Creates topics, runs the producer to write all events, and counts them in Kafka; returns the log.
    async fn write_all(&self, name: &str, kafka: &str, properties: &str) -> anyhow::Result<String> {
        let config = self.config(name, kafka, properties)?;
        let create = ["topics", "create", "--benchmark", "nexmark", "--partitions", "2"];
        let made = self.producer(&create, &config).await?;
        ensure!(made.status.success(), "{name}: {}", String::from_utf8_lossy(&made.stderr));
        let events = EVENTS.to_string();
        let output =
            self.producer(&["run", "--max", "--output", "json", "--events", &events], &config).await?;
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "{name}: {log}");
        let totals: Value = serde_json::from_slice(&output.stdout)?;
        ensure!(totals["acked"] == EVENTS && totals["failed"] == 0, "{name}: {totals}");
        let counted = tokio::task::block_in_place(|| self.count(name))?;
        ensure!(counted == EVENTS, "{name}: {counted} records in Kafka");
        Ok(log)
    }

    /// Reads all records of a run, with the test's own login.
    fn count(&self, name: &str) -> anyhow::Result<u64> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.login.to_string())
            .set("group.id", "count")
            .set("enable.partition.eof", "true")
            .set("security.protocol", "sasl_ssl")
            .set("ssl.ca.location", self.path("ca.pem"))
            .set("sasl.mechanisms", "PLAIN")
            .set("sasl.username", "bob")
            .set("sasl.password", PASSWORDS[1])
            .create()?;
        let mut partitions = TopicPartitionList::new();
        for topic in Benchmark::Nexmark.topics() {
            for partition in 0..2 {
                partitions.add_partition_offset(&format!("{name}.{topic}"), partition, Offset::Beginning)?;
            }
        }
        consumer.assign(&partitions)?;
        let (mut records, mut ended) = (0, 0);
        let end = Instant::now() + PATIENCE;
        while ended < partitions.count() {
            ensure!(Instant::now() < end, "{records} records were read, and then no more");
            match consumer.poll(CALL_TIMEOUT) {
                Some(Ok(_)) => records += 1,
                Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
                Some(Err(error)) => return Err(error.into()),
                None => {}
            }
        }
        Ok(records)
    }
}

async fn await_answer(process: &Process, open: SocketAddr) -> anyhow::Result<()> {
    let asker: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", open.to_string())
        .set("reconnect.backoff.max.ms", "200")
        .create()?;
    let end = Instant::now() + PATIENCE;
    while tokio::task::block_in_place(|| asker.fetch_metadata(None, CALL_TIMEOUT)).is_err() {
        if let Some(status) = process.status() {
            bail!("the broker has ended: {status}");
        }
        ensure!(Instant::now() < end, "the broker does not answer");
        sleep(POLL).await;
    }
    Ok(())
}

/// Creates `ca.pem` with broker and client certificates, `other.pem`, and `ann`, a password.
fn certificates(folder: &Path, broker: SocketAddr) -> anyhow::Result<()> {
    let named = |name: &str, addresses: Vec<String>| -> anyhow::Result<_> {
        let mut params = CertificateParams::new(addresses)?;
        params.distinguished_name.push(DnType::CommonName, name);
        Ok(params)
    };
    let authority = || -> anyhow::Result<_> {
        let mut params = named("authority", Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
    };
    let own = authority()?;
    let (key, client_key) = (KeyPair::generate()?, KeyPair::generate()?);
    let of_broker = named("broker", vec![broker.ip().to_string()])?.signed_by(&key, &own)?;
    let of_client = named("client", Vec::new())?.signed_by(&client_key, &own)?;
    for (name, text) in [
        ("ca.pem", own.pem()),
        ("other.pem", authority()?.pem()),
        ("broker.pem", key.serialize_pem() + &of_broker.pem()),
        ("client.pem", of_client.pem()),
        ("client.key", client_key.serialize_pem()),
        ("ann", PASSWORDS[0].to_owned()),
    ] {
        std::fs::write(folder.join(name), text)?;
        std::fs::set_permissions(folder.join(name), Permissions::from_mode(0o600))?;
    }
    Ok(())
}

fn server_properties(folder: &Path, addresses: [SocketAddr; 4]) -> String {
    let [open, login, certificate, controller] = addresses;
    let path = |name: &str| folder.join(name).display().to_string();
    let listeners = format!("OPEN://{open},LOGIN://{login},CERTIFICATE://{certificate}");
    [
        ("process.roles", "broker,controller".to_owned()),
        ("node.id", "1".to_owned()),
        ("controller.quorum.voters", format!("1@{controller}")),
        ("controller.listener.names", "CONTROLLER".to_owned()),
        ("inter.broker.listener.name", "OPEN".to_owned()),
        ("listeners", format!("{listeners},CONTROLLER://{controller}")),
        ("advertised.listeners", listeners),
        (
            "listener.security.protocol.map",
            "OPEN:PLAINTEXT,CONTROLLER:PLAINTEXT,LOGIN:SASL_SSL,CERTIFICATE:SSL".to_owned(),
        ),
        ("listener.name.login.sasl.enabled.mechanisms", "PLAIN,SCRAM-SHA-512".to_owned()),
        (
            "listener.name.login.plain.sasl.jaas.config",
            format!(
                "org.apache.kafka.common.security.plain.PlainLoginModule required user_bob=\"{}\";",
                PASSWORDS[1]
            ),
        ),
        (
            "listener.name.login.scram-sha-512.sasl.jaas.config",
            "org.apache.kafka.common.security.scram.ScramLoginModule required;".to_owned(),
        ),
        ("listener.name.certificate.ssl.client.auth", "required".to_owned()),
        ("ssl.keystore.type", "PEM".to_owned()),
        ("ssl.keystore.location", path("broker.pem")),
        ("ssl.truststore.type", "PEM".to_owned()),
        ("ssl.truststore.location", path("ca.pem")),
        ("log.dirs", path("data")),
        ("offsets.topic.replication.factor", "1".to_owned()),
        ("log.cleaner.dedupe.buffer.size", (16 << 20).to_string()),
        ("num.network.threads", "1".to_owned()),
        ("num.io.threads", "2".to_owned()),
    ]
    .map(|(key, value)| format!("{key}={value}\n"))
    .concat()
}
