//! The section `[nexmark]` as written, and the validated settings.

use serde::{Deserialize, Serialize};

use super::mix::Mix;
use crate::{ConfigError, Problems, first};

/// Maximum of any count: far beyond use, and small enough that arithmetic on ids does not overflow.
const MOST: u64 = 1 << 32;
/// Maximum length of a string, in bytes; Kafka's default limit of a record is 1 MiB, and a person has three strings
/// of this size.
const LONGEST_STRING_BYTES: usize = 256 * 1024;

/// Defaults of absent settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// The NexMark standard: 1 person, 3 items and auctions, 46 bids; hot keys; auction lengths by the horizon.
    #[default]
    Standard,
    /// 1 person, 1 item and auction, 10 bids; uniform keys; auctions of 10 to 20 s.
    Thesis,
}

/// `[nexmark]` as written. Absent values come from the preset.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NexmarkConfig {
    /// Preset of absent settings.
    pub preset: Preset,
    /// Persons per epoch, at least 1.
    pub persons: Option<u64>,
    /// Auctions, and as many items, per epoch; at least 1.
    pub auctions: Option<u64>,
    /// Bids per epoch.
    pub bids: Option<u64>,
    /// One in this many bids is for any auction in flight, the others for the hot one; 1: no hot auction.
    pub hot_auction_ratio: Option<u64>,
    /// One in this many auctions is by any active person, the others by the hot seller; 1: no hot seller.
    pub hot_seller_ratio: Option<u64>,
    /// One in this many bids is by any active person, the others by the hot bidder; 1: no hot bidder.
    pub hot_bidder_ratio: Option<u64>,
    /// Number of newest persons that sell and bid.
    pub active_persons: Option<u64>,
    /// Number of newest auctions that receive bids, and approximate number of open ones.
    pub in_flight_auctions: Option<u64>,
    /// How many ids ahead a reference to a person may point.
    pub person_lead: Option<u64>,
    /// How many ids ahead a bid's auction may be.
    pub auction_lead: Option<u64>,
    /// Number of categories.
    pub categories: Option<u64>,
    /// Shortest and longest auction, ms. Absent: the preset's.
    pub auction_length_ms: Option<[i64; 2]>,
    /// Names of persons are padded to this length, bytes.
    pub person_name_bytes: Option<usize>,
    /// E-mail addresses are padded to this length, bytes.
    pub email_bytes: Option<usize>,
    /// Cities are padded to this length, bytes.
    pub city_bytes: Option<usize>,
    /// Names of items are padded to this length, bytes.
    pub item_name_bytes: Option<usize>,
    /// Descriptions of items have this length, bytes.
    pub description_bytes: Option<usize>,
}

/// Duration of an auction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuctionLength {
    /// Such that about `in_flight_auctions` are open at a time, at any rate.
    ByHorizon,
    /// Uniformly distributed between two lengths, inclusive.
    Between {
        /// The shortest, ms; at least 1.
        from_ms: i64,
        /// The longest, ms.
        to_ms: i64,
    },
}

/// Validated settings; see [`NexmarkConfig`] for the meaning of the fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NexmarkSettings {
    pub(super) mix: Mix,
    pub(super) hot_auction_ratio: u64,
    pub(super) hot_seller_ratio: u64,
    pub(super) hot_bidder_ratio: u64,
    pub(super) active_persons: u64,
    pub(super) in_flight_auctions: u64,
    pub(super) person_lead: u64,
    pub(super) auction_lead: u64,
    pub(super) categories: u64,
    pub(super) auction_length: AuctionLength,
    pub(super) person_name_bytes: usize,
    pub(super) email_bytes: usize,
    pub(super) city_bytes: usize,
    pub(super) item_name_bytes: usize,
    pub(super) description_bytes: usize,
}

/// What differs between the presets.
struct Defaults {
    mix: [u64; 3],
    hot_ratios: [u64; 3],
    auction_length: AuctionLength,
}

impl Preset {
    const fn defaults(self) -> Defaults {
        match self {
            Preset::Standard => {
                Defaults { mix: [1, 3, 46], hot_ratios: [2, 4, 4], auction_length: AuctionLength::ByHorizon }
            }
            Preset::Thesis => Defaults {
                mix: [1, 1, 10],
                hot_ratios: [1, 1, 1],
                auction_length: AuctionLength::Between { from_ms: 10_000, to_ms: 20_000 },
            },
        }
    }
}

impl NexmarkConfig {
    /// Validates all ranges and fills in the preset.
    ///
    /// # Errors
    /// The first key with an invalid value.
    pub fn check(&self) -> Result<NexmarkSettings, ConfigError> {
        self.check_all().map_err(first)
    }

    /// Validates all ranges and fills in the preset.
    ///
    /// # Errors
    /// Every key with an invalid value.
    pub fn check_all(&self) -> Result<NexmarkSettings, Vec<ConfigError>> {
        let mut problems = Problems::default();
        let settings = self.settings(&mut problems);
        problems.unless_any(settings)
    }

