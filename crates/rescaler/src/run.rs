//! `rescaler run`: determines the effective configuration, and watches with it.

use std::path::{Path, PathBuf};

use clap::Args;
use policies::PolicyName;
use secrets::Address;
use service::settings::COMMAND_LINE;
use service::{ConfigError, Problems};

use crate::cli::DEFAULT_CONFIG;
use crate::cluster_jobs::{JobPattern, JobSelection};
use crate::config::{Config, DATA};
use crate::config_file::ConfigFile;
use crate::http::Listen;
use crate::overrides::{self, Overrides};
use crate::{placement, watch};

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Configuration file; by default configs/rescaler.toml, or none with --flink. With --flink its job, flink.url and
    /// placements are ignored.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// URL of Flink: rescale the job that runs there in place, without a drop, an agent or a configuration file.
    #[arg(long, value_name = "URL")]
    flink: Option<Address>,
    /// With --flink: name or id of the job, if several run. With --all-jobs: a pattern (* and ?); repeatable.
    #[arg(long, value_name = "NAME|ID", requires = "flink")]
    job: Vec<String>,
    /// With --flink: all jobs of the cluster, also later ones, except those with the parameter `rescaler.enabled: false`.
    #[arg(long, requires = "flink")]
    all_jobs: bool,
    /// With --all-jobs: skip jobs whose name or id matches this pattern (* and ?); repeatable.
    #[arg(long, value_name = "PATTERN", requires = "all_jobs")]
    except: Vec<String>,
    /// With --flink: folder for documents, journals and reports.
    #[arg(long, value_name = "FOLDER", default_value = DATA, requires = "flink")]
    data: PathBuf,
    /// With --flink: program that applies plans instead of rescaling in place; it gets each plan as JSON on standard input
    /// (docs/by-command.md). Repeat the option for its arguments.
    #[arg(long, value_name = "WORD", allow_hyphen_values = true, requires = "flink")]
    apply_with: Vec<String>,
    /// Decide and record, but publish nothing.
    #[arg(long)]
    dry_run: bool,
    /// Address of the page and the metrics, instead of `http.listen`; `off`: do not serve them.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<Listen>,
    /// Check the configuration, print it with all defaults, and exit.
    #[arg(long)]
    check_config: bool,
    #[command(flatten)]
    overrides: Overrides,
}

/// Watches until `shutdown` ends; with `--check-config` returns the configuration.
///
/// # Errors
/// The configuration is invalid, or all jobs have failed.
pub(crate) async fn run(run: Run, shutdown: impl Future<Output = ()>) -> anyhow::Result<Option<String>> {
    let mut config_file = run.config_file()?;
    if let Some(listen) = run.listen {
        config_file.http_mut().listen = listen;
    }
    if run.check_config {
        watch::check_http(config_file.http())?;
        tracing::info!("the configuration is valid");
        return Ok(Some(serde_json::to_string_pretty(&config_file)?));
    }
    if let (Some(_), ConfigFile::One(config)) = (&run.flink, &mut config_file) {
        if run.all_jobs {
            tracing::info!("all jobs of {}: {}", config.flink.url, policy_line(config));
            let selection = run.selection()?;
            watch::run_all((**config).clone(), &run.data, selection, run.dry_run, shutdown).await?;
            return Ok(None);
        }
        placement::embed(config, &run.data, run.job.first().map(String::as_str)).await?;
        tracing::info!("{}", policy_line(config));
    }
    watch::run(config_file, run.dry_run, shutdown).await?;
    Ok(None)
}

impl Run {
    /// Selection of the cluster's jobs.
    fn selection(&self) -> Result<JobSelection, ConfigError> {
        let read = |option: &str, texts: &[String]| -> Result<Vec<JobPattern>, ConfigError> {
            let refused =
                |problem: regex::Error| ConfigError::new(COMMAND_LINE, format!("{option}: {problem}"));
            texts.iter().map(|text| JobPattern::new(text).map_err(refused)).collect()
        };
        Ok(JobSelection { only: read("--job", &self.job)?, except: read("--except", &self.except)? })
    }

    fn config_file(&self) -> Result<ConfigFile, ConfigError> {
        if self.job.len() > 1 && !self.all_jobs {
            let problem = "--job: several jobs need --all-jobs";
            return Err(ConfigError::new(COMMAND_LINE, problem));
        }
        let mut above = self.overrides.table()?;
        let Some(url) = &self.flink else {
            return ConfigFile::load_over(
                self.config.as_deref().unwrap_or(Path::new(DEFAULT_CONFIG)),
                &above,
            );
        };
        above.insert("job".to_owned(), "job".into());
        above.insert("flink".to_owned(), with_url(above.get("flink"), url));
        let mut config = match &self.config {
            Some(path) => ConfigFile::load_job_over(path, None, &above)?,
            None => overrides::over_defaults(above)?,
        };
        if !self.apply_with.is_empty() {
            config.placement.command.clone_from(&self.apply_with);
        }
        // Only Flink knows its name, and --check-config does not connect to Flink.
        let called = self.job.first().filter(|_| !self.all_jobs).cloned().unwrap_or_default();
        let folder = if called.is_empty() { "job" } else { &called };
        placement::embed_as(&mut config, &self.data, folder, &called);
        Ok(ConfigFile::One(Box::new(config.check(Problems::new(COMMAND_LINE))?)))
    }
}

fn with_url(flink: Option<&toml::Value>, url: &Address) -> toml::Value {
    let mut flink = flink.and_then(toml::Value::as_table).cloned().unwrap_or_default();
    flink.insert("url".to_owned(), url.reveal().into());
    flink.into()
}

/// Describes the policy, and how to choose another.
fn policy_line(config: &Config) -> String {
    let bound_ms = config.latency_max_ms().unwrap_or_default();
    match config.policy.name {
        PolicyName::Slo => format!("policy slo: keep event latency below {bound_ms} ms with as few slots as possible"),
        PolicyName::Latency => format!("policy latency: widen the slowest operators when the latency of a query reaches {bound_ms} ms"),
        PolicyName::Ds2 => "policy ds2: scale by utilisation; to keep a latency bound with as few slots as possible, add for example \
                      --latency-bound 2s (policy slo)"
            .to_owned(),
        PolicyName::External => "policy external: plans come from the configured program".to_owned(),
    }
}
