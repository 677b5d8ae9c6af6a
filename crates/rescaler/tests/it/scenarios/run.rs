//! `rescaler run --flink` beside the stand-in: the program itself, with epochs of two seconds.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use flink_stand_in::{FlinkStandIn, Pace, Server};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use super::Scenario;
use super::expected::{Range, Run, outside};

/// Times that are short, and waits that are off.
const CONFIG: &str = "job = \"job\"\n[epoch]\nlength_ms = 2000\nsample_interval_ms = 500\nwarm_up_ms = 0\n\
    [policy]\nname = \"ds2\"\n[policy.ds2]\nstabilization_interval_s = 0\nscale_down_interval_s = 0\n";
/// For a run to come to its end.
const PATIENCE: Duration = Duration::from_secs(120);

struct RescalerProcess {
    child: Child,
    log: JoinHandle<String>,
}

/// What there is at the end.
struct End {
    exit: Option<u8>,
    log: String,
    journal: String,
}

fn start(scenario: &Scenario, wanted: &Run, server: &Server, folder: &Path) -> RescalerProcess {
    let url = wanted.url.replace("{address}", server.url().trim_start_matches("http://"));
    let config = scenario.file("run.toml").unwrap_or_else(|| {
        let path = folder.join("run.toml");
        std::fs::write(&path, CONFIG).unwrap();
        path
    });
    let mut child = Command::new(env!("CARGO_BIN_EXE_rescaler"))
        .args(["run", "--flink", &url, "--listen", "off", "--data"])
        .arg(folder.join("data"))
        .arg("--config")
        .arg(config)
        .args(&wanted.arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let log = tokio::spawn(async move {
        let mut text = Vec::new();
        stderr.read_to_end(&mut text).await.unwrap();
        String::from_utf8_lossy(&text).into_owned()
    });
    RescalerProcess { child, log }
}

/// The journals below the folder, one after the other.
fn journal(folder: &Path) -> String {
    let folders = std::fs::read_dir(folder.join("data")).into_iter().flatten();
    let files =
        folders.flatten().map(|entry: std::fs::DirEntry| -> PathBuf { entry.path().join("decisions.jsonl") });
    files.filter_map(|path| std::fs::read_to_string(path).ok()).collect()
}

/// The decisions in a journal, in which other lines tell what became of them.
fn decisions(journal: &str) -> usize {
    journal.lines().filter(|line| line.contains("\"decision\":")).count()
}

/// Whether a line holds a decision that plans something.
fn plans(line: &str) -> bool {
    line.contains("\"action\":\"rescale\"")
}

/// Whether everything has happened that must; what must not happen is judged then.
fn is_enough(wanted: &Run, stand_in: &FlinkStandIn, journal: &str) -> bool {
    let least = |range: Option<Range>| range.map_or(0, |[least, _]| least as usize);
    let puts = stand_in.log().iter().filter(|request| request.method == "PUT").count();
    let planned = journal.lines().filter(|line| plans(line)).count();
    let parallelism = stand_in.parallelism_by_vertex(Pace::Real.now_ms());
    let is_reached = |(id, [least, most]): (&String, &Range)| {
        let found = parallelism.get(id).copied().unwrap_or_default();
        (i64::from(*least)..=i64::from(*most)).contains(&found)
    };
    decisions(journal) >= wanted.decisions as usize
        && puts >= least(wanted.puts)
        && planned >= least(wanted.plans)
        && wanted.after.iter().all(is_reached)
}

async fn run_to_end(scenario: &Scenario, wanted: &Run, server: &Server, folder: &Path) -> End {
    let RescalerProcess { mut child, log } = start(scenario, wanted, server, folder);
    let enough = server.wait_until(|stand_in| is_enough(wanted, stand_in, &journal(folder)));
    let exit = tokio::select! {
        () = enough => None,
        () = tokio::time::sleep(PATIENCE) => None,
        status = child.wait() => status.unwrap().code().map(|code| u8::try_from(code).unwrap()),
    };
    drop(child.start_kill());
    let _status = child.wait().await;
    End { exit, log: log.await.unwrap(), journal: journal(folder) }
}

/// Everything in which the run differs from what is required.
pub(super) async fn run_scenario(scenario: &Scenario, wanted: &Run) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = flink_stand_in::Scenario::load(&scenario.folder.join("scenario.json"));
    let server = Server::start(file.unwrap(), Pace::Real).await.unwrap();
    let End { exit, log, journal } = run_to_end(scenario, wanted, &server, folder.path()).await;
    let mut problems = wanted.words().problems(&format!("{log}\n{journal}"));
    problems.extend(wanted.words_of_log().problems(&log));
    if exit != wanted.exit {
        problems.push(format!("exit code {exit:?}, not {:?}", wanted.exit));
    }
    if wanted.exit.is_none() && decisions(&journal) < wanted.decisions as usize {
        problems.push(format!("only {} decisions", decisions(&journal)));
    }
    let requests = server.requests();
    let count = |of: &dyn Fn(&flink_stand_in::LoggedRequest) -> bool| {
        u32::try_from(requests.iter().filter(|request| of(request)).count()).unwrap()
    };
    problems.extend(outside(
        "requests other than GET",
        count(&|request| request.method != "GET"),
        wanted.writes,
    ));
    problems.extend(outside("PUT requests", count(&|request| request.method == "PUT"), wanted.puts));
    let bodies: Vec<&str> = requests
        .iter()
        .filter(|request| request.method == "PUT")
        .map(|request| request.body.as_str())
        .collect();
    for words in
        wanted.puts_say.iter().filter(|words| !bodies.iter().any(|body| body.contains(words.as_str())))
    {
        problems.push(format!("no PUT says {words:?}: {bodies:?}"));
    }
    let planned = u32::try_from(journal.lines().filter(|line| plans(line)).count()).unwrap();
    problems.extend(outside("decisions that plan something", planned, wanted.plans));
    let parallelism = server.with(|stand_in| stand_in.parallelism_by_vertex(Pace::Real.now_ms()));
    for (id, range) in &wanted.after {
        let found = parallelism.get(id).copied().unwrap_or_default();
        problems.extend(outside(id, u32::try_from(found).unwrap_or_default(), Some(*range)));
    }
    if !problems.is_empty() {
        problems.push(format!("the log was: {}", log.chars().take(4_000).collect::<String>()));
    }
    problems
}
