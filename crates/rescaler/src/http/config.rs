//! `[http]`: address of the page, protection of its buttons, and limits of the server.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use service::settings::out_of_range;

/// `[http]`. Fields are as in `configs/rescaler.toml`, which is their documentation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Address to listen on.
    pub listen: Listen,
    /// Allowed host names of the page, besides addresses and `localhost`.
    pub hosts: Vec<String>,
    /// The file with the token for the buttons.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// Certificate chain (PEM) for serving the page over TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_file: Option<PathBuf>,
    /// Key of the certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// Number of epochs in the time line.
    pub history_points: usize,
    /// Number of decisions that are kept with their reasons.
    pub decisions_kept: usize,
    /// Number of epoch lengths without the end of an epoch after which the job is unhealthy.
    pub unhealthy_after_epochs: u32,
    /// Maximum number of open connections.
    pub connections: usize,
    /// Maximum number of open connections of one peer (an IPv4 address, or an IPv6 network).
    pub connections_per_peer: usize,
    /// Number of further connections for `/healthz` and the buttons.
    pub spare_connections: usize,
    /// Timeout from the head of a request to the end of its body, in milliseconds.
    pub request_timeout_ms: u64,
    /// Timeout of a connection without a complete request head, in milliseconds.
    pub idle_timeout_ms: u64,
    /// Timeout of a response whose client reads nothing, in milliseconds.
    pub write_timeout_ms: u64,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: Listen::default(),
            hosts: Vec::new(),
            token_file: None,
            certificate_file: None,
            key_file: None,
            history_points: 1440,
            decisions_kept: 200,
            unhealthy_after_epochs: 3,
            connections: 64,
            connections_per_peer: 48,
            spare_connections: 8,
            request_timeout_ms: 10_000,
            idle_timeout_ms: 30_000,
            write_timeout_ms: 10_000,
        }
    }
}

impl Http {
    /// Returns every value out of range, as `key: valid values`.
    pub(crate) fn problems(&self) -> Vec<String> {
        let within =
            |key: &str, value: u64, most: u64| out_of_range(&format!("http.{key}"), value, &(1..=most));
        let long = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
        let mut problems: Vec<String> = [
            within("history_points", long(self.history_points), 100_000),
            within("decisions_kept", long(self.decisions_kept), 10_000),
            within("unhealthy_after_epochs", self.unhealthy_after_epochs.into(), 1_000),
            within("connections", long(self.connections), 10_000),
            within("connections_per_peer", long(self.connections_per_peer), 10_000),
            within("spare_connections", long(self.spare_connections), 1_000),
            within("request_timeout_ms", self.request_timeout_ms, 600_000),
            within("idle_timeout_ms", self.idle_timeout_ms, 3_600_000),
            within("write_timeout_ms", self.write_timeout_ms, 600_000),
        ]
        .into_iter()
        .flatten()
        .collect();
        if self.hosts.iter().any(|host| !http_server::is_name(host)) {
            problems.push("http.hosts: write names only, without http:// and port".to_owned());
        }
        if self.certificate_file.is_some() != self.key_file.is_some() {
            problems.push("http.certificate_file and http.key_file: set both or neither".to_owned());
        }
        problems
    }
}

/// Whether and where to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Listen {
    /// On this address.
    On(SocketAddr),
    /// The page is not served.
    Off,
}

impl Listen {
    /// Returns the address, if the page is served.
    pub fn address(self) -> Option<SocketAddr> {
        match self {
            Self::On(address) => Some(address),
            Self::Off => None,
        }
    }
}

impl Default for Listen {
    fn default() -> Self {
        Self::On(SocketAddr::from(([127, 0, 0, 1], 8462)))
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(Self::Off),
            _ => text.parse().map(Self::On).map_err(|_| {
                format!("{text:?} is neither an address with a port, like 127.0.0.1:8462, nor \"off\"")
            }),
        }
    }
}

impl TryFrom<String> for Listen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Listen> for String {
    fn from(listen: Listen) -> Self {
        listen.to_string()
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::On(address) => address.fmt(f),
            Self::Off => f.write_str("off"),
        }
    }
}
