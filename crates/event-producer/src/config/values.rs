//! Values with a spelling of their own: which part of a run, and when it begins.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One of several producers that share a run: it writes the partitions whose number modulo `of` is `index`, so that the
/// order within a partition stays that of one producer. Written `index/of`, from `0/of` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Shard {
    /// Which one, from 0.
    pub index: u64,
    /// Of how many.
    pub of: u64,
}

impl Default for Shard {
    fn default() -> Self {
        Shard { index: 0, of: 1 }
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed =
            text.split_once('/').and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        match parsed {
            Some((index, of)) if index < of => Ok(Shard { index, of }),
            _ => Err(format!("{text:?} is not INDEX/COUNT with INDEX below COUNT, for example 0/2")),
        }
    }
}

impl TryFrom<String> for Shard {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        format!("{}/{}", shard.index, shard.of)
    }
}

/// Event time of event 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "StartTimeText", into = "StartTimeText")]
pub enum StartTime {
    /// When the producer starts.
    #[default]
    Now,
    /// Milliseconds since the epoch.
    At(i64),
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum StartTimeText {
    Word(String),
    Number(i64),
}

impl FromStr for StartTime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "now" => Ok(StartTime::Now),
            number => {
                let parsed =
                    number.parse().map_err(|_| format!("{text:?} is neither \"now\" nor milliseconds"))?;
                StartTime::at(parsed)
            }
        }
    }
}

impl StartTime {
    /// Years 1970 to 9999; Kafka refuses negative timestamps.
    fn at(ms: i64) -> Result<Self, String> {
        const LAST_MS: i64 = 253_402_300_799_999;
        if (0..=LAST_MS).contains(&ms) {
            return Ok(StartTime::At(ms));
        }
        Err(format!("{ms} ms is not between 0 and {LAST_MS}"))
    }
}

impl TryFrom<StartTimeText> for StartTime {
    type Error = String;

    fn try_from(text: StartTimeText) -> Result<Self, String> {
        match text {
            StartTimeText::Word(word) => word.parse(),
            StartTimeText::Number(ms) => StartTime::at(ms),
        }
    }
}

impl From<StartTime> for StartTimeText {
    fn from(time: StartTime) -> Self {
        match time {
            StartTime::Now => StartTimeText::Word("now".to_owned()),
            StartTime::At(ms) => StartTimeText::Number(ms),
        }
    }
}
