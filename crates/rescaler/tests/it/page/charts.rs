//! The time line: what is measured has a chart, what is estimated is marked, and what is neither is left out with the reason.

use control::Record;
use scaling::Snapshot;
use serde_json::json;

use crate::support::{Server, job, records, server};

const CHARTS: &str = "[...document.querySelectorAll('#timeline figure')].map((chart) => chart.dataset.chart)";
const ABSENT: &str = "[...document.querySelectorAll('#absent li')].map((item) => item.dataset.absent)";

/// The page of a job whose snapshots are changed like this.
async fn page_of(change: impl Fn(&mut Snapshot)) -> Server {
    let job = job("nexmark", None);
    let changed = |record: Record| {
        let snapshot = record.snapshot.map(|mut snapshot| {
            change(&mut snapshot);
            snapshot
        });
        Record { snapshot, ..record }
    };
    let records: Vec<Record> = records("nexmark").into_iter().map(changed).collect();
    let (last, earlier) = records.split_last().unwrap();
    job.remember(earlier);
    job.sampled(Ok(()), jiff::Timestamp::now());
    job.decided(last);
    server(vec![job], "127.0.0.1:0", None).await
}

/// Goal: a job whose latency is measured has all five charts, with the forecast as a band between what arrives and what is expected at
/// most, and nothing is said to be missing.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_measured_has_a_chart() {
    let browser = browser_or_leave_out!();
    let server = page_of(|_| {}).await;
    browser.look(1280, 1500, "light").await;
    browser.open(&server.url).await;
    browser.until(CHARTS, &json!(["Latency", "Capacity", "Backlog", "Busy", "Parallelism"])).await;
    browser.until(ABSENT, &json!([])).await;
    let band = "document.querySelector('[data-chart=Capacity] path.band').getBBox()";
    let size = browser.run(&format!("const box = {band}; return [box.width, box.height]")).await;
    assert!(size[0].as_f64().unwrap() > 300.0 && size[1].as_f64().unwrap() > 2.0, "{size}");
    let caption = "document.querySelector('[data-chart=Capacity] figcaption').innerText";
    let caption = browser.run(&format!("return {caption}")).await;
    for part in ["wanted", "present", "at most expected"] {
        assert!(caption.as_str().unwrap().contains(part), "{part} is not in {caption}");
    }
}

/// Goal: where latency is not measured the delay is estimated, and both its chart and its tile say so.
#[tokio::test(flavor = "multi_thread")]
async fn an_estimated_delay_is_marked() {
    let browser = browser_or_leave_out!();
    let server = page_of(|snapshot| snapshot.queries.clear()).await;
    browser.open(&server.url).await;
    browser.until(&format!("{CHARTS}[0]"), &json!("Delay")).await;
    browser.until(ABSENT, &json!(["Latency"])).await;
    let caption = "document.querySelector('figure.estimated figcaption')?.innerText.includes('estimated')";
    browser.until(caption, &json!(true)).await;
    let tile = "document.querySelector('#tiles [data-figure=delay_ms]')?.nextElementSibling.innerText.includes('estimated')";
    browser.until(tile, &json!(true)).await;
}

/// Goal: a job of which little is measured has no empty chart: each is left out, with a reason.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_measured_is_left_out() {
    let browser = browser_or_leave_out!();
    let server = page_of(|snapshot| {
        snapshot.queries.clear();
        for operator in &mut snapshot.operators {
            (operator.backlog_records, operator.busy_ratio) = (None, None);
            operator.subtasks.iter_mut().for_each(|subtask| subtask.busy_ratio = None);
        }
    })
    .await;
    browser.open(&server.url).await;
    browser.until(CHARTS, &json!(["Input", "Parallelism"])).await;
    browser.until(ABSENT, &json!(["Latency", "Capacity", "Backlog", "Busy"])).await;
    let shortest =
        "Math.min(...[...document.querySelectorAll('#absent li')].map((item) => item.innerText.length))";
    let shortest = browser.run(&format!("return {shortest}")).await;
    assert!(shortest.as_u64().unwrap() > 40, "a reason is too short: {shortest}");
}
