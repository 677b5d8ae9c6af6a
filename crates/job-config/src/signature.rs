//! Signatures of documents: Ed25519 (RFC 8032) over the exact bytes, stored beside the document, not inside it.
//!
//! The drop, proxies and static web servers can all change a document in transit. A reader that has pinned the
//! publisher's public key accepts only what the publisher signed. The signature covers job, generation, issue and
//! expiry; [`crate::Admission`] checks them against the reader's job and time.
//!
//! Keys and signatures are one line of text: `ed25519:<base64>`, a private key `ed25519-private:<base64>`. The caller
//! provides the 32 random bytes of a new key.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::admission::AdmissionError;

/// HTTP header of a document's signature.
pub const SIGNATURE_HEADER: &str = "rescaler-signature";

/// Suffix of a signature file on a static web server, appended to the document's name.
pub const SIGNATURE_SUFFIX: &str = ".sig";

const PUBLIC: &str = "ed25519:";
const PRIVATE: &str = "ed25519-private:";

/// Why a text is not a key or a signature. The text is not repeated: it may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not {what}; it is one line, {form}")]
pub struct KeyError {
    what: &'static str,
    form: &'static str,
}

/// The publisher's private key. Its holder can publish.
pub struct PrivateKey {
    seed: [u8; 32],
    pair: Ed25519KeyPair,
}

impl PrivateKey {
    const ERROR: KeyError =
        KeyError { what: "a private key", form: "ed25519-private:<44 characters of base64>" };

    /// Creates the key of these bytes, which must come from a cryptographically secure random source.
    ///
    /// # Errors
    /// The bytes are not a key. No such bytes are known.
    pub fn from_seed(seed: [u8; 32]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| Self::ERROR)?;
        Ok(Self { seed, pair })
    }

    /// Returns the key's text for a file that only its owner may read.
    pub fn to_secret_text(&self) -> String {
        format!("{PRIVATE}{}", BASE64.encode(self.seed))
    }

    /// Returns the public key, which readers pin.
    pub fn public_key(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.pair.public_key().as_ref());
        PublicKey(bytes)
    }

    /// Signs exactly these bytes.
    pub fn sign(&self, bytes: &[u8]) -> Signature {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.pair.sign(bytes).as_ref());
        Signature(signature)
    }
}

impl FromStr for PrivateKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::from_seed(decode(text, PRIVATE).ok_or(Self::ERROR)?)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the private key of {}", self.public_key())
    }
}

/// The public key, which readers pin.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey([u8; 32]);

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let error = KeyError { what: "a public key", form: "ed25519:<44 characters of base64>" };
        decode(text, PUBLIC).map(Self).ok_or(error)
    }
}

/// The signature of a document.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Signature([u8; 64]);

impl FromStr for Signature {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let error = KeyError { what: "a signature", form: "ed25519:<88 characters of base64>" };
        decode(text, PUBLIC).map(Self).ok_or(error)
    }
}

/// Verifies that one of these keys has signed exactly these bytes. `signature` is the received text, if any.
///
/// # Errors
/// [`AdmissionError::Unsigned`], [`AdmissionError::MalformedSignature`] or [`AdmissionError::WrongKey`]. Without keys every signature is
/// rejected.
pub fn verify(keys: &[PublicKey], bytes: &[u8], signature: Option<&str>) -> Result<(), AdmissionError> {
    let signature: Signature = signature
        .ok_or(AdmissionError::Unsigned)?
        .trim()
        .parse()
        .map_err(|_| AdmissionError::MalformedSignature)?;
    let signs = |key: &PublicKey| UnparsedPublicKey::new(&ED25519, key.0).verify(bytes, &signature.0).is_ok();
    if keys.iter().any(signs) { Ok(()) } else { Err(AdmissionError::WrongKey) }
}

fn decode<const BYTES: usize>(text: &str, prefix: &str) -> Option<[u8; BYTES]> {
    BASE64.decode(text.trim().strip_prefix(prefix)?).ok()?.try_into().ok()
}

/// Text form and serialisation, the same for both public types.
macro_rules! as_text {
    ($type:ty) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{PUBLIC}{}", BASE64.encode(self.0))
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl TryFrom<String> for $type {
            type Error = KeyError;

            fn try_from(text: String) -> Result<Self, KeyError> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }
    };
}

as_text!(PublicKey);
as_text!(Signature);

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: keys and signatures match RFC 8032 (section 7.1, second test), so that other tools can verify them.
    #[test]
    fn signatures_are_those_of_the_standard() {
        let bytes = |hexadecimal: &str| -> Vec<u8> {
            let digits = hexadecimal.as_bytes().chunks(2);
            digits.map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
        };
        let seed = bytes("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
        let key = PrivateKey::from_seed(seed.try_into().unwrap()).unwrap();
        let public = bytes("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        assert_eq!(key.public_key().0.as_slice(), public);
        let signature = bytes(
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        );
        assert_eq!(key.sign(&[0x72]).0.as_slice(), signature);
    }

    /// Goal: only the exact bytes under a pinned key are accepted, and each error has its own name.
    #[test]
    fn what_is_wrong_with_a_signature_is_named() {
        let [key, other] = [1, 2].map(|byte| PrivateKey::from_seed([byte; 32]).unwrap());
        let text = b"format = 1\n";
        let signature = key.sign(text).to_string();
        let keys = [other.public_key(), key.public_key()];
        assert_eq!(verify(&keys, text, Some(&signature)), Ok(()));
        assert_eq!(verify(&keys, text, Some(&format!("{signature}\n"))), Ok(()));
        assert_eq!(verify(&keys, text, None), Err(AdmissionError::Unsigned));
        assert_eq!(verify(&keys[..1], text, Some(&signature)), Err(AdmissionError::WrongKey));
        assert_eq!(verify(&[], text, Some(&signature)), Err(AdmissionError::WrongKey));
        for flipped in 0..text.len() * 8 {
            let mut changed = *text;
            changed[flipped / 8] ^= 1 << (flipped % 8);
            assert_eq!(
                verify(&keys, &changed, Some(&signature)),
                Err(AdmissionError::WrongKey),
                "bit {flipped}"
            );
        }
        for wrong in ["", "ed25519:", "ed25519:AAAA", &signature[8..], &signature[..80], "<html>"] {
            assert_eq!(
                verify(&keys, text, Some(wrong)),
                Err(AdmissionError::MalformedSignature),
                "{wrong:?}"
            );
        }
    }

    /// Goal: keys survive a round trip through a file, and a private key never appears in a message.
    #[test]
    fn keys_are_one_line_and_private_ones_stay_private() {
        let key = PrivateKey::from_seed([7; 32]).unwrap();
        let secret = key.to_secret_text();
        assert_eq!(format!("{secret}\n").parse::<PrivateKey>().unwrap().public_key(), key.public_key());
        assert_eq!(key.public_key().to_string().parse(), Ok(key.public_key()));
        assert!(!format!("{key:?}").contains(&secret["ed25519-private:".len()..]));
        let error = secret.parse::<PublicKey>().unwrap_err().to_string();
        assert!(error.contains("public key") && !error.contains(&secret[20..]), "{error}");
        assert!(key.public_key().to_string().parse::<PrivateKey>().is_err());
    }
}
