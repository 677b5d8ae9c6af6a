//! Tests of `state-probe once` by its exact commands: each source, and its errors.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{SUMMARY, exception, figures, probe, refused, serve, serve_with_head};

#[test]
fn a_command_gives_an_object() {
    let found = figures(&["--source", "command", "--command", "sh -c 'echo 10 30 /x'"]);
    assert_eq!((&found["source"], &found["size_bytes"]), (&"command".into(), &10.into()));
    assert_eq!(found["size_with_replicas_bytes"], 30);
    assert!(found["duration_ms"].as_u64().unwrap() > 0);
    assert!(found["files"].is_null(), "what is not known is not 0");
}

/// Goal: by default `hdfs dfs -du -s PATH` is run, with any `hdfs` in `$PATH`.
#[test]
fn the_default_command_is_hdfs() {
    let folder = tempfile::tempdir().unwrap();
    let hdfs = folder.path().join("hdfs");
    std::fs::write(&hdfs, "#!/bin/sh\n[ \"$1 $2 $3\" = \"dfs -du -s\" ] && echo \"7  21  $4\"\n").unwrap();
    std::fs::set_permissions(&hdfs, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for what in [["--path", "/flink/checkpoints"], ["--command", "hdfs dfs -du -s /flink/checkpoints"]] {
        let mut command = probe(&["once", "--source", "command", "--output", "json"]);
        let output = command.args(what).env("PATH", folder.path()).output();
        // The script names its interpreter by full path, so that no other folder is needed.
        let output = output.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("\"size_bytes\":7"), "{text} {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_failed_command_is_one_line() {
    let command = |line| ["--source", "command", "--command", line];
    let missing = "sh -c 'echo WARN >&2; echo \"du: /x: No such file or directory\" >&2; exit 1'";
    refused(1, &command(missing), &["command", "No such file or directory", "exit status: 1"]);
    refused(1, &command("sh -c 'echo Keine Zeile'"), &["line 1", "Keine Zeile"]);
    refused(1, &command("true"), &["no row"]);
    refused(1, &command("/nonexistent/hdfs"), &["cannot start", "/nonexistent/hdfs", "No such file"]);
    let hanging = [&command("sleep 1000")[..], &["--timeout-ms", "200"]].concat();
    refused(1, &hanging, &["sleep", "did not exit within 200ms"]);
}

#[test]
fn bad_usage_is_exit_code_2() {
    let check = |arguments: &[&str], parts: &[&str]| {
        let output = probe(arguments).output().unwrap();
        let reason = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{reason}");
        parts.iter().for_each(|part| assert!(reason.contains(part), "{part:?} is missing in {reason:?}"));
    };
    check(&["once"], &["source: none configured", "--source"]);
    check(&["once", "--source", "command"], &["command: set it"]);
    check(&["once", "--source", "command", "--command", "sh -c 'echo"], &["quote"]);
    check(&["once", "--source", "nfs"], &["webhdfs", "local"]);
    check(&["once", "--source", "local", "--path", "/x", "--user", "me"], &["user", "not a key of kind"]);
    check(&["once", "--path", "/x"], &["--source"]);
    check(
        &["run", "--config", "/nonexistent/probe.toml"],
        &["/nonexistent/probe.toml: there is no such file"],
    );
    let checked = probe(&["run", "--check-config", "--source", "local", "--path", "/x"]).output().unwrap();
    assert!(checked.status.success() && checked.stdout.is_empty());
}

#[test]
fn a_folder_gives_an_object() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("a")).unwrap();
    std::fs::write(folder.path().join("a/b c"), [0; 321]).unwrap();
    let path = folder.path().to_str().unwrap();
    let found = figures(&["--source", "local", "--path", path]);
    assert_eq!(
        (&found["size_bytes"], &found["files"], &found["folders"]),
        (&321.into(), &1.into(), &2.into())
    );
    refused(1, &["--source", "local", "--path", "/nonexistent"], &["local", "/nonexistent", "No such file"]);
}

