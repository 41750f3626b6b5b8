//! The file of people.

use super::forge::{Kind, Pen};
use super::{declaration, order};
use crate::authority::Refusal;
use crate::authority::people::{People, Role};
use crate::authority::signature::signer;

fn key(seed: u8) -> String {
    Pen::new(Kind::Ed25519, seed).line()
}

fn person(fields: &str, key_fields: &str) -> String {
    format!("schema = 1\n[[people]]\nname = \"alice\"\n{fields}\nkeys = [{{ {key_fields} }}]\n")
}

fn wrong(text: &str) -> String {
    People::read("people.toml", text).unwrap_err().to_string()
}

#[test]
fn whoever_is_wrong_is_named_with_line_column_and_what_to_do() {
    let (one, two) = (key(1), key(2));
    let roles = "roles = [\"declare\"]";
    let good = format!("key = \"{one}\"");
    let again = |fields: &str, key: &str| {
        let first = person(&format!("user = \"al\"\n{roles}"), &good);
        format!("{first}[[people]]\n{fields}\n{roles}\nkeys = [{{ key = \"{key}\" }}]\n")
    };
    let cases = [
        (person(roles, "kee = \"x\""), "line 5, column 11", "unknown field `kee`"),
        (
            person("roles = [\"rule\"]", &good),
            "line 4, column 10",
            "unknown variant `rule`",
        ),
        (person("", &good), "line 2, column 1", "missing field `roles`"),
        (person("roles = []", &good), "line 4, column 9", "name `declare`"),
        (
            person(roles, "key = \"ssh-ed25519 AAAA\""),
            "line 5, column 17",
            "not a public key",
        ),
        (
            person(roles, &format!("key = \"from=\\\"*\\\" {one}\"")),
            "line 5, column 17",
            "with nothing in front",
        ),
        (
            person(
                roles,
                &format!("key = \"{}\"", include_str!("openssh/rsa.pub").trim_end()),
            ),
            "line 5, column 17",
            "no RSA",
        ),
        (
            person(
                roles,
                "key = \"ssh-ed25519-cert-v01@openssh.com AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29t\"",
            ),
            "line 5, column 17",
            "no",
        ),
        (
            person(roles, &format!("{good}, pin = true")),
            "line 5",
            "`pin` is for security keys",
        ),
        (
            person(&format!("{roles}\nvalid-until = 2027-01-01T00:00:00"), &good),
            "line 5, column 15",
            "such as 2027-01-01T00:00:00Z",
        ),
        (
            person(
                &format!("{roles}\nvalid-from = 2027-01-01T00:00:00Z\nvalid-until = 2026-01-01T00:00:00Z"),
                &good,
            ),
            "line 6, column 15",
            "ends before it begins",
        ),
        (
            again("name = \"alice\"", &two),
            "line 8, column 8",
            "alice is in the file already",
        ),
        (
            again("name = \"bob\"\nuser = \"al\"", &two),
            "line 9, column 8",
            "the user al is alice already",
        ),
        (
            again("name = \"bob\"", &one),
            "line 10, column 17",
            "this key is alice's already",
        ),
        (again("name = \"*\"", &two), "line 8, column 8", "is no pattern"),
        ("schema = 2\n".to_owned(), "line 1, column 10", "schema 1"),
        (String::new(), "", "missing field `schema`"),
    ];
    for (text, place, why) in cases {
        let message = wrong(&text);
        assert!(
            message.contains(place) && message.contains(why),
            "{place}: {why}\n{message}"
        );
    }
}

#[test]
fn every_problem_is_told_at_once() {
    let text = person("roles = []\nvalid-until = 2027-01-01", "key = \"nonsense\"");
    assert_eq!(wrong(&text).lines().count(), 4);
}

#[test]
fn a_key_that_anybody_can_sign_for_is_refused() {
    // The neutral element of the curve (RFC 8032): every message has a signature for it.
    let weak = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let message = wrong(&person("roles = [\"declare\"]", &format!("key = \"{weak}\"")));
    assert!(message.contains("not a good point of its curve"), "{message}");
}

#[test]
fn people_and_keys_have_their_time_and_their_roles() {
    let pen = Pen::new(Kind::Ed25519, 1);
    let times = |from: &str, until: &str| format!("valid-from = {from}\nvalid-until = {until}");
    let (from, until) = ("2026-01-01T00:00:00Z", "2027-01-01T01:00:00+01:00");
    let bytes = order(declaration()).to_bytes().unwrap();
    let signed = pen.sign(&bytes);
    let of_person = person(
        &format!("roles = [\"declare\", \"revert\"]\n{}", times(from, until)),
        &format!("key = \"{}\"", pen.line()),
    );
    let of_key = person(
        "roles = [\"declare\", \"revert\"]",
        &format!("key = \"{}\", {}", pen.line(), times(from, until).replace('\n', ", ")),
    );
    for (text, not_yet, over) in [
        (of_person, Refusal::PersonNotYet, Refusal::PersonExpired),
        (of_key, Refusal::KeyNotYet, Refusal::KeyExpired),
    ] {
        let people = People::read("people.toml", &text).unwrap();
        let signer = signer(&people, &bytes, &signed).unwrap();
        for (now, wanted) in [
            ("2025-12-31T23:59:59Z", Err(not_yet)),
            ("2026-01-01T00:00:00Z", Ok(())),
            ("2026-12-31T23:59:59Z", Ok(())),
            ("2027-01-01T00:00:00Z", Err(over)),
        ] {
            assert_eq!(signer.check(Role::Declare, now.parse().unwrap()), wanted, "{now}");
        }
        let now = "2026-06-01T00:00:00Z".parse().unwrap();
        assert_eq!(signer.check(Role::Revert, now), Ok(()));
        assert_eq!(signer.check(Role::Approve, now), Err(Refusal::NoRole));
    }
}
