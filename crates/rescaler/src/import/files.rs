//! Our files with old values in them: the commented examples of `configs`, in which only values are changed.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use job_config::JobDocument;
use toml_edit::{DocumentMut, Item, Table, Value};

use super::ImportError;
use super::convert::ConvertedKeys;
use super::keys::Benchmark;
use super::load::Profile;
use crate::config::Config;

const RESCALER: &str = include_str!("../../../../configs/rescaler.toml");
const NEXMARK: &str = include_str!("../../../../configs/jobs/nexmark.toml");
const PSM: &str = include_str!("../../../../configs/jobs/psm.toml");
const PRODUCER: &str = include_str!("../../../../configs/event-producer.toml");

/// What the preset `thesis` of the generator says, so that the file does not say it again.
const OF_PRESET: [&str; 6] =
    ["persons", "auctions", "bids", "hot_auction_ratio", "hot_seller_ratio", "hot_bidder_ratio"];

/// A file to write.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NewFile {
    pub name: PathBuf,
    pub text: String,
}

/// The files that say what the old ones said, as our own readers accept them.
///
/// # Errors
/// [`ImportError::Values`] for old values that cannot be used, all together; [`ImportError::Refused`] where our readers find
/// more that is wrong.
pub(super) fn write(
    taken: &mut ConvertedKeys,
    reason: &str,
    now: Timestamp,
) -> Result<Vec<NewFile>, ImportError> {
    if taken.benchmark.is_none() && taken.problems.is_empty() {
        taken.problems.push("benchmark: missing in all files; set it to nexmark or psm".to_owned());
    }
    let profile = match (&taken.load, taken.benchmark) {
        (Some(load), Some(benchmark)) => load.profile(benchmark).map(Some),
        _ => Ok(None),
    };
    let profile = profile.unwrap_or_else(|problem| {
        taken.problems.push(problem);
        None
    });
    let Some(benchmark) = taken.benchmark.filter(|_| taken.problems.is_empty()) else {
        return Err(ImportError::Values { problems: std::mem::take(&mut taken.problems) });
    };
    let mut files = Vec::new();
    if taken.has_job {
        files.push(rescaler(taken)?);
        files.push(document(taken, benchmark, reason, now)?);
    }
    if let Some(profile) = profile {
        files.push(producer(taken, benchmark, &profile)?);
    }
    Ok(files)
}

fn job(taken: &ConvertedKeys) -> &str {
    taken.job.as_deref().or(taken.benchmark.map(Benchmark::name)).unwrap_or("nexmark")
}

fn rescaler(taken: &ConvertedKeys) -> Result<NewFile, ImportError> {
    let name = Path::new("rescaler.toml");
    let mut text = template(RESCALER)?;
    set(&mut text, "job", job(taken).into());
    for (key, value) in &taken.rescaler {
        set(&mut text, key, value.clone());
    }
    if taken.rescaler.contains_key("source.folder") {
        set(&mut text, "source.kind", "whisper".into());
    }
    match (&taken.flink_host, &taken.flink_port) {
        (Some(host), _) if host.contains("://") => set(&mut text, "flink.url", host.into()),
        (None, None) => {}
        (host, port) => {
            let host = host.as_deref().unwrap_or("127.0.0.1");
            let port = port.as_deref().unwrap_or("8081");
            set(&mut text, "flink.url", format!("http://{host}:{port}").into());
        }
    }
    let text = text.to_string();
    Config::parse(&text, name)
        .map_err(|error| ImportError::Refused { file: name.into(), source: error.into() })?;
    Ok(NewFile { name: name.into(), text })
}

