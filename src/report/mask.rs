//! What a public report leaves out, taken out of the records before anything is made of them: whatever is made of them
//! afterwards, a sentence or a picture, cannot hold it.
//!
//! Text in people's own words (authority, reason, notice, names of lifelines) stays, but for addresses, names of links of
//! the cut and names of users of the records that stand in it as words. A person is a number in the order of appearance.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde_json::Value;

use crate::model::record::{Actor, Peer, Record};

/// In place of what is left out.
const ADDRESS: &str = "[address]";
const NAME: &str = "[name]";
/// Members of details that are written by the kernel or the daemon about objects, and that no public report shows.
const LEFT_OUT: [&str; 4] = ["why", "peer", "order", "signature"];
/// Before the number of somebody.
pub(super) const PERSON: &str = "person ";
/// An account of every host, and nobody's name.
const ROOT: &str = "root";

/// Names that are not to be read.
#[derive(Debug, Default)]
pub(super) struct Mask {
    names: BTreeSet<String>,
}

impl Mask {
    /// The names in records.
    pub(super) fn of(records: &[Record]) -> Self {
        let mut names = BTreeSet::new();
        for record in records {
            names.extend(named(&record.actor));
            let details = &record.details;
            let people = ["approved_by", "declared_by", "raised_by", "sources"].map(|member| &details[member]);
            for text in people.into_iter().flat_map(texts) {
                // As the daemon writes somebody: `alice (uid 1000)`.
                let user = text.split_once(" (uid ").map_or(text, |(user, _)| user);
                names.insert(user.to_owned());
            }
            names.extend(texts(&details["links"]).map(str::to_owned));
        }
        names.retain(|name| !name.is_empty() && name != ROOT);
        Self { names }
    }

    /// A text without addresses and names.
    pub(super) fn text(&self, text: &str) -> String {
        let mut masked = addresses(text);
        // A name may be part of another one: the longest first.
        let mut names: Vec<&String> = self.names.iter().collect();
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        for name in names {
            masked = without_word(&masked, name);
        }
        masked
    }

    /// Records in which nothing is left that a public report must not show.
    pub(super) fn records(&self, records: &[Record]) -> Vec<Record> {
        let mut people = BTreeMap::new();
        let mut masked = records.to_vec();
        for record in &mut masked {
            self.details(&mut record.details);
            let person = match &record.actor {
                Actor::Daemon => None,
                Actor::Peer(peer) => Some((Some(peer.login_uid.unwrap_or(peer.uid)), String::new())),
                Actor::Signatory(by) => {
                    let account = by.account.as_ref().map(|account| account.uid);
                    Some((account, account.map_or_else(|| by.person.clone(), |_| String::new())))
                }
            };
            if let Some(person) = person {
                let next = people.len() + 1;
                let number = *people.entry(person).or_insert(next);
                record.actor = Actor::Peer(Peer {
                    executable: None,
                    gid: 0,
                    groups: Vec::new(),
                    hearsay: Vec::new(),
                    login_uid: None,
                    pid: 0,
                    uid: 0,
                    unit: None,
                    user: Some(format!("{PERSON}{number}")),
                });
            }
        }
        masked
    }

    fn details(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.details(item)),
            Value::Object(members) => {
                members.retain(|name, _| !LEFT_OUT.contains(&name.as_str()));
                members.values_mut().for_each(|member| self.details(member));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// Whom an actor names.
fn named(actor: &Actor) -> Vec<String> {
    let user = |peer: &Peer| peer.user.clone();
    match actor {
        Actor::Daemon => Vec::new(),
        Actor::Peer(peer) => user(peer).into_iter().collect(),
        Actor::Signatory(by) => {
            let account = by.account.as_ref().map(|account| account.user.clone());
            let via = by.via.as_ref().and_then(user);
            [Some(by.person.clone()), account, via].into_iter().flatten().collect()
        }
    }
}

/// The texts of a member: itself, or its items.
fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let items = value.as_array().into_iter().flatten();
    items.chain([value]).filter_map(Value::as_str)
}

/// Addresses of IP, with prefix length, port or zone, and of Ethernet.
fn addresses(text: &str) -> String {
    let of_address = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '/' | '%' | '-' | '_' | '[' | ']');
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(begin) = rest.find(of_address) {
        let (before, from) = rest.split_at(begin);
        let (word, after) = from.split_at(from.find(|c| !of_address(c)).unwrap_or(from.len()));
        masked.push_str(before);
        // What ends a sentence or a list is no part of an address.
        let bare = word.trim_end_matches(['.', ':', '-', '/']);
        if is_address(bare) || is_address(bare.trim_matches(['[', ']'])) {
            masked.push_str(ADDRESS);
            masked.push_str(&word[bare.len()..]);
        } else {
            masked.push_str(word);
        }
        rest = after;
    }
    masked + rest
}

fn is_address(word: &str) -> bool {
    let unscoped = word.split('%').next().unwrap_or_default();
    let ranged = word
        .split_once('-')
        .is_some_and(|(a, b)| is_address(a) && is_address(b));
    let ethernet = || {
        let octets: Vec<&str> = word.split(['-', ':']).collect();
        octets.len() == 6
            && octets
                .iter()
                .all(|o| o.len() == 2 && o.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    ranged
        || unscoped.parse::<IpAddr>().is_ok()
        || word.parse::<IpNet>().is_ok()
        || word.parse::<SocketAddr>().is_ok()
        || ethernet()
}

/// A text without a word, wherever it stands between what is no part of a word.
fn without_word(text: &str, word: &str) -> String {
    let of_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let (before, found) = rest.split_at(at);
        let after = &found[word.len()..];
        let begins = before.chars().next_back().or_else(|| out.chars().next_back());
        let is_word = !begins.is_some_and(of_word) && !after.chars().next().is_some_and(of_word);
        out.push_str(before);
        out.push_str(if is_word { NAME } else { word });
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_every_kind_are_taken_out_and_nothing_else() {
        let cases = [
            ("from 192.0.2.7.", "from [address]."),
            ("10.0.0.0/8, fd00::/8", "[address], [address]"),
            ("fe80::1%eth0 and [2001:db8::1]:443", "[address] and [address]"),
            ("192.0.2.1-192.0.2.9: worm", "[address]: worm"),
            ("at 52:54:00:12:34:56", "at [address]"),
            ("10.0.0.1:22", "[address]"),
            (
                "at 03:00 on 2026-11-24T03:00:00Z, INC-4711, v1.2, a/b",
                "at 03:00 on 2026-11-24T03:00:00Z, INC-4711, v1.2, a/b",
            ),
            ("“10.0.0.1”", "“[address]”"),
        ];
        for (text, masked) in cases {
            assert_eq!(addresses(text), masked);
        }
    }

    #[test]
    fn names_are_taken_out_as_words_only() {
        let mask = Mask {
            names: ["ada", "eth0", "eth0.5"].map(str::to_owned).into(),
        };
        let text = "ada's canada: eth0.5, eth0, eth01, veth0, ada";
        assert_eq!(mask.text(text), "[name]'s canada: [name], [name], eth01, veth0, [name]");
        assert_eq!(Mask::default().text("ada"), "ada");
    }
}
