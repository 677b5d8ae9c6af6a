//! Tests of the installer: it is idempotent, and removes what it installed.
//!
//! The programs are fakes: this test checks where files go, not the programs.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PROGRAMS: [&str; 6] =
    ["config-agent", "config-drop", "event-producer", "rescaler", "state-probe", "testbed"];
const UNITS: [&str; 5] = ["config-agent", "config-drop", "event-producer", "rescaler", "state-probe"];

fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A folder with fakes of all programs, and an empty root to install into.
struct Setup {
    folder: tempfile::TempDir,
}

impl Setup {
    fn new() -> Setup {
        let setup = Setup { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(setup.binaries()).unwrap();
        for program in PROGRAMS {
            setup.write_program(program, "true");
        }
        setup.write_program(
            "manual",
            "mkdir -p $1/man/man1 $1/completions/bash; echo page >$1/man/man1/rescaler.1",
        );
        setup
    }

    fn binaries(&self) -> PathBuf {
        self.folder.path().join("binaries")
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn write_program(&self, name: &str, script: &str) {
        let file = self.binaries().join(name);
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn install(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(tree().join("scripts/install.sh"));
        command.args(arguments).arg("--binaries").arg(self.binaries()).env("DESTDIR", self.root());
        command.output().unwrap()
    }

    fn files(&self) -> BTreeSet<String> {
        let root = self.root();
        let mut files = BTreeSet::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.insert(path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        files
    }
}

fn succeed(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Goal: programs, pages, configurations and units are installed; a second run changes nothing; edited files stay;
/// uninstalling keeps the configuration, purging leaves nothing.
#[test]
fn installs_once_keeps_edits_and_goes_without_residue() {
    let setup = Setup::new();
    succeed(&setup.install(&[]));
    let files = setup.files();
    for program in PROGRAMS {
        assert!(files.contains(&format!("usr/local/bin/{program}")), "{program}: {files:?}");
        assert!(files.contains(&format!("etc/rescaler/{program}.toml")), "{program}: {files:?}");
    }
    for unit in UNITS {
        assert!(files.contains(&format!("etc/systemd/system/{unit}.service")), "{unit}: {files:?}");
    }
    assert!(files.contains("usr/local/share/man/man1/rescaler.1"));

    assert_eq!(succeed(&setup.install(&[])), "", "a second run changes nothing");

    let edited = setup.root().join("etc/rescaler/rescaler.toml");
    fs::write(&edited, "job = \"mine\"\n").unwrap();
    succeed(&setup.install(&[]));
    assert_eq!(fs::read_to_string(&edited).unwrap(), "job = \"mine\"\n");
    assert!(setup.files().contains("etc/rescaler/rescaler.toml.new"), "the newer default is beside it");

    succeed(&setup.install(&["--uninstall"]));
    let left = setup.files();
    assert!(left.contains("etc/rescaler/rescaler.toml"));
    assert!(left.iter().all(|file| file.starts_with("etc/rescaler/")), "{left:?}");
    succeed(&setup.install(&["--uninstall", "--purge"]));
    assert_eq!(setup.files(), BTreeSet::new());
}

/// Goal: a dry run changes nothing; bad usage exits with 2; a missing program is named.
#[test]
fn says_what_is_wrong() {
    let setup = Setup::new();
    assert!(succeed(&setup.install(&["--dry-run"])).contains("usr/local/bin/rescaler"));
    assert_eq!(setup.files(), BTreeSet::new());
    assert_eq!(setup.install(&["--purge"]).status.code(), Some(2));
    assert_eq!(setup.install(&["--wrong"]).status.code(), Some(2));
    fs::remove_file(setup.binaries().join("rescaler")).unwrap();
    let output = setup.install(&[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("rescaler"));
}

/// Goal: another prefix is used in the units too.
#[test]
fn units_name_the_program_where_it_is() {
    let setup = Setup::new();
    succeed(&setup.install(&["--prefix", "/opt/rescaler"]));
    for unit in UNITS {
        let text =
            fs::read_to_string(setup.root().join(format!("etc/systemd/system/{unit}.service"))).unwrap();
        assert!(text.contains(&format!("ExecStart=/opt/rescaler/bin/{unit} ")), "{text}");
    }
}

/// Goal: for one user nothing is written outside of the home folder, and no units are installed.
#[test]
fn one_user_needs_no_root() {
    let setup = Setup::new();
    let mut command = Command::new(tree().join("scripts/install.sh"));
    command.arg("--user").arg("--binaries").arg(setup.binaries());
    command.env("HOME", setup.root()).env_remove("XDG_CONFIG_HOME").env_remove("DESTDIR");
    succeed(&command.output().unwrap());
    let files = setup.files();
    for program in PROGRAMS {
        assert!(files.contains(&format!(".local/bin/{program}")), "{program}: {files:?}");
        assert!(files.contains(&format!(".config/rescaler/{program}.toml")), "{program}: {files:?}");
    }
    assert!(files.iter().all(|file| !file.contains("systemd")), "{files:?}");
}

/// Goal: the guide's line for Cargo installs every program.
#[test]
fn one_line_installs_all_programs() {
    let guide = fs::read_to_string(tree().join("docs/operating.md")).unwrap();
    let line = format!(
        "for program in {}; do cargo install --locked --path crates/$program; done",
        PROGRAMS.join(" ")
    );
    assert!(guide.contains(&line), "docs/operating.md: no {line}");
}

/// Goal: the package has every program, page, configuration and unit that the installer installs, and its scripts know every unit.
#[test]
fn the_package_has_what_is_installed() {
    let setup = Setup::new();
    succeed(&setup.install(&["--prefix", "/usr"]));
    let manifest = fs::read_to_string(tree().join("crates/rescaler/Cargo.toml")).unwrap();
    let manifest: toml::Table = toml::from_str(&manifest).unwrap();
    let assets = manifest["package"]["metadata"]["deb"]["assets"].as_array().unwrap();
    let sources: Vec<&str> = assets.iter().map(|asset| asset[0].as_str().unwrap()).collect();
    let is_packaged = |file: &str| {
        sources.iter().any(|source| match source.strip_prefix("../../run/package/installed/") {
            Some(pattern) => {
                let (folder, ending) = pattern.split_once('*').unwrap_or((pattern, ""));
                file.strip_prefix(folder).is_some_and(|name| !name.contains('/') && name.ends_with(ending))
            }
            None => source
                .strip_prefix("target/release/")
                .is_some_and(|program| file.strip_prefix("usr/bin/") == Some(program)),
        })
    };
    let files = setup.files();
    let missing: Vec<&String> = files.iter().filter(|file| !is_packaged(file)).collect();
    assert_eq!(missing, Vec::<&String>::new());
    let prerm = fs::read_to_string(tree().join("scripts/debian/prerm")).unwrap();
    for unit in UNITS {
        assert!(prerm.contains(&format!("{unit}.service")), "scripts/debian/prerm does not end {unit}");
    }
    for script in ["postinst", "prerm", "postrm"] {
        let checked = Command::new("sh").arg("-n").arg(tree().join("scripts/debian").join(script)).output();
        assert!(checked.unwrap().status.success(), "{script}");
    }
}

/// Goal: no two units share a user or a folder, and every user is created.
#[test]
fn each_unit_has_its_own_user_and_folder() {
    let users = fs::read_to_string(tree().join("scripts/systemd/rescaler.sysusers")).unwrap();
    let mut own = BTreeSet::new();
    for unit in UNITS {
        let text = fs::read_to_string(tree().join(format!("scripts/systemd/{unit}.service"))).unwrap();
        for key in ["User=", "StateDirectory=", "WorkingDirectory="] {
            let value = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
            assert!(own.insert((key, value.to_owned())), "{unit} shares {key}{value}");
            assert!(key != "User=" || users.contains(&format!("u {value} - ")), "nobody makes {value}");
        }
    }
}

/// Goal: systemd accepts the list of users, where it is available.
#[test]
fn systemd_accepts_the_users() {
    let root = tempfile::tempdir().unwrap();
    let users = fs::File::open(tree().join("scripts/systemd/rescaler.sysusers")).unwrap();
    let mut command = Command::new("systemd-sysusers");
    command.arg("--dry-run").arg(format!("--root={}", root.path().display())).arg("-").stdin(users);
    let Ok(output) = command.output() else { return };
    let told =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() || told.contains("unrecognized option"), "{told}");
}

/// Goal: systemd's security rating of the units matches docs/operating.md, where systemd is available.
#[test]
fn the_units_are_tight() {
    for (unit, most) in UNITS.map(|unit| (unit, 1.5)) {
        let file = tree().join(format!("scripts/systemd/{unit}.service"));
        let Ok(output) =
            Command::new("systemd-analyze").args(["security", "--offline=true"]).arg(&file).output()
        else {
            return;
        };
        let text = String::from_utf8_lossy(&output.stdout);
        let Some(rated) = text.split(".service: ").nth(1).and_then(|rest| rest.split(' ').next()) else {
            return;
        };
        assert!(rated.parse::<f64>().unwrap() <= most, "{unit}: {rated}");
    }
}

/// Goal: systemd accepts the units, where systemd is available.
#[test]
fn systemd_accepts_the_units() {
    let units = UNITS.map(|unit| tree().join(format!("scripts/systemd/{unit}.service")));
    for unit in &units {
        let text = fs::read_to_string(unit).unwrap();
        for wanted in ["ProtectSystem=strict", "NoNewPrivileges=yes", "RestartPreventExitStatus=2"] {
            assert!(text.contains(wanted), "{}: no {wanted}", unit.display());
        }
    }
    let Ok(output) = Command::new("systemd-analyze").arg("verify").args(&units).output() else { return };
    let complaints = String::from_utf8_lossy(&output.stderr);
    // The programs and their pages are not installed on the testing machine.
    let ours = complaints.lines().filter(|line| line.contains("Unknown") || line.contains("Invalid"));
    assert_eq!(ours.collect::<Vec<_>>(), Vec::<&str>::new());
}
