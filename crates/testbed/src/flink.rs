//! Flink: a session cluster of one JobManager and any number of task managers, each a process, with the adaptive
//! scheduler.
//!
//! The processes are started by their main classes. Flink's own start scripts would compute memory sizes; here every
//! size is written into `config.yaml`. Rescaling is configured to be quick and visible (history, short cool-down,
//! fresh metrics), the purpose of this testbed. A JobManager's jobs are lost when it ends; checkpoints are not.

pub(crate) mod version;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flink::Client;

use self::version::Release;
use crate::config::FlinkSettings;
use crate::folder::WorkFolder;
use crate::hdfs::{self, FlinkFileSystem};
use crate::java;
use crate::process::{LaunchError, Launcher, Process, ProcessSpec};
use crate::service::{ServiceError, await_ready};

/// The JobManager's service name.
pub(crate) const JOBMANAGER: &str = "jobmanager";

/// Framework heap of the task managers, in MiB: enough for RPC and the metrics of some hundred subtasks.
const FRAMEWORK_HEAP_MIB: u32 = 96;
/// Framework direct memory of the task managers, in MiB.
const FRAMEWORK_OFF_HEAP_MIB: u32 = 64;
/// Metaspace limit of the task managers, in MiB. Flink, the Kafka client and a job take about 70 MiB of classes; jobs
/// come and go in one JVM, and old classes linger. Unused memory is not allocated.
const METASPACE_MIB: u32 = 384;
/// Metaspace limit of the JobManager, in MiB, which holds the classes of every uploaded job.
const JOBMANAGER_METASPACE_MIB: u32 = 768;
/// Memory that Flink reserves for threads, code cache and native code, in MiB. Accounting only.
const JVM_OVERHEAD_MIB: u32 = 128;
/// Timeout of one request to Flink's REST interface during the start; it is retried.
const PROBE_DEADLINE: Duration = Duration::from_secs(2);

/// JDK packages that Flink and its serializers access by reflection.
const OPENED_PACKAGES: [&str; 11] = [
    "java.lang",
    "java.lang.reflect",
    "java.io",
    "java.net",
    "java.nio",
    "java.text",
    "java.time",
    "java.util",
    "java.util.concurrent",
    "java.util.concurrent.atomic",
    "java.util.concurrent.locks",
];

/// Inputs for starting the cluster's processes; kept to add task managers later.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) settings: FlinkSettings,
    pub(crate) folder: WorkFolder,
    pub(crate) launcher: Launcher,
    pub(crate) java: PathBuf,
    pub(crate) lib: PathBuf,
    /// HDFS for checkpoints, instead of the work folder.
    pub(crate) hdfs: Option<FlinkFileSystem>,
    /// Port of the REST interface.
    pub(crate) rest_port: u16,
    /// Port at which task managers register.
    pub(crate) rpc_port: u16,
    /// Ports of the processes' Prometheus reporters, the JobManager's first; empty: no reporters.
    pub(crate) reporter_ports: Vec<u16>,
    /// Port of carbon and report interval in milliseconds, for Graphite.
    pub(crate) carbon: Option<(u16, u64)>,
    pub(crate) deadline: Duration,
}

/// A cluster whose first task managers have registered.
#[derive(Debug)]
pub(crate) struct Flink {
    pub(crate) setup: Setup,
    pub(crate) client: Client,
    pub(crate) jobmanager: Process,
    pub(crate) task_managers: Vec<Process>,
}

