//! Bad documents submitted to a real Flink: no job starts, and the error names the key.

use anyhow::{Context as _, ensure};

use crate::benchmark::Benchmark;
use crate::engines::Context;
use crate::harness::E2eHarness;

/// A text of the document, its replacement, and the expected parts of the error.
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
    // Detected only with Kafka: a subtask without a partition would hold back the watermark, as no partition may be
    // idle here.
    (
        "default = 1",
        "default = 5",
        &["`parallelism.default`", "source-bid", "use at most 4", "`source.idleness_ms`"],
    ),
];

/// Goal: Flink refuses to start a job with a bad document, and the message names the key; the good document starts one.
pub(crate) async fn a_bad_document_starts_no_job(context: Context) -> anyhow::Result<()> {
    let harness = E2eHarness::shared(&context).await?;
    let document = Benchmark::Nexmark.document();
    let jar = harness.flink.upload_jar(harness.tenant.jar(), "flink-jobs.jar").await?;
    for (good, bad, parts) in BAD {
        ensure!(document.contains(good), "the document no longer says {good:?}");
        let answer = harness.flink.run_jar(&jar, &request(&harness, &document.replace(good, bad))).await;
        let refusal =
            answer.err().with_context(|| format!("a job was started in spite of {bad:?}"))?.to_string();
        for part in parts {
            ensure!(refusal.contains(part), "{bad:?}: {part:?} is not in {refusal:?}");
        }
    }
    ensure!(harness.jobs().await?.is_empty(), "a job was started");
    let job = harness.flink.run_jar(&jar, &request(&harness, document)).await.context("the good document")?;
    harness.cancel(&job).await
}

fn request(harness: &E2eHarness, document: &str) -> flink::RunRequest {
    let program_args_list = vec!["--document-text".to_owned(), harness.tenant.localise(document)];
    flink::RunRequest { program_args_list, ..flink::RunRequest::default() }
}
