//! Flink's ids: 16 bytes in 32 lower-case hexadecimal digits.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A text that is not an id.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0:?} is not an id; write 32 hexadecimal digits")]
pub struct InvalidId(String);

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Creates the id of these 16 bytes.
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
            }

            /// Returns the 32 digits.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Returns the first eight digits, for people.
            pub fn short(&self) -> &str {
                &self.0[..8]
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let is_id = text.len() == 32 && text.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
                if is_id { Ok(Self(text.to_owned())) } else { Err(InvalidId(text.to_owned())) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

id!(
    /// Id of a job: one submission.
    JobId
);
id!(
    /// Id of a vertex of the job graph, a chain of operators: the hash of the uid of its first operator, and so the
    /// same in all runs.
    VertexId
);
id!(
    /// Id of an asynchronous operation, chosen by the caller, which makes the request idempotent.
    TriggerId
);

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: only 32 lower-case digits are a valid id, and bytes are formatted as in Flink.
    #[test]
    fn ids_are_32_digits() {
        let id = JobId::from_bytes([0xab, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 255]);
        assert_eq!(id.as_str(), "ab000102030405060708090a0b0c0dff");
        assert_eq!(id.as_str().parse(), Ok(id));
        for wrong in ["", "ab", "AB000102030405060708090a0b0c0dff", "../00102030405060708090a0b0c0dff0"] {
            assert!(wrong.parse::<JobId>().is_err(), "{wrong:?}");
        }
    }
}