impl Setup {
    /// Starts the JobManager and the first task managers together, and waits until all have registered.
    pub(crate) async fn start(self) -> Result<Flink, ServiceError> {
        let configure_error = |source| ServiceError::Configure { service: "flink", source };
        fs::write(self.folder.conf().join(self.release().file()), self.render()).map_err(configure_error)?;
        let client = self.client()?;
        let jobmanager = self.launch_jobmanager()?;
        let count = self.settings.task_managers;
        let task_managers = (1..=count)
            .map(|number| self.launch_task_manager(&format!("tm-{number}")))
            .collect::<Result<Vec<_>, _>>()?;
        let all: Vec<&Process> = std::iter::once(&jobmanager).chain(&task_managers).collect();
        // A task manager registers first and offers its slots a moment later.
        let slots = count * self.settings.task_slots;
        await_ready(&all, &jobmanager, self.deadline, async || {
            let overview = client.overview().await;
            overview.is_ok_and(|overview| overview.taskmanagers >= count && overview.slots_total >= slots)
        })
        .await?;
        Ok(Flink { setup: self, client, jobmanager, task_managers })
    }

    fn client(&self) -> Result<Client, ServiceError> {
        let settings = flink::ClientSettings { timeout: PROBE_DEADLINE, ..flink::ClientSettings::default() };
        Client::new(&self.url(), settings)
            .map_err(|error| ServiceError::Client { service: "flink", source: error.into() })
    }

    /// Returns the URL of the REST interface.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.rest_port)
    }

    fn launch_jobmanager(&self) -> Result<Process, LaunchError> {
        let heap = format!("-Xmx{}m", self.settings.jobmanager_heap_mib);
        let mut options = vec![heap, format!("-XX:MaxMetaspaceSize={JOBMANAGER_METASPACE_MIB}m")];
        // The log shown in the web page.
        options.push(format!("-Dlog.file={}", self.folder.log_of(JOBMANAGER).display()));
        options.extend(self.settings.jobmanager_jvm_options.iter().cloned());
        let main = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint";
        let program = self.java_service(JOBMANAGER, options).arg(main).args(self.config_dir());
        self.launcher.launch(&program.args(self.reporter_port(0)))
    }

    fn launch_task_manager(&self, id: &str) -> Result<Process, ServiceError> {
        let scratch = self.folder.tmp().join(id);
        fs::create_dir_all(&scratch)
            .map_err(|source| ServiceError::Configure { service: "task manager", source })?;
        Ok(self.launcher.launch(&self.task_manager(id, &scratch))?)
    }

    fn task_manager(&self, id: &str, scratch: &Path) -> ProcessSpec {
        let heap = FRAMEWORK_HEAP_MIB + self.settings.task_heap_mib;
        let direct = FRAMEWORK_OFF_HEAP_MIB + self.settings.network_memory_mib;
        let mut options = vec![
            format!("-Xms{heap}m"),
            format!("-Xmx{heap}m"),
            format!("-XX:MaxDirectMemorySize={direct}m"),
            format!("-XX:MaxMetaspaceSize={METASPACE_MIB}m"),
        ];
        options.extend(self.settings.taskmanager_jvm_options.iter().cloned());
        let number = id.strip_prefix("tm-").and_then(|number| number.parse().ok()).unwrap_or(1);
        self.java_service(id, options)
            .arg("org.apache.flink.runtime.taskexecutor.TaskManagerRunner")
            .args(self.config_dir())
            .args(["-D".to_owned(), format!("taskmanager.resource-id={id}")])
            .args(["-D".to_owned(), format!("io.tmp.dirs={}", scratch.display())])
            .args(["-D".to_owned(), self.log_path(id)])
            .args(self.reporter_port(number))
    }

    /// Returns the setting that names a task manager's log, which the web page shows.
    ///
    /// It is not the property `log.file` of Flink's own scripts: with that, RocksDB writes its logs beside that file,
    /// under a name made of the database's whole path. When state is merged after a rescale, that path is longer than
    /// Flink expects, and below a work folder of more than 43 characters the name is too long for a file.
    fn log_path(&self, id: &str) -> String {
        format!("taskmanager.log.path={}", self.folder.log_of(id).display())
    }

    /// Returns the argument that sets a process's Prometheus port: number 0 is the JobManager, then come the task
    /// managers.
    fn reporter_port(&self, number: usize) -> Vec<String> {
        let Some((first, others)) = self.reporter_ports.split_first() else { return Vec::new() };
        let port = match number.checked_sub(1) {
            Some(index) if !others.is_empty() => others[index % others.len()],
            _ => *first,
        };
        vec!["-D".to_owned(), format!("metrics.reporter.prometheus.port={port}")]
    }

    fn config_dir(&self) -> [std::ffi::OsString; 2] {
        ["--configDir".into(), self.folder.conf().into()]
    }

    fn java_service(&self, name: &str, mut all: Vec<String>) -> ProcessSpec {
        all.extend(
            OPENED_PACKAGES.iter().map(|package| format!("--add-opens=java.base/{package}=ALL-UNNAMED")),
        );
        all.push("--add-opens=java.base/sun.nio.ch=ALL-UNNAMED".to_owned());
        all.push("--add-exports=java.rmi/sun.rmi.registry=ALL-UNNAMED".to_owned());
        all.push("--add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED".to_owned());
        let mut lib = vec![self.lib.as_path()];
        lib.extend(self.hdfs.iter().map(|hdfs| hdfs.lib.as_path()));
        let program = java::service(name, &self.java, &self.folder, java::jars_of(&lib), &all);
        match &self.hdfs {
            Some(hdfs) => program.env("HADOOP_CONF_DIR", &hdfs.conf),
            None => program,
        }
    }

    fn release(&self) -> Release {
        // Validated with the settings.
        Release::parse(&self.settings.version)
            .or_else(|| Release::parse(version::DEFAULT))
            .unwrap_or_else(|| unreachable!("the default is a version"))
    }

    /// Renders the configuration file: the testbed's settings under the version's names, then the user's. Where
    /// values are quoted, any path and text is valid.
    fn render(&self) -> String {
        let release = self.release();
        let mut own = addresses(self);
        own.extend(scheduling());
        own.extend(memory(&self.settings));
        own.extend(storage(self));
        own.extend(reporters(self));
        let named = own.into_iter().filter_map(|(key, value)| Some((release.named(key)?, value)));
        let mut all: BTreeMap<&str, String> = named.collect();
        all.extend(self.settings.settings.iter().map(|(key, value)| (key.as_str(), value.clone())));
        all.iter().map(|(key, value)| release.line(key, value)).collect()
    }
}

