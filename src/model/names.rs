//! Names that cross a border are parsed once, here, and cite the rule they enforce.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use uuid::Uuid;

/// Why a name was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {input:?} is not valid: {rule}")]
pub struct NameError {
    /// What was being parsed, as an operator calls it.
    pub what: &'static str,
    /// The text as given.
    pub input: String,
    /// The rule that it breaks.
    pub rule: &'static str,
}

/// A network interface name as the kernel holds it: bytes, not necessarily UTF-8.
///
/// Rule: 1 to 15 bytes, not `.` or `..`, without `/`, `:`, NUL and white space (`dev_valid_name()` in
/// `net/core/dev.c`). In text, bytes that are not printable ASCII are written `\xNN`, so the form is lossless.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InterfaceName(Vec<u8>);

/// IFNAMSIZ less the terminating NUL (`include/uapi/linux/if.h`).
const INTERFACE_NAME_MAX_BYTES: usize = 15;
/// ALTIFNAMSIZ less the terminating NUL: alternative names may be longer (`include/uapi/linux/if.h`).
const ALTERNATIVE_NAME_MAX_BYTES: usize = 127;

impl InterfaceName {
    /// Takes the bytes that the kernel gave. An alternative name may have up to 127 bytes.
    ///
    /// # Errors
    /// If the kernel could not have given such a name.
    pub fn from_kernel(bytes: &[u8]) -> Result<Self, NameError> {
        let bad = bytes.is_empty()
            || bytes.len() > ALTERNATIVE_NAME_MAX_BYTES
            || bytes == b"."
            || bytes == b".."
            || bytes
                .iter()
                .any(|b| matches!(b, 0 | b'/' | b':') || b.is_ascii_whitespace());
        if bad {
            return Err(NameError {
                what: "interface name",
                input: String::from_utf8_lossy(bytes).into_owned(),
                rule: "1 to 15 bytes (127 for an alternative name), no `/`, `:`, NUL or white space",
            });
        }
        Ok(Self(bytes.to_vec()))
    }

    /// The bytes, without a terminating NUL.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether it is short enough to be an interface's first name.
    #[must_use]
    pub fn fits_interface(&self) -> bool {
        self.0.len() <= INTERFACE_NAME_MAX_BYTES
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &b in &self.0 {
            if b.is_ascii_graphic() && b != b'\\' {
                write!(f, "{}", char::from(b))?;
            } else {
                write!(f, "\\x{b:02x}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl FromStr for InterfaceName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find("\\x") {
            bytes.extend_from_slice(&rest.as_bytes()[..at]);
            let hex = rest.get(at + 2..at + 4).and_then(|h| u8::from_str_radix(h, 16).ok());
            let Some(byte) = hex else {
                return Err(NameError {
                    what: "interface name",
                    input: text.to_owned(),
                    rule: "`\\x` is followed by two hexadecimal digits",
                });
            };
            bytes.push(byte);
            rest = &rest[at + 4..];
        }
        bytes.extend_from_slice(rest.as_bytes());
        Self::from_kernel(&bytes)
    }
}

impl TryFrom<String> for InterfaceName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<InterfaceName> for String {
    fn from(name: InterfaceName) -> Self {
        name.to_string()
    }
}

/// The name of a policy: 1 to 64 of `a-z`, `0-9` and `-`, beginning with a letter.
///
/// It is a file name and a part of an URL path, so nothing that either would need to quote is allowed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PolicyName(String);

impl FromStr for PolicyName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        let rest = text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !first || !rest || text.len() > 64 {
            return Err(NameError {
                what: "policy name",
                input: text.to_owned(),
                rule: "1 to 64 of a-z, 0-9 and `-`, beginning with a letter",
            });
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for PolicyName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<PolicyName> for String {
    fn from(name: PolicyName) -> Self {
        name.0
    }
}

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for PolicyName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Names one emergency for ever: a UUID of version 7 (RFC 9562), so that ids sort by the time of declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EmergencyId(Uuid);

impl EmergencyId {
    /// Wraps an id made elsewhere; the model has neither clock nor random numbers of its own.
    #[must_use]
    pub fn new(id: Uuid) -> Self {
        Self(id)
    }
}

impl FromStr for EmergencyId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Uuid::parse_str(text).map(Self).map_err(|_| NameError {
            what: "emergency id",
            input: text.to_owned(),
            rule: "a UUID as `portcullis status` prints it",
        })
    }
}

impl fmt::Display for EmergencyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.hyphenated())
    }
}

const HEX_DIGITS: [u8; 16] = *b"0123456789abcdef";

/// A SHA-256 digest (FIPS 180-4), written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// Wraps the 32 bytes of a digest computed piece by piece.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// All zero: stands where a chain begins.
    #[must_use]
    pub fn zero() -> Self {
        Self([0; 32])
    }

    /// The first 12 hexadecimal digits: short enough to read over a telephone.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 64];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(self.0) {
            pair[0] = HEX_DIGITS[usize::from(byte >> 4)];
            pair[1] = HEX_DIGITS[usize::from(byte & 0xf)];
        }
        f.write_str(std::str::from_utf8(&digits).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let refused = || NameError {
            what: "digest",
            input: text.to_owned(),
            rule: "64 lower-case hexadecimal digits",
        };
        let digit = |character: u8| match character {
            b'0'..=b'9' => Some(character - b'0'),
            b'a'..=b'f' => Some(character - b'a' + 10),
            _ => None,
        };
        let mut bytes = [0; 32];
        if text.len() != 2 * bytes.len() {
            return Err(refused());
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let (high, low) = digit(pair[0]).zip(digit(pair[1])).ok_or_else(refused)?;
            *byte = high << 4 | low;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}
