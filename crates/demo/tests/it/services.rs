//! The testbed's library after a start: topics, and task managers that are added, killed and named from outside.
//!
//! Flink is read by plain HTTP requests, not by the project's client.

use std::time::Duration;

use anyhow::ensure;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::Value;
use testbed::requests::{Answer, Request, ask};
use testbed::{Testbed, TestbedError, TopicError, control};
use tokio::time::{Instant, sleep};

use crate::engines::Context;
use crate::harness::PATIENCE;

/// Timeout of a response of a JobManager that is not paused.
const ANSWER: Duration = Duration::from_secs(5);

/// Goal: a topic has the requested partitions and is not created twice; task managers register under the given ids, a
/// killed one disappears, and a paused JobManager answers again when it is resumed.
pub(crate) async fn task_managers_and_topics_come_and_go(context: Context) -> anyhow::Result<()> {
    let cluster = context.shared_cluster_with(1).await?;
    let testbed = cluster.testbed();
    testbed.create_topic("services", 3).await?;
    ensure!(partitions(testbed.kafka_bootstrap(), "services")? == 3);
    ensure!(matches!(testbed.create_topic("services", 3).await, Err(TopicError::Exists(_))));

    let first = testbed.task_managers().await;
    let second = testbed.start_task_manager().await?;
    ensure!(testbed.task_managers().await == [first.clone(), vec![second.clone()]].concat());
    let overview = overview(testbed).await?;
    ensure!(overview["taskmanagers"] == 2 && overview["slots-total"] == 16, "{overview}");
    let status = control::status(testbed.work_dir())?;
    ensure!(status.healthy && status.state.is_some_and(|state| state.services.len() == 4));

    testbed.kill_task_manager(&first[0]).await?;
    ensure!(testbed.task_managers().await == [second.as_str()]);
    let again = testbed.kill_task_manager(&first[0]).await;
    ensure!(matches!(again, Err(TestbedError::UnknownService(_))), "{again:?}");
    by_name(testbed, &second).await?;

    testbed.pause("jobmanager").await?;
    ensure!(self::overview(testbed).await.is_err(), "a paused JobManager answers");
    testbed.resume("jobmanager").await?;
    let end = Instant::now() + PATIENCE;
    while !self::overview(testbed).await.is_ok_and(|overview| overview["taskmanagers"] == 1) {
        ensure!(Instant::now() < end, "the killed task manager is not missed");
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// A name requested twice at once, from outside, is one task manager; stopping it twice is idempotent.
async fn by_name(testbed: &Testbed, running: &str) -> anyhow::Result<()> {
    let id = "by-name".to_owned();
    let add = Request::AddTaskManager { id: Some(id.clone()), wait: true };
    let stop = Request::StopTaskManager { id: id.clone() };
    let asked = async {
        let ask = async |request: &Request| ask(testbed.work_dir(), request, PATIENCE).await;
        let (first, second) = tokio::try_join!(ask(&add), ask(&add))?;
        let both = [Answer::Started(id.clone()), Answer::Runs(id.clone())];
        ensure!(both.contains(&first) && both.contains(&second) && first != second, "{first:?}, {second:?}");
        ensure!(testbed.task_managers().await == [running, &id]);
        ensure!(ask(&stop).await? == Answer::Stopped(id.clone()));
        ensure!(ask(&stop).await? == Answer::StoppedAlready(id.clone()));
        let bad = Request::AddTaskManager { id: Some("../tm".to_owned()), wait: true };
        ensure!(matches!(ask(&bad).await?, Answer::Failed(_)));
        Ok(())
    };
    tokio::select! {
        biased; // The requests come first, and wait to be served.
        asked = asked => asked,
        served = testbed.serve_requests() => anyhow::bail!("the testbed no longer takes requests: {served:?}"),
    }
}

async fn overview(testbed: &Testbed) -> anyhow::Result<Value> {
    let client = reqwest::Client::builder().timeout(ANSWER).build()?;
    let answer = client.get(format!("{}/overview", testbed.flink_url())).send().await?;
    Ok(answer.error_for_status()?.json().await?)
}

fn partitions(bootstrap: &str, topic: &str) -> anyhow::Result<usize> {
    let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", bootstrap).create()?;
    let metadata = client.fetch_metadata(Some(topic), Duration::from_secs(20))?;
    Ok(metadata.topics().iter().map(|topic| topic.partitions().len()).sum())
}
