//! The seal of an epoch: a record that proves what stands before it, even to one who distrusts today's root.
//!
//! Epoch i ends with a record of kind `sealed`. It carries a checkpoint over all records before it, and a statement that
//! names the time and the public key of epoch i + 1; both are signed with the key of epoch i, whose secret is then
//! destroyed. Who takes the host later finds no key that any earlier seal could be made with again. Epochs count from 1
//! without gaps, so a seal that was dropped shows; a reboot, with which the secrets vanish, begins a new chain of keys.
//!
//! All that a seal's record holds is signed or follows from what is: no byte of the last one is free.

use base64ct::{Base64, Encoding};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use super::emergency::Moment;
use super::merkle::Frontier;
use super::names::Digest;
use super::note::{Checkpoint, Note, NoteKey, public_key};
use super::record::{Actor, Draft, EventKind, Record};

/// Begins every statement, so that no statement can be taken for a checkpoint.
const STATEMENT: &str = "portcullis-epoch/v1";
/// How much of the first record's hash names the log.
const ORIGIN_DIGITS: usize = 32;

/// What checkpoints call this log: it follows from the first record, so a piece of another log does not fit.
#[must_use]
pub fn origin(first_record: Digest) -> String {
    format!("portcullis-audit/{}", &first_record.to_string()[..ORIGIN_DIGITS])
}

/// What a seal's record says beside the time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Details {
    /// The signed note.
    checkpoint: String,
    epoch: u64,
    /// Public key of this epoch, base64.
    key: String,
    /// Public key of the next, base64.
    next: String,
    /// Over the statement, base64.
    signature: String,
}

/// A seal whose signatures are good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// The record that it is.
    pub sequence: u64,
    /// Counts from 1 in a chain of keys.
    pub epoch: u64,
    /// Key of this epoch.
    pub key: NoteKey,
    /// Key of the next.
    pub next: VerifyingKey,
    /// What it proves.
    pub checkpoint: Checkpoint,
    /// The same, signed.
    pub note: String,
}

/// What is wrong with a seal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealFlaw {
    /// It is no seal.
    #[error("not a seal: {0}")]
    Form(String),
    /// It belongs to another log.
    #[error("it seals the log {found}, this one is {expected}")]
    Origin {
        /// This log.
        expected: String,
        /// What it says.
        found: String,
    },
    /// It counts other records than stand before it.
    #[error("it seals {found} records, {expected} stand before it")]
    Size {
        /// How many there are.
        expected: u64,
        /// What it says.
        found: u64,
    },
    /// A record before it is not what was sealed.
    #[error("the records before it are not those that were sealed: their root is {found}, sealed was {sealed}")]
    Root {
        /// What was sealed.
        sealed: Digest,
        /// What stands there.
        found: Digest,
    },
    /// A signature is wrong.
    #[error("its {0} is not signed with its key")]
    Signature(&'static str),
    /// The key is not the one that the seal before it named.
    #[error("its key is not the one that the seal of epoch {before} named")]
    Key {
        /// The epoch before it.
        before: u64,
    },
    /// A seal comes again, or a chain of keys starts over amid an epoch of its own.
    #[error("it seals epoch {found}, which is over: {expected} is next")]
    Past {
        /// What is next.
        expected: u64,
        /// What it says.
        found: u64,
    },
    /// Seals before it are gone.
    #[error("it seals epoch {found}, the seals from epoch {expected} on are missing")]
    Missing {
        /// What is next.
        expected: u64,
        /// What it says.
        found: u64,
    },
    /// A chain of keys does not outlive its boot.
    #[error("its keys are those of another boot")]
    Boot,
    /// The clock ran backwards, which CLOCK_BOOTTIME does not.
    #[error("it is dated before the seal of epoch {before}, which stands before it")]
    BackDated {
        /// The epoch of that seal.
        before: u64,
    },
}