fn document(
    taken: &ConvertedKeys,
    benchmark: Benchmark,
    reason: &str,
    now: Timestamp,
) -> Result<NewFile, ImportError> {
    let name = PathBuf::from(format!("jobs/{}.toml", job(taken)));
    let mut text = template(match benchmark {
        Benchmark::Nexmark => NEXMARK,
        Benchmark::Psm => PSM,
    })?;
    set(&mut text, "job", job(taken).into());
    set(&mut text, "issued_at", now.to_string().into());
    set(&mut text, "reason", reason.into());
    for (key, value) in &taken.document {
        set(&mut text, key, value.clone());
    }
    keep_transactions_open(&mut text);
    // In the prototype a query that is not named does not run. A file that names none says nothing of queries.
    for number in benchmark.queries().filter(|_| !taken.queries.is_empty()) {
        let active = taken.queries.get(&number).copied().unwrap_or(false);
        set(&mut text, &format!("queries.q{number}.enabled"), active.into());
    }
    if let Some(table) = table(&mut text, "parallelism.operators") {
        table.clear();
        for (uid, width) in &taken.operators {
            table.insert(uid, toml_edit::value(*width));
        }
    }
    let text = text.to_string();
    JobDocument::parse(&text)
        .map_err(|error| ImportError::Refused { file: name.clone(), source: error.into() })?;
    Ok(NewFile { name, text })
}

/// A transaction is open until the checkpoint after it has ended; the job refuses a shorter time.
fn keep_transactions_open(text: &mut DocumentMut) {
    let number = |text: &DocumentMut, table: &str, key: &str| {
        text.get(table).and_then(|table| table.get(key)).and_then(Item::as_integer).unwrap_or(0)
    };
    let needed = number(text, "checkpoint", "interval_ms") + number(text, "checkpoint", "timeout_ms");
    if number(text, "sink", "transaction_timeout_ms") < needed {
        set(text, "sink.transaction_timeout_ms", needed.into());
    }
}

fn producer(taken: &ConvertedKeys, benchmark: Benchmark, profile: &Profile) -> Result<NewFile, ImportError> {
    let mut text = template(PRODUCER)?;
    set(&mut text, "benchmark", benchmark.name().into());
    if let Some(table) = table(&mut text, "profile") {
        table.remove("rate");
    }
    set(&mut text, "profile.kind", "thesis".into());
    set(&mut text, "profile.low", profile.low.into());
    set(&mut text, "profile.maximum", profile.maximum.into());
    set(&mut text, "profile.change_interval_s", profile.change_interval_s.into());
    set(&mut text, "nexmark.preset", "thesis".into());
    if let Some(table) = table(&mut text, "nexmark") {
        OF_PRESET.iter().for_each(|key| drop(table.remove(key)));
    }
    for (key, value) in &taken.producer {
        set(&mut text, key, value.clone());
    }
    Ok(NewFile { name: "event-producer.toml".into(), text: text.to_string() })
}

fn template(text: &str) -> Result<DocumentMut, ImportError> {
    text.parse().map_err(ImportError::Template)
}

fn table<'a>(text: &'a mut DocumentMut, dotted: &str) -> Option<&'a mut Table> {
    dotted.split('.').try_fold(text.as_table_mut(), |table, name| table.get_mut(name)?.as_table_mut())
}

/// Sets a value. The comment behind the old one stays, and where there is room in its column.
fn set(text: &mut DocumentMut, dotted: &str, new: Value) {
    let (above, key) = dotted.rsplit_once('.').unwrap_or(("", dotted));
    let table = if above.is_empty() { Some(text.as_table_mut()) } else { table(text, above) };
    let Some(table) = table else { return };
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) => {
            let width = |value: &Value| value.clone().decorated("", "").to_string().chars().count();
            let suffix = old.decor().suffix().and_then(|suffix| suffix.as_str()).unwrap_or_default();
            let comment = suffix.trim_start();
            let room = (width(old) + suffix.len() - comment.len()).saturating_sub(width(&new)).max(1);
            let space = if comment.is_empty() { 0 } else { room };
            *old = new.decorated(" ", format!("{:space$}{comment}", ""));
        }
        None => drop(table.insert(key, toml_edit::value(new))),
    }
}
