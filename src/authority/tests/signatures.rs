//! Every way in which a signature is not one of an order.

use super::forge::{Kind, Parts, Pen, armour, blob, string};
use super::{declaration, order, pens, people_of};
use crate::authority::Refusal;
use crate::authority::order::NAMESPACE;
use crate::authority::people::People;
use crate::authority::signature::{SIGNATURE_MAX_BYTES, signer};

fn bytes() -> Vec<u8> {
    order(declaration()).to_bytes().unwrap()
}

fn judged(people: &People, armoured: &str) -> Result<String, Refusal> {
    signer(people, &bytes(), armoured).map(|signer| signer.person.name.clone())
}

#[test]
fn a_key_of_each_kind_signs_for_its_owner_with_either_hash() {
    let pens = pens();
    let people = people_of(&pens);
    for (number, pen) in pens.iter().enumerate() {
        for hash in ["sha256", "sha512"] {
            let signed = pen.parts(NAMESPACE, hash, &bytes()).armour();
            assert_eq!(
                judged(&people, &signed),
                Ok(format!("person-{number}")),
                "{:?} {hash}",
                pen.kind
            );
        }
    }
}

#[test]
fn whatever_is_not_such_a_signature_is_refused_under_a_code_of_its_own() {
    use Refusal::{
        BadSignature, SignatureAlgorithm, SignatureMalformed, SignatureNotCanonical, SignatureReserved,
        SignatureTooLong, SignatureVersion, UnknownKey, WrongNamespace,
    };
    let pen = Pen::new(Kind::Ed25519, 1);
    let people = people_of(&pens());
    let good = pen.parts(NAMESPACE, "sha512", &bytes());
    let but = |change: &dyn Fn(&mut Parts)| {
        let mut parts = good.clone();
        change(&mut parts);
        parts.armour()
    };
    let of_another_order = pen.parts(NAMESPACE, "sha512", b"something else").armour();
    let of_a_stranger = Pen::new(Kind::Ed25519, 99).sign(&bytes());
    let certificate = string(b"ssh-ed25519-cert-v01@openssh.com");
    let cases = [
        (SignatureTooLong, "-".repeat(SIGNATURE_MAX_BYTES + 1)),
        (SignatureMalformed, String::new()),
        (SignatureMalformed, "hello".to_owned()),
        (
            SignatureMalformed,
            good.armour().replace("SSH SIGNATURE", "SSH MESSAGE"),
        ),
        (SignatureMalformed, armour(&good.blob()[1..])),
        (SignatureMalformed, armour(&good.blob()[..100])),
        (SignatureNotCanonical, good.armour().replace('\n', "\r\n")),
        (SignatureNotCanonical, good.armour().trim_end().to_owned()),
        (SignatureVersion, but(&|parts| parts.version = 0)),
        (SignatureVersion, but(&|parts| parts.version = 2)),
        (SignatureReserved, but(&|parts| parts.reserved = b"x".to_vec())),
        (WrongNamespace, pen.parts("file", "sha512", &bytes()).armour()),
        (
            WrongNamespace,
            but(&|parts| parts.namespace = b"order@portcullis ".to_vec()),
        ),
        (SignatureMalformed, but(&|parts| parts.hash = b"sha1".to_vec())),
        // Signed with what it says, but it says another kind than the key is of.
        (
            SignatureAlgorithm,
            but(&|parts| parts.signature = Pen::new(Kind::P256, 1).over(b"x")),
        ),
        (UnknownKey, of_a_stranger),
        (UnknownKey, but(&|parts| parts.key = Pen::new(Kind::P256, 77).public())),
        (
            UnknownKey,
            but(&|parts| parts.key = [certificate.clone(), string(b"x")].concat()),
        ),
        (BadSignature, of_another_order),
        (BadSignature, but(&|parts| parts.hash = b"sha256".to_vec())),
    ];
    for (number, (wanted, armoured)) in cases.into_iter().enumerate() {
        assert_eq!(judged(&people, &armoured), Err(wanted), "case {number}: {armoured}");
    }
}

#[test]
fn a_security_key_must_have_been_touched_and_given_its_pin_where_that_is_demanded() {
    for kind in [Kind::SkEd25519, Kind::SkP256] {
        let pen = Pen::new(kind, 3);
        let demanding = format!(
            "schema = 1\n[[people]]\nname = \"p\"\nroles = [\"revert\"]\nkeys = [{{ key = \"{}\", pin = true }}]\n",
            pen.line()
        );
        let demanding = People::read("people.toml", &demanding).unwrap();
        let content = people_of(std::slice::from_ref(&pen));
        for (flags, by_touch, by_pin) in [
            (0x00, Err(Refusal::NotPresent), Err(Refusal::NotPresent)),
            (0x04, Err(Refusal::NotPresent), Err(Refusal::NotPresent)),
            (0x01, Ok("person-0"), Err(Refusal::NotVerified)),
            (0x05, Ok("person-0"), Ok("p")),
            (0x81, Err(Refusal::SecurityKeyFlags), Err(Refusal::SecurityKeyFlags)),
            (0x45, Err(Refusal::SecurityKeyFlags), Err(Refusal::SecurityKeyFlags)),
        ] {
            let signed = Pen { flags, ..pen.clone() }.sign(&bytes());
            let judge = |people| judged(people, &signed);
            assert_eq!(judge(&content).as_deref(), by_touch.as_deref(), "{kind:?} {flags:#x}");
            assert_eq!(judge(&demanding).as_deref(), by_pin.as_deref(), "{kind:?} {flags:#x}");
        }
    }
}

#[test]
fn flags_that_are_changed_afterwards_break_the_signature() {
    let pen = Pen {
        flags: 0,
        ..Pen::new(Kind::SkEd25519, 3)
    };
    let people = people_of(std::slice::from_ref(&pen));
    let mut parts = pen.parts(NAMESPACE, "sha512", &bytes());
    let at = parts.signature.len() - 5;
    parts.signature[at] = 0x01;
    assert_eq!(judged(&people, &parts.armour()), Err(Refusal::BadSignature));
}

#[test]
fn a_security_key_for_another_application_is_another_key() {
    let pen = Pen::new(Kind::SkP256, 4);
    let people = people_of(std::slice::from_ref(&pen));
    let other = Pen {
        application: "ssh:other",
        ..pen
    };
    assert_eq!(judged(&people, &other.sign(&bytes())), Err(Refusal::UnknownKey));
}

#[test]
fn the_forge_writes_what_the_decoder_would() {
    for pen in pens() {
        let armoured = pen.sign(&bytes());
        let decoded = ssh_key::SshSig::from_pem(&armoured).unwrap();
        assert_eq!(decoded.algorithm(), pen.algorithm());
        assert_eq!(armour(&blob(&armoured)), armoured);
    }
}
