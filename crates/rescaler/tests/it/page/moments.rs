//! Links to a moment, and the page without a mouse.

use serde_json::json;

use crate::support::browser::Browser;
use crate::support::{PLAN, recorded_server};

async fn press(browser: &Browser, key: &str) {
    for kind in ["keyDown", "keyUp"] {
        let code = if key == "Enter" { 13 } else { 0 };
        let text = if key == "Enter" && kind == "keyDown" { "\r" } else { "" };
        let event = json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code_of(key, code), "text": text });
        browser.command("Input.dispatchKeyEvent", &event).await;
    }
}

fn code_of(key: &str, other: u32) -> u32 {
    match key {
        "Tab" => 9,
        "ArrowLeft" => 37,
        "Escape" => 27,
        _ => other,
    }
}

/// Goal: the address of a moment shows the same moment to another person: its epoch, its decision and the values of that time; a moment
/// that is not kept is said to be so.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_shows_the_moment() {
    let browser = browser_or_leave_out!();
    let (_job, server) = recorded_server("nexmark").await;
    browser.open(&server.url).await;
    browser.until("document.getElementById('earlier')?.disabled", &json!(false)).await;
    browser.click("#earlier").await;
    let told = format!(
        "document.getElementById('pinned').textContent.includes('epoch {PLAN}: rescale q7-bid-item 1 → 3')"
    );
    browser.until(&told, &json!(true)).await;
    let link = browser.run("return location.href").await.as_str().unwrap().to_owned();
    assert!(link.contains("job=nexmark&at="), "{link}");

    browser.open("about:blank").await;
    browser.open(&link).await;
    browser.until(&told, &json!(true)).await;
    browser.until("Number(document.getElementById('moment').value)", &json!(PLAN - 1)).await;
    let latency = "document.querySelector('[data-chart=Latency] .legend b')?.textContent";
    browser.until(latency, &json!("2.28 s")).await;
    browser.click("#now").await;
    browser.until(latency, &json!("320 ms")).await;
    assert!(!browser.run("return location.href").await.as_str().unwrap().contains("at="));

    browser.open("about:blank").await;
    browser.open(&format!("{}/#job=nexmark&at=2020-02-02T02:02:02Z", server.url)).await;
    browser
        .until(
            "document.getElementById('pinned').textContent.includes('is not kept here any more')",
            &json!(true),
        )
        .await;
}

/// Goal: the keyboard alone reaches the content, opens an operator and closes it, and moves through time; every control has a name, and
/// what is announced is in live regions.
#[tokio::test(flavor = "multi_thread")]
async fn the_keyboard_is_enough() {
    let browser = browser_or_leave_out!();
    let (_job, server) = recorded_server("nexmark").await;
    browser.open(&server.url).await;
    browser.until("document.querySelectorAll('#graph .node').length", &json!(5)).await;
    press(&browser, "Tab").await;
    browser.until("document.activeElement.className", &json!("skip")).await;
    press(&browser, "Enter").await;
    browser.until("document.activeElement.id", &json!("main")).await;
    browser.until("document.getElementById('job').textContent", &json!("nexmark")).await;

    browser.run("document.querySelector('#graph [data-operator=q7-max]').focus()").await;
    press(&browser, "Enter").await;
    browser.until("document.getElementById('operator').hidden", &json!(false)).await;
    press(&browser, "Escape").await;
    browser.until("document.getElementById('operator').hidden", &json!(true)).await;
    browser.run("document.getElementById('moment').focus()").await;
    press(&browser, "ArrowLeft").await;
    browser.until("location.hash.includes('at=')", &json!(true)).await;
    browser.until("document.getElementById('pinned').textContent.includes('epoch 59')", &json!(true)).await;
    browser
        .until(
            "document.getElementById('moment').getAttribute('aria-valuetext').startsWith('epoch 59')",
            &json!(true),
        )
        .await;

    let unnamed = "[...document.querySelectorAll('button, a, input, select, [role=region], [role=img]')].filter((e) => \
                   !(e.textContent.trim() || e.getAttribute('aria-label') || e.labels?.[0]?.textContent.trim())).length";
    browser.until(unnamed, &json!(0)).await;
    let live = "['notice', 'since', 'state', 'attention', 'pinned'].every((id) => \
                ['status', 'alert'].includes(document.getElementById(id).getAttribute('role')))";
    browser.until(live, &json!(true)).await;
}
