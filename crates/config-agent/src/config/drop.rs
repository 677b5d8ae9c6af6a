//! The section `[drop]`: the document source and what it must fulfil.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use drop_client::Access;
use jiff::SignedDuration;
use job_config::{Admission, PublicKey};
use secrets::Address;
use serde::Deserialize;

use super::checker::Checker;
use crate::document_source::DocumentSourceSettings;

/// Defaults of `wait_ms` and `poll_ms`, between which the source is heard from, in milliseconds.
const WAIT_MS: u64 = 45_000;
const POLL_MS: u64 = 30_000;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDrop {
    pub(super) url: Option<Address>,
    pub(super) wait_ms: Option<u64>,
    pub(super) timeout_ms: Option<u64>,
    pub(super) connect_timeout_ms: Option<u64>,
    pub(super) document_bytes: Option<u64>,
    pub(super) undelivered_reports: Option<u64>,
    pub(super) document_url: Option<Address>,
    pub(super) poll_ms: Option<u64>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) authorities_file: Option<PathBuf>,
    #[serde(default)]
    pub(super) access: http_client::Access,
    #[serde(default)]
    pub(super) public_keys: Vec<String>,
    pub(super) clock_skew_ms: Option<u64>,
    pub(super) expiry_required: Option<bool>,
    pub(super) freshness_max_s: Option<u64>,
}

impl RawDrop {
    /// Returns the document source and the admission rules.
    pub(super) fn document_source(&self, checker: &mut Checker) -> DocumentSourceSettings {
        let keys: Vec<PublicKey> = self.public_keys.iter().filter_map(|text| checker.key(text)).collect();
        // A signature alone does not stop an attacker from withholding a document and delivering it late; an expiry
        // does.
        let expiry_required = self.expiry_required.unwrap_or(!keys.is_empty());
        let skew = match self.clock_skew_ms {
            Some(0) => Duration::ZERO,
            other => checker.ms("drop.clock_skew_ms", other, 60_000),
        };
        checker.access("drop.access", &self.access);
        let access = Access::new(self.access.clone()).unwrap_or_default();
        let mut access = access.with_public_keys(keys);
        if let Some(path) = &self.token_file {
            access = checker.accept("drop.token_file", access.clone().with_token_file(path), access);
        }
        if let Some(path) = &self.authorities_file {
            let with = access.clone().with_authorities_file(path);
            access = checker.accept("drop.authorities_file", with, access);
        }
        if let Some(url) = &self.document_url
            && !url.reveal().starts_with("file:///")
            && url.http().is_err()
        {
            let remedy = "write it as https://host/nexmark.toml or file:///folder/nexmark.toml";
            checker.problems.refuse("drop.document_url", format!("{url:?}"), remedy);
        }
        let freshness_max = self.freshness_max(checker, !access.public_keys().is_empty());
        DocumentSourceSettings {
            document_url: self.document_url.clone(),
            poll: checker.ms("drop.poll_ms", self.poll_ms, POLL_MS),
            access,
            freshness_max,
            admission: Admission {
                clock_skew: SignedDuration::try_from(skew).unwrap_or(SignedDuration::MAX),
                expiry_required,
            },
        }
    }

    /// Returns the maximum age of what is heard from the publisher, if it is limited.
    fn freshness_max(&self, checker: &mut Checker, has_keys: bool) -> Option<Duration> {
        let seconds = self.freshness_max_s.filter(|seconds| *seconds > 0)?;
        if !has_keys {
            let remedy = "it needs drop.public_keys, because only signed statements count";
            checker.problems.refuse("drop.freshness_max_s", seconds, remedy);
        }
        let (key, pause_ms) = match self.document_url {
            Some(_) => ("drop.poll_ms", self.poll_ms.unwrap_or(POLL_MS)),
            None => ("drop.wait_ms", self.wait_ms.unwrap_or(WAIT_MS)),
        };
        if seconds.saturating_mul(1_000) < pause_ms.saturating_mul(2) {
            let remedy =
                format!("something is heard every {key} = {pause_ms}; give at least twice that time");
            checker.problems.refuse("drop.freshness_max_s", seconds, remedy);
        }
        Some(Duration::from_secs(seconds))
    }

    /// Returns the long-poll timeout of one request to the drop.
    pub(super) fn wait(&self, checker: &mut Checker) -> Duration {
        checker.ms("drop.wait_ms", self.wait_ms, WAIT_MS)
    }

    /// Returns timeouts and size limits of requests to the drop.
    pub(super) fn settings(&self, checker: &mut Checker) -> drop_client::ClientSettings {
        drop_client::ClientSettings {
            connect_timeout: checker.ms("drop.connect_timeout_ms", self.connect_timeout_ms, 2_000),
            timeout: checker.ms("drop.timeout_ms", self.timeout_ms, 10_000),
            max_document_bytes: checker.number("drop.document_bytes", self.document_bytes, 262_144, 16 << 20),
            ..drop_client::ClientSettings::default()
        }
    }

    /// Returns the URL by which the agent reaches its own embedded drop.
    pub(super) fn own_url(&mut self, drop: &config_drop::Config, checker: &mut Checker) -> Option<Address> {
        if self.document_url.is_some() {
            checker.problems.add("direct", "conflicts with drop.document_url; remove it");
        }
        match (self.url.take(), drop.protection.tls.is_some()) {
            (Some(url), true) => Some(url),
            (Some(_), false) => {
                checker.problems.add("direct", "conflicts with drop.url and --drop; remove them");
                None
            }
            (None, true) => {
                let remedy =
                    "the agent's own drop uses TLS; set it to https:// with the name in its certificate";
                checker.problems.add("drop.url", remedy);
                None
            }
            (None, false) => {
                let port = drop.listen.port();
                let local = if drop.listen.ip().is_unspecified() {
                    SocketAddr::from(([127, 0, 0, 1], port))
                } else {
                    drop.listen
                };
                Some(format!("http://{local}").into())
            }
        }
    }
}
