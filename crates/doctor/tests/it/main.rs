//! Tests of the doctor on well-configured clusters, and with one wrong setting at a time.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing loudly")]

use std::time::Duration;

use doctor::{Check, Checkpointing, Configuration, Facts, Harm, InPlace, JobFacts, VertexFacts, examine};

/// The Flink versions that the project is tested with.
const VERSIONS: [&str; 7] = ["1.18.1", "1.19.3", "1.20.5", "2.0.2", "2.1.3", "2.2.1", "2.3.0"];

/// A well-configured cluster of this version.
fn right(version: &str) -> Facts {
    let of_version: &[(&str, &str)] = match version {
        "1.18.1" => &[("metrics.fetcher.update-interval", "1000")],
        "1.19.3" | "1.20.5" => &[
            ("metrics.fetcher.update-interval", "1000"),
            ("jobmanager.adaptive-scheduler.scaling-interval.min", "1 s"),
        ],
        _ => &[
            ("metrics.fetcher.update-interval", "1 s"),
            ("jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling", "1 s"),
            ("jobmanager.adaptive-scheduler.executing.resource-stabilization-timeout", "1 s"),
        ],
    };
    let history = [("web.adaptive-scheduler.rescale-history.size", "20")];
    let history = history.iter().filter(|_| version == "2.3.0");
    let set = [("jobmanager.scheduler", "adaptive")];
    let all = set.iter().chain(of_version).chain(history);
    let vertex = |name: &str, parallelism, max_parallelism| VertexFacts {
        name: name.to_owned(),
        parallelism,
        max_parallelism,
        lower_bound: Some(1),
    };
    Facts {
        version: version.to_owned(),
        configuration: Some(Configuration(
            all.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        )),
        slots: Some(8),
        slots_free: Some(4),
        job: Some(JobFacts {
            name: "orders".to_owned(),
            in_place: InPlace::Possible,
            vertices: vec![vertex("Source: orders -> map", 2, 128), vertex("total of all", 1, 1)],
            checkpointing: Checkpointing::Every(Duration::from_secs(10)),
            checkpoint_storage: Some("FileSystemCheckpointStorage".to_owned()),
        }),
    }
}

fn set(facts: &mut Facts, key: &str, value: Option<&str>) {
    let configuration = &mut facts.configuration.as_mut().unwrap().0;
    match value {
        Some(value) => configuration.insert(key.to_owned(), value.to_owned()),
        None => configuration.remove(key),
    };
}

