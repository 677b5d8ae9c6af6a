//! The page over jobs that the simulator plays: for the pictures of the documentation, and by hand.
//!
//! `RESCALER_PAGE=127.0.0.1:8462 cargo test --workspace --test it page::pictures -- --nocapture` serves the page over an hour of data that
//! goes on in real time, until it is interrupted. `RESCALER_PICTURES=FOLDER` keeps the pictures.

use serde_json::json;

use super::{keep_picture, nothing_went_wrong};
use crate::support::played::{cluster, go_on, played, statuses};
use crate::support::{server, server_on};

/// Heights of a window and of a picture.
const HEIGHT: u32 = 600;
const HEIGHT_MOST: u32 = 1_900;

/// Goal: a cluster of six jobs and its busiest job are shown without an error, in light, in dark and on a phone, and nothing is cut off
/// at the side.
#[tokio::test(flavor = "multi_thread")]
async fn the_played_cluster_is_shown() {
    let jobs = played(&cluster());
    if let Ok(address) = std::env::var("RESCALER_PAGE") {
        let server = server_on(&address, statuses(&jobs), "127.0.0.1:0", None).await;
        println!("the page is at {}", server.url);
        return go_on(jobs).await;
    }
    let browser = browser_or_leave_out!();
    let server = server(statuses(&jobs), "127.0.0.1:0", None).await;
    let job = format!("{}/#job=nexmark-q7", server.url);
    for (name, scheme, width) in [("light", "light", 1280), ("dark", "dark", 1280), ("phone", "light", 390)] {
        for (view, url) in [("jobs", &server.url), ("page", &job)] {
            browser.look(width, HEIGHT, scheme).await;
            browser.open("about:blank").await;
            browser.open(url).await;
            let is_there = match view {
                "jobs" => "document.querySelectorAll('#overview [data-job]').length === 6",
                _ => "document.querySelectorAll('#timeline figure').length === 5",
            };
            browser.until(is_there, &json!(true)).await;
            browser.until("document.documentElement.scrollWidth <= innerWidth", &json!(true)).await;
            let height = browser.run("return document.documentElement.scrollHeight").await.as_u64().unwrap();
            browser.look(width, u32::try_from(height).unwrap().min(HEIGHT_MOST), scheme).await;
            keep_picture(&browser, &format!("{view}-{name}.png")).await;
        }
    }
    nothing_went_wrong(&browser, &server.url).await;
}
