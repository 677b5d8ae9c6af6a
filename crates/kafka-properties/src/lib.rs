//! `[kafka.properties]` of every program: what this build of librdkafka can do, TLS and logins, and secrets that are kept elsewhere.
//!
//! Kerberos and OAuth need libraries that are not built in. librdkafka itself would say so only when the client is made, and in a
//! message that may hold the value. Messages here name the key and what to do, never the value.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::path::Path;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;
use secrets::{Secret, SecretSource, is_secret_key};
use serde::{Deserialize, Serialize, Serializer};
use service::with_causes;

/// What is set instead of this property.
const OWN_KEYS: [(&str, &str); 2] =
    [("bootstrap.servers", "kafka.bootstrap_servers"), ("metadata.broker.list", "kafka.bootstrap_servers")];

const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];
const NO_KERBEROS: &str = "Kerberos (GSSAPI) is not supported; set \"sasl.mechanisms\" to \"PLAIN\", \"SCRAM-SHA-256\" or \"SCRAM-SHA-512\", enabled at the brokers, too";
const NO_OAUTH: &str = "OAuth (OAUTHBEARER) is not supported; set \"sasl.mechanisms\" to \"PLAIN\", \"SCRAM-SHA-256\" or \"SCRAM-SHA-512\", enabled at the brokers, too";
const MECHANISM: &str = "set \"sasl.mechanisms\" to \"PLAIN\", \"SCRAM-SHA-256\" or \"SCRAM-SHA-512\", as enabled at the brokers; the default, Kerberos, is not supported";

/// The value of a property, or where it is kept.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(
    untagged,
    expecting = "write a string, { file = \"…\" } or { env = \"…\" }; quote keys that have dots"
)]
pub enum Property {
    /// A secret that is kept elsewhere.
    Kept(SecretSource),
    /// The value itself, which may be a secret, too.
    Text(Secret),
}

impl Serialize for Property {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Kept(source) => source.serialize(serializer),
            Self::Text(secret) => secret.serialize(serializer),
        }
    }
}

impl fmt::Debug for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept(source) => source.fmt(f),
            Self::Text(secret) => secret.fmt(f),
        }
    }
}

impl Property {
    /// The value, unless it is kept elsewhere.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Kept(_) => None,
            Self::Text(secret) => Some(secret.reveal()),
        }
    }
}

