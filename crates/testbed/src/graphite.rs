//! Graphite: carbon, which receives the data of Flink's reporter and writes Whisper files, and graphite-web, which
//! renders them.
//!
//! They are installed from the Python package index into an environment in the cache. Series have one point per
//! second for an hour, which suits a short-lived testbed; carbon may create any number. Files of an earlier run are
//! deleted: an old series would look like a silent subtask.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::folder::{WorkFolder, remove_tree};
use crate::process::{Launcher, Process, ProcessSpec};
use crate::python::PythonSet;
use crate::service::{ServiceError, await_ready};

/// The Python packages.
pub(crate) const PACKAGES: PythonSet =
    PythonSet { name: "graphite", requirements: include_str!("../assets/graphite/requirements.txt") };
/// carbon's service name.
pub(crate) const CARBON: &str = "carbon";
/// graphite-web's service name.
pub(crate) const WEB: &str = "graphite-web";

const SETTINGS: &str = include_str!("../assets/graphite/graphite_local_settings.py");
const SCHEMAS: &str = "[all]\npattern = .*\nretentions = 1s:1h,10s:1d\n";
const AGGREGATION: &str = "[all]\npattern = .*\nxFilesFactor = 0\naggregationMethod = last\n";
/// Timeout of one probe; it is retried.
const PROBE_DEADLINE: Duration = Duration::from_secs(2);

/// Inputs of a start.
pub(crate) struct Start<'a> {
    pub(crate) folder: &'a WorkFolder,
    pub(crate) launcher: &'a Launcher,
    /// The `python` of the environment.
    pub(crate) python: &'a Path,
    /// Port for the lines of Flink's reporter.
    pub(crate) line_port: u16,
    /// Two internal ports: pickled points, and queries of carbon's cache.
    pub(crate) inner_ports: [u16; 2],
    pub(crate) http_port: u16,
    pub(crate) deadline: Duration,
}

/// A running carbon and graphite-web.
#[derive(Debug)]
pub(crate) struct Graphite {
    pub(crate) carbon: Process,
    pub(crate) web: Process,
    /// URL of graphite-web.
    pub(crate) url: String,
    /// Folder of the Whisper files.
    pub(crate) whisper_dir: PathBuf,
}

impl Start<'_> {
    pub(crate) async fn run(&self) -> Result<Graphite, ServiceError> {
        let configure_error = |source| ServiceError::Configure { service: "graphite", source };
        self.write_configuration().map_err(configure_error)?;
        let environment = self.python.parent().map(Path::to_owned).unwrap_or_default();
        let migrate = self.python(WEB).args(["-m", "django", "migrate", "--run-syncdb", "--verbosity", "0"]);
        let migration = self.launcher.launch(&migrate)?;
        let ended = timeout(self.deadline, migration.wait()).await;
        let status = ended.map_err(|_late| ServiceError::not_ready(&migration, self.deadline))?;
        if !status.success() {
            return Err(ServiceError::ended(&migration, status));
        }
        let carbon = self
            .python(CARBON)
            .arg(environment.join("carbon-cache.py"))
            .arg(format!("--config={}", self.conf().join("carbon.conf").display()))
            .arg(format!("--pidfile={}", self.storage().join("carbon.pid").display()))
            .arg(format!("--logdir={}", self.storage().join("log").display()))
            .args(["--nodaemon", "start"]);
        let web = self
            .python(WEB)
            .args(["-m", "gunicorn", "--no-control-socket", "--workers=1", "--threads=2"])
            .arg(format!("--bind=127.0.0.1:{}", self.http_port))
            .arg("graphite.wsgi:application");
        let (carbon, web) = (self.launcher.launch(&carbon)?, self.launcher.launch(&web)?);
        await_ready(&[&carbon, &web], &web, self.deadline, async || {
            TcpStream::connect(("127.0.0.1", self.line_port)).await.is_ok()
                && answers(self.http_port, "/render?target=none&format=json").await
        })
        .await?;
        let url = format!("http://127.0.0.1:{}", self.http_port);
        Ok(Graphite { carbon, web, url, whisper_dir: self.storage().join("whisper") })
    }

    fn conf(&self) -> PathBuf {
        self.folder.conf().join("graphite")
    }

    fn storage(&self) -> PathBuf {
        self.folder.root().join("graphite")
    }

    fn write_configuration(&self) -> io::Result<()> {
        remove_tree(&self.storage())?;
        for folder in [self.conf(), self.storage().join("whisper"), self.storage().join("log/webapp")] {
            fs::create_dir_all(folder)?;
        }
        fs::write(self.conf().join("carbon.conf"), self.carbon_conf())?;
        fs::write(self.conf().join("storage-schemas.conf"), SCHEMAS)?;
        fs::write(self.conf().join("storage-aggregation.conf"), AGGREGATION)?;
        fs::write(self.conf().join("graphite_local_settings.py"), SETTINGS)
    }

    fn carbon_conf(&self) -> String {
        let [pickle, query] = self.inner_ports;
        let (line, http) = (self.line_port, self.http_port);
        format!(
            "[cache]\nUSER =\nDATABASE = whisper\n\
             LINE_RECEIVER_INTERFACE = 127.0.0.1\nLINE_RECEIVER_PORT = {line}\n\
             PICKLE_RECEIVER_INTERFACE = 127.0.0.1\nPICKLE_RECEIVER_PORT = {pickle}\n\
             CACHE_QUERY_INTERFACE = 127.0.0.1\nCACHE_QUERY_PORT = {query}\n\
             ENABLE_TAGS = False\nGRAPHITE_URL = http://127.0.0.1:{http}\n\
             MAX_CACHE_SIZE = inf\nMAX_UPDATES_PER_SECOND = inf\nMAX_CREATES_PER_MINUTE = inf\n\
             LOG_UPDATES = False\nLOG_CREATES = False\nLOG_CACHE_HITS = False\nLOG_CACHE_QUEUE_SORTS = False\n\
             CACHE_WRITE_STRATEGY = naive\nWHISPER_AUTOFLUSH = False\nWHISPER_FALLOCATE_CREATE = True\n"
        )
    }

    fn python(&self, name: &str) -> ProcessSpec {
        let root = self.python.parent().and_then(Path::parent).unwrap_or(Path::new("/"));
        ProcessSpec::new(name, self.python, self.folder.log_of(name))
            .env("GRAPHITE_ROOT", root)
            .env("GRAPHITE_CONF_DIR", self.conf())
            .env("GRAPHITE_STORAGE_DIR", self.storage())
            .env("DJANGO_SETTINGS_MODULE", "graphite.settings")
            .env("GRAPHITE_SETTINGS_MODULE", "graphite_local_settings")
            .env("TESTBED_CARBONLINK", format!("127.0.0.1:{}", self.inner_ports[1]))
            .env("PYTHONPATH", self.conf())
            .env("PYTHONDONTWRITEBYTECODE", "1")
    }
}

/// Whether a `GET` of this path on this port returns 200.
pub(crate) async fn answers(port: u16, path: &str) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut head = [0; 12];
        stream.read_exact(&mut head).await?;
        Ok::<bool, io::Error>(head.starts_with(b"HTTP/1.") && head.ends_with(b" 200"))
    };
    timeout(PROBE_DEADLINE, ask).await.is_ok_and(|answer| answer.unwrap_or(false))
}
