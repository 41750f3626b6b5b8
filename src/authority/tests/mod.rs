//! Orders signed by keys that the tests make, by Debian's `ssh-keygen`, and by OpenSSH's own test vectors.

pub(crate) mod forge;
mod mutations;
mod openssh;
mod orders;
mod people;
mod signatures;

use self::forge::{Kind, Pen};
use super::order::{Act, Declare, Here, Order, Target, VERSION};
use super::people::People;
use crate::model::names::Digest;
use crate::model::record::Head;

const NOW: &str = "2026-11-28T04:00:00Z";

fn people_of(pens: &[Pen]) -> People {
    let person = |(number, pen): (usize, &Pen)| {
        format!(
            "[[people]]\nname = \"person-{number}\"\nroles = [\"declare\", \"approve\", \"revert\"]\n\
             keys = [{{ key = \"{}\"{} }}]\n",
            pen.line(),
            if pen.kind.is_security_key() {
                ", pin = false"
            } else {
                ""
            }
        )
    };
    let people: Vec<String> = pens.iter().enumerate().map(person).collect();
    People::read("people.toml", &format!("schema = 1\n{}", people.concat())).unwrap()
}

fn pens() -> Vec<Pen> {
    Kind::ALL
        .into_iter()
        .zip(1..)
        .map(|(kind, seed)| Pen::new(kind, seed))
        .collect()
}

fn declaration() -> Act {
    Act::Declare(Declare {
        authority: "CISO on call, INC-4711".to_owned(),
        confirm_within_ms: None,
        duration_ms: 600_000,
        occasion: Some("security-incident".to_owned()),
        plan: Digest::of(b"plan"),
        policy: "isolate-host".parse().unwrap(),
        policy_digest: Digest::of(b"policy"),
        reason: "ransomware on the file server".to_owned(),
    })
}

fn revert() -> Act {
    Act::Revert(Target::Policy("isolate-host".parse().unwrap()))
}

fn order(act: Act) -> Order {
    Order {
        act,
        boot: Some("boot-1".to_owned()),
        challenge: Digest::of(b"challenge"),
        head: Head {
            sequence: 42,
            hash: Digest::of(b"head"),
        },
        host: Digest::of(b"host"),
        valid_from: NOW.parse().unwrap(),
        valid_until: "2026-11-28T04:15:00Z".parse().unwrap(),
        version: VERSION,
    }
}

fn here() -> Here<'static> {
    Here {
        host: Digest::of(b"host"),
        boot: "boot-1",
        now: NOW.parse().unwrap(),
    }
}
