//! The files of HDFS and its users: two XML files, and the command `hdfs`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{Setup, command_of};
use crate::java;

/// `core-site.xml`: the address of the file system.
pub(super) fn core_site(setup: &Setup) -> String {
    let entries: BTreeMap<&str, String> = [
        ("fs.defaultFS", setup.url()),
        ("hadoop.tmp.dir", setup.folder.tmp().join("hadoop").display().to_string()),
    ]
    .into();
    xml(&entries)
}

/// `hdfs-site.xml`: the testbed's settings, then the user's.
pub(super) fn hdfs_site(setup: &Setup) -> String {
    let data = setup.folder.hdfs_data();
    let url = |name: &str| format!("file://{}", data.join(name).display());
    let any_port = || "127.0.0.1:0".to_owned();
    let mut entries: BTreeMap<&str, String> = [
        // One DataNode cannot replicate. Flink's client reads this file as well.
        ("dfs.replication", "1".to_owned()),
        ("dfs.namenode.name.dir", url("name")),
        ("dfs.datanode.data.dir", url("data")),
        ("dfs.namenode.http-address", format!("127.0.0.1:{}", setup.http_port)),
        ("dfs.datanode.address", any_port()),
        ("dfs.datanode.http.address", any_port()),
        ("dfs.datanode.ipc.address", any_port()),
        // Leaves safe mode as soon as all blocks are reported; the DataNode registers within a second of its start.
        ("dfs.namenode.safemode.extension", "0".to_owned()),
        ("dfs.heartbeat.interval", "1".to_owned()),
        // Allows closing a file although the DataNode has not yet reported its last block.
        ("dfs.client.block.write.locateFollowingBlock.retries", "8".to_owned()),
    ]
    .into();
    entries.extend(setup.settings.settings.iter().map(|(key, value)| (key.as_str(), value.clone())));
    xml(&entries)
}

fn xml(entries: &BTreeMap<&str, String>) -> String {
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let property = |(key, value): (&&str, &String)| {
        format!("  <property><name>{}</name><value>{}</value></property>\n", escaped(key), escaped(value))
    };
    let properties: String = entries.iter().map(property).collect();
    format!("<?xml version=\"1.0\"?>\n<configuration>\n{properties}</configuration>\n")
}

/// Writes the command `hdfs`, with the two subcommands that a testbed needs.
pub(super) fn write_command(setup: &Setup) -> io::Result<()> {
    let path = command_of(setup.folder.root());
    fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    let conf = setup.folder.hadoop_conf();
    let class_path = format!("{}:{}", conf.display(), java::jars_of(&[&setup.lib]).display());
    let text = format!(
        "#!/bin/sh\n\
         # Hadoop's command hdfs for this testbed; written anew at each start.\n\
         case \"$1\" in\n\
         dfs) class=org.apache.hadoop.fs.FsShell ;;\n\
         dfsadmin) class=org.apache.hadoop.hdfs.tools.DFSAdmin ;;\n\
         *) echo \"usage: $0 dfs | dfsadmin [arguments]\" >&2; exit 1 ;;\n\
         esac\n\
         shift\n\
         exec {java} -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dhdfs.logger=WARN,console -cp {class_path} \
         \"$class\" \"$@\"\n",
        java = quoted(&setup.java.display().to_string()),
        class_path = quoted(&class_path),
    );
    fs::write(&path, text)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
}

/// Quotes a text as one shell word.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::folder::WorkFolder;
    use crate::hdfs::HdfsSettings;
    use crate::process::Launcher;

    #[test]
    fn files_have_ports_paths_and_the_users_wishes() {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = HdfsSettings::default();
        settings.settings.insert("dfs.replication".to_owned(), "2 & <3>".to_owned());
        let setup = Setup {
            settings,
            folder: WorkFolder::new(folder.path().join("it's w")),
            launcher: Launcher::new().unwrap(),
            java: "/bin/echo".into(),
            lib: "/lib/hdfs".into(),
            port: 8020,
            http_port: 9870,
            deadline: Duration::from_secs(1),
        };
        assert!(core_site(&setup).contains("<name>fs.defaultFS</name><value>hdfs://127.0.0.1:8020</value>"));
        let site = hdfs_site(&setup);
        assert!(
            site.contains("<name>dfs.namenode.http-address</name><value>127.0.0.1:9870</value>"),
            "{site}"
        );
        assert!(site.contains("<name>dfs.replication</name><value>2 &amp; &lt;3&gt;</value>"), "{site}");
        assert_eq!(site.matches("dfs.replication").count(), 1);

        write_command(&setup).unwrap();
        let command = command_of(setup.folder.root());
        let said = std::process::Command::new(&command).args(["dfs", "-du", "/a b"]).output().unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        assert!(
            said.contains("it's w/conf/hadoop:/lib/hdfs/*") && said.ends_with("FsShell -du /a b\n"),
            "{said}"
        );
        let refused = std::process::Command::new(&command).arg("fly").output().unwrap();
        assert_eq!(refused.status.code(), Some(1));
    }
}
