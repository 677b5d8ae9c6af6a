//! What `[kafka]` may say: ranges, and what the transport `batches` can do. `[kafka.properties]` is looked at beside it.

use service::settings::{out_of_range, refusal};

use super::file::KafkaSection;
use crate::window::SCHEDULED;

impl KafkaSection {
    /// Every key that cannot be used, as `key: what would be right`. Nothing is read.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.bootstrap_servers.trim().is_empty() {
            problems.push("kafka.bootstrap_servers = \"\": give host:port".to_owned());
        }
        if self.bootstrap_servers.contains('@') {
            let remedy =
                "give host:port without a user name; set \"sasl.username\" in kafka.properties instead";
            problems.push(format!("kafka.bootstrap_servers: {remedy}"));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if self.topic_prefix.len() > 100 || !self.topic_prefix.chars().all(allowed) {
            let prefix = &self.topic_prefix;
            let remedy = "use at most 100 letters, digits, '.', '_' and '-'";
            problems.push(refusal("kafka.topic_prefix", format!("{prefix:?}"), remedy));
        }
        let one_of = [
            ("acks", &self.acks, &["all", "1", "0"][..]),
            ("compression", &self.compression, &["none", "lz4", "gzip", "snappy", "zstd"]),
        ];
        for (key, value, known) in one_of {
            if !known.contains(&value.as_str()) {
                let remedy = format!("give one of {}", known.join(", "));
                problems.push(refusal(&format!("kafka.{key}"), format!("{value:?}"), remedy));
            }
        }
        if self.idempotence && ["1", "0"].contains(&self.acks.as_str()) {
            let remedy =
                "conflicts with idempotence, which needs \"all\"; set that, or kafka.idempotence = false";
            problems.push(refusal("kafka.acks", format!("{:?}", self.acks), remedy));
        }
        let ranges = [
            ("linger_ms", self.linger_ms, 0, 60_000),
            ("max_in_flight", self.max_in_flight.unwrap_or(SCHEDULED), 1, 10_000_000),
            ("queue_kib", self.queue_kib, 1, 2_097_151),
            ("delivery_timeout_ms", self.delivery_timeout_ms, self.linger_ms.saturating_add(1), 3_600_000),
            ("connect_timeout_ms", self.connect_timeout_ms, 1, 3_600_000),
            ("flush_timeout_ms", self.flush_timeout_ms, 1, 3_600_000),
            // A broker's own bound for a batch is 1 MiB, after compression.
            ("batches.batch_kib", self.batches.batch_kib, 1, 900),
            ("batches.request_kib", self.batches.request_kib, 1, 65_536),
            ("batches.requests_in_flight", self.batches.requests_in_flight, 1, 5),
            ("batches.request_timeout_ms", self.batches.request_timeout_ms, 100, 3_600_000),
            ("batches.retry_backoff_ms", self.batches.retry_backoff_ms, 1, 60_000),
        ];
        for (key, value, from, to) in ranges {
            problems.extend(out_of_range(&format!("kafka.{key}"), value, &(from..=to)));
        }
        problems.extend(self.properties.problems());
        problems
    }

    /// Why the transport `batches` cannot do what is configured, if that is so.
    pub(crate) fn unsuitable_for_batches(&self) -> Option<String> {
        if let Some(key) = self.properties.0.keys().next() {
            return Some(format!("kafka.properties.{key} is a setting of librdkafka"));
        }
        if !self.idempotence || self.acks != "all" {
            return Some("it is always idempotent, with acks = \"all\"".to_owned());
        }
        let compression = &self.compression;
        (!["none", "lz4"].contains(&compression.as_str()))
            .then(|| format!("compression = {compression:?} is not none or lz4"))
    }
}
