//! Bad documents, submitted to a real Flink as a person would: no job starts, and the answer names the key.

use anyhow::{Context, ensure};

use crate::common::{Loop, LoopOptions};
use crate::site::Site;

const PARTITIONS: u16 = 4;

/// A text of the document, what stands there instead, and what the refusal must say.
const BAD: [(&str, &str, &[&str]); 6] = [
    ("[queries.q7]", "[queries.q77]", &["`queries.q77`", "is an unknown key"]),
    ("default = 1", "default = 129", &["`parallelism.default`", "use at most 128"]),
    (
        "[queries.q4]",
        "[parallelism.operators]\nq7-bid-item = 200\n\n[queries.q4]",
        &["`parallelism.operators.q7-bid-item`", "use at most 128"],
    ),
    (
        "window_slide_ms = 500",
        "window_slide_ms = 2500",
        &["`queries.q5.window_slide_ms`", "use at most the size"],
    ),
    ("interval_ms = 3000", "interval_ms = \"often\"", &["`checkpoint.interval_ms`", "whole number"]),
    // Known only to Kafka: a subtask without a partition would hold back time, as none may be idle here.
    (
        "default = 1",
        "default = 5",
        &["`parallelism.default`", "source-bid", "use at most 4", "`source.idleness_ms`"],
    ),
];

/// Fails unless every bad document is refused, and the good one is not.
pub(crate) async fn all() -> anyhow::Result<()> {
    let site = Site::Nexmark;
    let options = LoopOptions { job: site.name(), partitions: PARTITIONS, task_managers: 0 };
    let cluster = Loop::set_for(options).await?;
    let jar = cluster.flink.upload_jar(cluster.stage.jar(), "flink-jobs.jar").await?;
    for (good, bad, parts) in BAD {
        ensure!(site.document().contains(good), "the document no longer says {good:?}");
        let document = site.document().replace(good, bad);
        let answer = cluster.flink.run_jar(&jar, &request(&cluster, &document)).await;
        let refusal =
            answer.err().with_context(|| format!("a job was started in spite of {bad:?}"))?.to_string();
        for part in parts {
            ensure!(refusal.contains(part), "{bad:?}: {part:?} is not in {refusal:?}");
        }
        println!("{refusal}");
    }
    ensure!(cluster.flink.jobs().await?.is_empty(), "a job was started");
    cluster.flink.run_jar(&jar, &request(&cluster, site.document())).await.context("the good document")?;
    cluster.stage.strike().await;
    Ok(())
}

fn request(cluster: &Loop, document: &str) -> flink::RunRequest {
    let program_args_list = vec!["--document-text".to_owned(), cluster.stage.localise(document)];
    flink::RunRequest { program_args_list, ..flink::RunRequest::default() }
}
