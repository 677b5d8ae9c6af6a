//! The page in a real browser: what is shown is what the interface says, buttons work, nothing leaves the machine.

use crate::support::browser::Browser;
use crate::support::{PLAN, recorded, recorded_server, server};
use rescaler::status::SwitchPositions;
use serde_json::{Value, json};

/// The browser, or a message that there is none.
macro_rules! browser_or_leave_out {
    () => {
        match $crate::support::browser::Browser::start().await {
            Some(browser) => browser,
            None => {
                println!("LEFT OUT: no Chromium here (Debian: apt-get install chromium chromium-driver)");
                return;
            }
        }
    };
}

mod charts;
mod glance;
mod moments;
mod pictures;
mod prefix;

async fn api(url: &str, path: &str) -> Value {
    reqwest::get(format!("{url}{path}")).await.unwrap().json().await.unwrap()
}

/// Keeps a picture if `RESCALER_PICTURES` names a folder, for people to look at.
pub(super) async fn keep_picture(browser: &Browser, name: &str) {
    if let Some(folder) = std::env::var_os("RESCALER_PICTURES") {
        std::fs::write(std::path::Path::new(&folder).join(name), browser.picture().await).unwrap();
    }
}

/// Goal: every figure on the page is the interface's; the graph, the time line with its mark and the decisions are there; no
/// error is on the console and no request goes to another machine; what a name holds is text.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_what_the_interface_says() {
    let browser = browser_or_leave_out!();
    let (_job, server) = recorded_server("<i>nexmark</i>").await;
    browser.look(1280, 1500, "light").await;
    browser.open(&server.url).await;
    browser.until("document.querySelectorAll('#decisions > li').length > 3", &json!(true)).await;
    let job = api(&server.url, "/api/v1/jobs/%3Ci%3Enexmark%3C%2Fi%3E").await;
    for (figure, value) in job["totals"].as_object().unwrap() {
        let shown = browser
            .run(&format!("return document.querySelector('#tiles [data-figure={figure}]')?.dataset.value"))
            .await;
        if ["slots", "slots_available", "task_managers"].contains(&figure.as_str()) {
            continue;
        }
        assert_eq!(shown.as_str().unwrap().parse::<f64>().unwrap(), value.as_f64().unwrap(), "{figure}");
    }
    browser
        .until("document.querySelector('[data-figure=input_rate_per_s]').textContent", &json!("2,225/s"))
        .await;
    for operator in job["snapshot"]["operators"].as_array().unwrap() {
        let name = operator["name"].as_str().unwrap();
        let node = browser
            .run(&format!("return document.querySelector('#graph [data-operator={name}]').innerText"))
            .await;
        assert!(node.as_str().unwrap().contains(&format!("× {}", operator["parallelism"])), "{name}: {node}");
        let cell = format!("#operators [data-operator={name}] [data-figure=latency_ms]");
        let shown =
            browser.run(&format!("return Number(document.querySelector('{cell}').dataset.value)")).await;
        assert_eq!(shown.as_f64(), operator["latency_ms"].as_f64(), "{name}");
    }
    assert_eq!(browser.run("return document.querySelectorAll('#graph path.edge').length").await, json!(4));
    let charts = "[...document.querySelectorAll('#timeline figure')].map((chart) => chart.dataset.chart)";
    assert_eq!(
        browser.run(&format!("return {charts}")).await,
        json!(["Latency", "Capacity", "Backlog", "Busy", "Parallelism"])
    );
    browser.until("document.querySelectorAll('#timeline g.mark.published').length", &json!(5)).await;
    let plan = format!("document.querySelector('#decisions [data-epoch=\"{PLAN}\"] details')");
    browser.run(&format!("{plan}.open = true")).await;
    browser
        .until(
            &format!("{plan}.querySelector('.result')?.textContent"),
            &json!("running after 5.4 s · stopping 2.1 s, submitting 3.3 s"),
        )
        .await;
    browser.run(&format!("{plan}.open = false")).await;
    keep_picture(&browser, "light.png").await;
    names_are_text(&browser).await;
    nothing_went_wrong(&browser, &server.url).await;
}