/// Makes the record of a seal, up to its place in the chain.
///
/// `tree` holds all records so far and must not be empty.
#[must_use]
pub fn draft(
    tree: &Frontier,
    origin: &str,
    epoch: u64,
    secret: &SigningKey,
    next: &VerifyingKey,
    moment: &Moment,
) -> Draft {
    let checkpoint = Checkpoint {
        origin: origin.to_owned(),
        size: tree.size(),
        root: tree.root(),
    };
    let statement = statement(&checkpoint, epoch, next, moment);
    let details = serde_json::json!({
        "checkpoint": Note::sign(checkpoint.to_string(), origin, secret).to_string(),
        "epoch": epoch,
        "key": Base64::encode_string(secret.verifying_key().as_bytes()),
        "next": Base64::encode_string(next.as_bytes()),
        "signature": Base64::encode_string(&secret.sign(statement.as_bytes()).to_bytes()),
    });
    Draft {
        details,
        ..Draft::of_daemon(EventKind::Sealed)
    }
}

/// What the key of an epoch says at its end, one thing a line.
fn statement(checkpoint: &Checkpoint, epoch: u64, next: &VerifyingKey, moment: &Moment) -> String {
    format!(
        "{STATEMENT}\n{checkpoint}epoch {epoch}\nnext {}\nboot {}\nboottime_ms {}\nwall_ms {}\n",
        Base64::encode_string(next.as_bytes()),
        moment.boot_id,
        moment.boottime_ms,
        moment.wall_ms
    )
}

/// Reads a seal and checks its signatures against the key that it names itself.
///
/// # Errors
/// If it is not a seal or a signature is not good.
pub fn read(record: &Record) -> Result<Seal, SealFlaw> {
    let not = |why: &str| SealFlaw::Form(why.to_owned());
    let details = Details::deserialize(&record.details).map_err(|e| SealFlaw::Form(e.to_string()))?;
    if record.actor != Actor::Daemon || record.emergency.is_some() || record.policy.is_some() {
        return Err(not("only the daemon seals, and it seals everything"));
    }
    let note: Note = details.checkpoint.parse().map_err(|e| not(&format!("{e}")))?;
    let checkpoint: Checkpoint = note.text().parse().map_err(|e| not(&format!("{e}")))?;
    if note.signatures() != 1 || note.text() != checkpoint.to_string() || note.to_string() != details.checkpoint {
        return Err(not("its checkpoint is not written as the daemon writes it"));
    }
    let key = NoteKey {
        name: checkpoint.origin.clone(),
        key: key_of(&details.key).ok_or_else(|| not("its key is not one"))?,
    };
    let next = key_of(&details.next).ok_or_else(|| not("the next key is not one"))?;
    note.verify(&key).map_err(|_| SealFlaw::Signature("checkpoint"))?;
    let moment = Moment {
        boot_id: record.boot_id.clone(),
        boottime_ms: record.boottime_ms,
        wall_ms: record.wall_ms,
    };
    let signature = Base64::decode_vec(&details.signature).ok();
    let signature = signature.and_then(|bytes| Signature::from_slice(&bytes).ok());
    let signed = statement(&checkpoint, details.epoch, &next, &moment);
    let good = signature.is_some_and(|signature| key.key.verify_strict(signed.as_bytes(), &signature).is_ok());
    if !good {
        return Err(SealFlaw::Signature("statement"));
    }
    Ok(Seal {
        sequence: record.sequence,
        epoch: details.epoch,
        key,
        next,
        checkpoint,
        note: details.checkpoint,
    })
}

fn key_of(text: &str) -> Option<VerifyingKey> {
    public_key(&Base64::decode_vec(text).ok()?)
}

impl Seal {
    /// Checks what it says of the records before it.
    ///
    /// # Errors
    /// If they are others.
    pub fn covers(&self, tree: &Frontier, origin: &str) -> Result<(), SealFlaw> {
        if self.checkpoint.origin != origin {
            return Err(SealFlaw::Origin {
                expected: origin.to_owned(),
                found: self.checkpoint.origin.clone(),
            });
        }
        if self.checkpoint.size != tree.size() {
            return Err(SealFlaw::Size {
                expected: tree.size(),
                found: self.checkpoint.size,
            });
        }
        let found = tree.root();
        if self.checkpoint.root != found {
            return Err(SealFlaw::Root {
                sealed: self.checkpoint.root,
                found,
            });
        }
        Ok(())
    }
}
