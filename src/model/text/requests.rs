//! Changes, as the commands that would make them.

use std::fmt;

use super::Text;
use super::routes::rule_body;
use super::words::{Rest, Word, family_option};
use crate::model::change::{Change, LinkSetting};
use crate::model::object::{Family, Rule};
use crate::model::snapshot::Object;

impl fmt::Display for Text<'_, Change> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.item {
            Change::Add(object) => self.request(f, Verb::Add, object),
            Change::Delete(object) => self.request(f, Verb::Delete, object),
            Change::SetLink { name, setting, .. } => match setting {
                LinkSetting::Up => write!(f, "ip link set {name} up"),
                LinkSetting::Down => write!(f, "ip link set {name} down"),
                LinkSetting::Group(group) => write!(f, "ip link set {name} group {group}"),
            },
            Change::SetSysctl(s) => {
                write!(f, "sysctl -w {}={}", Word(s.name.as_bytes()), Rest(s.value.as_bytes()))
            }
        }
    }
}

/// What is asked of the kernel.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Add,
    Delete,
}

impl Verb {
    /// The word of `ip`; what an addition does to an equal object differs from kind to kind.
    fn word(self, adding: &'static str) -> &'static str {
        match self {
            Self::Add => adding,
            Self::Delete => "del",
        }
    }
}

impl Text<'_, Change> {
    fn request(&self, f: &mut fmt::Formatter<'_>, verb: Verb, object: &Object) -> fmt::Result {
        let names = self.names;
        match object {
            Object::Link(link) => {
                write!(f, "ip link {} {}", verb.word("add"), link.name)?;
                match (verb, &link.kind) {
                    (Verb::Add, Some(kind)) => write!(f, " type {}", Word(kind.as_bytes())),
                    (Verb::Add, None) | (Verb::Delete, _) => Ok(()),
                }
            }
            Object::Address(item) => {
                write!(f, "ip {}addr {} ", family_option(item.family), verb.word("add"))?;
                Text { names, item }.body(f)
            }
            Object::Nexthop(item) => {
                write!(f, "ip {}nexthop {} ", Text::family_option(item), verb.word("replace"))?;
                Text { names, item }.body(f)
            }
            Object::Route(item) => {
                let adding = match item.family {
                    Family::V4 => "append",
                    Family::V6 => "add",
                };
                write!(f, "ip {}route {} ", family_option(item.family), verb.word(adding))?;
                Text { names, item }.body(f)
            }
            Object::Rule(rule) => rule_request(f, verb, rule),
            Object::Neighbour(item) => {
                write!(f, "ip {}neigh {} ", family_option(item.family), verb.word("add"))?;
                Text { names, item }.body(f)
            }
            Object::Qdisc(item) => {
                write!(f, "tc qdisc {} ", verb.word("add"))?;
                Text { names, item }.body(f)
            }
            Object::Filter(item) => {
                write!(f, "tc filter {} ", verb.word("add"))?;
                Text { names, item }.body(f)
            }
            Object::Sysctl(item) => write!(f, "sysctl {} {}", verb.word("-w"), Text { names, item }),
        }
    }
}

fn rule_request(f: &mut fmt::Formatter<'_>, verb: Verb, rule: &Rule) -> fmt::Result {
    write!(f, "ip {}rule {}", family_option(rule.family), verb.word("add"))?;
    if rule.invert {
        f.write_str(" not")?;
    }
    write!(f, " pref {}", rule.preference)?;
    rule_body(f, rule)
}
