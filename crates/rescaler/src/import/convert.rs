//! Old keys, one after the other, become values of ours, and for each is told what became of it.

use std::collections::BTreeMap;

use toml_edit::Value as Toml;

use super::keys::{Benchmark, File, KeyMapping, ValueFormat, is_of_producer, mapping};
use super::load::Load;
use super::yaml::{Entry, Value};

/// What old files say, in our words.
#[derive(Debug, Default)]
pub(super) struct ConvertedKeys {
    pub benchmark: Option<Benchmark>,
    pub job: Option<String>,
    /// Dotted keys of the rescaler's configuration.
    pub rescaler: BTreeMap<&'static str, Toml>,
    /// Dotted keys of the job document.
    pub document: BTreeMap<&'static str, Toml>,
    /// Dotted keys of the producer's configuration.
    pub producer: BTreeMap<&'static str, Toml>,
    pub operators: BTreeMap<String, i64>,
    pub queries: BTreeMap<u32, bool>,
    pub flink_host: Option<String>,
    pub flink_port: Option<String>,
    /// What the producer's file says of the load, if there is one.
    pub load: Option<Load>,
    /// Whether there is a job's or rescaler's file.
    pub has_job: bool,
    /// One line per key.
    pub remarks: Vec<String>,
    /// Keys that are not known.
    pub unknown: usize,
    /// Values that cannot be used.
    pub problems: Vec<String>,
}

/// Reads the keys of several files.
pub(super) fn convert(files: &[Vec<Entry>]) -> ConvertedKeys {
    let mut taken = ConvertedKeys::default();
    let is_producer = |file: &[Entry]| file.iter().any(|entry| is_of_producer(&entry.plain_key()));
    for entry in files.iter().flatten().filter(|entry| entry.plain_key() == "benchmark") {
        taken.benchmark(entry);
    }
    let mut seen = BTreeMap::new();
    for file in files {
        let producer = is_producer(file);
        if producer {
            taken.load.get_or_insert_default();
        } else {
            taken.has_job = true;
        }
        for entry in file {
            let earlier = *seen.entry((producer, entry.plain_key())).or_insert(entry);
            if earlier.value == entry.value {
                taken.entry(entry, producer);
            } else {
                taken.problem(entry, &format!("differs from {}:{}", earlier.file, earlier.line));
            }
        }
    }
    taken
}

impl ConvertedKeys {
    fn benchmark(&mut self, entry: &Entry) {
        let found = match text(entry) {
            Some("nexmark") => Benchmark::Nexmark,
            Some("psm") => Benchmark::Psm,
            _ => return self.problem(entry, "write nexmark or psm"),
        };
        match self.benchmark {
            Some(known) if known != found => self.problem(entry, "the files belong to different benchmarks"),
            _ => self.benchmark = Some(found),
        }
    }

    fn entry(&mut self, entry: &Entry, producer: bool) {
        let Some(mapping) = mapping(&entry.plain_key(), producer) else {
            self.unknown += 1;
            return self.note(entry, "NOT CONVERTED: unknown key");
        };
        match mapping {
            KeyMapping::NotNeeded(why) => self.note(entry, &format!("not needed: {why}")),
            KeyMapping::Elsewhere(place) => {
                self.unknown += 1;
                self.note(entry, &format!("NOT CONVERTED: set {place} yourself"));
            }
            KeyMapping::Benchmark => self.note(entry, "`benchmark`"),
            KeyMapping::JobName => self.job_name(entry),
            KeyMapping::Becomes(places, form) => self.becomes(entry, places, form),
            KeyMapping::Operator(benchmark, uid) => self.operator(entry, Some(benchmark), uid.to_owned()),
            KeyMapping::Sink(number) => {
                let first = if self.benchmark == Some(Benchmark::Psm) { 0 } else { 3 };
                self.operator(entry, None, format!("sink-q{}", number + first));
            }
            KeyMapping::Query(number) => self.query(entry, number),
            KeyMapping::FlinkHost => self.flink_host = self.word(entry, "`flink.url`"),
            KeyMapping::FlinkPort => {
                self.flink_port = self.word(entry, "`flink.url`");
                if self.flink_port.as_ref().is_some_and(|port| port.parse::<u16>().is_err()) {
                    self.problem(entry, "not a port");
                }
            }
            KeyMapping::Threads
            | KeyMapping::Low
            | KeyMapping::Maximum
            | KeyMapping::PauseMs
            | KeyMapping::ChangeIntervalMs => self.load(entry, mapping),
        }
    }

    fn load(&mut self, entry: &Entry, mapping: KeyMapping) {
        let Some(number) = self.integer(entry, 1) else { return };
        let load = self.load.get_or_insert_default();
        let place = match mapping {
            KeyMapping::Threads => &mut load.threads,
            KeyMapping::Low => &mut load.low,
            KeyMapping::Maximum => &mut load.maximum,
            KeyMapping::PauseMs => &mut load.pause_ms,
            _ => &mut load.change_interval_ms,
        };
        *place = Some(number);
        self.note(entry, "`profile`");
    }

