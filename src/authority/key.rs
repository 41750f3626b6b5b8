//! The keys that are taken: Ed25519 and ECDSA over P-256, in software or in a security key (FIDO). No RSA, no DSA, no
//! certificates: whoever signs does so with exactly a key that this host was given.

use ed25519_dalek::{Signature as Ed25519Signature, VerifyingKey as Ed25519};
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature as EcdsaSignature, VerifyingKey as P256};
use sha2::{Digest as _, Sha256};
use ssh_key::public::{EcdsaPublicKey, KeyData};
use ssh_key::{Algorithm, EcdsaCurve, HashAlg, PublicKey, Signature};

use super::Refusal;

/// Flags and counter behind a signature of a security key (PROTOCOL.u2f).
const TRAILER_BYTES: usize = 5;
/// The user touched it (WebAuthn, section 6.1: UP).
const USER_PRESENT: u8 = 0x01;
/// The user gave a PIN or a finger (UV).
const USER_VERIFIED: u8 = 0x04;

/// What a security key must say beside that it was touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// Nothing.
    Touch,
    /// That it was given its PIN.
    Verification,
}

/// A public key that can sign orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    data: KeyData,
    point: Point,
    /// Of a security key: the application that it was made for, such as `ssh:`.
    application: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Point {
    Ed25519(Box<Ed25519>),
    P256(P256),
}

/// Why a text is no key that can sign orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is no public key line.
    #[error("it is not a public key as `ssh-keygen` writes it: a kind and base64, with nothing in front")]
    Malformed,
    /// It is of a kind that is not taken.
    #[error("only ssh-ed25519, ecdsa-sha2-nistp256 and their sk- kinds are taken; no RSA, no certificates")]
    Kind,
    /// It is no point of its curve, or one for which anybody can sign.
    #[error("it is not a good point of its curve")]
    Weak,
}

impl Key {
    /// Reads a line such as `ssh-keygen` writes into `*.pub`.
    ///
    /// # Errors
    /// If it is none, or a key of another kind.
    pub fn from_line(line: &str) -> Result<Self, KeyError> {
        let public = PublicKey::from_openssh(line).map_err(|error| {
            if is_of_another_kind(&error) {
                KeyError::Kind
            } else {
                KeyError::Malformed
            }
        })?;
        Self::of(public.key_data())
    }

    fn of(data: &KeyData) -> Result<Self, KeyError> {
        let (point, application) = if let Some(key) = data.ed25519() {
            (ed25519(&key.0)?, None)
        } else if let Some(EcdsaPublicKey::NistP256(key)) = data.ecdsa() {
            (p256(key.as_bytes())?, None)
        } else if let Some(key) = data.sk_ed25519() {
            (ed25519(&key.public_key().0)?, Some(key.application()))
        } else if let Some(key) = data.sk_ecdsa_p256() {
            (p256(key.ec_point().as_bytes())?, Some(key.application()))
        } else {
            return Err(KeyError::Kind);
        };
        Ok(Self {
            data: data.clone(),
            point,
            application: application.map(str::to_owned),
        })
    }

    /// What `ssh-keygen -l` calls it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.data.fingerprint(HashAlg::Sha256).to_string()
    }

    /// Whether it lives in a security key.
    #[must_use]
    pub fn is_security_key(&self) -> bool {
        self.application.is_some()
    }

    /// Whether this is the key, its application included.
    #[must_use]
    pub fn is(&self, data: &KeyData) -> bool {
        self.data == *data
    }

    /// Whether it signed these bytes.
    ///
    /// # Errors
    /// If it did not, or the security key does not say what is demanded.
    pub fn verify(&self, signed: &[u8], signature: &Signature, demand: Demand) -> Result<(), Refusal> {
        if signature.algorithm() != self.data.algorithm() {
            return Err(Refusal::SignatureAlgorithm);
        }
        let bytes = signature.as_bytes();
        let Some(application) = &self.application else {
            return self.point.verify(signed, bytes);
        };
        let (bytes, trailer) = without_trailer(&signature.algorithm(), bytes).ok_or(Refusal::SignatureMalformed)?;
        let flags = trailer[0];
        if flags & !(USER_PRESENT | USER_VERIFIED) != 0 {
            return Err(Refusal::SecurityKeyFlags);
        }
        if flags & USER_PRESENT == 0 {
            return Err(Refusal::NotPresent);
        }
        if demand == Demand::Verification && flags & USER_VERIFIED == 0 {
            return Err(Refusal::NotVerified);
        }
        let (application, message) = (Sha256::digest(application), Sha256::digest(signed));
        self.point
            .verify(&[&application, trailer, &message[..]].concat(), bytes)
    }
}

/// Whether the decoder says that it is well, but of a kind that it does not read.
pub(super) fn is_of_another_kind(error: &ssh_key::Error) -> bool {
    matches!(
        error,
        ssh_key::Error::AlgorithmUnknown | ssh_key::Error::AlgorithmUnsupported { .. }
    )
}

/// The signature proper, and the trailer of one by a security key: one byte of flags, four of a counter.
pub(super) fn without_trailer<'s>(algorithm: &Algorithm, bytes: &'s [u8]) -> Option<(&'s [u8], &'s [u8])> {
    let is_of_security_key = matches!(algorithm, Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256);
    let trailer = if is_of_security_key { TRAILER_BYTES } else { 0 };
    bytes.split_at_checked(bytes.len().checked_sub(trailer)?)
}

fn ed25519(bytes: &[u8; 32]) -> Result<Point, KeyError> {
    let key = Ed25519::from_bytes(bytes).ok().filter(|key| !key.is_weak());
    key.map(|key| Point::Ed25519(Box::new(key))).ok_or(KeyError::Weak)
}

fn p256(bytes: &[u8]) -> Result<Point, KeyError> {
    P256::from_sec1_bytes(bytes)
        .map(Point::P256)
        .map_err(|_| KeyError::Weak)
}

impl Point {
    fn verify(&self, signed: &[u8], signature: &[u8]) -> Result<(), Refusal> {
        let good = match self {
            Self::Ed25519(key) => Ed25519Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(signed, &signature).is_ok()),
            Self::P256(key) => ecdsa(signature).is_some_and(|signature| key.verify(signed, &signature).is_ok()),
        };
        good.then_some(()).ok_or(Refusal::BadSignature)
    }
}

/// As the decoder of `ssh-key` reads the two numbers (RFC 5656, section 3.1.2).
fn ecdsa(bytes: &[u8]) -> Option<EcdsaSignature> {
    let curve = EcdsaCurve::NistP256;
    let signature = Signature::new(Algorithm::Ecdsa { curve }, bytes).ok()?;
    EcdsaSignature::try_from(&signature).ok()
}
