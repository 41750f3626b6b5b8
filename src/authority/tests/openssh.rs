//! OpenSSH's own test vectors (regress/unittests/sshsig/testdata of openssh-portable, 0ef0f5a8): what `ssh-keygen` and real
//! security keys signed for the purpose `unittest`. And an order that Debian's `ssh-keygen` (9.2p1) signed; it signs anew in
//! `tests/orders/run`.

use super::forge::{armour, blob};
use crate::authority::Refusal;
use crate::authority::key::{Key, KeyError};
use crate::authority::order::Order;
use crate::authority::people::People;
use crate::authority::signature::{signer, signer_for};

const SIGNED: &[u8] = b"This is a test, this is only a test";

macro_rules! vector {
    ($name:literal) => {
        (
            $name,
            include_str!(concat!("openssh/", $name, ".pub")),
            include_str!(concat!("openssh/", $name, ".sig")),
        )
    };
}

const TAKEN: [(&str, &str, &str); 4] = [
    vector!("ed25519"),
    vector!("ecdsa"),
    vector!("ed25519_sk"),
    vector!("ecdsa_sk"),
];

fn owner_of(key: &str, more: &str) -> People {
    let text = format!(
        "schema = 1\n[[people]]\nname = \"p\"\nroles = [\"revert\"]\nkeys = [{{ key = \"{}\"{more} }}]\n",
        key.trim_end()
    );
    People::read("people.toml", &text).unwrap()
}

#[test]
fn those_of_the_kinds_that_are_taken_verify() {
    for (name, key, signature) in TAKEN {
        let people = owner_of(key, "");
        let taken = signer_for("unittest", &people, SIGNED, signature).map(|_| ());
        assert_eq!(taken, Ok(()), "{name}");
        let other = signer_for("unittest", &people, b"another", signature).map(|_| ());
        assert_eq!(other, Err(Refusal::BadSignature), "{name}");
        let as_order = signer(&people, SIGNED, signature).map(|_| ());
        assert_eq!(as_order, Err(Refusal::WrongNamespace), "{name}");
    }
}

#[test]
fn an_order_that_debian_signed_is_taken() {
    let order = include_bytes!("debian/order");
    for (name, key, signature) in [
        (
            "ed25519",
            include_str!("debian/ed25519.pub"),
            include_str!("debian/ed25519.sig"),
        ),
        (
            "ecdsa",
            include_str!("debian/ecdsa.pub"),
            include_str!("debian/ecdsa.sig"),
        ),
    ] {
        let people = owner_of(key, "");
        assert_eq!(signer(&people, order, signature).map(|_| ()), Ok(()), "{name}");
        let read = Order::read(order).unwrap();
        assert!(read.is_prepared() && read.to_bytes().unwrap() == order, "{name}");
    }
}

#[test]
fn those_of_security_keys_say_touched_and_no_pin_and_neither_can_be_changed() {
    for (name, key, signature) in TAKEN.into_iter().filter(|(name, ..)| name.ends_with("_sk")) {
        let with_pin = owner_of(key, ", pin = true");
        let taken = signer_for("unittest", &with_pin, SIGNED, signature).map(|_| ());
        assert_eq!(taken, Err(Refusal::NotVerified), "{name}");
        let people = owner_of(key, "");
        let mut bytes = blob(signature);
        let flags_at = bytes.len() - 5;
        assert_eq!(bytes[flags_at], 0x01, "{name}");
        for (flags, wanted) in [(0x00, Refusal::NotPresent), (0x05, Refusal::BadSignature)] {
            bytes[flags_at] = flags;
            let changed = signer_for("unittest", &people, SIGNED, &armour(&bytes)).map(|_| ());
            assert_eq!(changed, Err(wanted), "{name} {flags:#x}");
        }
    }
}

#[test]
fn those_of_other_kinds_are_refused() {
    let (_, key, signature) = vector!("ecdsa_sk_webauthn");
    let people = owner_of(key, "");
    let taken = signer_for("unittest", &people, SIGNED, signature).map(|_| ());
    assert_eq!(
        taken,
        Err(Refusal::SignatureMalformed),
        "a browser's signature has more behind it"
    );
    let (_, key, signature) = vector!("rsa");
    assert_eq!(Key::from_line(key), Err(KeyError::Kind));
    let taken = signer_for("unittest", &people, SIGNED, signature).map(|_| ());
    assert_eq!(taken, Err(Refusal::UnknownKey));
}
