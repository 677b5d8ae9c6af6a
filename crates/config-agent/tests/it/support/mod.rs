//! Test environment of the agent: a scripted Flink, the real config drop, and documents.

pub(crate) mod drop_server;
pub(crate) mod fault;
pub(crate) mod scripted_flink;
pub(crate) mod setup;

use std::path::Path;
use std::time::Duration;

use config_agent::{Agent, Config, JobProgram, JournalStore, Pool, Retention, Rules};
use job_config::JobDocument;

pub(crate) const JOB: &str = "nexmark";

/// Timeout of waits for events that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Timeout of the agent that no test reaches: shorter than [`PATIENCE`], so that the agent names what was late.
const LONG: Duration = Duration::from_secs(40);

pub(crate) fn document(generation: u64) -> JobDocument {
    document_of(JOB, generation, "")
}

pub(crate) fn document_of(job: &str, generation: u64, more: &str) -> JobDocument {
    JobDocument::parse(&format!(
        "format = 1\njob = \"{job}\"\ngeneration = {generation}\nissued_at = \"2026-01-01T00:00:00Z\"\n{more}\n\
         restart_mode = \"savepoint-restart\"\nparallelism = {{ default = {generation}, max = 1000 }}\n"
    ))
    .unwrap()
}

/// A configuration with minimal pauses, and timeouts that only the tests of a timeout shorten.
pub(crate) fn config(folder: &Path, drop_url: &str, flink_url: &str) -> Config {
    let ms = Duration::from_millis;
    let jar = folder.join("job.jar");
    std::fs::write(&jar, "a jar").unwrap();
    Config {
        job: JOB.parse().unwrap(),
        data: folder.join("journal"),
        listen: None,
        direct: None,
        drop_url: drop_url.into(),
        document_source: config_agent::DocumentSourceSettings::default(),
        drop_wait: Duration::from_secs(20),
        drop_settings: drop_client::ClientSettings {
            timeout: PATIENCE,
            ..drop_client::ClientSettings::default()
        },
        reports_kept: 1_000,
        flink_url: flink_url.into(),
        flink_access: http_client::Access::default(),
        flink_settings: flink::ClientSettings {
            timeout: PATIENCE,
            submit_timeout: PATIENCE,
            ..flink::ClientSettings::default()
        },
        flink_job: JOB.to_owned(),
        program: Some(JobProgram {
            jar,
            entry_class: None,
            extra_arguments: vec!["--bounded".to_owned()],
            savepoint_directory: None,
            check_before_stop: true,
        }),
        pool: Pool::default(),
        retention: Retention::keeping(0),
        late_submissions_within: Duration::from_secs(30),
        poll: ms(1),
        rules: Rules {
            stoppable_within: LONG,
            stopped_within: LONG,
            running_within: LONG,
            restored_within: LONG,
            grace: Duration::ZERO,
            roll_back: true,
            in_place_failures: 3,
            breaker_failures: 100,
            breaker_pause: Duration::from_secs(600),
            start_fresh_if_lost: false,
            can_submit: true,
            pool: Vec::new(),
            nodes_within: LONG,
        },
        retry_first: ms(1),
        retry_longest: ms(20),
    }
}

/// An agent with this configuration. The previous one may release the journal with a delay.
pub(crate) async fn agent(config: &Config) -> Agent {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match Agent::new(config.clone()) {
            Ok(agent) => return agent,
            Err(error) if tokio::time::Instant::now() > deadline => panic!("{error:?}"),
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

/// Waits until the change of this generation is over, and returns its final phase.
pub(crate) async fn ended(journal: &JournalStore, generation: u64) -> config_agent::Phase {
    let mut ledgers = journal.subscribe();
    let over = ledgers.wait_for(|ledger| {
        ledger.change().is_some_and(|c| c.document.generation() >= generation && c.phase.is_final())
            && ledger.undelivered() == 0
    });
    let ledger = tokio::time::timeout(PATIENCE, over).await.unwrap().unwrap();
    ledger.change().unwrap().phase.clone()
}
