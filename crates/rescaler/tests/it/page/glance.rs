//! All jobs at a glance: which of them needs a person, in colours that alarm only where something is wrong.

use std::sync::Arc;

use control::Record;
use jiff::{SignedDuration, Timestamp};
use rescaler::status::JobStatus;
use scaling::Rejected;
use serde_json::json;

use crate::support::{job, recorded, records, server};

const LONG_NAME: &str = "payments-fraud-detection-enrichment-and-scoring-production-eu-central-1";
/// Whether a colour is more red than anything else.
const IS_RED: &str = "const isRed = (color) => { const [r, g, b] = color.match(/\\d+/g).map(Number); return r > 150 && g < 90 && b < 110; };";

/// A job whose newest plan was cut for want of slots.
fn short_of_slots(name: &str) -> Arc<JobStatus> {
    let job = job(name, None);
    let mut records: Vec<Record> = records(name);
    let because = "only 4 slots; add task managers".to_owned();
    let rejected = Rejected { operator: "q7-max".to_owned(), parallelism: 6, because };
    let last = records.last_mut().unwrap();
    last.decision.rejected.push(rejected);
    last.decision.cluster.slots_present = Some(4);
    job.remember(&records[..records.len() - 1]);
    job.sampled(Ok(()), Timestamp::now());
    job.decided(&records[records.len() - 1]);
    job
}

/// Goal: the job that needs a person is first, and what to do is loud on both pages; a long name is shortened in the middle, so that both
/// ends are seen, and whole for screen readers; each line leads to its job.
#[tokio::test(flavor = "multi_thread")]
async fn the_job_that_needs_a_person_is_first() {
    let browser = browser_or_leave_out!();
    let jobs = vec![recorded("a-job"), recorded(LONG_NAME), short_of_slots("small-cluster")];
    let server = server(jobs, "127.0.0.1:0", None).await;
    browser.look(1280, 800, "light").await;
    browser.open(&server.url).await;
    let names = "[...document.querySelectorAll('#overview [data-job]')].map((row) => row.dataset.job)";
    browser.until(names, &json!(["small-cluster", "a-job", LONG_NAME])).await;
    let loud = |place: &str| {
        format!("{IS_RED} return isRed(getComputedStyle(document.querySelector('{place}')).backgroundColor)")
    };
    let first = "#overview tr:first-child [data-kind=add-task-managers]";
    let told = browser.run(&format!("return document.querySelector('{first}').textContent")).await;
    assert_eq!(told, "Add task managers q7-max needs 6 subtasks: only 4 slots; add task managers");
    assert_eq!(browser.run(&loud(&format!("{first} b"))).await, json!(true));
    browser
        .until("document.getElementById('summary').textContent.includes('1 needs you')", &json!(true))
        .await;

    let name = format!("#overview [data-job=\"{LONG_NAME}\"] .cut");
    let cut = browser
        .run(&format!(
            "const cut = document.querySelector('{name}'); const [head, tail] = [cut.querySelector('.head'), cut.querySelector('.tail')];
             return [cut.textContent, head.scrollWidth > head.clientWidth, tail.scrollWidth <= tail.clientWidth + 1, tail.dataset.text]"
        ))
        .await;
    assert_eq!(cut, json!([LONG_NAME, true, true, "n-eu-central-1"]));

    browser.click("#overview [data-job=small-cluster] a").await;
    browser.until("document.getElementById('job').textContent", &json!("small-cluster")).await;
    browser
        .until("document.querySelector('#attention .act b')?.textContent", &json!("Add task managers"))
        .await;
    assert_eq!(browser.run(&loud("#attention .act")).await, json!(true));
    browser.click("#jobs a").await;
    browser.until(&format!("{names}.length"), &json!(3)).await;
}

/// Goal: a job of which data comes is never red for want of a decision: it waits, with the reason. Without data it is red.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_with_data_is_not_red() {
    let browser = browser_or_leave_out!();
    let (waiting, silent) = (recorded("waiting"), job("silent", None));
    let reason = || Err("the metrics are incomplete: numRecordsIn of q7-max".to_owned());
    // As new as the test is slow.
    waiting.sampled(Ok(()), Timestamp::now() + SignedDuration::from_secs(600));
    waiting.current(reason(), Timestamp::now());
    silent.sampled(Ok(()), Timestamp::now() - SignedDuration::from_secs(60));
    silent.current(reason(), Timestamp::now());
    let server = server(vec![waiting, silent], "127.0.0.1:0", None).await;
    browser.look(1280, 800, "light").await;
    browser.open(&server.url).await;
    let chip = |name: &str| format!("document.querySelector('#overview [data-job={name}] .chip')");
    browser.until(&format!("{}?.textContent", chip("silent")), &json!("no data")).await;
    browser.until(&format!("{}?.textContent", chip("waiting")), &json!("waiting")).await;
    let is_red = |name: &str| format!("{IS_RED} return isRed(getComputedStyle({}).color)", chip(name));
    assert_eq!(browser.run(&is_red("silent")).await, json!(true));
    assert_eq!(browser.run(&is_red("waiting")).await, json!(false));
    let wrong =
        browser.run("return document.querySelector('#overview [data-job=waiting] .wrong').innerText").await;
    assert!(wrong.as_str().unwrap().contains("numRecordsIn of q7-max"), "{wrong}");
}

/// Goal: after a while away the page says what has changed since, and to which moment each change belongs, until it is put away.
#[tokio::test(flavor = "multi_thread")]
async fn changes_since_the_last_look_are_shown() {
    let browser = browser_or_leave_out!();
    let server = server(vec![recorded("nexmark"), recorded("psm")], "127.0.0.1:0", None).await;
    browser.open(&server.url).await;
    browser.until("document.querySelectorAll('#overview [data-job]').length", &json!(2)).await;
    assert_eq!(browser.run("return document.getElementById('since').hidden").await, json!(true));
    // The plan is 80 s old.
    browser.open(&format!("{}/healthz", server.url)).await;
    browser.run("localStorage.setItem('rescaler-looked /', String(Date.now() - 120000))").await;
    browser.open(&format!("{}/#job=nexmark", server.url)).await;
    browser
        .until("document.getElementById('since').innerText.includes('1 change published')", &json!(true))
        .await;
    browser.until("document.querySelector('#since a')?.textContent", &json!("q7-bid-item 1 → 3")).await;
    browser.run("location.hash = ''").await;
    browser
        .until(
            "document.getElementById('since').innerText.includes('2 changes published in 2 jobs')",
            &json!(true),
        )
        .await;
    browser.click("#since button").await;
    browser.until("document.getElementById('since').hidden", &json!(true)).await;
}