/// Goal: the NameNodes are tried in order; one that is down, in standby, or another server is skipped.
#[test]
fn webhdfs_finds_the_active_namenode() {
    let nobody = test_addresses::unused_address().unwrap();
    let standby = "Operation category READ is not supported in state standby. Visit https://x";
    let standby = serve(move |_| (403, exception("StandbyException", standby)));
    let foreign = serve(|_| (200, "<html>It works</html>".to_owned()));
    let active = serve(|target| match target {
        "/webhdfs/v1/flink/my%20job?op=GETCONTENTSUMMARY&user.name=flink" => (200, SUMMARY.to_owned()),
        other => (404, exception("FileNotFoundException", &format!("File does not exist: {other}"))),
    });
    let unexpected = serve(|_| panic!("the active one has answered"));
    let urls: Vec<String> = [nobody, standby, foreign, active, unexpected]
        .iter()
        .map(|address| format!("http://{address}"))
        .collect();
    let with = |urls: &[String], path: &'static str| -> Vec<String> {
        let all = urls.iter().flat_map(|url| ["--url".to_owned(), url.clone()]);
        ["--source", "webhdfs", "--user", "flink", "--path", path]
            .map(str::to_owned)
            .into_iter()
            .chain(all)
            .collect()
    };
    let arguments = with(&urls, "/flink/my job");
    let found = figures(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!((&found["source"], &found["size_bytes"]), (&"webhdfs".into(), &1000.into()));
    assert_eq!((&found["size_with_replicas_bytes"], &found["files"]), (&3000.into(), &7.into()));

    let arguments = with(&urls, "/elsewhere");
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    refused(1, &arguments, &["webhdfs", "path missing", "File does not exist"]);
    let arguments = with(&urls[..3], "/flink");
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    refused(1, &arguments, &["no NameNode answers", "refused", "is in standby", "which is not WebHDFS"]);
}

#[test]
fn permission_denied_is_final() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let denied = "Permission denied: user=eve, access=READ_EXECUTE, inode=\"/flink\":flink:flink:drwx------";
    let one = serve(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        (403, exception("AccessControlException", denied))
    });
    let url = format!("http://{one}");
    let arguments = ["--source", "webhdfs", "--path", "/flink", "--url", &url, "--url", &url];
    refused(1, &arguments, &["Permission denied: user=eve", &url]);
    assert_eq!(asked.load(Ordering::Relaxed), 1, "an active NameNode has spoken");
}

/// Goal: full and written size are distinguished, and without a completed checkpoint there are no values.
#[test]
fn flink_tells_full_and_written_size() {
    const JOB: &str = "0123456789abcdef0123456789abcdef";
    let jobs = |names: &[&str]| {
        let job =
            |name: &&str| serde_json::json!({"jid": JOB, "name": name, "state": "RUNNING", "start-time": 1});
        serde_json::json!({ "jobs": names.iter().map(job).collect::<Vec<_>>() }).to_string()
    };
    let completed = serde_json::json!({"counts": {"completed": 5}, "latest": {"completed":
        {"id": 5, "state_size": 5000, "checkpointed_size": 700, "end_to_end_duration": 3}}});
    let none = serde_json::json!({"counts": {"completed": 0}, "latest": {"completed": null}});
    let cluster = |names: &'static [&'static str], checkpoints: serde_json::Value| {
        let address = serve(move |target| match target {
            "/jobs/overview" => (200, jobs(names)),
            _ => (200, checkpoints.to_string()),
        });
        format!("http://{address}")
    };
    let good = cluster(&["nexmark"], completed.clone());
    let found = figures(&["--source", "flink", "--url", &good]);
    assert_eq!((&found["size_bytes"], &found["checkpointed_bytes"]), (&5000.into(), &700.into()));
    assert_eq!((&found["source"], &found["checkpoint_id"]), (&"flink".into(), &5.into()));
    refused(1, &["--source", "flink", "--url", &good, "--job", "psm"], &["no job \"psm\" runs"]);
    let two = cluster(&["nexmark", "psm"], completed);
    refused(1, &["--source", "flink", "--url", &two], &["2 jobs run", "select one with job"]);
    assert_eq!(figures(&["--source", "flink", "--url", &two, "--job", "psm"])["size_bytes"], 5000);
    let young = cluster(&["nexmark"], none);
    refused(1, &["--source", "flink", "--url", &young], &["has no completed checkpoint"]);
    refused(1, &["--source", "flink", "--url", "http://127.0.0.1:1"], &["no answer", "refused"]);
}

