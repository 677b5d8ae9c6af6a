//! A headless Chromium, driven by the few calls of WebDriver that the tests need.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};

const DRIVERS: [&str; 2] = ["chromedriver", "/usr/lib/chromium/chromedriver"];
const BROWSERS: [&str; 4] =
    ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome", "/usr/bin/chrome"];
/// Nothing of the browser's own goes anywhere; it is not needed by the page and must not blur what the page asks for.
const ARGUMENTS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];
const PATIENCE: Duration = Duration::from_secs(60);
/// The driver takes a free IPv4 port and then the same number of IPv6, and ends if that is taken.
const DRIVER_STARTS: usize = 10;

/// A running browser with one page. Driver and browser end with this value.
pub(crate) struct Browser {
    driver: Child,
    session: String,
    client: reqwest::Client,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts one. [`None`] where none is installed, unless the caller of the tests says that it must be.
    pub(crate) async fn start() -> Option<Self> {
        let Some((driver, port)) = listening_driver() else {
            let is_needed = std::env::var_os("RESCALER_BROWSER").is_some_and(|value| value == "needed");
            assert!(!is_needed, "RESCALER_BROWSER=needed, and there is no chromedriver");
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        let mut arguments: Vec<String> = ARGUMENTS.iter().map(|argument| (*argument).to_owned()).collect();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        let mut options = json!({ "args": arguments });
        if let Some(browser) = BROWSERS.iter().find(|path| std::path::Path::new(path).exists()) {
            options["binary"] = json!(browser);
        }
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": options,
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        }}});
        let client = reqwest::Client::builder().timeout(Duration::from_secs(60)).build().unwrap();
        let mut browser =
            Self { driver, session: format!("http://127.0.0.1:{port}/session"), client, _profile: profile };
        let answer = browser.call("", &wanted).await;
        browser.session = format!("{}/{}", browser.session, answer["sessionId"].as_str().unwrap());
        Some(browser)
    }

    async fn call(&self, path: &str, body: &Value) -> Value {
        let value = self.try_call(path, body).await;
        assert!(value.get("error").is_none(), "{path}: {value}");
        value
    }

    /// Returns the value of the driver's response, which has a field `error` if the call failed.
    async fn try_call(&self, path: &str, body: &Value) -> Value {
        let response = self.client.post(format!("{}{path}", self.session)).json(body).send().await.unwrap();
        let answer: Value = response.json().await.unwrap();
        answer["value"].clone()
    }

    pub(crate) async fn open(&self, url: &str) {
        self.call("/url", &json!({ "url": url })).await;
    }

    /// Runs a script in the page and returns what it returns.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.call("/execute/sync", &json!({ "script": script, "args": [] })).await
    }

    /// Waits until an expression of the page is what is expected.
    pub(crate) async fn until(&self, expression: &str, expected: &Value) {
        let (begun, mut ticks) = (Instant::now(), tokio::time::interval(Duration::from_millis(50)));
        loop {
            ticks.tick().await;
            let found = self.run(&format!("return {expression}")).await;
            if found == *expected {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{expression} is {found}, not {expected}");
        }
    }

    /// Clicks as a person would: on what is visible at the element's place. The page may replace the element between the search and
    /// the click; then it is searched again.
    pub(crate) async fn click(&self, selector: &str) {
        let begun = Instant::now();
        loop {
            let found = self.call("/element", &json!({ "using": "css selector", "value": selector })).await;
            let id = found.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned();
            let clicked = self.try_call(&format!("/element/{id}/click"), &json!({})).await;
            let is_replaced = clicked.get("error") == Some(&json!("stale element reference"));
            if !is_replaced {
                assert!(clicked.get("error").is_none(), "{selector}: {clicked}");
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{selector} is replaced again and again");
        }
    }

    /// A command of the browser's own protocol.
    pub(crate) async fn command(&self, name: &str, parameters: &Value) -> Value {
        self.call("/goog/cdp/execute", &json!({ "cmd": name, "params": parameters })).await
    }

    /// The size of the window, and the taste of its user.
    pub(crate) async fn look(&self, width: u32, height: u32, scheme: &str) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.command("Emulation.setDeviceMetricsOverride", &size).await;
        let taste = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.command("Emulation.setEmulatedMedia", &taste).await;
    }

    /// The visible part as PNG.
    pub(crate) async fn picture(&self) -> Vec<u8> {
        let response = self.client.get(format!("{}/screenshot", self.session)).send().await.unwrap();
        let answer: Value = response.json().await.unwrap();
        base64::engine::general_purpose::STANDARD.decode(answer["value"].as_str().unwrap()).unwrap()
    }

    /// What was written to a log since the last call: `browser` (the console) or `performance` (also the network).
    pub(crate) async fn log(&self, kind: &str) -> Vec<String> {
        let lines = self.call("/se/log", &json!({ "type": kind })).await;
        lines.as_array().unwrap().iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect()
    }

    /// The addresses that were asked for since the last call.
    pub(crate) async fn requests(&self) -> Vec<String> {
        let messages = self.log("performance").await;
        let parsed = messages.iter().map(|message| serde_json::from_str::<Value>(message).unwrap());
        parsed
            .filter(|event| event["message"]["method"] == "Network.requestWillBeSent")
            .map(|event| event["message"]["params"]["request"]["url"].as_str().unwrap().to_owned())
            .collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Driver and browser are one process group of their own.
        let _ended = killpg(Pid::from_raw(self.driver.id().cast_signed()), Signal::SIGKILL);
        let _status = self.driver.wait();
    }
}

/// A driver that listens, and its port. [`None`] where none is installed.
fn listening_driver() -> Option<(Child, u16)> {
    let mut starts = 0;
    loop {
        let mut driver = start_driver()?;
        let said = match port_of(&mut driver) {
            Ok(port) => return Some((driver, port)),
            Err(said) => said,
        };
        let _status = driver.wait();
        starts += 1;
        assert!(starts < DRIVER_STARTS, "chromedriver ended {starts} times instead of listening: {said}");
    }
}

fn start_driver() -> Option<Child> {
    DRIVERS.iter().find_map(|driver| {
        let mut command = Command::new(driver);
        command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        command.process_group(0).spawn().ok()
    })
}

/// The port that the driver has chosen, of which its greeting tells; or all that it said before it ended.
fn port_of(driver: &mut Child) -> Result<u16, String> {
    let mut said = String::new();
    for line in BufReader::new(driver.stdout.take().unwrap()).lines().map(Result::unwrap) {
        if line.contains("started successfully on port") {
            return Ok(line.trim_end_matches('.').rsplit(' ').next().unwrap().parse().unwrap());
        }
        said += &(line + "\n");
    }
    Err(said)
}
