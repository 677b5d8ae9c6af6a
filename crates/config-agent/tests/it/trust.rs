//! Attacks on the path of a document: each is rejected by name, none reaches Flink, and the right document is still
//! applied.

use std::sync::Arc;

use crate::support::drop_server::{Answer, scripted};
use crate::support::scripted_flink::ScriptedFlink;
use crate::support::{JOB, PATIENCE, config, ended};
use axum::http::StatusCode;
use config_agent::{Config, DocumentSourceSettings, Phase};
use drop_client::Access;
use job_config::{Admission, JobDocument, PrivateKey};

fn key() -> PrivateKey {
    PrivateKey::from_seed([1; 32]).unwrap()
}

/// A document with these offsets from now, in seconds; expiry 0: none.
fn document(job: &str, generation: u64, issued_in: i64, expires_in: i64, reason: &str) -> JobDocument {
    let at = |seconds: i64| jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    let expiry = if expires_in == 0 { String::new() } else { format!("expires_at = \"{}\"", at(expires_in)) };
    JobDocument::parse(&format!(
        "format = 1\njob = \"{job}\"\ngeneration = {generation}\nissued_at = \"{}\"\n{expiry}\nreason = \"{reason}\"\n\
         restart_mode = \"savepoint-restart\"\nparallelism = {{ default = {generation}, max = 1000 }}\n",
        at(issued_in)
    ))
    .unwrap()
}

fn good(generation: u64) -> JobDocument {
    document(JOB, generation, -1, 600, "good")
}

fn signed_by(key: &PrivateKey, document: &JobDocument) -> Answer {
    let mut answer = Answer::document(document);
    answer.headers.push(("rescaler-signature", key.sign(document.text().as_bytes()).to_string()));
    answer
}

fn signed(document: &JobDocument) -> Answer {
    signed_by(&key(), document)
}

fn with_signature(document: &JobDocument, signature: &str) -> Answer {
    let mut answer = Answer::document(document);
    answer.headers.push(("rescaler-signature", signature.to_owned()));
    answer
}

/// Attacks, each with the name of its expected rejection. The agent has accepted `last` before.
fn attacks(last: &JobDocument) -> Vec<(&'static str, Answer)> {
    let next = good(7);
    let stranger = PrivateKey::from_seed([2; 32]).unwrap();
    let mut changed = signed(&next);
    changed.body = changed.body.replace("default = 7", "default = 9");
    let mut page = signed(&next);
    page.body = "<html><body>Please log in</body></html>".to_owned();
    let mut half = signed(&next);
    half.body.truncate(half.body.len() / 2);
    let mut large = signed(&next);
    large.body.push_str(&"#".repeat(300_000));
    let mut log_in = page.clone();
    log_in.headers[0].1 = "text/html".to_owned();
    vec![
        ("unsigned", Answer::document(&next)),
        ("malformed-signature", with_signature(&next, "ed25519:AAAA")),
        ("wrong-key", signed_by(&stranger, &next)),
        ("wrong-key", with_signature(&next, &key().sign(last.text().as_bytes()).to_string())),
        ("wrong-key", changed),
        ("wrong-key", page),
        ("wrong-key", half),
        ("content-type", log_in),
        ("too-large", large),
        ("wrong-job", signed(&document("other", 7, -1, 600, "mix-up"))),
        ("old-generation", signed(&document(JOB, 4, -1, 600, "rollback"))),
        ("other-content", signed(&document(JOB, 5, -1, 600, "two documents of one generation"))),
        ("expired", signed(&document(JOB, 6, -600, -1, "freeze"))),
        ("future-dated", signed(&document(JOB, 7, 3_600, 7_200, "from tomorrow"))),
        ("no-expiry", signed(&document(JOB, 7, -1, 0, "good for ever"))),
    ]
}

fn pinned(config: Config) -> Config {
    let document_source = DocumentSourceSettings {
        access: Access::default().with_public_keys(vec![key().public_key()]),
        admission: Admission { expiry_required: true, ..Admission::default() },
        ..DocumentSourceSettings::default()
    };
    Config { document_source, ..config }
}

/// Goal: an agent with a pinned key accepts only the signed, newer, unexpired document of its job. It counts
/// rejections by name, and shows the current one on its health page.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attacks_are_refused_by_name() {
    let last = good(5);
    let attacks = attacks(&last);
    let names: Vec<&str> = attacks.iter().map(|(name, _)| *name).collect();
    let right = good(8);
    let mut answers = vec![signed(&last)];
    answers.extend(attacks.into_iter().map(|(_, answer)| answer));
    answers.push(signed(&right));
    let (flink, _) = ScriptedFlink::start().await;
    let folder = tempfile::tempdir().unwrap();
    let url = scripted(answers, StatusCode::NO_CONTENT).await;
    let agent = crate::support::agent(&pinned(config(folder.path(), &url, &flink.url))).await;
    let phase = tokio::time::timeout(PATIENCE, async {
        tokio::select! {
            result = agent.run() => panic!("{result:?}"),
            phase = ended(agent.journal(), 8) => phase,
        }
    });
    assert!(matches!(phase.await.unwrap(), Phase::Running { .. }));
    let submitted: Vec<String> =
        flink.with(|world| world.order.iter().map(|id| world.jobs[id].document.clone()).collect());
    assert_eq!(submitted, [last.text(), right.text()]);
    let refused = agent.rejections();
    for name in &names {
        let times = names.iter().filter(|other| *other == name).count() as u64;
        assert_eq!(refused.counts.get(name), Some(&times), "{name}: {:?}", refused.counts);
    }
    assert_eq!(refused.now, None);
}

/// Goal: while the drop offers a rejected document, the reason is on the health page and in the metrics.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_shown() {
    let (flink, _) = ScriptedFlink::start().await;
    let folder = tempfile::tempdir().unwrap();
    let url = scripted(vec![Answer::document(&good(1))], StatusCode::NO_CONTENT).await;
    let agent = Arc::new(crate::support::agent(&pinned(config(folder.path(), &url, &flink.url))).await);
    let running = tokio::spawn({
        let agent = Arc::clone(&agent);
        async move { agent.run().await }
    });
    let refused = async {
        while agent.rejections().now.is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.unwrap();
    let ((status, health), metrics) = config_agent::pages(&agent);
    assert_eq!(status, StatusCode::OK);
    assert!(health.starts_with("ok\nrefused (unsigned)"), "{health}");
    let line = metrics.lines().find(|line| line.contains("reason=\"unsigned\"")).unwrap();
    assert!(!line.ends_with(" 0"), "{line}");
    assert!(metrics.contains("config_agent_refused_documents_total{reason=\"wrong-key\"} 0"), "{metrics}");
    running.abort();
}
