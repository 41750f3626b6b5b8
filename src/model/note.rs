//! Signed notes and checkpoints: the head of a log as a text that any number of parties can sign, print and mail.
//!
//! The format is that of C2SP `signed-note.md` and `tlog-checkpoint.md`, Ed25519 signatures (type 0x01) only, without
//! extension lines. A note with other signatures beside ours is read; they are ignored.

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

use super::names::Digest;

/// The most that is read of a note: a checkpoint of ours has some 300 bytes, each cosignature some 150 more.
pub const NOTE_MAX_BYTES: usize = 64 << 10;
/// The signature type of Ed25519 (signed-note.md, "Signature types").
const ED25519: u8 = 0x01;
const KEY_ID_BYTES: usize = 4;

/// Why a text is no note, checkpoint or key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// The form is another.
    #[error("not a {what}: {why}")]
    Form {
        /// What it should be.
        what: &'static str,
        /// What it lacks.
        why: &'static str,
    },
    /// No line is signed with the key.
    #[error("no signature by the key {0}")]
    NotSigned(String),
    /// A line claims to be.
    #[error("the signature by the key {0} is wrong")]
    Forged(String),
}

fn form(what: &'static str, why: &'static str) -> NoteError {
    NoteError::Form { what, why }
}

/// A public key with its name, written `name+id+key` as signed-note.md says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteKey {
    /// The log's origin.
    pub name: String,
    /// The key.
    pub key: VerifyingKey,
}

impl NoteKey {
    /// Distinguishes keys of one name; not collision resistant.
    fn id(&self) -> [u8; KEY_ID_BYTES] {
        let hash = Sha256::new_with_prefix(self.name.as_bytes())
            .chain_update([b'\n', ED25519])
            .chain_update(self.key.as_bytes());
        let hash: [u8; 32] = hash.finalize().into();
        [hash[0], hash[1], hash[2], hash[3]]
    }
}

impl fmt::Display for NoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut typed = vec![ED25519];
        typed.extend_from_slice(self.key.as_bytes());
        let id = u32::from_be_bytes(self.id());
        write!(f, "{}+{id:08x}+{}", self.name, Base64::encode_string(&typed))
    }
}

impl FromStr for NoteKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        const WHAT: &str = "key";
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(_), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(form(WHAT, "it should read NAME+ID+KEY"));
        };
        check_name(name).map_err(|why| form(WHAT, why))?;
        let bytes = Base64::decode_vec(key).map_err(|_| form(WHAT, "its last part is not base64"))?;
        let Some((&ED25519, key)) = bytes.split_first() else {
            return Err(form(WHAT, "its type is not Ed25519"));
        };
        let key = public_key(key).ok_or_else(|| form(WHAT, "it is not a point of the curve"))?;
        let found = Self {
            name: name.to_owned(),
            key,
        };
        // This compares the id too.
        if found.to_string() != text {
            return Err(form(WHAT, "its id is not that of the key"));
        }
        Ok(found)
    }
}

/// A public key from its bytes; none unless they are one that signs nothing but what its owner signed.
pub(super) fn public_key(bytes: &[u8]) -> Option<VerifyingKey> {
    let bytes: &[u8; 32] = bytes.try_into().ok()?;
    VerifyingKey::from_bytes(bytes).ok().filter(|key| !key.is_weak())
}

fn check_name(name: &str) -> Result<(), &'static str> {
    let wrong = name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+');
    if wrong {
        Err("a name has no spaces and no plus")
    } else {
        Ok(())
    }
}

/// A text and signatures of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What is signed, its last newline included.
    text: String,
    /// Name, key id and signature, in the note's order.
    signatures: Vec<(String, Vec<u8>)>,
}

impl Note {
    /// Signs a text, which must end in a newline and hold no empty line.
    #[must_use]
    pub fn sign(text: String, name: &str, secret: &SigningKey) -> Self {
        let key = NoteKey {
            name: name.to_owned(),
            key: secret.verifying_key(),
        };
        let mut signature = key.id().to_vec();
        signature.extend_from_slice(&secret.sign(text.as_bytes()).to_bytes());
        Self {
            text,
            signatures: vec![(key.name, signature)],
        }
    }

    /// What is signed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How many signatures it has, by whomever.
    #[must_use]
    pub fn signatures(&self) -> usize {
        self.signatures.len()
    }

    /// Checks that the holder of the key signed the note.
    ///
    /// # Errors
    /// If no line is by that key, or its signature is not good.
    pub fn verify(&self, key: &NoteKey) -> Result<(), NoteError> {
        let id = key.id();
        let ours = |(name, signature): &&(String, Vec<u8>)| *name == key.name && signature.starts_with(&id);
        let (_, signature) = self
            .signatures
            .iter()
            .find(ours)
            .ok_or_else(|| NoteError::NotSigned(key.to_string()))?;
        let forged = || NoteError::Forged(key.to_string());
        let signature = Signature::from_slice(&signature[KEY_ID_BYTES..]).map_err(|_| forged())?;
        key.key
            .verify_strict(self.text.as_bytes(), &signature)
            .map_err(|_| forged())
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        let mut lines = self.signatures.iter();
        lines.try_for_each(|(name, signature)| writeln!(f, "\u{2014} {name} {}", Base64::encode_string(signature)))
    }
}

impl FromStr for Note {
    type Err = NoteError;

    fn from_str(note: &str) -> Result<Self, NoteError> {
        const WHAT: &str = "signed note";
        if note.len() > NOTE_MAX_BYTES || note.chars().any(|c| c.is_control() && c != '\n') {
            return Err(form(WHAT, "it is too long or holds control characters"));
        }
        let at = note
            .rfind("\n\n")
            .ok_or_else(|| form(WHAT, "no empty line stands before its signatures"))?;
        let (text, rest) = (&note[..=at], &note[at + 2..]);
        if !rest.ends_with('\n') {
            return Err(form(WHAT, "it does not end in a newline"));
        }
        let signatures = rest.lines().map(signature_line).collect::<Option<Vec<_>>>();
        let signatures = signatures.filter(|all| !all.is_empty());
        Ok(Self {
            text: text.to_owned(),
            signatures: signatures.ok_or_else(|| form(WHAT, "a signature line should read — NAME BASE64"))?,
        })
    }
}

fn signature_line(line: &str) -> Option<(String, Vec<u8>)> {
    let (name, signature) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    check_name(name).ok()?;
    let bytes = Base64::decode_vec(signature).ok()?;
    (bytes.len() > KEY_ID_BYTES).then(|| (name.to_owned(), bytes))
}

/// The head of a log's Merkle tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// Records.
    pub size: u64,
    /// Merkle root over them.
    pub root: Digest,
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = Base64::encode_string(self.root.as_bytes());
        write!(f, "{}\n{}\n{root}\n", self.origin, self.size)
    }
}

impl FromStr for Checkpoint {
    type Err = NoteError;

    /// Reads a note's text.
    fn from_str(text: &str) -> Result<Self, NoteError> {
        const WHAT: &str = "checkpoint";
        let mut lines = text.lines();
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(form(WHAT, "it should have three lines: origin, size, root"));
        };
        let size = size.parse().map_err(|_| form(WHAT, "its second line is not a size"))?;
        let root = Base64::decode_vec(root).ok().and_then(|root| root.try_into().ok());
        let found = Self {
            origin: origin.to_owned(),
            size,
            root: Digest::from_bytes(root.ok_or_else(|| form(WHAT, "its third line is not a root"))?),
        };
        if !text.starts_with(&found.to_string()) {
            return Err(form(WHAT, "it is not written in the one form that is allowed"));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
