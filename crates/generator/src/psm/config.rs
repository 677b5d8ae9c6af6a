//! The section `[psm]` as written, and the validated settings.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::catalogue::{Catalogue, MOST_PRODUCTS};
use crate::{ConfigError, Problems, first};

/// `[psm]` as written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PsmConfig {
    /// Share of clicks among clicks and impressions, 0 to 1.
    pub click_probability: f64,
    /// Exponent of Zipf's law for the choice of products; 0: uniform.
    pub zipf_exponent: f64,
    /// CSV file of the catalogue; absent: generated from the seed.
    pub catalogue: Option<PathBuf>,
    /// Products of a generated catalogue.
    pub products: usize,
    /// Categories of a generated catalogue.
    pub categories: u64,
    /// Owners of a generated catalogue.
    pub owners: u64,
}

impl Default for PsmConfig {
    fn default() -> Self {
        PsmConfig {
            click_probability: 0.5,
            zipf_exponent: 0.0,
            catalogue: None,
            products: 10_000,
            categories: 100,
            owners: 500,
        }
    }
}

/// Validated settings; see [`PsmConfig`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PsmSettings {
    /// The probability times 2^64.
    pub(super) click_threshold: u128,
    pub(super) zipf_exponent: f64,
}

impl PsmConfig {
    /// Validates all ranges.
    ///
    /// # Errors
    /// The first key with an invalid value.
    pub fn check(&self) -> Result<PsmSettings, ConfigError> {
        self.check_all().map_err(first)
    }

    /// Validates all ranges.
    ///
    /// # Errors
    /// Every key with an invalid value.
    pub fn check_all(&self) -> Result<PsmSettings, Vec<ConfigError>> {
        let within = |key: &str, value: f64, to: f64| {
            if (0.0..=to).contains(&value) {
                return Ok(value);
            }
            Err(ConfigError::out_of_range(&format!("psm.{key}"), value, 0.0, to))
        };
        let count = |key: &str, value: u64| {
            if (1..=MOST_PRODUCTS as u64).contains(&value) {
                return Ok(());
            }
            Err(ConfigError::out_of_range(&format!("psm.{key}"), value, 1, MOST_PRODUCTS as u64))
        };
        let mut problems = Problems::default();
        problems.note(count("products", self.products as u64));
        problems.note(count("categories", self.categories));
        problems.note(count("owners", self.owners));
        let probability = problems.note(within("click_probability", self.click_probability, 1.0));
        let zipf_exponent = problems.note(within("zipf_exponent", self.zipf_exponent, 10.0));
        let settings = probability.zip(zipf_exponent).map(|(probability, zipf_exponent)| PsmSettings {
            click_threshold: (probability * 2.0_f64.powi(64)) as u128,
            zipf_exponent,
        });
        problems.unless_any(settings)
    }

    /// Generates the catalogue of a seed, for a configuration without a file.
    pub fn made_catalogue(&self, seed: u64) -> Catalogue {
        Catalogue::made(self.products, self.categories, self.owners, seed)
    }
}