type Entry = (&'static str, String);

fn addresses(setup: &Setup) -> Vec<Entry> {
    let loopback = || "127.0.0.1".to_owned();
    vec![
        ("jobmanager.rpc.address", loopback()),
        ("jobmanager.rpc.port", setup.rpc_port.to_string()),
        ("jobmanager.bind-host", loopback()),
        ("rest.address", loopback()),
        ("rest.bind-address", loopback()),
        ("rest.port", setup.rest_port.to_string()),
        ("taskmanager.host", loopback()),
        ("taskmanager.bind-host", loopback()),
    ]
}

fn scheduling() -> Vec<Entry> {
    let fixed = [
        ("jobmanager.scheduler", "adaptive"),
        ("cluster.evenly-spread-out-slots", "true"),
        ("web.adaptive-scheduler.rescale-history.size", "50"),
        // A submitted job starts with the available slots after this time, instead of waiting for all.
        ("jobmanager.adaptive-scheduler.submission.resource-stabilization-timeout", "2s"),
        // By default 30 s and 60 s.
        ("jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling", "1s"),
        ("jobmanager.adaptive-scheduler.executing.resource-stabilization-timeout", "1s"),
        // The default age of metrics (10 s) and of job details (3 s) is too high to observe a rescale.
        ("metrics.fetcher.update-interval", "1000"),
        ("web.refresh-interval", "200"),
        // Detects a killed task manager in seconds, not in a minute.
        ("heartbeat.interval", "2000"),
        ("heartbeat.timeout", "10000"),
        ("restart-strategy.type", "fixed-delay"),
        ("restart-strategy.fixed-delay.attempts", "1000"),
        ("restart-strategy.fixed-delay.delay", "1s"),
    ];
    fixed.into_iter().map(|(key, value)| (key, value.to_owned())).collect()
}

fn memory(settings: &FlinkSettings) -> Vec<Entry> {
    let mib = |size: u32| format!("{size}m");
    vec![
        ("taskmanager.numberOfTaskSlots", settings.task_slots.to_string()),
        ("taskmanager.cpu.cores", "1.0".to_owned()),
        ("taskmanager.memory.framework.heap.size", mib(FRAMEWORK_HEAP_MIB)),
        ("taskmanager.memory.framework.off-heap.size", mib(FRAMEWORK_OFF_HEAP_MIB)),
        ("taskmanager.memory.task.heap.size", mib(settings.task_heap_mib)),
        ("taskmanager.memory.task.off-heap.size", "0b".to_owned()),
        ("taskmanager.memory.managed.size", mib(settings.managed_memory_mib)),
        ("taskmanager.memory.network.min", mib(settings.network_memory_mib)),
        ("taskmanager.memory.network.max", mib(settings.network_memory_mib)),
        ("taskmanager.memory.jvm-metaspace.size", mib(METASPACE_MIB)),
        ("taskmanager.memory.jvm-overhead.min", mib(JVM_OVERHEAD_MIB)),
        ("taskmanager.memory.jvm-overhead.max", mib(JVM_OVERHEAD_MIB)),
    ]
}

/// Returns the reporters' settings. Their jars are in the cluster's lib folder.
fn reporters(setup: &Setup) -> Vec<Entry> {
    let mut all = Vec::new();
    if let Some((port, interval_ms)) = setup.carbon {
        let factory = "org.apache.flink.metrics.graphite.GraphiteReporterFactory";
        all.extend([
            ("metrics.reporter.graphite.factory.class", factory.to_owned()),
            ("metrics.reporter.graphite.host", "127.0.0.1".to_owned()),
            ("metrics.reporter.graphite.port", port.to_string()),
            ("metrics.reporter.graphite.protocol", "TCP".to_owned()),
            ("metrics.reporter.graphite.interval", format!("{interval_ms} ms")),
        ]);
    }
    if !setup.reporter_ports.is_empty() {
        let factory = "org.apache.flink.metrics.prometheus.PrometheusReporterFactory";
        all.extend([
            ("metrics.reporter.prometheus.factory.class", factory.to_owned()),
            // Keeps names unchanged, instead of replacing all but letters and digits by underscores.
            ("metrics.reporter.prometheus.filterLabelValueCharacters", "false".to_owned()),
        ]);
    }
    all
}

impl Setup {
    /// Returns the default checkpoint directory.
    pub(crate) fn checkpoints_url(&self) -> String {
        self.state_url("checkpoints", &self.folder.checkpoints())
    }

    /// Returns the default savepoint directory.
    pub(crate) fn savepoints_url(&self) -> String {
        self.state_url("savepoints", &self.folder.savepoints())
    }

    fn state_url(&self, name: &str, local: &Path) -> String {
        let in_hdfs = self.hdfs.as_ref().map(|hdfs| hdfs::flink_folder(&hdfs.url, name));
        in_hdfs.unwrap_or_else(|| format!("file://{}", local.display()))
    }
}

fn storage(setup: &Setup) -> Vec<Entry> {
    let (settings, folder) = (&setup.settings, &setup.folder);
    vec![
        ("state.backend.type", "rocksdb".to_owned()),
        ("execution.checkpointing.incremental", "true".to_owned()),
        ("execution.checkpointing.interval", format!("{}ms", settings.checkpoint_interval_ms)),
        ("execution.checkpointing.dir", setup.checkpoints_url()),
        ("execution.checkpointing.savepoint-dir", setup.savepoints_url()),
        ("io.tmp.dirs", folder.tmp().display().to_string()),
    ]
}

impl Flink {
    /// Starts another task manager and waits until it has registered with its slots.
    pub(crate) async fn add_task_manager(&self, id: &str) -> Result<Process, ServiceError> {
        let process = self.setup.launch_task_manager(id)?;
        await_ready(&[&process, &self.jobmanager], &process, self.setup.deadline, async || {
            let registered = self.client.task_managers().await.unwrap_or_default();
            let slots = self.setup.settings.task_slots;
            registered.iter().any(|task_manager| task_manager.id == id && task_manager.slots >= slots)
        })
        .await?;
        Ok(process)
    }

    /// Deletes the scratch files of an ended task manager.
    pub(crate) fn clear_scratch(&self, id: &str) -> io::Result<()> {
        crate::folder::remove_tree(&self.setup.folder.tmp().join(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup(settings: FlinkSettings) -> Setup {
        Setup {
            settings,
            folder: WorkFolder::new("/w \"q\"".into()),
            launcher: Launcher::new().unwrap(),
            java: "java".into(),
            lib: "lib".into(),
            hdfs: None,
            rest_port: 8081,
            rpc_port: 6123,
            reporter_ports: vec![9250, 9251, 9252],
            carbon: Some((2003, 1000)),
            deadline: Duration::from_secs(1),
        }
    }

    /// Goal: with HDFS, state is stored there, and Flink's processes find the client and its configuration.
    #[test]
    fn state_goes_into_hdfs() {
        let url = "hdfs://127.0.0.1:8020".to_owned();
        let hdfs = FlinkFileSystem { lib: "hadoop".into(), conf: "/conf/hadoop".into(), url };
        let setup = Setup { hdfs: Some(hdfs), ..setup(FlinkSettings::default()) };
        let text = setup.render();
        let line = "execution.checkpointing.dir: \"hdfs://127.0.0.1:8020/flink/checkpoints\"";
        assert!(text.lines().any(|candidate| candidate == line), "{text}");
        let program = format!("{:?}", setup.java_service("tm-1", Vec::new()));
        assert!(program.contains("lib/*:hadoop/*") && program.contains("HADOOP_CONF_DIR"), "{program}");
    }

    #[test]
    fn config_has_ports_sizes_paths_and_the_users_wishes() {
        let mut settings = FlinkSettings { managed_memory_mib: 77, ..FlinkSettings::default() };
        settings.settings.insert("web.refresh-interval".to_owned(), "500".to_owned());
        settings.settings.insert("metrics.reporters".to_owned(), "prom".to_owned());
        let text = setup(settings).render();
        for line in [
            "rest.port: \"8081\"",
            "jobmanager.rpc.port: \"6123\"",
            "jobmanager.scheduler: \"adaptive\"",
            "taskmanager.memory.managed.size: \"77m\"",
            "execution.checkpointing.dir: \"file:///w \\\"q\\\"/checkpoints\"",
            "web.refresh-interval: \"500\"",
            "metrics.reporters: \"prom\"",
            "metrics.reporter.graphite.port: \"2003\"",
            "metrics.reporter.prometheus.filterLabelValueCharacters: \"false\"",
        ] {
            assert!(text.lines().any(|candidate| candidate == line), "{line} is missing in\n{text}");
        }
        assert_eq!(text.matches("web.refresh-interval").count(), 1);
    }

    /// Goal: no task manager has the property that makes RocksDB derive file names from whole paths, and each still
    /// has its log.
    #[test]
    fn no_file_is_named_after_a_whole_path() {
        let setup = setup(FlinkSettings::default());
        let program = format!("{:?}", setup.task_manager("tm-1", "/w/tmp/tm-1".as_ref()));
        assert!(!program.contains("-Dlog.file"), "{program}");
        assert!(program.contains("taskmanager.log.path=/w \\\"q\\\"/logs/tm-1.log"), "{program}");
    }

    /// Goal: the JobManager and each of the first task managers have their own port; later ones reuse freed ones.
    #[test]
    fn reporter_ports_are_shared_out() {
        let setup = setup(FlinkSettings::default());
        let port = |number| setup.reporter_port(number)[1].rsplit('=').next().map(str::to_owned);
        let ports = [0, 1, 2, 3].map(|number| port(number).unwrap());
        assert_eq!(ports, ["9250", "9251", "9252", "9251"]);
    }
}