    /// A job name of ours is made from any text.
    fn job_name(&mut self, entry: &Entry) {
        let Some(old) = self.word(entry, "`job`") else { return };
        let allowed = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
        let mut name: String = old.chars().map(|letter| letter.to_ascii_lowercase()).collect();
        name = name.replace(|letter: char| !allowed(letter) && !"._-".contains(letter), "-");
        let name: String = name.trim_start_matches(|letter| !allowed(letter)).chars().take(63).collect();
        match &self.job {
            Some(known) if *known != name => self.problem(entry, &format!("conflicts with job name {known}")),
            _ if name.is_empty() => self.problem(entry, "has no letter and no digit"),
            _ => self.job = Some(name),
        }
    }

    fn becomes(&mut self, entry: &Entry, places: &[(File, &'static str)], form: ValueFormat) {
        let value = match form {
            ValueFormat::Text => self.text(entry).map(Toml::from),
            ValueFormat::Count(factor) => self.integer(entry, 1).map(|number| Toml::from(number * factor)),
            ValueFormat::Size => self.integer(entry, 0).map(Toml::from),
            ValueFormat::Number => self.number(entry).map(Toml::from),
            ValueFormat::Is(word) => self.text(entry).map(|text| Toml::from(text.eq_ignore_ascii_case(word))),
        };
        let Some(value) = value else { return };
        for (file, key) in places {
            let values = match file {
                File::Rescaler => &mut self.rescaler,
                File::Document => &mut self.document,
                File::Producer => &mut self.producer,
            };
            values.insert(key, value.clone());
        }
        let keys: Vec<_> = places.iter().map(|(_, key)| format!("`{key}`")).collect();
        let keys = keys.join(" and ");
        match (form, text(entry)) {
            // The value is another one than the text, so that it is said what was made of it.
            (ValueFormat::Is(word), Some(text)) if text != word => {
                self.note(entry, &format!("{keys} = {value}, from {text:?}"));
            }
            _ => self.note(entry, &keys),
        }
    }

    fn operator(&mut self, entry: &Entry, benchmark: Option<Benchmark>, uid: String) {
        let Some(width) = self.integer(entry, 0) else { return };
        if benchmark.is_some() && benchmark != self.benchmark {
            return self.note(entry, "not needed: belongs to the other benchmark");
        }
        if width == 0 {
            return self.note(entry, "0: the default, as before");
        }
        self.note(entry, &format!("`parallelism.operators.{uid}`"));
        if self.operators.insert(uid.clone(), width).is_some_and(|earlier| earlier != width) {
            self.problem(entry, &format!("conflicts with another key that sets the parallelism of {uid}"));
        }
    }

    fn query(&mut self, entry: &Entry, number: u32) {
        let active = match text(entry).map(str::to_ascii_lowercase).as_deref() {
            Some("true") => true,
            Some("false") => false,
            _ => return self.problem(entry, "write true or false"),
        };
        if !self.benchmark.is_some_and(|benchmark| benchmark.queries().contains(&number)) {
            return self.note(entry, "not needed: belongs to the other benchmark");
        }
        self.queries.insert(number, active);
        self.note(entry, &format!("`queries.q{number}.enabled`"));
    }

    fn word(&mut self, entry: &Entry, becomes: &str) -> Option<String> {
        let word = self.text(entry)?;
        self.note(entry, becomes);
        Some(word)
    }

    fn text(&mut self, entry: &Entry) -> Option<String> {
        let found = text(entry).map(ToOwned::to_owned);
        if found.is_none() {
            self.problem(entry, "not a text");
        }
        found
    }

    fn integer(&mut self, entry: &Entry, least: i64) -> Option<i64> {
        // Large enough for all that is counted here, and small enough to be multiplied.
        const MOST: i64 = 1 << 40;
        let number =
            text(entry).and_then(|text| text.parse().ok()).filter(|number| (least..=MOST).contains(number));
        if number.is_none() {
            self.problem(entry, &format!("not an integer of at least {least}"));
        }
        number
    }

    fn number(&mut self, entry: &Entry) -> Option<f64> {
        let number = text(entry).and_then(|text| text.parse::<f64>().ok());
        let number = number.filter(|number| number.is_finite() && *number > 0.0);
        if number.is_none() {
            self.problem(entry, "not a number above 0; write the result of a formula");
        }
        number
    }

    fn note(&mut self, entry: &Entry, what: &str) {
        self.remarks.push(format!("{}: {what}", entry.place()));
    }

    fn problem(&mut self, entry: &Entry, what: &str) {
        self.problems.push(format!("{}: {what}", entry.place()));
    }
}

fn text(entry: &Entry) -> Option<&str> {
    match &entry.value {
        Value::Scalar(text) if !["", "~", "null"].contains(&text.trim()) => Some(text.trim()),
        _ => None,
    }
}
