//! Error messages and exit codes of `testbed`. No service is started here.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

fn testbed(work_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_testbed"));
    command.arg("--work").arg(work_dir);
    command
}

#[track_caller]
fn check(output: &Output, code: i32, parts: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for part in parts {
        assert!(said.contains(part), "{part:?} is missing in: {said}");
    }
}

#[test]
fn bad_configuration_is_exit_code_2_with_file_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("my.toml");
    std::fs::write(&file, "[flink]\ntask_managres = 1\n").unwrap();
    let output = testbed(folder.path()).arg("--config").arg(&file).arg("--check-config").output().unwrap();
    check(&output, 2, &["my.toml", "task_managres", "line 2"]);

    let output =
        testbed(folder.path()).args(["--check-config", "up", "--task-managers", "1000"]).output().unwrap();
    check(&output, 2, &["flink.task_managers = 1000", "0 to 64"]);
    check(&testbed(folder.path()).arg("--check-config").output().unwrap(), 0, &[]);
    check(&testbed(folder.path()).arg("fly").output().unwrap(), 2, &["fly"]);
}

#[test]
fn a_port_in_use_is_named_with_its_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let output = testbed(folder.path()).args(["up", "--kafka-port", &port]).output().unwrap();
    check(&output, 1, &[&format!("port {port} is in use"), "kafka.port"]);
}

/// Goal: a missing program is reported by its package, not by a failed system call; with --detach as well.
#[test]
fn missing_programs_are_named_with_their_package() {
    let folder = tempfile::tempdir().unwrap();
    let (empty, only_java) = (folder.path().join("empty"), folder.path().join("only-java"));
    std::fs::create_dir_all(&empty).unwrap();
    std::fs::create_dir_all(&only_java).unwrap();
    std::fs::write(only_java.join("java"), "").unwrap();
    let up = |path: &Path, more: &[&str]| {
        let mut command = testbed(&folder.path().join("work"));
        command
            .env_remove("JAVA_HOME")
            .env("PATH", path)
            .env("RESCALER_CACHE_DIR", folder.path().join("cache"));
        command.arg("up").args(more).output().unwrap()
    };
    check(&up(&empty, &[]), 1, &["java is neither", "openjdk-17-jdk-headless"]);
    check(&up(&only_java, &[]), 1, &["mvn is not in $PATH", "Debian package maven"]);
    check(&up(&only_java, &["--detach"]), 1, &["the testbed did not start", "mvn is not in $PATH"]);
}
