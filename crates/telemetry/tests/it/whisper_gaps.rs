//! A folder of Whisper files in which something cannot be read: the job is unknown then, and never smaller than it is.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use telemetry::{Bounds, MappingSettings, MetricSource, Sample, StoreKind, StoreSettings};

/// A file with one archive of a point a second, and a value at each of the last seconds.
fn file(newest: u32, value: f64) -> Vec<u8> {
    const POINTS: u32 = 120;
    let mut bytes = [1, POINTS, 0.5_f32.to_bits(), 1, 28, 1, POINTS].map(u32::to_be_bytes).concat();
    let first = newest - POINTS + 1;
    for slot in 0..POINTS {
        bytes.extend((first + slot).to_be_bytes());
        bytes.extend((value + f64::from(slot)).to_be_bytes());
    }
    bytes
}

struct Store {
    folder: tempfile::TempDir,
    newest: u32,
}

impl Store {
    /// A job of one operator with this many subtasks, each on a task manager of its own.
    fn new(subtasks: u32) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let store = Self { folder: tempfile::tempdir().unwrap(), newest: u32::try_from(now).unwrap() + 30 };
        for subtask in 0..subtasks {
            store.subtask(
                "nexmark",
                subtask,
                &store.path().join(format!("h.taskmanager.tm{subtask}").replace('.', "/")),
            );
        }
        store
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes the files of a subtask below the folder of a task manager, and returns their folder.
    fn subtask(&self, job: &str, subtask: u32, task_manager: &Path) -> PathBuf {
        let folder = task_manager.join(job).join("q7").join(subtask.to_string());
        for metric in ["numRecordsIn/count.wsp", "numRecordsOut/count.wsp", "accumulateBusyTimeMs.wsp"] {
            let path = folder.join(metric);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file(self.newest, 1000.0)).unwrap();
        }
        folder
    }

    /// The parallelism of the only operator, or the error with its causes.
    async fn parallelism(&self) -> Result<u32, String> {
        let settings = StoreSettings {
            kind: StoreKind::Whisper { folder: self.path().to_owned() },
            interval: Duration::from_secs(1),
            lookback: Duration::from_secs(60),
            bounds: Bounds { timeout: Duration::from_secs(30), max_body_bytes: 1 << 20, max_series: 100 },
            access: http_client::Access::default(),
            mapping: MappingSettings::default(),
        };
        let sampled = MetricSource::store(settings, "nexmark", None).unwrap().sample().await;
        sampled.map(|Sample { vertices, .. }| vertices[0].parallelism).map_err(|error| {
            let causes = std::iter::successors(std::error::Error::source(&error), |cause| cause.source());
            causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
        })
    }
}

/// Goal: subtasks behind a link to a folder, or to a file, count; a link that leads back is not followed for ever.
#[tokio::test]
async fn links_are_followed() {
    let store = Store::new(1);
    let elsewhere = tempfile::tempdir().unwrap();
    store.subtask("nexmark", 1, elsewhere.path());
    symlink(elsewhere.path(), store.path().join("h/taskmanager/tm9")).unwrap();
    symlink(store.path(), store.path().join("h/again")).unwrap();
    assert_eq!(store.parallelism().await, Ok(2));
    let whole = store.subtask("other", 2, &store.path().join("h/taskmanager/tm3"));
    let files = store.path().join("h/taskmanager/tm3/nexmark/q7/2");
    std::fs::create_dir_all(&files).unwrap();
    symlink(whole.join("accumulateBusyTimeMs.wsp"), files.join("accumulateBusyTimeMs.wsp")).unwrap();
    assert_eq!(store.parallelism().await, Ok(3));
}

/// Goal: a file of the job that is empty or cut makes the job unknown, with the file and the remedy; one of another job does not.
#[tokio::test]
async fn a_broken_file_makes_the_job_unknown() {
    let store = Store::new(2);
    let path = store.path().join("h/taskmanager/tm1/nexmark/q7/1/numRecordsIn/count.wsp");
    for content in [Vec::new(), file(store.newest, 1.0)[..500].to_vec()] {
        std::fs::write(&path, content).unwrap();
        let reason = store.parallelism().await.unwrap_err();
        for part in ["count.wsp", "not a complete Whisper file", "remove it", "source.graph"] {
            assert!(reason.contains(part), "{reason}");
        }
    }
    std::fs::remove_file(&path).unwrap();
    assert_eq!(store.parallelism().await, Ok(2));
    let other = store.subtask("other", 0, &store.path().join("h/taskmanager/tm1"));
    std::fs::write(other.join("accumulateBusyTimeMs.wsp"), "").unwrap();
    assert_eq!(store.parallelism().await, Ok(2));
}

/// Goal: a folder that cannot be listed makes the job unknown, with the folder and the remedy. What a file system check keeps does not.
#[tokio::test]
async fn an_unreadable_folder_makes_the_job_unknown() {
    let store = Store::new(2);
    let closed = store.path().join("h/taskmanager/tm1/nexmark");
    let mode = |mode| std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o000);
    // Root may list everything; then a link into nothing that can be looked at takes its place.
    if std::fs::read_dir(&closed).is_err() {
        let reason = store.parallelism().await.unwrap_err();
        assert!(reason.contains("tm1/nexmark") && reason.contains("make it readable"), "{reason}");
    }
    mode(0o755);
    assert_eq!(store.parallelism().await, Ok(2));
    let lost = store.path().join("lost+found");
    symlink(&lost, &lost).unwrap();
    assert_eq!(store.parallelism().await, Ok(2));
    let endless = store.path().join("h/taskmanager/tm9");
    symlink(&endless, &endless).unwrap();
    let reason = store.parallelism().await.unwrap_err();
    assert!(reason.contains("h/taskmanager") && reason.contains("make it readable"), "{reason}");
}