/// Goal: the sources of a file are sampled in turn; a failure does not hide the others.
#[test]
fn a_file_names_several_sources() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("probe.toml");
    let text = "[[source]]\nkind = \"command\"\ncommand = [\"false\"]\n\
                [[source]]\nkind = \"command\"\nname = \"two\"\ncommand = [\"echo\", \"5\", \"/x\"]\n";
    std::fs::write(&config, text).unwrap();
    let output = probe(&["once", "--config"]).arg(&config).args(["--output", "json"]).output().unwrap();
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &found["name"]), (Some(1), &"two".into()));
    assert!(String::from_utf8_lossy(&output.stderr).contains("\"false\" failed"));
}

/// Goal: user name and password of the URL are sent as HTTP Basic, as a gateway requires, and are never shown.
#[test]
fn webhdfs_sends_the_credentials_of_its_address() {
    let gateway = serve_with_head(|head| {
        let is_known =
            head.iter().any(|line| line.eq_ignore_ascii_case("authorization: Basic YW5uOmh1bnRlcjI="));
        if is_known { (200, SUMMARY.to_owned()) } else { (401, "<html>Apache Knox</html>".to_owned()) }
    });
    let url = |credentials: &str| format!("http://{credentials}{gateway}/gateway/default");
    let with = |url: &str| ["--source", "webhdfs", "--path", "/flink", "--url", url].map(str::to_owned);
    let right = with(&url("ann:hunter2@"));
    assert_eq!(figures(&right.each_ref().map(String::as_str))["size_bytes"], 1000);
    let none = with(&url(""));
    refused(1, &none.each_ref().map(String::as_str), &["401", "user:password@host"]);
    let wrong = with(&url("ann:letmein@"));
    refused(1, &wrong.each_ref().map(String::as_str), &["401", "is not accepted"]);
    let output = probe(&["once"]).args(&wrong).output().unwrap();
    assert!(!String::from_utf8(output.stderr).unwrap().contains("letmein"));
    let down = ["--source", "webhdfs", "--path", "/x", "--url", "http://ann:letmein@127.0.0.1:1"];
    let output = probe(&[&["once"][..], &down].concat()).output().unwrap();
    let reason = String::from_utf8(output.stderr).unwrap();
    assert!(!reason.contains("letmein") && reason.contains("http://127.0.0.1:1"), "{reason}");
}

/// Goal: a device given as a configuration is rejected at once by its kind, with the exit code of a bad
/// configuration.
#[test]
fn a_device_is_no_configuration() {
    for (path, kind) in [("/dev/zero", "a device"), ("/tmp", "a folder")] {
        let output = probe(&["run", "--check-config", "--config", path]).output().unwrap();
        let reason = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{reason}");
        assert!(reason.contains(kind) && reason.contains(path), "{reason}");
    }
}

/// Goal: a du that prints blocks is rejected before it runs, with the option for bytes.
#[test]
fn a_du_in_blocks_is_bad_usage() {
    for command in ["du -sm ./x", "du -s ."] {
        refused(2, &["--source", "command", "--command", command], &["du -sb PATH"]);
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), vec![1; 3 << 20]).unwrap();
    let command = format!("du -sb {}", folder.path().display());
    let size = figures(&["--source", "command", "--command", &command])["size_bytes"].as_u64().unwrap();
    assert!((3 << 20..4 << 20).contains(&size), "{size}");
}