/// One wrong setting, with the check that must find it and a part of the remedy.
type Case = (fn(&mut Facts), Check, &'static str);

fn job(facts: &mut Facts) -> &mut JobFacts {
    facts.job.as_mut().unwrap()
}

/// Problems that can occur in any version.
const EVERYWHERE: [Case; 13] = [
    (
        |f| {
            set(f, "jobmanager.scheduler", None);
            job(f).in_place = InPlace::OtherScheduler;
        },
        Check::Scheduler,
        "jobmanager.scheduler: adaptive",
    ),
    (|f| job(f).in_place = InPlace::OtherScheduler, Check::Scheduler, "adaptive"),
    (|f| set(f, "scheduler-mode", Some("REACTIVE")), Check::ReactiveMode, "remove scheduler-mode"),
    (|f| f.slots_free = Some(0), Check::Slots, "task managers"),
    (|f| job(f).vertices[0].max_parallelism = 2, Check::MaximumParallelism, "pipeline.max-parallelism: 128"),
    (|f| f.slots = Some(200), Check::MaximumParallelism, "pipeline.max-parallelism: 1024"),
    (
        |f| job(f).checkpointing = Checkpointing::Off,
        Check::Checkpointing,
        "execution.checkpointing.interval: 10 s",
    ),
    (
        |f| job(f).checkpointing = Checkpointing::Every(Duration::from_secs(600)),
        Check::CheckpointInterval,
        "execution.checkpointing.interval: 10 s",
    ),
    (
        |f| job(f).checkpoint_storage = Some("JobManagerCheckpointStorage".to_owned()),
        Check::CheckpointStorage,
        "dir: URL",
    ),
    (|f| set(f, "restart-strategy.type", Some("none")), Check::RestartStrategy, "exponential-delay"),
    (|f| job(f).vertices[0].lower_bound = Some(2), Check::LowerBounds, "lowerBound"),
    (
        |f| set(f, "metrics.fetcher.update-interval", None),
        Check::MetricsRefresh,
        "metrics.fetcher.update-interval: 1",
    ),
    (
        |f| set(f, "metrics.fetcher.update-interval", Some("0")),
        Check::MetricsRefresh,
        "metrics.fetcher.update-interval: 1",
    ),
];

/// Goal: a well-configured cluster of any version has no findings, and every applicable check was made.
#[test]
fn a_right_cluster_of_each_version_is_left_alone() {
    for version in VERSIONS {
        let report = examine(&right(version));
        assert!(report.findings.is_empty() && report.unchecked.is_empty(), "{version}: {report}");
        assert!(report.checks >= 13, "{version}: {}", report.checks);
    }
}

/// Goal: on every version each wrong setting is the only finding, with its remedy.
#[test]
fn each_wrong_setting_is_found_on_each_version() {
    for version in VERSIONS {
        for (number, (spoil, check, remedy)) in EVERYWHERE.into_iter().enumerate() {
            let mut facts = right(version);
            spoil(&mut facts);
            let report = examine(&facts);
            let found: Vec<Check> = report.findings.iter().map(|finding| finding.check).collect();
            assert_eq!(found, [check], "{version}, case {number}: {report}");
            assert!(report.to_string().contains(remedy), "{version}, case {number}: {report}");
        }
    }
}

/// Goal: remedies use the key names of the version, and omit missing ones.
#[test]
fn keys_are_those_of_the_version() {
    let only = |version: &str, spoil: &dyn Fn(&mut Facts)| {
        let mut facts = right(version);
        spoil(&mut facts);
        let report = examine(&facts);
        assert_eq!(report.findings.len(), 1, "{version}: {report}");
        (report.findings[0].check, report.findings[0].change.join("; "))
    };
    let interval = "jobmanager.adaptive-scheduler.scaling-interval.min";
    let cooldown = "jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling";
    let history = "web.adaptive-scheduler.rescale-history.size";
    for version in ["1.19.3", "1.20.5"] {
        let found = only(version, &|f| set(f, interval, None));
        assert_eq!(found, (Check::Interval, format!("{interval}: 1 s")));
        let found = only(version, &|f| set(f, cooldown, Some("1 s")));
        assert_eq!(found.0, Check::IgnoredKeys, "{found:?}");
    }
    for version in ["2.0.2", "2.3.0"] {
        let found = only(version, &|f| set(f, cooldown, Some("PT30S")));
        assert_eq!(found, (Check::Interval, format!("{cooldown}: 1 s")));
    }
    let renamed = |f: &mut Facts| {
        set(f, cooldown, None);
        set(f, interval, Some("1 s"));
    };
    let mut facts = right("2.1.3");
    renamed(&mut facts);
    assert!(examine(&facts).findings.is_empty(), "the former name of the key still counts");
    assert_eq!(only("2.3.0", &|f| set(f, history, None)), (Check::RescaleHistory, format!("{history}: 20")));
    assert_eq!(only("2.2.1", &|f| set(f, history, Some("5"))).0, Check::IgnoredKeys);
    let increase = "jobmanager.adaptive-scheduler.min-parallelism-increase";
    assert_eq!(only("1.20.5", &|f| set(f, increase, Some("4"))).0, Check::MinimumIncrease);
}

/// Goal: the most harmful finding comes first, and the worst problem of a default cluster is found.
#[test]
fn findings_are_in_order_of_harm() {
    let facts = Facts {
        version: "1.20.5".to_owned(),
        configuration: Some(Configuration::default()),
        slots_free: Some(0),
        job: Some(JobFacts {
            in_place: InPlace::OtherScheduler,
            checkpointing: Checkpointing::Off,
            ..right("1.20.5").job.unwrap()
        }),
        ..right("1.20.5")
    };
    let report = examine(&facts);
    let harms: Vec<Harm> = report.findings.iter().map(|finding| finding.harm).collect();
    assert!(harms.is_sorted(), "{report}");
    let checks: Vec<Check> = report.findings.iter().map(|finding| finding.check).collect();
    assert_eq!(
        checks,
        [Check::Scheduler, Check::Slots, Check::Checkpointing, Check::Interval, Check::MetricsRefresh]
    );
    assert_eq!(examine(&Facts { version: "1.17.2".to_owned(), ..facts }).findings[0].check, Check::Version);
}

/// Goal: unknown facts are listed and not judged; slots on demand need not exist.
#[test]
fn the_unknown_is_told_and_not_judged() {
    let nothing = Facts::default();
    let report = examine(&nothing);
    assert!(report.findings.is_empty() && report.unchecked.len() >= 8, "{report}");
    let hidden = examine(&Facts { configuration: None, ..right("2.3.0") });
    assert!(hidden.findings.is_empty() && !hidden.unchecked.is_empty(), "{hidden}");
    let no_job = examine(&Facts { job: None, ..right("2.3.0") });
    assert!(no_job.findings.is_empty() && no_job.to_string().contains("no job runs"), "{no_job}");
    let mut on_demand = Facts { slots_free: Some(0), ..right("2.3.0") };
    set(&mut on_demand, "kubernetes.cluster-id", Some("a"));
    assert!(examine(&on_demand).findings.is_empty());
}

/// Goal: the report can be serialised as JSON.
#[test]
fn the_report_is_json() {
    let facts = Facts { slots_free: Some(0), ..right("2.3.0") };
    let json = serde_json::to_value(examine(&facts)).unwrap();
    assert_eq!(json["findings"][0]["check"], "slots");
    assert_eq!(json["findings"][0]["harm"], "prevents");
}