    fn settings(&self, problems: &mut Problems) -> Option<NexmarkSettings> {
        let preset = self.preset.defaults();
        let count = |key: &str, written: Option<u64>, preset: u64, least: u64| {
            let value = written.unwrap_or(preset);
            if (least..=MOST).contains(&value) {
                return Ok(value);
            }
            Err(ConfigError::out_of_range(&format!("nexmark.{key}"), value, least, MOST))
        };
        let bytes = |key: &str, written: Option<usize>, preset: usize| match written.unwrap_or(preset) {
            value if value <= LONGEST_STRING_BYTES => Ok(value),
            value => {
                Err(ConfigError::out_of_range(&format!("nexmark.{key}"), value, 0, LONGEST_STRING_BYTES))
            }
        };
        let mut note = |checked| problems.note(checked);
        let mix = [
            note(count("persons", self.persons, preset.mix[0], 1)),
            note(count("auctions", self.auctions, preset.mix[1], 1)),
            note(count("bids", self.bids, preset.mix[2], 0)),
        ];
        let hot_ratios = [
            note(count("hot_auction_ratio", self.hot_auction_ratio, preset.hot_ratios[0], 1)),
            note(count("hot_seller_ratio", self.hot_seller_ratio, preset.hot_ratios[1], 1)),
            note(count("hot_bidder_ratio", self.hot_bidder_ratio, preset.hot_ratios[2], 1)),
        ];
        let active_persons = note(count("active_persons", self.active_persons, 1_000, 1));
        let in_flight_auctions = note(count("in_flight_auctions", self.in_flight_auctions, 100, 1));
        let person_lead = note(count("person_lead", self.person_lead, 10, 0));
        let auction_lead = note(count("auction_lead", self.auction_lead, 10, 0));
        let categories = note(count("categories", self.categories, 10, 1));
        let auction_length = problems.note(self.auction_length(preset.auction_length));
        let mut note = |checked| problems.note(checked);
        let person_name_bytes = note(bytes("person_name_bytes", self.person_name_bytes, 0));
        let email_bytes = note(bytes("email_bytes", self.email_bytes, 0));
        let city_bytes = note(bytes("city_bytes", self.city_bytes, 0));
        let item_name_bytes = note(bytes("item_name_bytes", self.item_name_bytes, 20));
        let description_bytes = note(bytes("description_bytes", self.description_bytes, 100));
        Some(NexmarkSettings {
            mix: Mix::new(mix[0]?, mix[1]?, mix[2]?)?,
            hot_auction_ratio: hot_ratios[0]?,
            hot_seller_ratio: hot_ratios[1]?,
            hot_bidder_ratio: hot_ratios[2]?,
            active_persons: active_persons?,
            in_flight_auctions: in_flight_auctions?,
            person_lead: person_lead?,
            auction_lead: auction_lead?,
            categories: categories?,
            auction_length: auction_length?,
            person_name_bytes: person_name_bytes?,
            email_bytes: email_bytes?,
            city_bytes: city_bytes?,
            item_name_bytes: item_name_bytes?,
            description_bytes: description_bytes?,
        })
    }

    fn auction_length(&self, preset: AuctionLength) -> Result<AuctionLength, ConfigError> {
        const LONGEST_MS: i64 = 365 * 24 * 3_600_000;
        match self.auction_length_ms {
            None => Ok(preset),
            Some([from_ms, to_ms]) if (1..=to_ms).contains(&from_ms) && to_ms <= LONGEST_MS => {
                Ok(AuctionLength::Between { from_ms, to_ms })
            }
            Some([from_ms, to_ms]) => Err(ConfigError::of_value(
                "nexmark.auction_length_ms",
                format!("[{from_ms}, {to_ms}]"),
                format!("give [shortest, longest] with 1 ≤ shortest ≤ longest ≤ {LONGEST_MS}"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_out_of_range_are_refused_by_key() {
        let check = |text: &str, key: &str| {
            let config: NexmarkConfig = toml::from_str(text).unwrap();
            assert_eq!(config.check().unwrap_err().key, key, "{text}");
        };
        check("persons = 0", "nexmark.persons");
        check("auctions = 0", "nexmark.auctions");
        check("hot_auction_ratio = 0", "nexmark.hot_auction_ratio");
        check("active_persons = 99999999999", "nexmark.active_persons");
        check("auction_length_ms = [0, 5]", "nexmark.auction_length_ms");
        check("auction_length_ms = [6, 5]", "nexmark.auction_length_ms");
        check("description_bytes = 999999999", "nexmark.description_bytes");
    }

    /// Goal: all bad values of the section are reported at once, in the order of the section.
    #[test]
    fn all_bad_values_are_named() {
        let text = "persons = 0\nauction_length_ms = [6, 5]\ncity_bytes = 999999999\nhot_seller_ratio = 0";
        let problems = toml::from_str::<NexmarkConfig>(text).unwrap().check_all().unwrap_err();
        let keys: Vec<&str> = problems.iter().map(|problem| problem.key.as_str()).collect();
        let expected = [
            "nexmark.persons",
            "nexmark.hot_seller_ratio",
            "nexmark.auction_length_ms",
            "nexmark.city_bytes",
        ];
        assert_eq!(keys, expected);
    }

    #[test]
    fn written_values_override_the_preset() {
        let settings =
            toml::from_str::<NexmarkConfig>("preset = \"thesis\"\nbids = 4").unwrap().check().unwrap();
        assert_eq!(settings.mix, Mix::new(1, 1, 4).unwrap());
        assert_eq!(settings.auction_length, AuctionLength::Between { from_ms: 10_000, to_ms: 20_000 });
        assert_eq!(settings.hot_auction_ratio, 1);
    }
}
