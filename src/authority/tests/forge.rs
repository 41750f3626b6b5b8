//! Keys in software that sign as `ssh-keygen` and a security key would, and as neither ever would.

use base64ct::{Base64, Encoding as _};
use ed25519_dalek::Signer as _;
use sha2::{Digest as _, Sha256, Sha512};
use ssh_key::{Algorithm, Signature};

use crate::authority::order::NAMESPACE;

/// A touch, as a security key says it.
const TOUCHED: u8 = 0x01;
/// Digits in a line of the armour (PROTOCOL.sshsig as `sshsig.c` writes it).
const LINE: usize = 70;

/// Kinds of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ed25519,
    P256,
    SkEd25519,
    SkP256,
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Ed25519, Self::P256, Self::SkEd25519, Self::SkP256];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ssh-ed25519",
            Self::P256 => "ecdsa-sha2-nistp256",
            Self::SkEd25519 => "sk-ssh-ed25519@openssh.com",
            Self::SkP256 => "sk-ecdsa-sha2-nistp256@openssh.com",
        }
    }

    pub(super) fn is_security_key(self) -> bool {
        matches!(self, Self::SkEd25519 | Self::SkP256)
    }

    fn is_ed25519(self) -> bool {
        matches!(self, Self::Ed25519 | Self::SkEd25519)
    }
}

/// A key that signs.
#[derive(Clone, Debug)]
pub(crate) struct Pen {
    pub(super) kind: Kind,
    pub(super) seed: [u8; 32],
    /// What a security key says of its user.
    pub(super) flags: u8,
    pub(super) application: &'static str,
}

/// The fields of a signature, for those who change one.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    pub(super) version: u32,
    pub(super) key: Vec<u8>,
    pub(super) namespace: Vec<u8>,
    pub(super) reserved: Vec<u8>,
    pub(super) hash: Vec<u8>,
    pub(super) signature: Vec<u8>,
}

/// A string on the wire (RFC 4251, section 5).
pub(super) fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    [&length.to_be_bytes(), bytes].concat()
}

impl Pen {
    pub(crate) fn new(kind: Kind, seed: u8) -> Self {
        Self {
            kind,
            seed: [seed; 32],
            flags: TOUCHED,
            application: "ssh:",
        }
    }

    /// The same key, whose security key says this of its user.
    pub(crate) fn saying(self, flags: u8) -> Self {
        Self { flags, ..self }
    }

    fn ed25519(&self) -> ed25519_dalek::SigningKey {
        ed25519_dalek::SigningKey::from_bytes(&self.seed)
    }

    fn p256(&self) -> p256::ecdsa::SigningKey {
        p256::ecdsa::SigningKey::from_slice(&self.seed).unwrap()
    }

    pub(super) fn public(&self) -> Vec<u8> {
        let mut blob = string(self.kind.name().as_bytes());
        if self.kind.is_ed25519() {
            blob.extend(string(self.ed25519().verifying_key().as_bytes()));
        } else {
            blob.extend(string(b"nistp256"));
            blob.extend(string(self.p256().verifying_key().to_encoded_point(false).as_bytes()));
        }
        if self.kind.is_security_key() {
            blob.extend(string(self.application.as_bytes()));
        }
        blob
    }

    /// As it stands in `*.pub`.
    pub(crate) fn line(&self) -> String {
        format!("{} {} a test", self.kind.name(), Base64::encode_string(&self.public()))
    }

    fn bare(&self, bytes: &[u8]) -> Vec<u8> {
        if self.kind.is_ed25519() {
            return self.ed25519().sign(bytes).to_bytes().to_vec();
        }
        let signature: p256::ecdsa::Signature = self.p256().sign(bytes);
        Signature::try_from(signature).unwrap().as_bytes().to_vec()
    }

    /// What goes into the last field of an SSHSIG over these bytes.
    pub(super) fn over(&self, signed: &[u8]) -> Vec<u8> {
        let name = string(self.kind.name().as_bytes());
        if !self.kind.is_security_key() {
            return [name, string(&self.bare(signed))].concat();
        }
        let trailer = [self.flags, 0, 0, 0, 7];
        let (application, message) = (Sha256::digest(self.application), Sha256::digest(signed));
        let bare = self.bare(&[&application[..], &trailer, &message].concat());
        [name, string(&bare), trailer.to_vec()].concat()
    }

    pub(super) fn parts(&self, namespace: &str, hash: &str, bytes: &[u8]) -> Parts {
        let hashed = match hash {
            "sha256" => Sha256::digest(bytes).to_vec(),
            _ => Sha512::digest(bytes).to_vec(),
        };
        let fields = [namespace.as_bytes(), b"", hash.as_bytes(), &hashed];
        let signed = fields.iter().fold(b"SSHSIG".to_vec(), |mut signed, field| {
            signed.extend(string(field));
            signed
        });
        Parts {
            version: 1,
            key: self.public(),
            namespace: namespace.as_bytes().to_vec(),
            reserved: Vec::new(),
            hash: hash.as_bytes().to_vec(),
            signature: self.over(&signed),
        }
    }

    /// Signs an order, as `ssh-keygen -Y sign -n order@portcullis` does.
    pub(crate) fn sign(&self, order: &[u8]) -> String {
        self.parts(NAMESPACE, "sha512", order).armour()
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        Algorithm::new(self.kind.name()).unwrap()
    }
}

impl Parts {
    pub(super) fn blob(&self) -> Vec<u8> {
        let mut blob = b"SSHSIG".to_vec();
        blob.extend(self.version.to_be_bytes());
        for field in [&self.key, &self.namespace, &self.reserved, &self.hash, &self.signature] {
            blob.extend(string(field));
        }
        blob
    }

    pub(super) fn armour(&self) -> String {
        armour(&self.blob())
    }
}

/// The armour around a blob.
pub(super) fn armour(blob: &[u8]) -> String {
    let digits = Base64::encode_string(blob);
    let lines: Vec<&str> = (0..digits.len())
        .step_by(LINE)
        .map(|at| &digits[at..digits.len().min(at + LINE)])
        .collect();
    format!(
        "-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n",
        lines.join("\n")
    )
}

/// The blob in an armour.
pub(super) fn blob(armour: &str) -> Vec<u8> {
    let digits: String = armour.lines().filter(|line| !line.starts_with('-')).collect();
    Base64::decode_vec(&digits).unwrap()
}
