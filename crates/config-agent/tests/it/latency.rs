//! How long a change takes from its publication to the first request to Flink, and how many requests an idle agent
//! sends to a drop.
//!
//! The drop and the agent are real, Flink is scripted. By default there are a hundred changes, with `scripts/test.sh
//! --full` a thousand; the distribution is printed (docs/benchmarks.md). The tests do not depend on the machine's
//! speed: they assert that a change wakes the waiting reader, and that no reader polls at intervals.

#![expect(clippy::print_stdout, reason = "what was measured is printed")]

use std::time::{Duration, Instant};

use crate::support::drop_server::TestDrop;
use crate::support::scripted_flink::ScriptedFlink;
use crate::support::{JOB, PATIENCE, agent, config, document_of, ended};

/// Goal: each change starts with the answer to a pending long poll: there are as many requests as changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_begun_at_once() {
    follow(100).await;
}

/// Goal: the same for a thousand changes, whose latency distribution is recorded in docs/benchmarks.md.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs --full"]
async fn a_thousand_changes_are_begun_at_once() {
    follow(1_000).await;
}

async fn follow(changes: u64) {
    let (flink, _) = ScriptedFlink::start().await;
    let drop = TestDrop::start().await;
    let folder = tempfile::tempdir().unwrap();
    let agent = agent(&config(folder.path(), &drop.url, &flink.url)).await;
    let measure = async {
        let mut latencies = Vec::new();
        drop.waiting(1).await;
        let before = drop.questions().await;
        for generation in 1..=changes {
            drop.waiting(1).await;
            flink.with(|world| world.first_request = None);
            let published = Instant::now();
            drop.publish(&document_of(JOB, generation, "reason = \"measured\"")).await;
            ended(agent.journal(), generation).await;
            let begun = flink.with(|world| world.first_request).unwrap();
            latencies.push(begun.duration_since(published));
        }
        drop.waiting(1).await;
        (latencies, drop.questions().await - before)
    };
    let (mut latencies, questions) = tokio::select! {
        result = agent.run() => panic!("{result:?}"),
        measured = measure => measured,
    };
    latencies.sort_unstable();
    let quantile = |q: f64| latencies[((latencies.len() - 1) as f64 * q).round() as usize];
    println!(
        "change to start of action, {changes} changes: p50 {:?}, p90 {:?}, p99 {:?}, max {:?}",
        quantile(0.5),
        quantile(0.9),
        quantile(0.99),
        quantile(1.0)
    );
    // The publisher asks once, too. The pending request may or may not have been counted.
    assert!(
        (2 * changes..=2 * changes + 1).contains(&questions),
        "{questions} questions for {changes} changes"
    );
}

/// Goal: an idle agent sends at most two requests a minute to the drop. Minute and long-poll timeout are shortened a
/// hundredfold: 45 s become 450 ms.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_agent_asks_twice_a_minute() {
    let (flink, _) = ScriptedFlink::start().await;
    let drop = TestDrop::start().await;
    let folder = tempfile::tempdir().unwrap();
    let default = config(folder.path(), &drop.url, &flink.url);
    let agent = agent(&config_agent::Config { drop_wait: Duration::from_millis(450), ..default }).await;
    drop.publish(&document_of(JOB, 1, "")).await;
    let minute = Duration::from_millis(600);
    let asked = async {
        ended(agent.journal(), 1).await;
        drop.waiting(1).await;
        let (before, began) = (drop.requests().await, Instant::now());
        tokio::time::sleep(minute * 10).await;
        (drop.requests().await - before, began.elapsed())
    };
    let (asked, lasted) = tokio::select! {
        result = agent.run() => panic!("{result:?}"),
        asked = tokio::time::timeout(PATIENCE, asked) => asked.unwrap(),
    };
    // On a busy machine the sleep lasts more than ten minutes.
    let minutes = lasted.as_secs_f64() / minute.as_secs_f64();
    println!("{asked} requests in {minutes:.1} shortened minutes");
    assert!(asked >= 1 && asked as f64 <= 2.0 * minutes, "{asked} requests in {minutes:.1} minutes");
}
