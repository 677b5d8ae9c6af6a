//! `rescaler simulate`, as a person or a program calls it.

use std::path::Path;
use std::process::{Command, Output};

fn simulate(arguments: &[&str]) -> Output {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    Command::new(env!("CARGO_BIN_EXE_rescaler"))
        .arg("simulate")
        .args(arguments)
        .current_dir(tree)
        .output()
        .unwrap()
}

fn printed(arguments: &[&str]) -> String {
    let output = simulate(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Goal: the JSON is one array with an object for each run, by scenario, policy and seed, with the promised members.
#[test]
fn json_has_an_object_for_each_run() {
    let text =
        printed(&["--scenario", "step,deep", "--policy", "hpa,ds2", "--seeds", "1-2", "--output", "json"]);
    let runs: serde_json::Value = serde_json::from_str(&text).unwrap();
    let runs = runs.as_array().unwrap();
    let named = |run: &serde_json::Value| {
        let word = |key: &str| run[key].as_str().unwrap().to_owned();
        (word("scenario"), word("policy"), run["seed"].as_u64().unwrap())
    };
    let of = |scenario: &str, policy: &str, seed| (scenario.to_owned(), policy.to_owned(), seed);
    let expected = [
        of("step", "ds2", 1),
        of("step", "ds2", 2),
        of("step", "hpa", 1),
        of("step", "hpa", 2),
        of("deep", "ds2", 1),
        of("deep", "ds2", 2),
        of("deep", "hpa", 1),
        of("deep", "hpa", 2),
    ];
    assert_eq!(runs.iter().map(named).collect::<Vec<_>>(), expected);
    for key in
        ["violation_s", "slot_h", "changes", "reversals", "self_made", "carried_after_s", "late_until_s"]
    {
        assert!(runs.iter().all(|run| run.get(key).is_some()), "{key}");
    }
    assert!(runs[0]["widest_over_needed"].as_f64().unwrap() >= 1.0);
    assert!(runs[4]["widest_over_needed"].is_null());
}

/// Goal: bad usage ends with exit code 2 and tells what there is.
#[test]
fn bad_usage_is_answered_with_what_there_is() {
    for (arguments, told) in [
        (["--scenario", "steep"], "step-savepoint"),
        (["--policy", "magic"], "flip-tuned"),
        (["--seeds", "one"], "for example"),
        (["--vary", "change.outage=x3"], "change.outage_s"),
        (["--vary", "metric_age_s=100"], "from 0 to 60"),
        (["--scenario", "none.toml"], "cannot be read"),
        (["--config", "none.toml"], "no such file"),
    ] {
        let output = simulate(&arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(told), "{arguments:?}: {said}");
    }
}

/// Goal: a condition is varied in every scenario, and longer outages cost a policy violations.
#[test]
fn conditions_are_varied() {
    let violation_s = |vary: &[&str]| {
        let text = printed(
            &[&["--scenario", "step-savepoint", "--policy", "flip-tuned", "--output", "json"], vary].concat(),
        );
        let runs: serde_json::Value = serde_json::from_str(&text).unwrap();
        runs[0]["violation_s"].as_f64().unwrap()
    };
    let (plain, varied) = (violation_s(&[]), violation_s(&["--vary", "change.outage_s=x10,metric_age_s=10"]));
    assert!(varied > plain + 10.0, "{varied} after {plain}");
}

/// Goal: a file of options for a policy needs no job.
#[test]
fn options_are_taken_from_a_file_without_a_job() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[policy.slo]\nchange_price_s = 960.0\n").unwrap();
    let config = ["--config", file.path().to_str().unwrap()];
    let of = |policy: &str, more: &[&str]| {
        let text = printed(&[&["--scenario", "spike", "--policy", policy, "--output", "csv"], more].concat());
        text.lines().last().unwrap().split(',').skip(2).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(of("slo", &config), of("slo-960", &[]));
    assert_ne!(of("slo", &config), of("slo", &[]));
}

/// Goal: a scenario of one's own runs under the options of a configuration, and is drawn.
#[test]
fn own_scenarios_are_run_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let plots = folder.path().to_str().unwrap();
    let example = ["--scenario", "configs/scenarios/example.toml", "--config", "configs/rescaler.toml"];
    let text = printed(&[&example[..], &["--output", "csv", "--plot", plots]].concat());
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() == 2 && lines[1].starts_with("example,ds2,1,"), "{text}");
    let svg = std::fs::read_to_string(folder.path().join("example-ds2-1.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("load and capacity"));
}

/// Goal: the loads of the live experiments are scenarios as well, second for second, in records of the streams that the job reads, and run.
#[test]
fn live_experiments_are_scenarios() {
    const READ_OF_EVENTS: f64 = 49.0 / 53.0;
    let read = |path: String| -> toml::Table {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs").join(path);
        toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    let whole = |value: &toml::Value| i32::try_from(value.as_integer()?).ok().map(f64::from);
    let number = |value: &toml::Value| value.as_float().or_else(|| whole(value)).unwrap();
    for name in ["up-down", "step", "ramp", "square", "spike", "day"] {
        let scenario = read(format!("scenarios/live-{name}.toml"));
        let duration_s = number(&read(format!("experiments/live-{name}.toml"))["duration_s"]);
        assert_eq!(number(&scenario["duration_s"]), duration_s, "{name}");
        let steps = read(format!("experiments/loads/live-{name}.toml"))["profile"]["steps"].clone();
        let steps = steps.as_array().unwrap().iter().cycle();
        let mut at_s = 0.0;
        let mut expected = Vec::new();
        for step in steps {
            if at_s >= duration_s {
                break;
            }
            expected.push((at_s, (number(&step["rate"]) * READ_OF_EVENTS * 10.0).round() / 10.0));
            at_s += number(&step["duration_s"]);
        }
        let levels = scenario["load"]["shape"]["levels"].as_array().unwrap();
        let levels: Vec<(f64, f64)> =
            levels.iter().map(|level| (number(&level[0]), number(&level[1]))).collect();
        assert_eq!(levels, expected, "{name}");
        let file = format!("configs/scenarios/live-{name}.toml");
        let text = printed(&["--scenario", &file, "--policy", "slo,flip-tuned", "--output", "csv"]);
        assert_eq!(text.lines().count(), 3, "{text}");
    }
}

/// Goal: a file with a key that is not understood is refused by its name.
#[test]
fn unknown_keys_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.toml");
    let example = include_str!("../../../../configs/scenarios/example.toml");
    for (from, to, told) in [
        ("[slots]", "[slots]\nmaximum = 3", "maximum"),
        ("kind = \"steps\"", "kind = \"stairs\"", "stairs"),
        ("duration_s = 10800", "duration_s = 0", "duration_s"),
        ("levels = [[0, 20000], [1800, 40000]", "levels = [[0, 20000], [0, 40000]", "levels"),
        ("from = \"windows\"", "from = \"window\"", "sink"),
        ("[job]\n", "[job]\ntemplate = \"linear\"\n", "{ kind = \"linear\" }"),
    ] {
        std::fs::write(&file, example.replacen(from, to, 1)).unwrap();
        let output = simulate(&["--scenario", file.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{to}: {said}");
        assert!(said.contains(told), "{to}: {said}");
    }
}

/// Goal: everything that a command line can name is listed.
#[test]
fn everything_is_listed() {
    let text = printed(&["list"]);
    for name in ["step-savepoint", "three-days", "ds2-fast", "oracle", "hold-out"] {
        assert!(text.contains(name), "{text}");
    }
}

/// Goal: a program of one's own is run like our policies; without one, and where it fails, that is said.
#[test]
fn external_programs_are_run() {
    let folder = tempfile::tempdir().unwrap();
    let (file, scenario) = (folder.path().join("rescaler.toml"), folder.path().join("short.toml"));
    // Short, because the program is started once an epoch.
    std::fs::write(
        &scenario,
        "name = \"short\"\nduration_s = 1800\nlatency_bound_s = 10\njob = { template = { kind = \"linear\" } }\n\
         load = { shape = { kind = \"steps\", levels = [[0, 20000], [600, 60000]] } }\n",
    )
    .unwrap();
    let scenario = scenario.to_str().unwrap();
    let config = include_str!("../../../../configs/rescaler.toml");
    let run = |command: &str| {
        let text = config.replacen("\ncommand = []", &format!("\ncommand = {command}"), 1);
        std::fs::write(&file, text).unwrap();
        let file = file.to_str().unwrap();
        simulate(&["--scenario", scenario, "--policy", "external", "--config", file, "--output", "csv"])
    };
    let output = run("[\"python3\", \"configs/policies/double.py\"]");
    let text = String::from_utf8(output.stdout).unwrap();
    let fields: Vec<&str> = text.lines().nth(1).unwrap().split(',').collect();
    assert_eq!(fields[..3], ["short", "external", "1"], "{text}");
    assert!(fields[5].parse::<u32>().unwrap() > 0, "it changed nothing: {text}");
    let output = run("[\"false\"]");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("policy.external.command failed"), "{said}");
    let output = simulate(&["--scenario", scenario, "--policy", "external"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("policy.external.command"), "{said}");
}
