//! SSHSIG (PROTOCOL.sshsig), strictly: nothing is taken that `ssh-keygen -Y sign` would not have written.
//!
//! `ssh-key` decodes and does nothing else here: it verifies neither strictly nor the flags of a security key, takes several
//! encodings of one signature, and writes those of ECDSA security keys wrongly (0.6.7).

use base64ct::{Base64, Encoding as _};
use ssh_key::{PublicKey, SshSig};

use super::Refusal;
use super::key::{is_of_another_kind, without_trailer};
use super::order::NAMESPACE;
use super::people::{People, Signer};

/// The longest signature, in bytes of its armoured form: several times the longest of the kinds that are taken.
pub const SIGNATURE_MAX_BYTES: usize = 4 * 1024;
/// Digits in a line of the armour, as `sshsig.c` writes it.
const LINE_DIGITS: usize = 70;

/// Who signed these bytes as an order.
///
/// # Errors
/// If nobody did whom this host knows, or not in the way that is demanded of them. Whether they may order anything now is
/// another question: see [`Signer::check`].
pub fn signer<'p>(people: &'p People, order: &[u8], armoured: &str) -> Result<Signer<'p>, Refusal> {
    signer_for(NAMESPACE, people, order, armoured)
}

/// The same of something that was signed for this purpose.
pub(super) fn signer_for<'p>(
    namespace: &str,
    people: &'p People,
    bytes: &[u8],
    armoured: &str,
) -> Result<Signer<'p>, Refusal> {
    if armoured.len() > SIGNATURE_MAX_BYTES {
        return Err(Refusal::SignatureTooLong);
    }
    let signature = SshSig::from_pem(armoured).map_err(|error| not_read(&error))?;
    if written(&signature).as_deref() != Some(armoured) {
        return Err(Refusal::SignatureNotCanonical);
    }
    if signature.version() != SshSig::VERSION {
        return Err(Refusal::SignatureVersion);
    }
    if !signature.reserved().is_empty() {
        return Err(Refusal::SignatureReserved);
    }
    if signature.namespace() != namespace {
        return Err(Refusal::WrongNamespace);
    }
    let signer = people.owner(signature.public_key()).ok_or(Refusal::UnknownKey)?;
    let signed =
        SshSig::signed_data(namespace, signature.hash_alg(), bytes).map_err(|_| Refusal::SignatureMalformed)?;
    signer
        .key
        .key
        .verify(&signed, signature.signature(), signer.key.demand)?;
    Ok(signer)
}

/// The one way to write a signature.
fn written(signature: &SshSig) -> Option<String> {
    let key = PublicKey::from(signature.public_key().clone()).to_bytes().ok()?;
    let algorithm = signature.algorithm();
    let (bare, trailer) = without_trailer(&algorithm, signature.signature_bytes())?;
    let inner = [string(algorithm.as_str().as_bytes())?, string(bare)?, trailer.to_vec()].concat();
    let fields: [&[u8]; 5] = [
        &key,
        signature.namespace().as_bytes(),
        signature.reserved(),
        signature.hash_alg().as_str().as_bytes(),
        &inner,
    ];
    let mut blob = b"SSHSIG".to_vec();
    blob.extend(signature.version().to_be_bytes());
    for field in fields {
        blob.extend(string(field)?);
    }
    let digits = Base64::encode_string(&blob);
    let mut armour = "-----BEGIN SSH SIGNATURE-----\n".to_owned();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && at % LINE_DIGITS == 0 {
            armour.push('\n');
        }
        armour.push(digit);
    }
    Some(armour + "\n-----END SSH SIGNATURE-----\n")
}

/// A string on the wire (RFC 4251, section 5).
fn string(bytes: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(bytes.len()).ok()?;
    Some([&length.to_be_bytes(), bytes].concat())
}

fn not_read(error: &ssh_key::Error) -> Refusal {
    if matches!(error, ssh_key::Error::Version { .. }) {
        Refusal::SignatureVersion
    } else if is_of_another_kind(error) {
        Refusal::SignatureAlgorithm
    } else {
        Refusal::SignatureMalformed
    }
}
