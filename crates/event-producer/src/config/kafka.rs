//! What `[kafka]` may say: ranges, and which of librdkafka's properties this program's build of it has.
//!
//! TLS, all mechanisms of SASL but PLAIN, and zstd need libraries that are not built in. librdkafka itself would say so only when the
//! client is made, and in a message that may hold the value. Messages here name the key and the reason, never the value.

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;

use super::written::KafkaSection;
use crate::window::SCHEDULED;

/// What is set instead of this property.
const OWN_KEYS: [(&str, &str); 2] =
    [("bootstrap.servers", "kafka.bootstrap_servers"), ("metadata.broker.list", "kafka.bootstrap_servers")];

const NO_TLS: &str = "TLS is not built into this program; use \"plaintext\" or \"sasl_plaintext\", for example to a proxy on this \
                      machine that speaks TLS to the brokers";
const ONLY_PLAIN: &str =
    "of SASL only the mechanism PLAIN is built into this program; set \"sasl.mechanisms\" = \"PLAIN\"";
const NO_ZSTD: &str = "zstd is not built into this program; use none, lz4, gzip or snappy";

impl KafkaSection {
    /// Every key that cannot be used, as `key: what would be right`.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.bootstrap_servers.trim().is_empty() {
            problems.push("kafka.bootstrap_servers: empty; give host:port".to_owned());
        }
        if self.bootstrap_servers.contains('@') {
            let remedy =
                "give host:port without a user name; it belongs into \"sasl.username\" of kafka.properties";
            problems.push(format!("kafka.bootstrap_servers: {remedy}"));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if self.topic_prefix.len() > 100 || !self.topic_prefix.chars().all(allowed) {
            let prefix = &self.topic_prefix;
            let remedy = "use at most 100 letters, digits, '.', '_' and '-'";
            problems.push(format!("kafka.topic_prefix: {prefix:?}; {remedy}"));
        }
        let one_of = [
            ("acks", &self.acks, &["all", "1", "0"][..]),
            ("compression", &self.compression, &["none", "lz4", "gzip", "snappy"]),
        ];
        for (key, value, known) in one_of {
            if !known.contains(&value.as_str()) {
                problems.push(format!("kafka.{key}: {value:?} is not one of {}", known.join(", ")));
            }
        }
        if self.idempotence && ["1", "0"].contains(&self.acks.as_str()) {
            let acks = &self.acks;
            problems.push(format!("kafka.acks: {acks:?} with idempotence; idempotence needs \"all\""));
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
            if !(from..=to).contains(&value) {
                problems.push(format!("kafka.{key}: {value} is not between {from} and {to}"));
            }
        }
        let properties = self.properties.iter();
        let bad = properties.filter_map(|(key, value)| {
            Some(format!("kafka.properties.{key}: {}", property_problem(key, value.reveal())?))
        });
        problems.extend(bad);
        problems.extend(self.sasl_problem());
        problems
    }

    /// Why the transport `batches` cannot do what is configured, if that is so.
    pub(crate) fn unsuitable_for_batches(&self) -> Option<String> {
        if let Some(key) = self.properties.keys().next() {
            return Some(format!("kafka.properties.{key} is a setting of librdkafka"));
        }
        if !self.idempotence || self.acks != "all" {
            return Some("it is always idempotent, with acks = \"all\"".to_owned());
        }
        let compression = &self.compression;
        (!["none", "lz4"].contains(&compression.as_str()))
            .then(|| format!("compression = {compression:?} is not none or lz4"))
    }

    /// What lacks for SASL, where every property by itself is right.
    fn sasl_problem(&self) -> Option<String> {
        let value = |key: &str| self.properties.get(key).map(|value| value.reveal());
        let protocol = value("security.protocol")?;
        let is_sasl = protocol.eq_ignore_ascii_case("sasl_plaintext");
        let has_mechanism = value("sasl.mechanisms").or(value("sasl.mechanism")).is_some();
        let has_user = value("sasl.username").and(value("sasl.password")).is_some();
        match (is_sasl, has_mechanism, has_user) {
            (true, false, _) => Some(format!("kafka.properties.sasl.mechanisms: {ONLY_PLAIN}")),
            (true, true, false) => Some(
                "kafka.properties.sasl.username: set \"sasl.username\" and \"sasl.password\" for PLAIN"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// Why a property cannot be used.
fn property_problem(key: &str, value: &str) -> Option<String> {
    if let Some((_, own)) = OWN_KEYS.iter().find(|(reserved, _)| *reserved == key) {
        return Some(format!("set {own} instead"));
    }
    let is = |words: &[&str]| words.iter().any(|word| value.trim().eq_ignore_ascii_case(word));
    match key {
        "security.protocol" if is(&["ssl", "sasl_ssl"]) => Some(NO_TLS.to_owned()),
        "sasl.mechanism" | "sasl.mechanisms" if value.trim() != "PLAIN" => Some(ONLY_PLAIN.to_owned()),
        "compression.codec" | "compression.type" if is(&["zstd"]) => Some(NO_ZSTD.to_owned()),
        key if key.starts_with("ssl.") => Some(NO_TLS.to_owned()),
        key if key.starts_with("sasl.kerberos.") || key.contains("sasl.oauthbearer") => {
            Some(ONLY_PLAIN.to_owned())
        }
        _ => {
            let mut config = ClientConfig::new();
            config.set(key, value);
            Some(refusal(&config.create_native_config().err()?))
        }
    }
}

/// Why librdkafka refuses a property or all of them together, without any value.
pub(crate) fn refusal(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, _, key, _) => {
            format!("librdkafka has no property {key:?}")
        }
        KafkaError::ClientConfig(_, reason, _, value) => {
            // The value is part of some reasons, and may be short enough to be found in any.
            let is_harmless = value.is_empty() || (value.len() > 2 && !reason.contains(value.as_str()));
            let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
            if is_harmless { reason } else { "librdkafka does not take this value".to_owned() }
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn problems(properties: &[(&str, &str)]) -> String {
        let pair =
            |(key, value): &(&str, &str)| ((*key).to_owned(), secrets::Secret::from((*value).to_owned()));
        let properties: BTreeMap<_, _> = properties.iter().map(pair).collect();
        KafkaSection { properties, ..KafkaSection::default() }.problems().join("; ")
    }

    /// Goal: what this build of librdkafka cannot do is refused before a client is made, with the key and what to do.
    #[test]
    fn what_is_not_built_in_is_refused() {
        for (properties, parts) in [
            (
                &[("security.protocol", "SSL")][..],
                &["security.protocol", "TLS is not built", "sasl_plaintext"][..],
            ),
            (
                &[("security.protocol", "sasl_ssl"), ("sasl.mechanisms", "PLAIN")],
                &["security.protocol", "TLS"],
            ),
            (&[("ssl.ca.location", "/ca.pem")], &["ssl.ca.location", "TLS"]),
            (
                &[("security.protocol", "SASL_PLAINTEXT"), ("sasl.mechanisms", "GSSAPI")],
                &["sasl.mechanisms", "PLAIN"],
            ),
            (&[("sasl.mechanism", "SCRAM-SHA-512")], &["sasl.mechanism", "PLAIN"]),
            // Without a mechanism librdkafka takes GSSAPI.
            (&[("security.protocol", "sasl_plaintext")], &["sasl.mechanisms", "PLAIN"]),
            (&[("security.protocol", "sasl_plaintext"), ("sasl.mechanisms", "PLAIN")], &["sasl.username"]),
            (&[("compression.type", "zstd")], &["compression.type", "zstd is not built"]),
            (&[("compression.codec", "zstd")], &["compression.codec", "zstd"]),
            (&[("bootstrap.servers", "127.0.0.1:2")], &["bootstrap.servers", "kafka.bootstrap_servers"]),
            (&[("linger.msec", "5")], &["linger.msec", "no property"]),
            (&[("socket.timeout.ms", "soon")], &["socket.timeout.ms"]),
        ] {
            let found = problems(properties);
            parts.iter().for_each(|part| assert!(found.contains(part), "{properties:?}: {found}"));
        }
    }

    /// Goal: no refusal holds the value of a property, whatever its key.
    #[test]
    fn no_refusal_holds_a_value() {
        for key in [
            "sasl.passwrd",
            "sasl.jaas.config",
            "socket.timeout.ms",
            "acks",
            "security.protocol",
            "ssl.key.pem",
            "pw",
        ] {
            for value in ["hunter2", "org.apache.PlainLoginModule required password=hunter2;"] {
                let found = problems(&[(key, value)]);
                assert!(found.contains(key) && !found.contains("hunter2"), "{key}: {found}");
            }
        }
    }

    /// Goal: what works is accepted as before.
    #[test]
    fn what_works_is_accepted() {
        assert_eq!(problems(&[]), "");
        let plain = [
            ("security.protocol", "SASL_PLAINTEXT"),
            ("sasl.mechanisms", "PLAIN"),
            ("sasl.username", "ann"),
            ("sasl.password", "hunter2"),
        ];
        assert_eq!(problems(&plain), "");
        assert_eq!(problems(&[("socket.timeout.ms", "30000"), ("queue.buffering.max.messages", "50")]), "");
        assert_eq!(
            problems(&[
                ("message.max.bytes", "2000"),
                ("compression.type", "gzip"),
                ("security.protocol", "plaintext")
            ]),
            ""
        );
    }
}