/// How a file that a property names is checked, and what to do if it cannot be used.
enum FileCheck {
    /// Certificates, or a folder of them.
    FileOrFolder(&'static str),
    /// Anything that all may read.
    Public(&'static str),
    /// A private key.
    Private(&'static str),
}

const FILES: [(&str, FileCheck); 5] = [
    (
        "ssl.ca.location",
        FileCheck::FileOrFolder(
            "the authorities (PEM) that signed the brokers' certificates, as a file or a folder",
        ),
    ),
    ("ssl.certificate.location", FileCheck::Public("the client certificate (PEM)")),
    ("ssl.crl.location", FileCheck::Public("the list of revoked certificates (PEM)")),
    ("ssl.key.location", FileCheck::Private("the private key (PEM) of the client certificate")),
    ("ssl.keystore.location", FileCheck::Private("the client certificate and its key (PKCS#12)")),
];

impl FileCheck {
    /// What is wrong with the file, if it cannot be used.
    fn problem(&self, path: &Path) -> Option<String> {
        let (checked, what): (Result<(), Box<dyn Error>>, _) = match self {
            Self::FileOrFolder(what) if path.is_dir() => {
                (std::fs::read_dir(path).map(drop).map_err(Box::from), what)
            }
            Self::FileOrFolder(what) | Self::Public(what) => {
                (files::open(path).map(drop).map_err(Box::from), what)
            }
            Self::Private(what) => (secrets::check(path).map_err(Box::from), what),
        };
        checked.err().map(|error| format!("{}: {}; name {what}", path.display(), with_causes(&*error)))
    }
}

/// Settings of librdkafka by their own names, as a configuration has them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Properties(pub BTreeMap<String, Property>);

/// Properties that cannot be used, each as `kafka.properties.KEY: what would be right`.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct InvalidProperties(pub Vec<String>);

impl Properties {
    /// The value of a property, unless it is kept elsewhere.
    fn value(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.text()
    }

    fn has(&self, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.0.contains_key(*key))
    }

    fn protocol_is(&self, protocols: &[&str]) -> bool {
        let protocol = self.value("security.protocol").unwrap_or("plaintext").trim();
        protocols.iter().any(|one| protocol.eq_ignore_ascii_case(one))
    }

    /// Whether connections are encrypted.
    fn is_tls(&self) -> bool {
        self.protocol_is(&["ssl", "sasl_ssl"])
    }

    /// Whether it is said whom to trust.
    fn names_authorities(&self) -> bool {
        self.has(&["ssl.ca.location", "ssl.ca.pem"])
    }

    /// Every property that cannot be used, as `key: what would be right`. Nothing is read.
    pub fn problems(&self) -> Vec<String> {
        let properties = self.0.iter();
        let bad = properties.filter_map(|(key, value)| {
            Some(format!("kafka.properties.{key}: {}", property_problem(key, value.text())?))
        });
        let mut problems: Vec<String> = bad.collect();
        problems.extend(self.login_problem());
        problems.extend(self.certificate_problem());
        problems.extend(self.idle_problem());
        problems
    }

    /// The properties with the secrets that are kept elsewhere, and with all files that it names checked.
    ///
    /// # Errors
    /// Every secret that cannot be read, every value that cannot be used, and every file that cannot, with its key and what to do.
    pub fn loaded(&self) -> Result<Self, InvalidProperties> {
        let (mut loaded, mut problems) = (self.clone(), Vec::new());
        for (key, property) in &mut loaded.0 {
            let Property::Kept(source) = &*property else { continue };
            let problem = match source.first_line() {
                Ok(secret) => {
                    let problem = property_problem(key, Some(secret.reveal()));
                    *property = Property::Text(secret);
                    problem
                }
                Err(error) => Some(with_causes(&error)),
            };
            problems.extend(problem.map(|problem| format!("kafka.properties.{key}: {problem}")));
        }
        for (key, named) in &FILES {
            // librdkafka's own word for the places where systems keep the authorities that they trust.
            let path = loaded.value(key).filter(|path| *path != "probe");
            let problem = path.and_then(|path| named.problem(Path::new(path)));
            problems.extend(problem.map(|problem| format!("kafka.properties.{key}: {problem}")));
        }
        if problems.is_empty() { Ok(loaded) } else { Err(InvalidProperties(problems)) }
    }

    /// Sets these properties, but for secrets that were not [`loaded`](Self::loaded).
    pub fn apply(&self, config: &mut ClientConfig) {
        // The OpenSSL that is built in knows no authorities, and looks for some only where these variables say.
        let has_variable =
            ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(|name| std::env::var_os(name).is_some());
        if self.is_tls() && !self.names_authorities() && !has_variable {
            config.set("ssl.ca.location", "probe");
        }
        for (key, value) in &self.0 {
            if let Some(text) = value.text() {
                config.set(key, text);
            }
        }
    }

    /// Why a client refuses its settings, without any secret of these properties.
    pub fn refusal(&self, error: &KafkaError) -> String {
        let reason = refusal(error);
        let secret = self.0.iter().filter(|(key, _)| is_secret_key(key));
        let mut secrets = secret.filter_map(|(_, value)| value.text()).filter(|value| !value.is_empty());
        if secrets.any(|value| reason.contains(value)) {
            return "the reason contains a secret and is hidden".to_owned();
        }
        reason
    }

    /// What lacks for a login, where every property by itself is right.
    fn login_problem(&self) -> Option<String> {
        if !self.protocol_is(&["sasl_plaintext", "sasl_ssl"]) {
            return None;
        }
        if !self.has(&["sasl.mechanisms", "sasl.mechanism"]) {
            return Some(format!("kafka.properties.sasl.mechanisms: {MECHANISM}"));
        }
        let lacks = ["sasl.username", "sasl.password"].into_iter().find(|key| !self.has(&[key]))?;
        Some(format!("kafka.properties.{lacks}: set \"sasl.username\" and \"sasl.password\" for the login"))
    }

    /// A certificate without its key, or a key without its certificate.
    fn certificate_problem(&self) -> Option<String> {
        let certificate = self.has(&["ssl.certificate.location", "ssl.certificate.pem"]);
        let key = self.has(&["ssl.key.location", "ssl.key.pem"]);
        let lacks = match (certificate, key) {
            (true, false) => "ssl.key.location",
            (false, true) => "ssl.certificate.location",
            _ => return None,
        };
        Some(format!(
            "kafka.properties.{lacks}: set both \"ssl.certificate.location\" and \"ssl.key.location\", or neither"
        ))
    }

    /// Settings of TLS or of a login that the protocol makes no use of: the connection would be open, against what was meant.
    fn idle_problem(&self) -> Option<String> {
        let idle = |key: &str| {
            (key.starts_with("ssl.") && !self.is_tls())
                || (key.starts_with("sasl.") && !self.protocol_is(&["sasl_plaintext", "sasl_ssl"]))
        };
        let key = self.0.keys().find(|key| idle(key))?;
        let known = self.protocol_is(&["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]);
        known.then(|| {
            format!(
                "kafka.properties.security.protocol: {key} has no effect with it; set \"ssl\" (TLS), \"sasl_ssl\" (TLS and a login) or \
                 \"sasl_plaintext\" (a login without TLS)"
            )
        })
    }
}

/// Why a property cannot be used. Of one that is kept elsewhere the key alone is looked at.
fn property_problem(key: &str, value: Option<&str>) -> Option<String> {
    if let Some((_, own)) = OWN_KEYS.iter().find(|(reserved, _)| *reserved == key) {
        return Some(format!("set {own} instead"));
    }
    if key.starts_with("sasl.kerberos.") {
        return Some(NO_KERBEROS.to_owned());
    }
    if key.contains("sasl.oauthbearer") {
        return Some(NO_OAUTH.to_owned());
    }
    let value = value?;
    if matches!(key, "sasl.mechanism" | "sasl.mechanisms") && !MECHANISMS.contains(&value.trim()) {
        return Some(match value.trim() {
            "GSSAPI" => NO_KERBEROS.to_owned(),
            "OAUTHBEARER" => NO_OAUTH.to_owned(),
            _ => format!("not one of {}", MECHANISMS.join(", ")),
        });
    }
    let mut config = ClientConfig::new();
    config.set(key, value);
    Some(refusal(&config.create_native_config().err()?))
}

/// Why librdkafka refuses a property or all of them together, without any value.
fn refusal(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, _, key, _) => {
            format!("librdkafka has no property {key:?}")
        }
        KafkaError::ClientConfig(_, reason, _, value) => {
            // The value is part of some reasons, and may be short enough to be found in any.
            let is_harmless = value.is_empty() || (value.len() > 2 && !reason.contains(value.as_str()));
            let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
            if is_harmless { reason } else { "librdkafka rejects this value".to_owned() }
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const LOGIN: [(&str, &str); 3] =
        [("sasl.mechanisms", "SCRAM-SHA-512"), ("sasl.username", "ann"), ("sasl.password", "hunter2")];

    fn section(properties: &[(&str, &str)]) -> Properties {
        let pair = |(key, value): &(&str, &str)| {
            ((*key).to_owned(), Property::Text(Secret::from((*value).to_owned())))
        };
        Properties(properties.iter().map(pair).collect())
    }

    fn problems(properties: &[(&str, &str)]) -> String {
        section(properties).problems().join("; ")
    }

    fn written(toml: &str) -> Properties {
        toml::from_str(toml).unwrap()
    }

    /// Goal: what this build of librdkafka cannot do is refused before a client is made, with the key and what to do; so is what
    /// would connect otherwise than was meant.
    #[test]
    fn what_cannot_be_used_is_refused() {
        let (ssl, sasl) = (("security.protocol", "SSL"), ("security.protocol", "sasl_ssl"));
        let (user, password) = (("sasl.username", "ann"), ("sasl.password", "hunter2"));
        for (properties, parts) in [
            (
                &[sasl, ("sasl.mechanisms", "GSSAPI"), user][..],
                &["sasl.mechanisms", "Kerberos", "SCRAM-SHA-512"][..],
            ),
            (&[sasl, ("sasl.mechanism", "OAUTHBEARER")], &["sasl.mechanism", "OAuth", "SCRAM-SHA-512"]),
            (
                &[sasl, ("sasl.mechanism", "SCRAM-SHA-1"), user, password],
                &["sasl.mechanism", "SCRAM-SHA-256"],
            ),
            (&[("sasl.kerberos.principal", "ann")], &["sasl.kerberos.principal", "Kerberos"]),
            (&[("sasl.oauthbearer.config", "x")], &["sasl.oauthbearer.config", "OAuth"]),
            (&[("enable.sasl.oauthbearer.unsecure.jwt", "true")], &["OAuth"]),
            // Without a mechanism librdkafka takes GSSAPI.
            (&[sasl, user, password], &["sasl.mechanisms", "PLAIN", "Kerberos"]),
            (&[sasl, ("sasl.mechanisms", "PLAIN"), password], &["properties.sasl.username"]),
            (&[sasl, ("sasl.mechanisms", "PLAIN"), user], &["properties.sasl.password"]),
            (&[("ssl.ca.location", "/ca.pem")], &["security.protocol", "ssl.ca.location has no effect"]),
            (&LOGIN, &["security.protocol", "sasl.mechanisms has no effect"]),
            (&[ssl, user], &["security.protocol", "sasl.username has no effect"]),
            (&[ssl, ("ssl.certificate.location", "/c")], &["ssl.key.location", "set both"]),
            (&[ssl, ("ssl.key.location", "/k")], &["ssl.certificate.location", "set both"]),
            (&[("security.protocol", "tls")], &["security.protocol"]),
            (&[("bootstrap.servers", "127.0.0.1:2")], &["bootstrap.servers", "kafka.bootstrap_servers"]),
            (&[("linger.msec", "5")], &["linger.msec", "no property"]),
            (&[("socket.timeout.ms", "soon")], &["socket.timeout.ms"]),
        ] {
            let found = problems(properties);
            parts.iter().for_each(|part| assert!(found.contains(part), "{properties:?}: {found}"));
            assert!(!found.contains("hunter2"), "{found}");
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
            "sasl.mechanisms",
            "ssl.key.pem",
            "pw",
        ] {
            for value in ["hunter2", "org.apache.PlainLoginModule required password=hunter2;"] {
                let found = problems(&[(key, value)]);
                assert!(found.contains(key) && !found.contains("hunter2"), "{key}: {found}");
            }
        }
    }

    /// Goal: what works is accepted: TLS with and without logins and certificates, logins without TLS, all compressions.
    #[test]
    fn what_works_is_accepted() {
        let with = |protocol, mechanism| {
            let mut properties = LOGIN.to_vec();
            properties[0].1 = mechanism;
            properties.push(("security.protocol", protocol));
            problems(&properties)
        };
        assert_eq!(problems(&[]), "");
        for protocol in ["SASL_PLAINTEXT", "sasl_ssl"] {
            MECHANISMS.iter().for_each(|mechanism| assert_eq!(with(protocol, mechanism), ""));
        }
        let tls = [
            ("security.protocol", "ssl"),
            ("ssl.ca.location", "/ca.pem"),
            ("ssl.certificate.location", "/c.pem"),
            ("ssl.key.location", "/k.pem"),
            ("ssl.key.password", "hunter2"),
        ];
        assert_eq!(problems(&tls), "");
        assert_eq!(problems(&[("socket.timeout.ms", "30000"), ("queue.buffering.max.messages", "50")]), "");
        for compression in ["gzip", "zstd", "snappy", "lz4"] {
            let more = [("message.max.bytes", "2000"), ("security.protocol", "plaintext")];
            assert_eq!(problems(&[&[("compression.type", compression)], &more[..]].concat()), "");
        }
    }

    /// Goal: a property may be kept in a file or a variable: it is read, and neither the written nor the read form shows it. What cannot be
    /// read is told with its key, all at once.
    #[test]
    fn secrets_are_read_from_where_they_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        secrets::write_new(&path, "hunter2\n").unwrap();
        let login = "\"security.protocol\" = \"sasl_ssl\"\n\"sasl.mechanisms\" = \"PLAIN\"\n\"sasl.username\".env = \"PATH\"\n";
        let kept = written(&format!("{login}\"sasl.password\" = {{ file = {path:?} }}"));
        assert_eq!(kept.problems().join("; "), "");
        let loaded = kept.loaded().unwrap();
        assert_eq!(loaded.value("sasl.password"), Some("hunter2"));
        assert_eq!(loaded.value("sasl.username"), Some(std::env::var("PATH").unwrap().as_str()));
        let shown = format!("{kept:?} {loaded:?} {}", toml::to_string(&loaded).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");

        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let unusable = format!(
            "{login}\"sasl.password\" = {{ file = {path:?} }}\n\"ssl.key.password\".env = \"NO_SUCH_VARIABLE_HERE\"\n\
             \"ssl.ca.location\" = \"/none/ca.pem\"\n\"socket.timeout.ms\" = {{ env = \"PATH\" }}"
        );
        let message = written(&unusable).loaded().unwrap_err().to_string();
        for part in [
            "kafka.properties.sasl.password",
            "chmod 600",
            "kafka.properties.ssl.key.password",
            "NO_SUCH_VARIABLE_HERE",
            "kafka.properties.ssl.ca.location: /none/ca.pem",
            "kafka.properties.socket.timeout.ms",
        ] {
            assert!(message.contains(part), "no {part} in {message}");
        }
        let unquoted = toml::from_str::<Properties>("sasl.password = \"hunter2\"").unwrap_err();
        assert!(unquoted.message().contains("quote keys"), "{unquoted}");
    }

    /// Goal: a file that a property names is looked at before a client is made: a missing one, and a key that others can read, are refused.
    #[test]
    fn named_files_are_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file.pem");
        secrets::write_new(&file, "text").unwrap();
        let (file, folder) = (file.to_str().unwrap(), folder.path().to_str().unwrap());
        for (key, _) in &FILES {
            section(&[(key, file)]).loaded().unwrap();
            let refused = section(&[(key, "/none/here.pem")]).loaded().unwrap_err().to_string();
            assert!(refused.contains(key) && refused.contains("/none/here.pem"), "{refused}");
            assert_eq!(section(&[(key, folder)]).loaded().is_ok(), *key == "ssl.ca.location", "{key}");
        }
        section(&[("ssl.ca.location", "probe")]).loaded().unwrap();
        std::fs::set_permissions(file, Permissions::from_mode(0o644)).unwrap();
        for (key, named) in &FILES {
            let is_private = matches!(named, FileCheck::Private(_));
            assert_eq!(section(&[(key, file)]).loaded().is_err(), is_private, "{key}");
        }
    }
}