async fn names_are_text(browser: &Browser) {
    assert_eq!(
        browser.run("return document.getElementById('job').textContent").await,
        json!("<i>nexmark</i>")
    );
    let plan = format!("#decisions li[data-epoch='{PLAN}']");
    browser.click(&format!("{plan} summary")).await;
    browser.until(&format!("document.querySelector(\"{plan} .inside\") !== null"), &json!(true)).await;
    let told = browser.run(&format!("return document.querySelector(\"{plan} .inside\").innerText")).await;
    for part in ["<img src=x", "1 → 3", "42 %", "ceil(2375.3/s"] {
        assert!(told.as_str().unwrap().contains(part), "{part} is not in {told}");
    }
    assert_eq!(browser.run("return document.querySelectorAll('main img, main b b').length").await, json!(0));
    assert_ne!(browser.run("return document.title").await, json!("attacked"));
}

async fn nothing_went_wrong(browser: &Browser, url: &str) {
    assert_eq!(browser.log("browser").await, Vec::<String>::new());
    let requests = browser.requests().await;
    assert!(requests.len() > 10, "{requests:?}");
    for request in requests {
        let is_ours =
            request.starts_with(url) || request.starts_with("data:") || request.starts_with("chrome");
        assert!(is_ours, "the page asked for {request}");
    }
}

/// Goal: both buttons change what the rescaler does, and the page shows it; over a network the token is asked for first.
#[tokio::test(flavor = "multi_thread")]
async fn buttons_change_the_switches() {
    let browser = browser_or_leave_out!();
    let (job, here) = recorded_server("nexmark").await;
    browser.open(&here.url).await;
    browser.until("document.getElementById('pause').disabled", &json!(false)).await;
    browser.click("#pause").await;
    browser.until("document.getElementById('state').textContent", &json!("paused")).await;
    assert_eq!(job.switches.now(), SwitchPositions { paused: true, dry_run: false });
    browser.click("#dry-run").await;
    browser.until("document.getElementById('dry-run').getAttribute('aria-pressed')", &json!("true")).await;
    browser.until("document.getElementById('pause').textContent", &json!("Resume")).await;
    browser.click("#pause").await;
    browser.until("document.getElementById('state').textContent", &json!("dry run")).await;
    assert_eq!(job.switches.now(), SwitchPositions { paused: false, dry_run: true });

    let job = recorded("nexmark");
    let far = server(vec![std::sync::Arc::clone(&job)], "0.0.0.0:0", Some("open sesame")).await;
    browser.open(&far.url).await;
    browser.until("document.getElementById('pause').disabled", &json!(false)).await;
    browser.click("#pause").await;
    browser.until("document.getElementById('token-dialog').open", &json!(true)).await;
    browser.run("document.getElementById('token').value = 'open sesame'").await;
    browser.click("#token-send").await;
    browser.until("document.getElementById('state').textContent", &json!("paused")).await;
    assert!(job.switches.now().paused);
}

/// Goal: several jobs can be chosen, dark is dark and stays chosen, and a phone needs no sideways scrolling.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_themes_and_phones() {
    let browser = browser_or_leave_out!();
    let server = server(vec![recorded("nexmark"), recorded("psm")], "127.0.0.1:0", None).await;
    let brightness = "parseInt(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])";
    browser.look(390, 844, "dark").await;
    browser.open(&server.url).await;
    browser.until("document.querySelectorAll('#overview [data-job]').length", &json!(2)).await;
    browser.click("#overview [data-job=psm] a").await;
    browser.until("document.getElementById('job').textContent", &json!("psm")).await;
    browser.until("document.querySelectorAll('#timeline figure').length > 3", &json!(true)).await;
    browser.until(&format!("{brightness} < 40"), &json!(true)).await;
    keep_picture(&browser, "phone-dark.png").await;
    browser.until("document.documentElement.scrollWidth <= innerWidth", &json!(true)).await;
    browser.click("#theme").await;
    browser.until(&format!("{brightness} > 200"), &json!(true)).await;
    browser.open(&format!("{}/#job=psm", server.url)).await;
    browser.until("document.documentElement.dataset.theme", &json!("light")).await;
    browser.look(1280, 1500, "dark").await;
    browser.run("localStorage.clear(); document.documentElement.removeAttribute('data-theme')").await;
    browser.until("document.querySelectorAll('#graph .node').length", &json!(5)).await;
    browser.click("#graph [data-operator=q7-bid-item]").await;
    browser.until("document.querySelectorAll('#operator .subtasks li').length", &json!(3)).await;
    let unnamed = "[...document.querySelectorAll('button, a, input, select')].filter((e) => \
                   !(e.textContent.trim() || e.getAttribute('aria-label') || e.labels?.[0]?.textContent.trim())).length";
    browser.until(unnamed, &json!(0)).await;
    keep_picture(&browser, "dark.png").await;
}
